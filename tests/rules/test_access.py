"""Who may open a page: every route says so, and a stranger's look at somebody else's things finds nothing."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import quote
from uuid import uuid4

import pytest
from flask import Blueprint, Flask
from sqlalchemy import select

from config import Config
from portal import create_app, web
from portal.extensions import db
from portal.models import DataSubjectRequest, SignIn
from portal.web import access
from portal.web.access import DESK, MEMBER, PUBLIC, RECENT, AccessError
from tests.browse import Browse
from tests.databases import writes
from tests.people import People
from tests.rows import fill

PUBLIC_PAGES = [
    "asks.ask",
    "asks.authorities",
    "asks.confirm",
    "asks.link_sent",
    "bounces.works",
    "download.schema",
    "health.ready",
    "health.up",
    "letters.confirm",
    "lists.roster",
    "members.cancel_email",
    "members.confirm_email",
    "metrics.page",
    "notices.changes",
    "notices.cookies",
    "notices.current",
    "notices.one",
    "overview.start",
    "requests.keep",
    "security.change_password",
    "signin.activate",
    "signin.forgot_password",
    "signin.link_sent",
    "signin.set_password",
    "signin.sign_in",
    "signin.sign_out",
    "static",
    "status.page",
    "unsubscribe.by_link",
    "unsubscribe.link_sent",
    "unsubscribe.lost_link",
    "weaknesses.old_place",
    "weaknesses.page",
    "weaknesses.security_txt",
]
WITHOUT_COOKIES = [
    "download.schema",
    "health.ready",
    "health.up",
    "metrics.page",
    "status.page",
    "unsubscribe.by_link",
    "weaknesses.old_place",
    "weaknesses.security_txt",
]
RECENT_TO_SEND = [
    "changes.file",
    "download.download",
    "handling.approve",
    "handling.hand_out",
    "lists.approve",
    "lists.release",
    "lists.release_filed",
    "members.email",
    "requests.do_not_wait",
    "requests.file",
    "second_factor.set_up",
    "security.end_everywhere",
    "security.end_one",
    "security.password",
    "signin.sign_in_again",
]
FILLED_IN = {
    "reference": "IM-2222-2222",
    "kind": "access",
    "holding": "hotels",
    "event": "SYM-26",
    "after": "0",
    "number": "1",
    "sign_in_id": str(uuid4()),
    "token": "x",
    "version": "1",
    "filename": "portal.css",
    "group": "what-changed",
}


def paths(app: Flask, *, method: str, level: access.Access) -> list[tuple[str, str]]:
    """Endpoint and an example path of every route that takes a method and is marked with a level for it."""
    found = []
    for rule in sorted(app.url_map.iter_rules(), key=lambda each: each.rule):
        mark = access._mark(app, rule.endpoint)
        if mark and method in (rule.methods or ()) and mark.for_method(method) is level:
            _, path = rule.build({name: FILLED_IN[name] for name in rule.arguments}) or ("", "")
            found.append((rule.endpoint, path))
    return found


def marks(app: Flask) -> dict[str, access.Mark]:
    found = {rule.endpoint: access._mark(app, rule.endpoint) for rule in app.url_map.iter_rules()}
    return {endpoint: mark for endpoint, mark in found.items() if mark is not None}


def test_every_route_says_who_may_open_it(app: Flask) -> None:
    assert marks(app).keys() == {rule.endpoint for rule in app.url_map.iter_rules()}


def test_the_public_pages_are_these(app: Flask) -> None:
    public = sorted(name for name, mark in marks(app).items() if PUBLIC in (mark.read, mark.send))
    assert public == PUBLIC_PAGES, "think twice before a page is open to anyone"
    nameless = sorted(name for name, mark in marks(app).items() if mark.anonymous and name != "static")
    assert nameless == WITHOUT_COOKIES


def test_what_matters_asks_for_the_password(app: Flask) -> None:
    assert sorted(name for name, mark in marks(app).items() if mark.send is RECENT) == RECENT_TO_SEND


def test_a_route_without_a_mark_stops_the_start(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Blueprint("careless", __name__)
    room.add_url_rule("/careless", view_func=lambda: "hello", endpoint="page")
    monkeypatch.setattr(web, "PAGES", (*web.PAGES, SimpleNamespace(bp=room)))
    with pytest.raises(AccessError, match="/careless"):
        create_app(config)


def test_nobody_is_sent_to_sign_in_and_comes_back(app: Flask, browse: Browse, people: People) -> None:
    for level in (MEMBER, RECENT, DESK):
        for _, path in paths(app, method="GET", level=level):
            page = browse(path, status=303, as_=None)
            assert page.location == f"/sign-in?next={quote(path, safe='/')}", path


def test_nobody_sends_anything(app: Flask, browse: Browse, people: People) -> None:
    browse("/sign-in")
    token = browse.page.controls()["csrf_token"]
    for level in (MEMBER, RECENT, DESK):
        for _, path in paths(app, method="POST", level=level):
            page = browse(path, status=303, method="POST", data={"csrf_token": token})
            assert page.location.startswith("/sign-in?next=")


def test_a_sign_in_of_the_desk_has_no_member_pages(app: Flask, browse: Browse, people: People) -> None:
    browse.sign_in(people.dana)
    for _, path in paths(app, method="GET", level=MEMBER):
        browse(path, status=403)


def test_every_path_of_the_desk_is_for_staff(app: Flask, browse: Browse, people: People) -> None:
    desk = [
        "/desk",
        "/desk/",
        "/desk/requests/IM-2222-2222",
        "/desk/lists",
        "/desk/recalls",
        "/desk/nothing",
        "/desk/a/b/c",
    ]
    for path in desk:
        assert browse(path, status=303, as_=None).location.startswith("/sign-in?next=/desk")
    browse.sign_in(people.alice)
    for path in desk:
        for method in ("GET", "HEAD"):
            browse(path, status=403, method=method)
    token = browse("/profile/edit").controls()["csrf_token"]
    for path in ("/desk/nothing", "/desk/requests/IM-2222-2222"):
        browse(path, status=403, method="POST", data={"csrf_token": token})
    browse.sign_in(people.dana)
    browse("/desk")
    browse("/desk/nothing", status=404)
    browse("/desk/requests/IM-2222-2222", status=404)


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_FACTOR": "yes"}])
def test_a_second_factor_that_is_required_and_missing_keeps_staff_out(
    app: Flask, browse: Browse, people: People
) -> None:
    browse.sign_in(people.dana)
    assert browse("/", status=303).location == "/desk"
    for path in ("/desk", "/desk/requests/IM-2222-2222", "/desk/nothing"):
        assert browse(path, status=303).location == f"/security/second-factor?next={path}"
    browse("/security/second-factor")
    token = browse.page.controls()["csrf_token"]
    for _, path in paths(app, method="POST", level=DESK):
        page = browse(path, status=303, method="POST", data={"csrf_token": token})
        assert page.location.startswith("/security/second-factor?next="), path


def test_bob_finds_nothing_of_alice(browse: Browse, people: People) -> None:
    with writes():
        fill(people)
    reference = db.session.scalars(select(DataSubjectRequest.reference)).one()
    browse.sign_in(people.alice)
    browse("/security")
    account = people.alice.account
    assert account is not None
    hers = list(db.session.scalars(select(SignIn.id).where(SignIn.account_id == account.id)))
    things = [f"/requests/{reference}", *(f"/security/end/{ident}" for ident in hers)]
    for thing in things:
        browse(thing)
    browse.sign_in(people.bob)
    token = browse("/profile/edit").controls()["csrf_token"]
    for thing in things:
        browse(thing, status=404)
    for thing in (*things[1:], f"/requests/{reference}/withdraw"):
        browse(thing, status=404, method="POST", data={"csrf_token": token})
    before = db.session.scalars(select(DataSubjectRequest.state)).one()
    assert before == "received"
    assert browse.is_signed_in()
    browse.turn_to(people.alice)
    assert browse.is_signed_in()
    browse(f"/desk/requests/{reference}", status=403)


def test_nobody_works_on_their_own_record(browse: Browse, people: People) -> None:
    with writes():
        fill(people)
        assert people.alice.account is not None
        db.session.merge(people.alice.account).staff = True
    reference = db.session.scalars(select(DataSubjectRequest.reference)).one()
    browse.sign_in(people.alice)
    assert "colleague" in browse(f"/desk/requests/{reference}", status=403).said
    browse.sign_in(people.dana)
    assert "Alice" in browse(f"/desk/requests/{reference}").said
