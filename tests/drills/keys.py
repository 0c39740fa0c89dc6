"""The drill of new keys: what people have in their hands works on, or ends as docs/deploy/README.md says.

`python -m tests.drills keys`. New keys come in front, then the old SECRET_KEY is dropped, then an old key of each
of the two rings: the portal says what it lacks and sends nothing.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyotp
from sqlalchemy import select

from portal import clock
from portal.domain import requests, signin
from portal.domain.second_factor import PURPOSE
from portal.extensions import db
from portal.models import Account, DataSubjectRequest, Member, Message, Suppression
from portal.tokens import KEEP_LINK, STATUS_LINK, seal, sign_reference, suppression_hash
from portal.vocabulary import Door
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.bed import PASSWORD, Portal
from tests.drills.clients import Answer, Browser, form_of
from tests.drills.judged import Verdict
from tests.drills.restore import NotSoError

STAFF = "dana@desk.example.org"
SILENT = "silent@example.org"


@dataclass
class Hands:
    """What people have from the time of the old keys."""

    session: Browser
    kept: dict[str, str]
    form: dict[str, str]
    paths: dict[str, str]  # links, by what they are
    seed: str


def drill(folder: Path, *, database: str, times: int) -> Verdict:
    """Each step once; `times` is no matter here: nothing of it is left to chance."""
    verdict, port = Verdict(), free_port()
    with bed.drill_database(database, folder) as (url, _), bed.portal(url, folder, recipients=8) as portal:
        old = {name: portal.environ[name] for name in ("SECRET_KEY", "UNSUBSCRIBE_KEYS", "SUPPRESSION_KEYS")}
        portal.start_web(port=port)
        hands = _lay_into_hands(portal, port)
        fresh = {name: secrets.token_urlsafe(48) for name in old}
        steps: dict[str, dict[str, str]] = {
            "new keys in front": {
                "SECRET_KEY": fresh["SECRET_KEY"],
                "SECRET_KEY_FALLBACKS": old["SECRET_KEY"],
                "UNSUBSCRIBE_KEYS": f"u2:{fresh['UNSUBSCRIBE_KEYS']},{old['UNSUBSCRIBE_KEYS']}",
                "SUPPRESSION_KEYS": f"s2:{fresh['SUPPRESSION_KEYS']},{old['SUPPRESSION_KEYS']}",
            },
            "the old SECRET_KEY is dropped": {"SECRET_KEY_FALLBACKS": ""},
            "an old UNSUBSCRIBE_KEY is dropped": {"UNSUBSCRIBE_KEYS": f"u2:{fresh['UNSUBSCRIBE_KEYS']}"},
            "an old SUPPRESSION_KEY is dropped": {"SUPPRESSION_KEYS": f"s2:{fresh['SUPPRESSION_KEYS']}"},
        }
        for number, (step, changed) in enumerate(steps.items()):
            portal.stop()
            portal.environ |= changed
            portal.start_web(port=port)
            ended = _ended_by(number)
            for what, works in _look(portal, port, hands, number).items():
                verdict.counts[f"{step}: {what}"] = works
                if works == (what in ended):
                    verdict.add("keys", f"{step}: {what} {'works' if works else 'has ended'}")
        if "page.broken" in portal.logged():
            verdict.add("I9", "a page broke")
    return verdict


def _ended_by(step: int) -> set[str]:
    """What no longer works, as the table of docs/deploy/README.md has it."""
    of_secret = {"session", "status link", "keep link", "second factor"} if step >= 1 else set()
    of_unsubscribe = {"unsubscribe link"} if step >= 2 else set()
    return of_secret | of_unsubscribe | ({"mail is delivered"} if step >= 3 else set())


def _lay_into_hands(portal: Portal, port: int) -> Hands:
    anna, berta = portal.members[:2]
    session, keeper = Browser(port, "10.1.0.1"), Browser(port, "10.2.0.1")
    for browser, who, more in ((session, anna, {}), (keeper, berta, {"keep": "y"})):
        form = form_of(browser.get("/sign-in").text, "/sign-in") or {}
        typed: dict[str, str] = {"email": who.email, "password": PASSWORD, **more}
        assert browser.post("/sign-in", form | typed).status == 303
    kept = {name: value for name, value in keeper.cookies.items() if "keep" in name}
    assert kept
    opened = form_of(session.get("/profile/edit").text, "/profile/edit")
    assert opened is not None
    seed = pyotp.random_base32()

    def act() -> dict[str, str]:
        now = clock.now()
        desk = Account(email=STAFF, email_key=STAFF, password_hash=bed.HASH, password_at=now, staff=True)
        desk.second_secret, desk.second_since = seal(seed, purpose=PURPOSE), now
        suppressed = Suppression(keyed_hash=suppression_hash(SILENT), reason="erased", at=now - timedelta(days=9))
        db.session.add_all([desk, suppressed])
        member = db.session.get_one(Member, portal.members[2].id)
        request = requests.file(member, "erasure", details="", operation_id="one", via=Door.PAGE, now=now)
        links = {}
        for number in range(4):  # one a step, as each is spent by looking whether it works
            account = db.session.get_one(Member, portal.members[2 + number].id).account
            assert account is not None
            signin.mail_link(account, now=now)
            sent = select(Message.text).where(Message.name == "reset", Message.subject_id == account.member_id)
            found = re.search(r"/set-password/\S+", db.session.scalars(sent).one())
            assert found is not None
            links[f"password link {number}"] = found[0]
        reference = db.session.get_one(DataSubjectRequest, request.id).reference
        return links | {
            "status link": f"/ask/status/{sign_reference(reference, purpose=STATUS_LINK)}",
            "keep link": f"/requests/keep/{sign_reference(reference, purpose=KEEP_LINK)}",
        }

    return Hands(session, kept, opened, portal.write(act), seed)


def _look(portal: Portal, port: int, hands: Hands, step: int) -> dict[str, bool]:
    """What works now, by what it is."""
    stranger = Browser(port, f"10.9.{step}.1")
    spent = hands.paths[f"password link {step}"]
    form = form_of(stranger.get(spent).text, spent)
    done = form is not None and stranger.post(spent, form | {"new_password": f"grey-herons-fly-{step}"}).status == 303
    reader = portal.recipients[step]
    pressed = stranger.post(f"/unsubscribe/{reader.links['events']}", {"List-Unsubscribe": "One-Click"})
    return {
        "session": Browser(port, "10.1.0.1", dict(hands.session.cookies)).get("/profile").status == 200,
        "kept sign-in": _kept(port, hands),
        "a form that was open": _open_form(port, hands, step),
        "password link": done,
        "status link": stranger.get(hands.paths["status link"]).status == 200,
        "keep link": stranger.get(hands.paths["keep link"]).status == 200,
        "unsubscribe link": pressed.status == 200,
        "second factor": _second_factor(portal, port, hands, step),
        "a silent address is known": _is_silent(portal),
        "mail is delivered": _delivers(portal),
    }


def _kept(port: int, hands: Hands) -> bool:
    browser = Browser(port, "10.2.0.1", dict(hands.kept))
    return browser.get("/profile").status == 200


def _open_form(port: int, hands: Hands, step: int) -> bool:
    """It comes back once with what was typed, and is taken when it is sent again; after a new sign-in, if need be."""
    browser = Browser(port, "10.1.0.1", dict(hands.session.cookies))
    if browser.get("/profile").status != 200:
        browser.cookies.clear()
        form = form_of(browser.get("/sign-in").text, "/sign-in") or {}
        browser.post("/sign-in", form | {"email": "member0@example.org", "password": PASSWORD})
    word = f"typed before step {step}"
    answer: Answer = browser.post("/profile/edit", hands.form | {"job_title": word})
    kept = form_of(answer.text, "/profile/edit")
    if answer.status not in (400, 422) or kept is None or kept.get("job_title") != word:
        return False
    again = browser.post("/profile/edit", kept)
    if again.status == 422:  # the record has moved on by the step before: the page asks, with all that was typed
        again = browser.post("/profile/edit", form_of(again.text, "/profile/edit") or {})
    return again.status == 303


def _second_factor(portal: Portal, port: int, hands: Hands, step: int) -> bool:
    portal.write(_forget_step)
    browser = Browser(port, f"10.3.{step}.1")
    form = form_of(browser.get("/sign-in").text, "/sign-in") or {}
    browser.post("/sign-in", form | {"email": STAFF, "password": PASSWORD})
    page = browser.get("/sign-in/code")
    typed = (form_of(page.text, "/sign-in/code") or {}) | {"code": pyotp.TOTP(hands.seed).now()}
    answer = browser.post("/sign-in/code", typed)
    if answer.status >= 500:
        raise NotSoError(f"a code is answered {answer.status}")
    return answer.status == 303


def _forget_step() -> None:
    """So that the code of this half minute counts again."""
    account = db.session.scalars(select(Account).where(Account.email_key == STAFF)).one()
    account.second_step = 0


def _is_silent(portal: Portal) -> bool:
    """A file that brings the address of somebody erased back brings nobody back."""
    file = portal.folder / "members.csv"
    file.write_text(f"member_id,email,first_name,last_name\nT-1,{SILENT},Erin,Moss\n", encoding="utf-8")
    done = portal.command("members", "import", "--dry-run", str(file))
    return "created 1" not in done.stderr


def _delivers(portal: Portal) -> bool:
    """It refuses for want of a key alone; a relay that is away is no matter here."""
    return "SUPPRESSION_KEYS lacks" not in portal.command("mail", "deliver").stderr
