"""What a person reads: every email rendered by its own function, and kept in `golden/` for the reviewer.

`pytest tests/mail --golden` writes the golden files anew; look at the difference before you commit it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import pytest
from flask import Flask
from sqlalchemy import select

from portal.domain import members, signin
from portal.domain.deadlines import dates
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages
from portal.models import Account, DataSubjectRequest, EmailChange, Message
from portal.models.request import State
from portal.tokens import read_unsubscribe
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import ALICE, BOB, DANA_EMAIL, NOW, People

GOLDEN = Path(__file__).parent / "golden"
URL = "https://privacy.example.org"
CONTACT = "Privacy desk, privacy@example.org"
DPO = "Ingrid Berg, dpo@example.org"
SOCIETY = "International Microelectronics Assembly and Packaging Society"
TOKEN = "kq3V9d_Zr0tXw7yBn2HcJm5Lp8Gs1FaE4uT6iO-RvCk"
NEW_EMAIL = "alice@newmail.example.org"
BROWSER = "Firefox on Windows"
DETAILS = "My cousin Ottilie says you hold letters of mine."
NOVEMBER = datetime.fromisoformat("2026-11-23T10:02:00+00:00")
COPY = "If the button does not work, copy this address into your browser:"


@pytest.fixture
def settings() -> dict[str, str]:
    return {"PORTAL_URL": URL, "PRIVACY_CONTACT": CONTACT, "DPO_CONTACT": DPO, "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1"}


# The messages ---------------------------------------------------------------------------------------------


def account(people: People) -> Account:
    assert people.alice.account is not None
    return people.alice.account


def change(people: People, door: Door = Door.PAGE) -> EmailChange:
    made = EmailChange(
        member=people.alice,
        old_email=people.alice.email,
        new_email=NEW_EMAIL,
        door=door,
        confirm_hash="c" * 64,
        cancel_hash="d" * 64,
        created_at=NOW,
        confirm_until=NOW + (members.PROPOSAL_WITHIN if door is Door.IMPORT else members.CONFIRM_WITHIN),
        cancel_until=NOW + members.CANCEL_WITHIN,
    )
    db.session.add(made)
    return made


def filed(people: People, kind: str, *, at: datetime = NOW, closed: bool = False) -> DataSubjectRequest:
    request = DataSubjectRequest(
        reference="IM-7K3F-92QD",
        operation_id="one-form",
        subject_id=people.alice.id,
        kind=kind,
        details=DETAILS,
        state=State.WITHDRAWN if closed else State.RECEIVED,
        closed_at=at + timedelta(days=1) if closed else None,
        door=Door.PAGE,
        verified_at=at,
        verified_how="password",
        received_at=at,
        **asdict(dates(at)),
    )
    db.session.add(request)
    return request


def unsubscribe_link(people: People) -> None:
    people.alice.subject.unsubscribe_reference = b"always the same."
    messages.unsubscribe_link(people.alice, now=NOW)


def to_member(send: Callable[..., None], kind: str, at: datetime = NOW, closed: bool = False) -> Callable[..., None]:
    return lambda people: send(people.alice, filed(people, kind, at=at, closed=closed), KINDS[kind], now=at)


def to_staff(send: Callable[..., None], kind: str, closed: bool = False) -> Callable[..., None]:
    return lambda people: send(filed(people, kind, closed=closed), KINDS[kind], now=NOW)


SAMPLES: dict[str, Callable[[People], None]] = {
    "activation": lambda people: messages.activation(account(people), TOKEN, now=NOW),
    "activation-desk": lambda people: messages.activation(people.dana, TOKEN, now=NOW),
    "invitation": lambda people: messages.invitation(account(people), TOKEN, now=NOW),
    "reset": lambda people: messages.reset(account(people), TOKEN, now=NOW),
    "password_changed": lambda people: messages.password_changed(account(people), now=NOW),
    "new_sign_in": lambda people: messages.new_sign_in(account(people), browser=BROWSER, now=NOW),
    "email_confirm": lambda people: messages.email_confirm(change(people), TOKEN, now=NOW),
    "email_confirm-import": lambda people: messages.email_confirm(change(people, Door.IMPORT), TOKEN, now=NOW),
    "email_notice": lambda people: messages.email_notice(change(people), TOKEN, now=NOW),
    "email_notice-import": lambda people: messages.email_notice(change(people, Door.IMPORT), TOKEN, now=NOW),
    "email_changed": lambda people: messages.email_changed(change(people), TOKEN, now=NOW),
    "email_taken": lambda people: messages.email_taken(people.bob, people.bob.email, now=NOW),
    "unsubscribe_link": unsubscribe_link,
    "request_received-access": to_member(messages.request_received, "access"),
    "request_received-erasure": to_member(messages.request_received, "erasure", at=NOVEMBER),
    "request_withdrawn-access": to_member(messages.request_withdrawn, "access", closed=True),
    "request_withdrawn-erasure": to_member(messages.request_withdrawn, "erasure", closed=True),
    "staff_request_received": to_staff(messages.staff_request_received, "erasure"),
    "staff_request_withdrawn": to_staff(messages.staff_request_withdrawn, "erasure", closed=True),
}
ACTING = {
    "activation": f"/set-password/{TOKEN}",
    "invitation": f"/set-password/{TOKEN}",
    "reset": f"/set-password/{TOKEN}",
    "email_confirm": f"/profile/email/confirm/{TOKEN}",
    "email_notice": f"/profile/email/cancel/{TOKEN}",
    "email_changed": f"/profile/email/cancel/{TOKEN}",
    "unsubscribe_link": "/unsubscribe/",
    "request_received": "/requests/IM-7K3F-92QD",
    "request_withdrawn": "/requests/IM-7K3F-92QD",
    "staff_request_received": "/desk/requests/IM-7K3F-92QD",
    "staff_request_withdrawn": "/desk/requests/IM-7K3F-92QD",
}

every_message = pytest.mark.parametrize("sample", SAMPLES)


def written(sample: str, people: People) -> Message:
    """The one message that a sample puts into the outbox."""
    with writes():
        SAMPLES[sample](people)
    (row,) = db.session.scalars(select(Message))
    return row


class Seen(HTMLParser):
    """What a reader of the HTML part sees: its words, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self._head = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._head = tag == "head" or (self._head and tag != "body")
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append(href)
        self.text += " " if tag not in ("a", "b", "strong") else ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self._head else data


def links_in(text: str) -> list[str]:
    return re.findall(r"https?://\S+", text)


def words_of(text: str) -> list[str]:
    """The words without links and punctuation."""
    return re.findall(r"[^\W_]+", re.sub(r"https?://\S+", " ", text))


# What is read ---------------------------------------------------------------------------------------------


@every_message
def test_golden(sample: str, people: People, request: pytest.FixtureRequest) -> None:
    row = written(sample, people)
    links = "\n".join(Seen(row.html).links)
    read = f"To: {row.to_address}\nSubject: {row.title}\n\n{row.text}\nLinks of the HTML part:\n{links}\n"
    file = GOLDEN / f"{sample}.txt"
    if request.config.getoption("--golden", default=False):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(read, encoding="utf-8")
    assert file.exists(), "a new message: write its file with `pytest tests/mail --golden` and read it"
    assert read == file.read_text(encoding="utf-8"), "if the new words are meant: `pytest tests/mail --golden`"


def test_every_message_is_here() -> None:
    functions = {name for name, _ in inspect.getmembers(messages, inspect.isfunction) if not name.startswith("_")}
    ours = {name for name in functions if inspect.getmodule(getattr(messages, name)) is messages}
    assert {sample.partition("-")[0] for sample in SAMPLES} == ours
    assert {file.stem for file in GOLDEN.iterdir()} == set(SAMPLES)


@every_message
def test_both_parts_say_the_same(sample: str, people: People) -> None:
    row = written(sample, people)
    seen = Seen(row.html)
    assert words_of(seen.text.replace(COPY, "")) == words_of(f"{SOCIETY} {row.title} {row.text}")
    assert set(seen.links) == set(links_in(row.text))


@every_message
def test_what_acts_is_the_first_link(sample: str, people: People) -> None:
    row = written(sample, people)
    acting = ACTING.get(sample.partition("-")[0])
    if acting is None:
        assert TOKEN not in row.text
        assert '<a class="button"' not in row.html
        return
    first = links_in(row.text)[0]
    assert first.startswith(URL + acting)
    assert Seen(row.html).links[0] == first


@every_message
def test_links_lead_to_pages_of_this_portal(sample: str, app: Flask, people: People) -> None:
    row = written(sample, people)
    pages = app.url_map.bind("privacy.example.org", url_scheme="https")
    for link in Seen(row.html).links + links_in(row.text):
        assert link.startswith(f"{URL}/")
        pages.match(link.removeprefix(URL), method="GET")


@every_message
def test_the_html_part_is_clean_and_fetches_nothing(sample: str, people: People) -> None:
    row = written(sample, people)
    html5lib.HTMLParser(strict=True).parse(row.html)
    assert not re.search(r"\bsrc\b|srcset|url\(|@import|<link|<script|<img|<form", row.html)


@every_message
def test_no_message_holds_data(sample: str, people: People) -> None:
    """The greeting is all; desk and strangers do not even get that."""
    row = written(sample, people)
    everything = " ".join((row.title, row.text, Seen(row.html).text))
    data = [str(value) for person in (ALICE, BOB) for value in person.values() if len(str(value)) > 6]
    secret = [*data, NEW_EMAIL, DETAILS, "Ottilie", "Okonkwo", "Dr.", DANA_EMAIL]
    if sample.startswith(("staff_", "email_taken", "email_confirm", "unsubscribe_link", "activation-desk")):
        secret.append("Alice")
    else:
        assert "Dear Alice," in row.text
    assert [value for value in secret if value in everything] == []


@every_message
def test_the_tone_is_calm(sample: str, people: People) -> None:
    row = written(sample, people)
    assert "!" not in row.title + row.text
    assert "Alice" not in row.title
    assert 10 <= len(row.title) <= 60
    assert len(words_of(row.text)) < 300


# What must be in it ---------------------------------------------------------------------------------------


def test_links_work_as_long_as_the_mail_says(people: People) -> None:
    assert f"for {signin.ACTIVATION_LINK.days} days" in written("activation", people).text
    with writes():
        db.session.delete(db.session.scalars(select(Message)).one())
    hours = signin.RESET_LINK // timedelta(hours=1)
    assert f"for {hours} hour." in written("reset", people).text


@pytest.mark.parametrize("sample", ["request_received-access", "request_received-erasure"])
def test_the_receipt_tells_all_that_it_must(sample: str, people: People) -> None:
    """Rights 4.5."""
    text = written(sample, people).text
    kind = KINDS[sample.partition("-")[2]]
    needed = ("IM-7K3F-92QD", kind.title, kind.question, *kind.what_happens, "password", CONTACT, DPO, "complain")
    assert [words for words in needed if words not in text] == []
    if kind.code == "access":
        assert "You have our answer by 3 January 2027. The law itself gives us until 4 January 2027." in text
    else:
        assert "You have our answer by 23 December 2026. If" in text
        assert "72 hours" in text


def test_unsubscribe_link_is_a_real_one(people: People) -> None:
    token = links_in(written("unsubscribe_link", people).text)[0].rpartition("/")[2]
    read = read_unsubscribe(token)
    assert read is not None
    assert read.reference == people.alice.subject.unsubscribe_reference


def test_each_desk_address_gets_a_message_of_its_own(app: Flask, people: People) -> None:
    config = app.extensions["portal.config"]
    app.extensions["portal.config"] = replace(config, staff_emails=("one@example.org", "two@example.org"))
    with writes():
        SAMPLES["staff_request_received"](people)
    rows = db.session.scalars(select(Message).order_by(Message.to_address)).all()
    assert [row.to_address for row in rows] == ["one@example.org", "two@example.org"]
    assert [row.subject_id for row in rows] == [None, None]


def test_a_name_is_never_markup(people: People) -> None:
    with writes():
        people.alice.first_name = "<b>Al</b> & {{ 7 * 7 }}"
    row = written("reset", people)
    assert "<b>Al</b> & " in row.text
    assert "&lt;b&gt;Al&lt;/b&gt; &amp;" in row.html
    assert "<b>" not in row.html
    assert "49" not in row.text


def test_without_a_name_it_says_hello(people: People) -> None:
    with writes():
        people.alice.first_name = ""
    row = written("password_changed", people)
    assert row.text.startswith("Hello,\n")
    assert "Dear" not in row.text + row.html


@pytest.mark.parametrize("settings", [{"PORTAL_URL": URL}])
def test_the_receipt_reads_well_where_no_contact_is_named(people: People) -> None:
    row = written("request_received-access", people)
    assert "write to us. You can also complain" in row.text
    assert "data protection officer" not in row.text
