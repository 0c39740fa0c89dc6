"""What a visitor reads when something goes wrong: every error has a page of its own, and none tells too much."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.testing import capture_logs

from portal.domain import errors, notices
from portal.domain.errors import AlreadyOpen, DomainError
from portal.extensions import csrf, db
from portal.models import Member
from portal.models.notice import WORDING
from portal.web.access import MEMBER, PUBLIC, access
from tests.browse import Browse
from tests.databases import writes
from tests.people import ALICE_PASSWORD, NOW, People

SECRET = "swordfish-in-a-local"
SENTENCE = "The blue heron has left the pond."


def kinds(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for each in base.__subclasses__():
        yield each
        yield from kinds(each)


KINDS: list[type[DomainError]] = [DomainError, *kinds()]
RAISED: dict[str, Exception] = {
    "away": OperationalError(f"SELECT {SECRET}", {}, Exception("gone")),
    "lost": InterfaceError(f"SELECT {SECRET}", {}, Exception("gone")),
    "full": PoolTimeout(),
    "broken": ValueError(SECRET),
    "statement": RuntimeError(SECRET),
    **{kind.__name__: kind(SENTENCE) for kind in KINDS},
}


@pytest.fixture
def breaking(app: Flask) -> Flask:
    """A portal with pages that raise what is asked of them."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def public(what: str) -> str:
        local = SECRET
        raise RAISED[what] from Exception(local)

    def private(what: str, member: Member) -> str:
        member.city = SECRET
        db.session.flush()
        raise RAISED[what]

    app.add_url_rule("/break/<what>", "breaking.public", csrf.exempt(access(PUBLIC)(public)), methods=["GET", "POST"])
    private_view = access(MEMBER)(csrf.exempt(private))
    app.add_url_rule("/break-mine/<what>", "breaking.private", private_view, methods=["POST"])
    return app


def test_every_kind_is_known_here() -> None:
    named = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, DomainError)}
    assert named <= RAISED.keys()


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_a_refusal_of_a_verb_shows_its_sentence(breaking: Flask, browse: Browse, people: People, kind: str) -> None:
    status = 410 if kind == "LinkUsedUp" else 422
    assert str(RAISED[kind]) in browse(f"/break/{kind}", status=status, as_=None).said
    browse.sign_in(people.alice)
    token = browse("/profile/edit").controls()["csrf_token"]
    page = browse(f"/break-mine/{kind}", status=status, method="POST", data={"csrf_token": token})
    assert str(RAISED[kind]) in page.said
    assert db.session.scalars(select(Member.city).where(Member.city == SECRET)).first() is None


def test_an_error_with_a_reference_says_it() -> None:
    assert "IM-2222-2222" in str(AlreadyOpen("IM-2222-2222"))


@pytest.mark.parametrize("what", ["away", "lost", "full"])
def test_a_database_that_is_away_is_waited_for(breaking: Flask, browse: Browse, people: People, what: str) -> None:
    page = browse(f"/break/{what}", status=503, as_=None)
    assert int(page.headers["Retry-After"]) > 0
    assert "again" in page.said
    assert SECRET not in page.body.decode()
    assert "/sign-in" not in page.body.decode()
    browse.sign_in(people.bob)
    assert browse(f"/break/{what}", status=503).headers["Retry-After"]


@pytest.mark.parametrize("what", ["broken", "statement"])
def test_a_fault_of_ours_has_a_reference_and_no_detail(
    breaking: Flask, browse: Browse, people: People, what: str
) -> None:
    with capture_logs() as logged:
        page = browse(f"/break/{what}", status=500, as_=None)
    reference = page.soup.find("code")
    assert reference is not None
    shown = page.body.decode()
    for detail in (SECRET, "Traceback", "ValueError", "RuntimeError", ".py"):
        assert detail not in shown
    assert [each["reference"] for each in logged] == [reference.get_text()], "it finds the fault in the log"


def test_a_fault_in_a_database_that_refuses_says_no_values(breaking: Flask, browse: Browse, people: People) -> None:
    """An error of the database carries the values of the row: they reach neither page nor log."""

    def twice() -> str:
        db.session.execute(
            text("UPDATE member SET email_key = (SELECT max(email_key) FROM member), city = :city"), {"city": SECRET}
        )
        return "never"

    breaking._got_first_request = False
    breaking.add_url_rule("/break-twice", "breaking.twice", csrf.exempt(access(PUBLIC)(twice)), methods=["POST"])
    with capture_logs() as logged:
        page = browse("/break-twice", status=500, method="POST")
    told = page.body.decode() + str(logged)
    assert "page.broken" in told
    assert SECRET not in told
    assert people.bob.email not in told


def test_a_locked_database_answers_busy(breaking: Flask, browse: Browse, people: People) -> None:
    """A writer who waits too long for another is told to come again; nothing is half done, what was typed is kept."""
    browse.sign_in(people.alice)
    browse("/profile/edit")
    blocker = db.engine.connect()
    blocker.execute(text("UPDATE member SET city = city"))
    try:
        page = browse.press("Save", {"city": "Lund", "education": 'Chalmers\nand "KTH"'}, status=503)
    finally:
        blocker.rollback()
        blocker.close()
    assert page.headers["Retry-After"]
    assert "/sign-in" not in page.body.decode()
    assert people.alice.city == "Uppsala"
    browse.press("Send")
    assert people.alice.city == "Lund"
    assert people.alice.education == 'Chalmers\nand "KTH"'


@pytest.mark.parametrize(
    ("sent_from", "kept"),
    [
        ({"Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({}, False),
    ],
)
def test_what_is_kept_was_sent_from_our_own_pages_and_holds_no_password(
    breaking: Flask, sent_from: dict[str, str], kept: bool
) -> None:
    typed = {"words": "typed by hand", "password": "not-to-be-repeated", "new_password": "nor-this"}
    answer = breaking.test_client().post("/break/away?next=/choices", data=typed, headers=sent_from)
    page = answer.get_data(as_text=True)
    assert answer.status_code == (400 if sent_from.get("Sec-Fetch-Site") == "cross-site" else 503)
    assert ('value="typed by hand"' in page, 'action="/break/away?next=/choices"' in page) == (kept, kept)
    assert "not-to-be-repeated" not in page
    assert "nor-this" not in page


def test_what_is_too_large_is_refused(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=None)
    page = browse("/sign-in", method="POST", status=413, data={"email": "x" * 300_000})
    assert "too large" in page.said
    browse.sign_in(people.alice)
    browse("/profile/edit")
    browse.press("Save", {"Education": "x" * 300_000}, status=413)


@pytest.mark.parametrize("path", ["/notice/", "/notice/1/changes?from=", "/choices?after=", "/choices/undo/"])
@pytest.mark.parametrize("number", [str(2**31), str(2**63), "9" * 41, "9" * 4400], ids=len)
def test_a_number_too_large_for_the_database_is_no_fault(
    browse: Browse, people: People, path: str, number: str
) -> None:
    with writes():
        notices.publish("We hold your name.", change=WORDING, now=NOW)
    browse.sign_in(people.alice, password=ALICE_PASSWORD)
    token = browse("/profile/edit").controls()["csrf_token"]
    method = "POST" if "undo" in path else "GET"
    more: dict[str, Any] = {"data": {"csrf_token": token}} if method == "POST" else {}
    answer = browse.client.open(f"{path}{number}", method=method, **more)
    assert answer.status_code < 500


@pytest.mark.parametrize("where", ["path", "query", "form"])
def test_a_nul_is_refused(browse: Browse, people: People, where: str) -> None:
    browse.sign_in(people.alice)
    if where == "path":
        browse("/requests/IM-%00", status=400)
    elif where == "query":
        browse("/choices?after=%00", status=400)
    else:
        browse("/profile/edit")
        browse.press("Save", {"city": "Lu\0nd"}, status=400)


def test_a_field_sent_twice_is_refused(browse: Browse, people: People) -> None:
    """ASVS V15.3.7: what one reader takes for the field and what the next takes are the same."""
    browse("/sign-in?next=/held&next=//evil.example", status=400, as_=None)
    browse.sign_in(people.alice)
    browse("/choices?after=0&after=1", status=400)
    browse("/profile/edit")
    browse.press("Save", {"city": ["Lund", "Lund"]}, status=400)
    assert people.alice.city == "Uppsala"


def test_a_file_is_refused(browse: Browse, people: People) -> None:
    """ASVS V5.2.2: no page takes one, so it is in no field's place either."""
    browse.sign_in(people.alice)
    form = browse("/profile/email").controls()
    sent = form | {"email": (io.BytesIO(b"alice@new.example.org"), "address.txt")}
    browse("/profile/email", status=400, method="POST", data=sent)
