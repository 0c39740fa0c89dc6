"""Members whose every field is a canary live in the portal on PostgreSQL; then everything it leaves is searched.

    python -m tests.audit.canaries --members 200

Each signs in, looks at every page, changes things, mistypes things, asks, takes a copy away and goes. Half of them are
erased. Searched for: canaries, passwords, cookies, links, in the logs of the web process, the worker and PostgreSQL and
in everything else that lies in their folders and is new in /tmp; and the canaries of the erased in a dump.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
from aiosmtpd.controller import Controller
from bs4 import BeautifulSoup
from sqlalchemy import select

from portal import clock
from portal.domain import erasures, passwords, requests
from portal.extensions import db
from portal.models import Account, DataSubjectRequest, Member
from portal.vocabulary import Door
from tests import databases
from tests.browse import filled, tags
from tests.browser.live import LINK, ROOT, Live, running, words
from tests.conftest import MailServer, free_port
from tests.databases import writes
from tests.people import member

MARK = "zq7"
PASSWORD = f"{MARK}-copper-lantern-violin"
TEXTS = (
    "honorific", "first_name", "last_name", "address_line1", "address_line2", "city", "region", "postal_code",
    "organization", "job_title", "business_type", "education", "work_experience", "certifications", "interests",
    "demographics", "membership_status", "phone", "mobile", "member_number",
)  # fmt: skip
PAGES = (
    "/", "/profile", "/profile/edit", "/profile/email", "/choices", "/held", "/held/what-changed", "/history",
    "/notice", "/requests", "/requests/new", "/requests/new/erasure", "/security", "/held/download?format=json",
    "/nothing/zq7path",
)  # fmt: skip
LOG_SETTINGS = re.compile(r"^(log_\w+)\s*=\s*(\S+)", re.MULTILINE)


def canary(number: int, field: str) -> str:
    """As in zq7x0042lastname: found by its beginning, told apart by its end."""
    return f"{MARK}x{number:04}{field.replace('_', '')}"


class Browser:
    """A person with cookies of their own, who fills in forms as they stand."""

    def __init__(self, live: Live) -> None:
        self.url, self.jar = live.url, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.page, self.path = b"", "/"
        self.seen: set[str] = set()
        self.answers: Counter[int] = Counter()

    def open(self, path: str, data: bytes | None = None) -> None:
        asked = urllib.request.Request(self.url + path, data, {"Sec-Fetch-Site": "same-origin"})
        try:
            with self.opener.open(asked, timeout=60) as answer:
                self.page, status = answer.read(), answer.status
        except urllib.error.HTTPError as refused:
            self.page, status = refused.read(), refused.code
        self.answers[status] += 1
        self.seen |= {cookie.value for cookie in self.jar if cookie.value}

    def send(self, action: str, **typed: str) -> None:
        """The open page's form to an address, with this typed into it."""
        for form in BeautifulSoup(self.page, "html.parser").find_all("form"):
            if form.get("action") == action:
                buttons = [each for each in tags(form, "button") if each.get("name")]
                sent = (
                    dict(filled(form)) | {str(each["name"]): str(each.get("value", "")) for each in buttons[:1]} | typed
                )
                return self.open(action, urllib.parse.urlencode(sent).encode())
        raise AssertionError(f"no form to {action} on the page: {self.page[:3000]!r}")


def settle(live: Live, many: int) -> list[str]:
    """So many members, all with one password; their addresses."""
    stored, now = passwords.HASHER.hash(PASSWORD), clock.now()
    with live.app.app_context(), writes():
        for number in range(many):
            fields: dict[str, object] = {name: canary(number, name) for name in TEXTS}
            each = member(
                **fields, email=f"{canary(number, 'email')}@example.org", birth_date=date(1964, 5, 17), country="SE"
            )
            each.account = Account(password_hash=stored, password_at=now)
            db.session.add(each)
    return [f"{canary(number, 'email')}@example.org" for number in range(many)]


def live_in_it(live: Live, number: int, address: str) -> Browser:
    """What one member does in a visit, and does wrong."""
    browser = Browser(live)
    browser.open(f"/unsubscribe/{MARK}token.all.u1.x?{MARK}query")
    browser.open(f"/set-password/{MARK}{'t' * 40}")
    browser.open("/forgot-password")
    browser.send("/forgot-password", email=address)
    browser.open("/sign-in")
    browser.send("/sign-in", email=address, password=f"{MARK}-a-wrong-password")
    browser.send("/sign-in", email=address, password=PASSWORD)
    for path in PAGES:
        browser.open(path)
    browser.open("/profile/edit", urllib.parse.urlencode({"city": canary(number, "formwithouttoken")}).encode())
    browser.open("/profile/edit")
    browser.send("/profile/edit", education=canary(number, "newfield"), last_name="")
    browser.send("/profile/edit", education=canary(number, "newfield"), last_name=canary(number, "lastname"))
    browser.open("/profile/email")
    browser.send("/profile/email", email=f"{canary(number, 'newemail')}@example.org")
    browser.open("/requests/new/question")
    browser.send("/requests/new/question", details=canary(number, "words"))
    browser.open("/profile/edit", f"city=%00{canary(number, 'nul')}".encode())
    browser.open("/security")
    browser.send("/sign-out")
    return browser


def tokens_mailed(live: Live, addresses: list[str]) -> Iterator[str]:
    """What makes a mailed link one's own."""
    for letter in (letter for address in addresses for letter in live.mails(address)):
        for link in LINK.findall(words(letter)):
            yield from (part for part in urllib.parse.urlsplit(link).path.split("/") if len(part) > 30)


def break_rules(url: str) -> None:
    """What PostgreSQL refuses with the value in its words, as the portal's own statements could meet it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "INSERT INTO link_request (address, wanted, at) VALUES (%s, %s, NULL)",
            "UPDATE member SET email_key = (SELECT min(email_key) FROM member), city = %s WHERE city <> %s",
            "INSERT INTO link_request (address, wanted, at) VALUES (repeat(%s, 99), repeat(%s, 99), now())",
        ):
            try:
                connection.execute(statement.encode(), (canary(9999, "refused"), canary(9999, "refused")))
            except psycopg.Error:
                continue
            raise AssertionError(f"PostgreSQL took {statement}")


def erase(live: Live, addresses: list[str]) -> None:
    """As asked four days ago and approved by the desk."""
    now = clock.now()
    with live.app.app_context():
        for number, address in enumerate(addresses):
            with writes():
                person = db.session.scalars(select(Member).where(Member.email == address)).one()
                still = select(DataSubjectRequest).where(
                    DataSubjectRequest.subject_id == person.id, DataSubjectRequest.closed_at.is_(None)
                )
                for each in db.session.scalars(still).all():
                    requests.withdraw(person, each, now=now)
                then, name = now - timedelta(days=4), f"erase-{number}"
                asked = requests.file(person, "erasure", details="", operation_id=name, via=Door.PAGE, now=then)
                erasures.approve(asked, now=now)
                ident = asked.id
            with writes():
                erasures.carry_out(ident, now=now)
        db.session.remove()


def files(folders: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def search(folders: list[Path], secrets: set[str]) -> list[str]:
    """Where a canary or a secret stands, outside PostgreSQL's own tables."""
    needles = [MARK.encode(), *(each.encode() for each in secrets if len(each) >= 20)]
    found = []
    for path, content in files(folders):
        if "/data/base/" in str(path) or "/data/pg_wal/" in str(path) or "/data/global/" in str(path):
            continue
        lowered = content.lower()
        found += [f"{path}: {lowered.count(MARK.encode())} canaries"] if MARK.encode() in lowered else []
        found += [f"{path}: a secret" for needle in needles[1:] if needle in content]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=20)
    many = parser.parse_args().members
    programs = databases.postgres_programs()
    assert programs is not None, "PostgreSQL is needed here"
    before = set(Path("/tmp").iterdir())
    smtp = MailServer("127.0.0.1", free_port())
    controller = Controller(smtp, hostname=smtp.host, port=smtp.port)
    controller.start()
    with tempfile.TemporaryDirectory(prefix="portal-canaries-") as name, databases.postgres_server(programs) as server:
        folder = Path(name)
        with psycopg.connect(databases.postgres_url(server, "postgres"), autocommit=True) as connection:
            for setting, value in LOG_SETTINGS.findall((ROOT / "docs/deploy/postgresql.conf").read_text()):
                connection.execute(f"ALTER SYSTEM SET {setting} = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")
        url = databases.make_postgres(server, "canaries")
        with running(folder, smtp, free_port(), url) as live:
            addresses = settle(live, many)
            secrets, answers = {PASSWORD}, Counter[int]()
            for number, address in enumerate(addresses):
                if number % 5 == 0:
                    live.forget_limits()
                browser = live_in_it(live, number, address)
                secrets, answers = secrets | browser.seen, answers + browser.answers
            live.settle_mail()
            letters = len(smtp.received)
            for address in addresses:
                for letter in live.mails(address):
                    links = LINK.findall(words(letter))
                    secrets |= {
                        part for link in links for part in urllib.parse.urlsplit(link).path.split("/") if len(part) > 30
                    }
            break_rules(url)
            gone = addresses[: many // 2]
            erase(live, gone)
            live.settle_mail()
            dump = subprocess.run(
                [f"{programs}/pg_dump", "-h", server, "-U", "portal", "canaries"], check=True, capture_output=True
            ).stdout.lower()
        controller.stop()
        new = [path for path in Path("/tmp").iterdir() if path not in before and path.is_dir() and _ours(path)]
        new = [path for path in new if path not in (folder, Path(server))]
        found = search([folder, Path(server), *new], secrets)
        log = (folder / "log").read_text().count("\n"), Path(server, "log").read_text().count("\n")
    left = [canary(number, "").encode() for number in range(len(gone)) if canary(number, "").encode() in dump]
    kept = sum(canary(number, "").encode() in dump for number in range(len(gone), many))
    print(f"{many} members, {sum(answers.values())} answers {dict(sorted(answers.items()))}, {letters} letters")
    print(f"{len(secrets)} secrets; {log[0]} lines of the portal, {log[1]} of PostgreSQL")
    print(f"canaries and secrets outside the tables: {len(found)} {sorted(set(found))[:20]}")
    print(f"of {len(gone)} erased, in a dump: {len(left)}; of {many - len(gone)} others: {kept}")
    sys.exit(1 if found or left or kept != many - len(gone) or 500 in answers else 0)


def _ours(path: Path) -> bool:
    """Not what other programs of this machine write meanwhile."""
    return path.name.startswith(("portal-", "tmp"))


if __name__ == "__main__":
    main()
