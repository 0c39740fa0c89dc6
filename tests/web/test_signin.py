"""Coming in and going out: activation, sign-in, keeping signed in, passwords, and the links that set them (P2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select

from portal import clock as portal_clock
from portal.cli import worker
from portal.domain import passwords
from portal.extensions import db
from portal.models import Account, EmailChange, FailedSignIn, LinkRequest, Member, Message, PasswordLink, SignIn
from tests.browse import Browse
from tests.databases import writes
from tests.letters import answer_links, letter, letters, link_in
from tests.people import ALICE_PASSWORD, BOB_PASSWORD, DANA_PASSWORD, People, member

NEW = "seven-grey-herons-fly-south"
SHORT = "too short, this"[:14]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def erin(people: People) -> Member:
    """A person who was imported and never came in."""
    with writes():
        erin = member(email="erin@unknown.example.org", first_name="Erin", last_name="Moss")
        db.session.add(erin)
    return erin


def ask(browse: Browse, page: str, address: str) -> None:
    browse(page, as_=None)
    browse.press("Send", {"Email address": address})
    answer_links()


def set_password(browse: Browse, link: str, password: str, **more: Any) -> None:
    browse(link, as_=None)
    browse.press("Save", {"New password": password}, **more)


def alice_of(people: People) -> Account:
    account = people.alice.account
    assert account is not None
    return account


# Activation -----------------------------------------------------------------------------------------------


def test_activation(browse: Browse, erin: Member) -> None:
    """Whoever was imported chooses a password by a mailed link, and then signs in (rights §7.1)."""
    ask(browse, "/activate", "  Erin@Unknown.example.org ")
    message = letter("activation")
    assert message.to_address == erin.email
    set_password(browse, link_in(message), NEW)
    page = browse.follow()
    assert page.path == "/sign-in"
    assert not browse.is_signed_in(), "the link itself signs nobody in"
    browse.sign_in(erin, password=NEW)
    assert browse.follow().heading == "Hello, Erin"


def test_an_active_person_who_activates_gets_a_reset(browse: Browse, people: People) -> None:
    ask(browse, "/activate", people.alice.email)
    assert [row.name for row in letters()] == ["reset"]


def test_a_person_without_a_password_who_forgot_it_gets_an_activation(browse: Browse, erin: Member) -> None:
    ask(browse, "/forgot-password", erin.email)
    assert [row.name for row in letters()] == ["activation"]


def test_nobody_signs_in_without_a_password(browse: Browse, erin: Member) -> None:
    for password in ("", " ", NEW):
        browse("/sign-in", as_=None)
        browse.press("Sign in", {"Email address": erin.email, "Password": password}, status=422)
    ask(browse, "/activate", erin.email)
    browse("/sign-in")
    browse.press("Sign in", {"Email address": erin.email, "Password": NEW}, status=422)


# Signing in and out ---------------------------------------------------------------------------------------


def test_sign_in_and_out(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice, password=ALICE_PASSWORD)
    assert browse.page.location == "/"
    browse.follow()
    stolen = browse.cookies()
    browse.press("Sign out")
    assert "signed out" in browse.follow().said
    assert browse("/profile", status=303).location == "/sign-in?next=/profile"
    browse.with_cookies(stolen)
    browse("/profile", status=303)


def test_the_address_may_be_written_another_way(browse: Browse, people: People) -> None:
    for address in ("ALICE.OKONKWO@MAIL.EXAMPLE.ORG", " alice.okonkwo@mail.example.org "):
        browse("/sign-in", as_=address)
        browse.press("Sign in", {"Email address": address, "Password": ALICE_PASSWORD})


def test_a_wrong_password_says_not_which_was_wrong(browse: Browse, people: People) -> None:
    shown = []
    for address, password in ((people.alice.email, "wrong"), ("stranger@example.org", ALICE_PASSWORD)):
        browse("/sign-in", as_=None)
        page = browse.press("Sign in", {"Email address": address, "Password": password}, status=422)
        assert page.controls()["email"] == address
        shown.append(nameless(page.body, address))
    assert shown[0] == shown[1]
    assert db.session.execute(select(func.count()).select_from(FailedSignIn)).scalar_one() == 2
    browse.sign_in(people.alice)
    assert "Failed sign-ins in the last 30 days 1" in browse("/security").said


def test_whoever_is_signed_in_need_not_sign_in(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    assert browse("/sign-in?next=/choices", status=303).location == "/choices"


def test_a_session_ends_after_half_an_hour_without_use(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    for _ in range(3):
        clock.shift(29 * MINUTE)
        browse("/profile")
    clock.shift(31 * MINUTE)
    browse("/profile", status=303)


def test_a_session_ends_after_twelve_hours_whatever_happens(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    browse.sign_in(people.dana)
    ended = {}
    for turn in range(1, 14 * 3):
        clock.shift(20 * MINUTE)
        for person in (people.alice, people.dana):
            browse.turn_to(person)
            if person not in ended and browse.client.get("/cookies") and not browse.is_signed_in():
                ended[person] = turn * 20 * MINUTE
    assert ended[people.alice] == timedelta(hours=12)
    assert ended[people.dana] == timedelta(hours=8)


def test_a_session_set_before_signing_in_is_not_the_one_after(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=people.alice)
    before = browse.cookies()
    browse.sign_in(people.alice)
    browse.with_cookies(before)
    browse("/profile", status=303)


def test_a_new_browser_is_told_by_mail(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    assert letter("new_sign_in").to_address == people.alice.email
    for _ in range(2):
        browse.turn_to("another")
        browse("/sign-in")
        browse.press("Sign in", {"email": people.alice.email, "password": ALICE_PASSWORD})
        browse.clients.pop("another")
    assert len(letters("new_sign_in")) == 1


def test_signing_in_over_an_open_session_ends_it(browse: Browse, people: People) -> None:
    """Two tabs of one browser: the session that its cookie named before opens nothing any more."""
    form = browse("/sign-in", as_=people.alice)
    browse.sign_in(people.alice, keep=True)
    token = browse("/choices").controls()["csrf_token"]
    before = browse.cookies()
    browse.open[browse.who] = form
    typed = {"email": people.alice.email, "password": ALICE_PASSWORD}
    browse.press("Sign in", {**typed, "csrf_token": token})
    assert browse.is_signed_in()
    assert db.session.execute(select(func.count()).select_from(SignIn)).scalar_one() == 1
    browse.with_cookies(before)
    browse("/profile", status=303)


# Keep me signed in ----------------------------------------------------------------------------------------


def test_a_returning_visitor_is_recognised(browse: Browse, people: People, clock: Any) -> None:
    """P2: who wished it need not log in each time; what matters asks for the password all the same."""
    browse.sign_in(people.alice, keep=True)
    for _ in range(9):
        clock.shift(timedelta(days=3))
        assert "Alice" in browse("/").heading
        browse("/profile")
        browse("/choices")
    assert browse("/profile/email", status=303).location == "/sign-in/again?next=/profile/email"
    browse("/requests/new/access")
    page = browse.press("Send", {"Anything to add": "Since 2011, please"}, status=422)
    assert page.controls()["details"] == "Since 2011, please"
    browse.press("Send", {"Password": ALICE_PASSWORD})
    clock.shift(timedelta(days=4))
    browse("/profile", status=303)


def test_nobody_is_kept_who_did_not_wish_it(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=None)
    assert "keep" not in browse.page.controls()
    browse.sign_in(people.alice)
    assert browse.cookies().keys() == {"session"}


# Copied cookies -------------------------------------------------------------------------------------------


def leave(browse: Browse, people: People) -> None:
    browse("/security")
    browse.press("Sign out")


def change(browse: Browse, people: People) -> None:
    browse("/security/password")
    browse.press("Save", {"New password": NEW})
    assert browse.follow().path == "/security", "this browser stays signed in"


def everywhere(browse: Browse, people: People) -> None:
    browse("/security/everywhere")
    browse.press("Confirm")
    browse("/profile", status=303)


def reset(browse: Browse, people: People) -> None:
    who = browse.who
    ask(browse, "/forgot-password", people.alice.email)
    set_password(browse, link_in(letter("reset")), NEW)
    browse.turn_to(who)


@pytest.mark.parametrize("event", [leave, change, everywhere, reset])
@pytest.mark.parametrize("later", [timedelta(0), timedelta(minutes=31), timedelta(hours=13)], ids=str)
def test_copied_cookies_are_refused_afterwards(
    browse: Browse, people: People, clock: Any, event: Callable[[Browse, People], None], later: timedelta
) -> None:
    """Every cookie ever set, copied before: none lets anybody in afterwards (security, threat T10)."""
    browse.sign_in(people.alice, keep=True)
    copies = [browse.cookies()]
    if later:
        browse("/security")
        if event is not leave:
            clock.shift(later)
            browse("/profile")
            copies.append(browse.cookies())
            browse("/sign-in/again")
            browse.press("Confirm", {"Password": ALICE_PASSWORD})
            copies.append(browse.cookies())
    if event is leave and later:
        clock.shift(later)
        browse.press("Sign out")  # on a page that stood open while the session ran out
    else:
        event(browse, people)
    for copied in copies:
        for one in (copied, *({name: value} for name, value in copied.items())):
            browse.with_cookies(one)
            browse("/profile", status=303)
    rows = db.session.execute(select(func.count()).select_from(SignIn)).scalar_one()
    assert rows == (1 if event is change else 0)


def test_end_this_one(browse: Browse, people: People) -> None:
    """One of one's sign-ins is ended from another; the other stays."""
    browse.sign_in(people.alice, keep=True)
    far = browse.cookies()
    browse.clients.pop(browse.who)
    browse.sign_in(people.alice)
    page = browse("/security")
    cards = [each for each in page.soup.find_all("section", class_="card") if "This one" not in each.get_text()]
    assert len(cards) == 1
    browse(str(cards[0].find("a")["href"]))
    browse.press("Confirm")
    assert browse.follow().path == "/security"
    browse.with_cookies(far)
    browse("/profile", status=303)


def test_this_one_can_be_ended_too(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice, keep=True)
    page = browse("/security")
    link = page.soup.select_one("section.card a")
    assert link is not None
    browse(str(link["href"]))
    browse.press("Confirm")
    browse.follow(status=303)
    assert not browse.is_signed_in()


def test_confirming_the_password_replaces_the_cookie(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    clock.shift(6 * MINUTE)
    browse("/sign-in/again")
    before = browse.cookies()
    browse.press("Confirm", {"Password": ALICE_PASSWORD})
    assert browse.is_signed_in()
    browse.with_cookies(before)
    browse("/profile", status=303)


# The password once more -----------------------------------------------------------------------------------


def test_a_sign_in_that_is_ended_elsewhere_while_its_password_is_given_again(
    browse: Browse, people: People, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fault of anybody: the page asks to try again, and the next try leads to the front door."""
    browse.sign_in(people.alice)
    clock.shift(6 * MINUTE)
    browse("/sign-in/again?next=/profile/email")
    right = passwords.matches

    def matches(stored: str | None, password: str) -> bool:
        db.session.execute(delete(SignIn).execution_options(synchronize_session=False))
        return right(stored, password)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(passwords, "matches", matches)
        page = browse.press("Confirm", {"Password": ALICE_PASSWORD}, status=503)
    assert page.heading == "Back in a moment"
    with writes():
        db.session.execute(delete(SignIn))
    assert browse.press("Send", status=303).location.startswith("/sign-in?")


def test_recent_lasts_five_minutes(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    clock.shift(timedelta(minutes=4, seconds=59))
    browse("/profile/email")
    clock.shift(timedelta(seconds=1))
    page = browse("/profile/email", status=303)
    assert page.location == "/sign-in/again?next=/profile/email"
    browse.follow()
    browse.press("Confirm", {"Password": "wrong-wrong-wrong"}, status=422)
    assert browse.page.beside("password") == "This is not your password."
    browse.press("Confirm", {"Password": ""}, status=422)
    browse.press("Confirm", {"Password": ALICE_PASSWORD})
    assert browse.page.location == "/profile/email"
    browse.follow()


def test_the_password_of_somebody_else_confirms_nothing(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    clock.shift(6 * MINUTE)
    for path, button in (("/security/everywhere", "Confirm"), ("/security/password", "Save")):
        browse(path)
        typed = {"New password": NEW} if button == "Save" else {}
        browse.press(button, typed, status=422)
        browse.press(button, {**typed, "Password": BOB_PASSWORD}, status=422)
    assert browse.is_signed_in()
    browse("/profile")
    assert passwords.matches(alice_of(people).password_hash, ALICE_PASSWORD)


def test_guesses_from_an_open_session_are_limited(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    clock.shift(6 * MINUTE)
    browse("/sign-in/again")
    for _ in range(10):
        browse.press("Confirm", {"Password": "wrong-wrong-wrong"}, status=422)
    page = browse.press("Confirm", {"Password": ALICE_PASSWORD}, status=429)
    assert int(page.headers["Retry-After"]) > 0


# Links ----------------------------------------------------------------------------------------------------


def test_forgotten_password(browse: Browse, people: People) -> None:
    ask(browse, "/forgot-password", people.alice.email)
    link = link_in(letter("reset"))
    set_password(browse, link, NEW)
    assert letter("password_changed").to_address == people.alice.email
    browse("/sign-in")
    browse.press("Sign in", {"email": people.alice.email, "password": ALICE_PASSWORD}, status=422)
    browse.press("Sign in", {"password": NEW})
    page = browse(link, status=410, as_="another window")
    assert "has been used" in page.said


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_spends_no_link(browse: Browse, people: People, method: str) -> None:
    ask(browse, "/forgot-password", people.alice.email)
    link = link_in(letter("reset"))
    headers = [{"User-Agent": agent, "Purpose": "prefetch"} for agent in ("GoogleImageProxy", "curl/8", "SafeLinks")]
    for turn in range(60):
        browse.client.open(link, method=method, headers=headers[turn % 3])
    assert db.session.scalars(select(PasswordLink.used_at)).one() is None
    set_password(browse, link, NEW)


def test_a_refused_password_spends_no_link(browse: Browse, people: People) -> None:
    ask(browse, "/forgot-password", people.alice.email)
    link = link_in(letter("reset"))
    for refused in (SHORT, "passwordpassword", "aaaaaaaaaaaaaaaaaaaa", "", "Alice.Okonkwo@mail.example.org"):
        set_password(browse, link, refused, status=422)
        assert browse.page.beside("new_password")
    set_password(browse, link, NEW)


def test_an_older_link_says_that_a_newer_one_was_sent(browse: Browse, people: People, clock: Any) -> None:
    ask(browse, "/forgot-password", people.alice.email)
    older = link_in(letter("reset"))
    clock.shift(MINUTE)
    ask(browse, "/forgot-password", people.alice.email)
    assert "newer link" in browse(older, status=410).said
    set_password(browse, link_in(letter("reset")), NEW)


@pytest.mark.parametrize(
    ("page", "who", "lives"), [("forgot-password", "alice", 60), ("activate", "erin", 7 * 24 * 60)]
)
def test_a_link_ends(browse: Browse, people: People, erin: Member, clock: Any, page: str, who: str, lives: int) -> None:
    email = people.alice.email if who == "alice" else erin.email
    ask(browse, f"/{page}", email)
    (message,) = letters()
    clock.shift(lives * MINUTE - timedelta(seconds=1))
    browse(link_in(message))
    form = browse.page
    clock.shift(timedelta(seconds=1))
    assert "has expired" in browse(link_in(message), status=410).said
    browse.open[browse.who] = form
    browse.press("Save", {"New password": NEW}, status=410)


# A clock that was wrong (threat T46) ------------------------------------------------------------------------


def test_what_has_ended_stays_so_when_the_clock_goes_back(browse: Browse, people: People, clock: Any) -> None:
    """The worker closes it for good within a minute, whatever time it is afterwards."""
    began = portal_clock.now()
    browse.sign_in(people.bob, keep=True)
    name = browse.app.config["KEEP_COOKIE_NAME"]
    kept = {name: browse.cookies()[name]}
    browse.sign_in(people.alice)
    ask(browse, "/forgot-password", people.alice.email)
    message = letter("reset")
    closed_at = began
    for passed in (61 * MINUTE, timedelta(days=31)):
        clock.move_to(began + passed)
        db.session.rollback()
        closed_at = worker.close_for_good(closed_at)
    for moment in (began + 20 * MINUTE, began + timedelta(days=29), began - timedelta(days=365), began):
        clock.move_to(moment)
        assert "has expired" in browse(link_in(message), status=410, as_=None).said
        browse("/profile", status=303, as_=people.alice)
        browse.with_cookies(kept, "a copy")
        browse("/profile", status=303)
    assert {row.ends_at for row in db.session.scalars(select(PasswordLink))} == {began + 60 * MINUTE}, "we show it so"


def test_what_was_made_by_a_clock_that_was_ahead_opens_nothing(browse: Browse, people: People, clock: Any) -> None:
    """Neither a sign-in, nor a password given in its time, nor a link; and the limits of that time lock nobody out."""
    now = portal_clock.now()
    browse.sign_in(people.alice)
    browse("/profile/email")
    clock.move_to(now + timedelta(hours=1))
    browse("/sign-in", as_=None)
    for _ in range(10):
        browse.press("Sign in", {"email": people.bob.email, "password": "wrong-wrong"}, status=422)
    ask(browse, "/forgot-password", people.alice.email)
    message = letter("reset")
    browse.sign_in(people.dana)
    clock.move_to(now)
    browse("/profile/email", as_=people.alice)
    browse("/security", status=303, as_=people.dana)
    browse(link_in(message), status=410, as_=None)
    browse("/sign-in", as_=None)
    browse.press("Sign in", {"email": people.bob.email, "password": BOB_PASSWORD})


@pytest.mark.parametrize("token", ["x", "x" * 43, "é" * 43, "%F0%9F%A6%A2", "x" * 4000])
def test_a_link_that_we_never_made_is_not_there(browse: Browse, people: People, token: str) -> None:
    browse(f"/set-password/{token}", status=404)
    browse("/sign-in")
    form = {"csrf_token": browse.page.controls()["csrf_token"], "new_password": NEW}
    browse(f"/set-password/{token}", status=404, method="POST", data=form)


def test_links_serve_no_other_purpose(browse: Browse, people: People) -> None:
    browse.sign_in(people.bob)
    browse("/profile/email")
    browse.press("Send", {"Email address": "bob@new.example.org"})
    ask(browse, "/forgot-password", people.alice.email)
    tokens = [
        link_in(row).rsplit("/", 1)[1] for row in letters() if row.name in ("reset", "email_confirm", "email_notice")
    ]
    assert len(tokens) == 3
    doors = ["/set-password/", "/profile/email/confirm/", "/profile/email/cancel/", "/unsubscribe/"]
    opened = {(door, token) for door in doors for token in tokens if browse.client.get(door + token).status_code == 200}
    assert len(opened) == 3


def test_a_link_pressed_in_two_windows_at_once_works_once(app: Flask, browse: Browse, people: People) -> None:
    """The password is set once, by one of them; the other is told that the link was used."""
    ask(browse, "/forgot-password", people.alice.email)
    link = link_in(letter("reset"))
    windows = []
    for number in range(4):
        browse.turn_to(f"window {number}")
        browse(link)
        windows.append((browse.client, {**browse.page.controls(), "new_password": f"{NEW}-{number}"}))
    db.session.rollback()

    def press(window: Any) -> int:
        client, form = window
        return Context().run(FlaskClient.open, client, link, method="POST", data=form).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(press, windows))
    assert sorted(answers) == [303, 410, 410, 410]
    winner = answers.index(303)
    assert passwords.matches(db.session.get_one(Account, alice_of(people).id).password_hash, f"{NEW}-{winner}")
    assert len(letters("password_changed")) == 1


def test_a_new_password_ends_what_was_under_way(browse: Browse, people: People) -> None:
    """A thief's waiting address change and older links die with the reset (security, threat T42)."""
    browse.sign_in(people.alice)
    browse("/profile/email")
    browse.press("Send", {"Email address": "thief@elsewhere.example.org"})
    confirm = link_in(letter("email_confirm"))
    ask(browse, "/forgot-password", people.alice.email)
    set_password(browse, link_in(letter("reset")), NEW)
    browse(confirm, status=410)
    assert db.session.scalars(select(EmailChange.cancelled_at)).one() is not None


def test_a_link_to_an_address_that_was_taken_back_is_worth_nothing(browse: Browse, people: People) -> None:
    """A thief moved the account to their own mailbox and asked for a reset: taking the move back ends that link too."""
    browse.sign_in(people.alice)
    browse("/profile/email")
    browse.press("Send", {"Email address": "thief@elsewhere.example.org"})
    notice = link_in(letter("email_notice"))
    browse(link_in(letter("email_confirm")), as_=None)
    browse.press("Confirm")
    ask(browse, "/forgot-password", "thief@elsewhere.example.org")
    stolen = link_in(letter("reset", to="thief@elsewhere.example.org"))
    changed = link_in(letter("email_changed"))
    browse(changed if browse.client.get(notice).status_code != 200 else notice, as_=None)
    browse.press("Confirm")
    browse(stolen, status=410)


# Passwords ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "words"),
    [
        (SHORT, "15 characters"),
        ("password", "15 characters"),
        ("passwordpassword", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("123456789012345678", "easy to guess"),
        ("qwertyuiopasdfghjkl", "easy to guess"),
        ("Okonkwo-Lindqvist", "easy to guess"),
        ("alice.okonkwo@mail.example.org", "easy to guess"),
        ("é" * 513, "too long"),
        ("x" * 1025, "too long"),
    ],
)
def test_a_weak_password_is_refused_beside_its_field(browse: Browse, people: People, password: str, words: str) -> None:
    browse.sign_in(people.alice)
    browse("/security/password")
    page = browse.press("Save", {"New password": password}, status=422)
    assert words in page.beside("new_password")
    assert f'value="{password}"' not in page.body.decode()
    assert browse.is_signed_in()
    assert not letters("password_changed")


@pytest.mark.parametrize(
    "password",
    [
        NEW,
        "a sentence with spaces, and Ünïcödé 🦢",
        "heron lamp river stone kelp otter moss candle bridge violet amber thunder pepper",
        "kelp-otter-" * 40 + "moss",
        "     violet harbour 9    ",
    ],
)
def test_a_good_password_opens_the_door_and_nothing_shorter_does(browse: Browse, people: People, password: str) -> None:
    """Every character counts, also beyond the 72nd, and blanks at the ends."""
    browse.sign_in(people.alice)
    browse("/security/password")
    browse.press("Save", {"New password": password})
    for wrong in (password[:72] if len(password) > 72 else password[:-1], password + "x", password.swapcase()):
        browse("/sign-in", as_=None)
        browse.press("Sign in", {"email": people.alice.email, "password": wrong}, status=422)
    browse.clients.clear()
    browse.sign_in(people.alice, password=password)


def test_a_short_password_is_not_named_so_at_sign_in(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=None)
    assert "15" not in browse.press("Sign in", {"email": people.alice.email, "password": "a"}, status=422).said


def test_a_hash_grows_with_our_parameters(browse: Browse, people: People) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(ALICE_PASSWORD)
    with writes():
        db.session.get_one(Account, alice_of(people).id).password_hash = old
    browse.sign_in(people.alice)
    stored = db.session.scalars(select(Account.password_hash).where(Account.id == alice_of(people).id)).one()
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    browse.clients.clear()
    browse.sign_in(people.alice)


# Known and unknown addresses ------------------------------------------------------------------------------


def nameless(body: bytes, *typed: str) -> bytes:
    """A page without what differs by nature: form tokens and the address that was typed."""
    body = re.sub(rb'name="csrf_token" value="[^"]*"', b"", body)
    for text in typed:
        body = body.replace(text.encode(), b"ADDRESS")
    return body


@pytest.mark.parametrize("path", ["/activate", "/forgot-password", "/unsubscribe"])
def test_known_and_unknown_addresses_are_answered_alike(
    browse: Browse, erin: Member, people: People, path: str
) -> None:
    """The same pages, headers and limit; the page never looks the person up, so that it cannot tell."""
    answers = []
    for number, address in enumerate((people.alice.email, erin.email, "stranger@example.org")):
        browse(path, as_=address)
        elsewhere = {"REMOTE_ADDR": f"198.51.{number}.7"}  # the limit of a network is another test
        heard = []
        for _ in range(7):
            browse.open[address] = browse(path)
            form = {**browse.page.controls(), "email": address}
            answer = browse.client.post(path, data=form, environ_overrides=elsewhere)
            headers = {name: value for name, value in answer.headers.items() if name not in ("Set-Cookie", "Date")}
            heard.append((answer.status_code, headers, nameless(answer.data, address)))
        heard.append((200, {}, nameless(browse("/link-sent").body)))
        answers.append(heard)
    assert answers[0] == answers[1] == answers[2]
    assert [status for status, *_ in answers[0]] == [303] * 5 + [429] * 2 + [200]
    assert db.session.execute(select(func.count()).select_from(LinkRequest)).scalar_one() == 15
    assert not letters()


def test_a_stranger_gets_no_mail(browse: Browse, people: People) -> None:
    for path in ("/activate", "/forgot-password", "/unsubscribe"):
        ask(browse, path, "stranger@example.org")
    assert letters() == []
    assert db.session.execute(select(func.count()).select_from(LinkRequest)).scalar_one() == 0


@pytest.mark.parametrize("address", ["", "alice", "a@b@c", "a b@example.org", "a@example.org\r\nBcc: b@example.org"])
def test_what_is_no_address_is_refused_beside_its_field(browse: Browse, people: People, address: str) -> None:
    for path in ("/activate", "/forgot-password", "/unsubscribe"):
        browse(path, as_=None)
        assert browse.press("Send", {"Email address": address}, status=422).beside("email")


# Limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["Alice.Okonkwo@mail.example.org", "stranger@example.org"])
def test_guesses_are_limited_for_an_address(browse: Browse, people: People, clock: Any, address: str) -> None:
    """Ten in five minutes, known or unknown, however the address is written; then one waits, and may go on."""
    browse("/sign-in", as_=None)
    ways = [address, address.upper(), f" {address} ", address.replace("@", "＠"), address.replace("e", "ｅ")]
    for turn in range(10):
        browse("/sign-in")
        browse.press("Sign in", {"email": ways[turn % 5], "password": "wrong-wrong"}, status=422)
    browse("/sign-in")
    page = browse.press("Sign in", {"email": address, "password": ALICE_PASSWORD}, status=429)
    assert 0 < int(page.headers["Retry-After"]) <= 300
    browse("/sign-in", as_=people.bob)
    browse.press("Sign in", {"email": people.bob.email, "password": BOB_PASSWORD})
    clock.shift(timedelta(seconds=301))
    browse("/sign-in", as_=None)
    password = ALICE_PASSWORD
    browse.press("Sign in", {"email": address, "password": password}, status=303 if "Alice" in address else 422)


def test_guesses_are_limited_for_a_network(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=None)
    for turn in range(30):
        browse("/sign-in")
        browse.press("Sign in", {"email": f"someone{turn}@example.org", "password": "wrong"}, status=422)
    browse("/sign-in")
    browse.press("Sign in", {"email": people.bob.email, "password": BOB_PASSWORD}, status=429)


def test_a_field_left_empty_uses_up_nobodys_limit(browse: Browse, people: People) -> None:
    """Whoever presses the button too early is told so, however often others did; a network has its own limit."""
    for path, most in (("/sign-in", 12), ("/forgot-password", 7)):
        for _ in range(most):
            browse(path, as_=None)
            assert browse.press("Sign in" if most == 12 else "Send", {"email": ""}, status=422).beside("email")


def test_an_attack_locks_nobody_out_who_is_in(browse: Browse, people: People, clock: Any) -> None:
    """A kept browser works all the time, and a reset is possible (security, threat T5)."""
    browse.sign_in(people.alice, keep=True)
    for _ in range(3):
        browse("/sign-in", as_=None)
        for _ in range(11):
            browse("/sign-in")
            form = {**browse.page.controls(), "email": people.alice.email, "password": "wrong"}
            browse.client.post("/sign-in", data=form)
        browse("/profile", as_=people.alice)
        clock.shift(timedelta(minutes=40))
        browse("/profile")
    ask(browse, "/forgot-password", people.alice.email)
    set_password(browse, link_in(letter("reset")), NEW)


def test_no_counter_names_anybody(browse: Browse, people: People) -> None:
    browse("/sign-in", as_=None)
    browse.press("Sign in", {"email": people.alice.email, "password": "wrong"}, status=422)
    rows = db.session.connection().exec_driver_sql("SELECT name FROM limit_counter").fetchall()
    assert rows
    assert not any("alice" in name.lower() or "127.0.0" in name for (name,) in rows)


# Where one goes next --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "https:/evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "\x00//evil.example",
        "\u00a0//evil.example",
        " //evil.example",
        "http://[",
        "//[",
        "evil.example",
        "@evil.example",
        "/" + "x" * 2000,
        "",
    ],
)
def test_next_never_leads_elsewhere(browse: Browse, people: People, target: str) -> None:
    browse.turn_to(people.alice)
    asked = browse.client.get(f"/sign-in?next={quote(target)}")
    if "\x00" in target:
        assert asked.status_code == 400
        return
    browse(f"/sign-in?next={quote(target)}")
    browse.press("Sign in", {"email": people.alice.email, "password": ALICE_PASSWORD})
    assert browse.page.headers["Location"] == "/"
    assert browse(f"/sign-in?next={quote(target)}", status=303).headers["Location"] == "/"


def test_next_leads_where_one_wanted_to_go(browse: Browse, people: People) -> None:
    for path in ("/choices?after=3", "/requests/new/access"):
        browse.clients.clear()
        page = browse(path, status=303, as_=people.alice)
        assert page.location == f"/sign-in?next={quote(path, safe='/?')}"
        browse.follow()
        browse.press("Sign in", {"email": people.alice.email, "password": ALICE_PASSWORD})
        assert browse.page.location == path
        browse.follow()


def test_after_a_form_that_nobody_sent_one_lands_on_a_page(browse: Browse, people: People) -> None:
    """Whoever was signed out meanwhile and presses a button signs in and finds a page, not a refusal of method."""
    token = browse("/sign-in", as_=people.alice).controls()["csrf_token"]
    for path in ("/choices/undo/0", "/requests/IM-2222-2222/withdraw", "/profile/edit"):
        page = browse(path, status=303, method="POST", data={"csrf_token": token})
        browse(page.location)
        browse.press("Sign in", {"email": people.alice.email, "password": ALICE_PASSWORD})
        assert browse.client.get(browse.page.location).status_code == 200, path
        browse.clients.pop(browse.who)
        token = browse("/sign-in").controls()["csrf_token"]


# Hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example#localhost"])
def test_a_forged_host_mails_no_link(browse: Browse, people: People, host: str) -> None:
    """Links are built from PORTAL_URL alone (security, threat T8)."""
    browse("/forgot-password", as_=None)
    form = {**browse.page.controls(), "email": people.alice.email}
    assert browse.client.post("/forgot-password", data=form, headers={"Host": host}).status_code == 400
    forwarded = {"X-Forwarded-Host": host, "X-Forwarded-For": "203.0.113.9", "Forwarded": f"host={host}"}
    assert browse.client.post("/forgot-password", data=form, headers=forwarded).status_code == 303
    assert answer_links() == 1
    message = letter("reset")
    assert message.to_address == people.alice.email
    assert host not in message.text + message.html


def test_a_link_goes_to_the_stored_address(browse: Browse, people: People) -> None:
    """Never to a look-alike that was typed."""
    ask(browse, "/forgot-password", "alice.okonkwo@mail.example.org".replace("a", "ａ"))
    assert [row.to_address for row in letters()] == [people.alice.email]


def test_desk_people_sign_in_without_a_member_record(browse: Browse, people: People) -> None:
    browse.sign_in(people.dana, password=DANA_PASSWORD)
    assert browse.follow(status=303).location == "/desk"
    assert browse.follow().has_button("Sign out")
    assert isinstance(letter("new_sign_in"), Message)
