"""Every page in every state that one comes to, as it is served: valid, light, and had by one round of requests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from bs4 import BeautifulSoup
from sqlalchemy import delete, select, update

from portal import create_app
from portal.domain import notices, requests, second_factor, signin
from portal.domain.samples import SAMPLES
from portal.extensions import db
from portal.mail import bounces, transport
from portal.models import LimitCounter, Member, Message, SignIn, Suppression
from portal.tokens import STATUS_LINK, seal, sign_reference
from portal.vocabulary import Door
from portal.web.static import served
from tests import databases
from tests.browse import Browse
from tests.conftest import Client, missing
from tests.letters import answer_links, letter, link_in
from tests.people import DANA_EMAIL, DANA_PASSWORD, NOW, People, settle
from tests.rows import fill
from tests.settings import config_for
from tests.web.crawl import NO_PAGES, State, crawl

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "portal" / "static"
CONTACT = "privacy@example.org"
DEMONSTRATION = ("maria.keller", "james.okafor", "misaki.sasaki")
UNLINKED = ("/nothing", "/link-sent", "/ask/link-sent", "/unsubscribe/link-sent", "/report-a-weakness", "/security.txt")
REDIRECTS = {"security.change_password", "weaknesses.old_place"}  # no page of their own
MOST = 60 * 1024  # bytes of a page with its style and script, before compression
MOST_OF_A_LIST = 90 * 1024
LISTS = {"held.page", "held.rows", "history.page"}  # inventories: as long as what they list
TYPED = "/static/typed.js"  # where a longer text is written, and where its writer signs in again
REQUESTS = ["/static/favicon.svg", "/static/portal.css", "/static/portal.js"]  # after the page itself, all at once


@contextmanager
def portal(folder: Path, template: Path) -> Iterator[Browse]:
    """One on a database of its own, where time stands still."""
    address = databases.copy_sqlite(template, folder / "portal.db")
    app = create_app(config_for(address, folder, PRIVACY_CONTACT=CONTACT, DPO_CONTACT="dpo@example.org"))
    app.test_client_class = Client
    with time_machine.travel(NOW, tick=False), app.app_context():
        yield Browse(app)
        db.session.remove()
        db.engine.dispose()


@dataclass(frozen=True)
class Walked:
    """What was come to, and what there is."""

    states: list[State]
    endpoints: set[str]
    mails: dict[str, str]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """As the demonstration's people see the portal; then as Alice does, about whom every table has a row, and Dana."""
    folder = tmp_path_factory.mktemp("template")
    databases.migrate(f"sqlite:///{folder}/portal.db", folder)
    found: list[State] = []
    with portal(tmp_path_factory.mktemp("demonstration"), folder / "portal.db") as browse:
        browse.app.test_cli_runner().invoke(args=["demo", "load"], catch_exceptions=False)
        found += crawl(browse, "nobody", as_=None, starts=("/", *UNLINKED, *mailed(browse)))
        for who in DEMONSTRATION:
            found += crawl(browse, who, as_=member(f"{who}@example.org"))
        found += crawl(browse, "desk", as_=signin.find_account("desk@example.org"))
    with portal(tmp_path_factory.mktemp("every-table"), folder / "portal.db") as browse:
        with databases.writes():
            people = settle()
            fill(people)
        found += crawl(browse, "somebody with links", as_=None, starts=happen(browse, people))
        found += crawl(browse, "alice", as_=people.alice, starts=("/", "/desk", "/sign-in/again?next=/security"))
        found += crawl(browse, "dana", as_=people.dana)
        found += second_steps(browse, people)
    with portal(tmp_path_factory.mktemp("mails"), folder / "portal.db") as browse:
        with databases.writes():
            people = settle()
        rules = [rule for rule in browse.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
        return Walked(found, {rule.endpoint for rule in rules}, dict(mails(people)))


@pytest.fixture
def states(walked: Walked) -> list[State]:
    return walked.states


def mailed(browse: Browse) -> list[str]:
    """The links of all mails."""
    words = [word for mail in transport.mailbox_messages() for word in mail.text.split()]
    return [word.removeprefix(browse.base) for word in words if word.startswith(browse.base)]


def member(address: str) -> Member:
    return db.session.scalars(select(Member).where(Member.email == address)).one()


def happen(browse: Browse, people: People) -> list[str]:
    """What brings Alice to the rest of the pages; and links to those that are open to whoever has them."""
    alice = people.alice
    with databases.writes():
        db.session.execute(delete(LimitCounter))
        notices.publish("# Fewer rights", change="reduced-right", now=NOW)
        filed = requests.file(alice, "erasure", details="", operation_id="of Alice", via=Door.PAGE, now=NOW)
        db.session.add(Suppression(keyed_hash=alice.address_hash, reason=bounces.BOUNCED, at=NOW))
        reference = filed.reference
    browse.sign_in(alice)
    browse("/choices")
    browse.press("Send a message to try")
    browse("/ask", as_=None)
    browse.press("Send", {"Email address": "yves@elsewhere.example.org"})
    answer_links()
    links = [link_in(letter("ask_confirm")), link_in(letter("address_check"))]
    return [f"/ask/status/{sign_reference(reference, purpose=STATUS_LINK)}", *links]


def second_steps(browse: Browse, people: People) -> Iterator[State]:
    """Dana, who has set the second step up, and Alice, whose password was given a while ago."""
    with databases.writes():
        people.dana.second_secret, people.dana.second_since = seal("A" * 32, purpose=second_factor.PURPOSE), NOW
    browse("/sign-in", as_="Dana's telephone")
    browse.press("Sign in", {"Email address": DANA_EMAIL, "Password": DANA_PASSWORD})
    yield State("dana: the second step", "second_factor.give", browse("/sign-in/code?next=/desk"))
    browse.sign_in(people.alice)
    with databases.writes():
        db.session.execute(update(SignIn).values(password_at=NOW - timedelta(minutes=6)))
    yield State("alice: the password once more", "signin.sign_in_again", browse("/sign-in/again?next=/security"))


def test_every_page_was_come_to(walked: Walked) -> None:
    pages = {endpoint for endpoint in walked.endpoints if not endpoint.startswith(NO_PAGES)}
    unseen = pages - {state.endpoint for state in walked.states}
    assert unseen == REDIRECTS, "let a link lead there, or bring it about in `happen`, so that it is checked here too"


def test_no_page_is_heavy(states: list[State]) -> None:
    always = sum(len(served(STATIC / name)) for name in ("portal.css", "portal.js"))
    heavy = {
        state.name: len(state.page.body) + always
        for state in states
        if len(state.page.body) + always > (MOST_OF_A_LIST if state.endpoint in LISTS else MOST)
    }
    assert heavy == {}


def test_one_round_of_requests(states: list[State]) -> None:
    """What a page needs stands in its own first lines, and none of that asks for more."""
    for state in states:
        wanted = sorted(path.partition("?")[0] for path in asked_for(state.page.soup))
        signed_in = state.page.soup.select(".account bdi") and not state.endpoint.startswith("asks.")
        longer = signed_in and state.page.soup.select("main textarea")
        assert wanted in ([*REQUESTS, TYPED], *([] if longer else [REQUESTS])), state.name
    script = r"\bimport\b|\bfetch\b"
    for name, chain in (("portal.css", r"@import|url\(|image-set\("), ("portal.js", script), ("typed.js", script)):
        assert not re.search(chain, (STATIC / name).read_text(encoding="utf-8")), f"{name} asks for more"


def asked_for(soup: BeautifulSoup) -> Iterator[str]:
    """Addresses that a browser gets by itself."""
    for each in soup.find_all(True):
        for name in ("src", "srcset", "poster", "data", "background"):
            if each.has_attr(name):
                yield str(each[name])
        if each.name == "link":
            yield str(each["href"])


def test_help_stands_in_one_place(states: list[State]) -> None:
    """The last link of each page writes to who answers questions (WCAG 3.2.6)."""
    for state in states:
        links = [str(each["href"]) for each in state.page.soup.select("footer a[href]")]
        assert links[-1:] == [f"mailto:{CONTACT}"], state.name


def test_programs_may_fill_in_what_they_know(states: list[State]) -> None:
    """Passwords, codes and the own address: nothing to remember, nothing to type twice (WCAG 1.3.5, 3.3.7, 3.3.8)."""
    for state in states:
        if state.page.path.startswith("/desk"):
            continue  # there one types what is of others
        for each in state.page.soup.select("main input"):
            kind, tokens = each.get("type"), set(str(each.get("autocomplete", "")).split())
            wanted = {"password": {"current-password", "new-password"}, "email": {"email", "username"}}.get(str(kind))
            told = tokens & wanted if wanted else "off" not in tokens
            assert told, f"{state.name}: {each.get('name')} cannot be filled in by a program"


def test_nothing_shows_on_hover_alone(states: list[State]) -> None:
    """No tooltips; the style sheet shows nothing when something is pointed at (WCAG 1.4.13)."""
    for state in states:
        assert not state.page.soup.select("body [title], [popover]"), state.name
    for selector, rules in re.findall(
        r"([^{}]*):hover[^{]*\{([^}]*)\}", (STATIC / "portal.css").read_text(encoding="utf-8")
    ):
        assert not re.search(r"display|visibility|opacity|content|position", rules), f"{selector}:hover shows something"


def test_pages_and_mails_are_valid(walked: Walked, tmp_path: Path) -> None:
    """One run of the Nu HTML checker over all of them, since it starts slowly."""
    named = {f"page-{number}": (state.name, state.page.body) for number, state in enumerate(walked.states)}
    named |= {f"mail-{name}": (f"the mail {name}", html.encode()) for name, html in walked.mails.items()}
    for name, (_, body) in named.items():
        (tmp_path / f"{name}.html").write_bytes(body)
    found = subprocess.run([*checker(), "--format", "json", "--stdout", tmp_path], capture_output=True, check=False)
    faults = [
        f"{named[Path(each['url']).stem][0]}: {each['message']}\n    {each.get('extract', '')}"
        for each in json.loads(found.stdout)["messages"]
    ]
    assert not faults, "\n".join(faults)


def mails(people: People) -> Iterator[tuple[str, str]]:
    """Every mail as it is written about the usual people."""
    for name, write in SAMPLES.items():
        write(people)
        db.session.flush()
        (row,) = db.session.scalars(select(Message))
        yield name, row.html
        db.session.rollback()


def checker() -> list[str]:
    """The command of the Nu HTML checker."""
    jar = Path(os.environ.get("PORTAL_TEST_VNU_JAR") or ROOT / ".tools/vnu/node_modules/vnu-jar/build/dist/vnu.jar")
    java = shutil.which("java")
    if java is None:
        missing("Java, for the Nu HTML checker,")
    if not jar.exists():
        missing(f"the Nu HTML checker ({jar}: make tools)")
    return [java, "-Xss4m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(jar)]
