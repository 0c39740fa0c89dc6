"""Drill: members who use the portal while it is killed under them, each writing down what was acknowledged.

They open a form, fill it, send it, and believe the answer alone. Where it is 503, they press Send again on the page
that they got: what they typed must stand there.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlencode

from tests.drills.acknowledged import ACKNOWLEDGED, REFUSED, Journal
from tests.drills.bed import HOST, PASSWORD, TOPICS, Portal, Somebody
from tests.drills.restore import wait_for

PATIENCE = 45.0  # seconds for one answer
PRESSES = 40  # of Send, half a second apart, before somebody gives up
TELLTALE = ("Traceback (most recent", "sqlalchemy", "psycopg", "sqlite3", 'File "/')
FLIPPED = ("employer_sharing", "sponsor_sharing")
REFERENCE = re.compile(r"name this reference: <code>[0-9a-f]{8}</code>")


class AwayError(Exception):
    """No answer came: the server was not there, or died before it had spoken."""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    location: str
    retry_after: str

    @property
    def taken(self) -> bool:
        """Whether the portal said that it has done what was asked."""
        return self.status == 200 or (self.status == 303 and not self.location.startswith("/sign-in"))


@dataclass
class Browser:
    """One person's: it keeps cookies, and comes through a proxy from a network of its own."""

    port: int
    network: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None)

    def post(self, path: str, form: dict[str, str]) -> Answer:
        return self._ask("POST", path, urlencode(form))

    def _ask(self, method: str, path: str, body: str | None) -> Answer:
        headers = {
            "Host": HOST,
            "X-Forwarded-For": self.network,
            "X-Forwarded-Proto": "https",
            "Referer": f"https://{HOST}/",
            "Sec-Fetch-Site": "same-origin",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        line = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            line.request(method, path, body, headers)
            response = line.getresponse()
            text = response.read().decode()
        except (OSError, HTTPException) as away:
            raise AwayError from away
        finally:
            line.close()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        location = response.headers.get("Location") or ""
        return Answer(response.status, text, location, response.headers.get("Retry-After") or "")


class _Forms(HTMLParser):
    """The controls of every form on a page, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((told.get("action", ""), {}))
        if not self.forms:
            return
        controls = self.forms[-1][1]
        if tag == "input" and "name" in told:
            unticked = told.get("type") in ("checkbox", "radio") and "checked" not in told
            if not unticked:
                controls[told["name"]] = told.get("value", "")
        elif tag == "select":
            self._select = told["name"]
            controls[self._select] = ""
        elif tag == "option" and "selected" in told:
            controls[self._select] = told.get("value", "")
        elif tag == "textarea":
            self._area = told["name"]
            controls[self._area] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1][1][self._area] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


def form_of(text: str, action: str) -> dict[str, str] | None:
    """The controls of the form that is sent to this address; None where the page has none."""
    parser = _Forms()
    parser.feed(text)
    return next((controls for sent_to, controls in parser.forms if sent_to.partition("?")[0] == action), None)


@dataclass
class Load:
    """Clients on threads, until `stop`. `wrong`: what no fault excuses. `seen`: every answer, by kind and status."""

    portal: Portal
    journal: Journal
    port: int
    pause: float = 0.05  # seconds that a person waits between two things
    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    ended_cookies: list[dict[str, str]] = field(default_factory=list)  # signed out, and acknowledged
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for number, who in enumerate(self.portal.members):
            self._begin(Member(self, who, number).live)
        self._begin(self._unsubscribe)

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE + PRESSES)
        if any(thread.is_alive() for thread in self._threads):
            self.wrong.append("a client waits for ever")

    @property
    def acknowledged(self) -> int:
        return sum(number for name, number in self.seen.items() if name.endswith(ACKNOWLEDGED))

    def flow(self, operations: int = 20) -> None:
        """Wait until so many more are acknowledged: the next fault meets clients at work."""
        before = self.acknowledged
        wait_for("clients at work", lambda: self.acknowledged >= before + operations)

    def _begin(self, life: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(life,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, life: Callable[[], None]) -> None:
        while not self._ending.is_set():
            try:
                life()
            except AwayError:
                self.seen["no answer"] += 1
                self._ending.wait(0.3)
            except Exception as error:  # a client that dies unseen would prove nothing
                self.wrong.append(f"a client was stopped by {error!r}")
                self._ending.wait(1)

    def look_at(self, what: str, answer: Answer) -> Answer:
        """What holds for every answer, whatever has happened (I9)."""
        self.seen[f"{what} {answer.status}"] += 1
        told = [word for word in TELLTALE if word in answer.text]
        if told:
            self.wrong.append(f"{what}: an answer {answer.status} tells {told}")
        if answer.status == 503 and not answer.retry_after:
            self.wrong.append(f"{what}: 503 without Retry-After")
        if answer.status >= 500 and answer.status != 503:
            self.wrong.append(f"{what}: {answer.status}, reference {bool(REFERENCE.search(answer.text))}")
        return answer

    def settle(self, ident: str, kind: str, outcome: str) -> None:
        self.journal.end(ident, outcome)
        self.seen[f"{kind} {outcome}"] += 1

    def _unsubscribe(self) -> None:
        """Mail programs press the button in a broadcast, once for each reader and topic, and again if unanswered."""
        browser = Browser(self.port, "10.99.0.1")
        pressed = {operation.who for operation in self.journal.operations() if operation.kind == "opt-out"}
        for topic in TOPICS:
            for reader in self.portal.recipients:
                if f"{reader.id} {topic}" in pressed:
                    continue
                self._press(browser, reader, topic)
                if self._ending.wait(self.pause * 4):
                    return
        self._ending.wait(1)

    def _press(self, browser: Browser, reader: Somebody, topic: str) -> None:
        ident = self.journal.begin("opt-out", f"{reader.id} {topic}", email=reader.email, topic=topic)
        for _ in range(PRESSES):
            try:
                answer = browser.post(f"/unsubscribe/{reader.links[topic]}", {"List-Unsubscribe": "One-Click"})
            except AwayError:
                self.seen["no answer"] += 1
            else:
                if self.look_at("opt-out", answer).taken:
                    self.settle(ident, "opt-out", ACKNOWLEDGED)
                    return
            if self._ending.wait(0.5):
                return


@dataclass
class Member:
    """One member and her browser; nobody else changes her record."""

    load: Load
    who: Somebody
    number: int
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser(self.load.port, f"10.{self.number + 1}.0.1")

    def live(self) -> None:
        """One thing after the other."""
        chance = random.Random(self.number)
        deeds = [self.save_profile] * 5 + [self.choose] * 4 + [self.ask] * 2 + [self.come_and_go]
        while not self.load._ending.wait(self.load.pause):
            chance.choice(deeds)()

    def save_profile(self) -> None:
        """Two fields to one value: half a save would show."""
        form = self._form("/profile/edit")
        if form is None:
            return
        ident = self.load.journal.begin("profile", str(self.who.id))
        self._send(ident, "profile", "/profile/edit", form | {"organization": ident, "job_title": ident})

    def choose(self) -> None:
        """Two answers turned round at once."""
        form = self._form("/choices")
        if form is None:
            return
        turned = {code: "no" if form.get(code) == "yes" else "yes" for code in FLIPPED}
        ident = self.load.journal.begin("choices", str(self.who.id), **turned)
        self._send(ident, "choices", "/choices", form | turned)

    def ask(self) -> None:
        """A request, with the password where it is wanted."""
        form = self._form("/requests/new/question")
        if form is None:
            return
        ident = self.load.journal.begin("request", str(self.who.id), email=self.who.email)
        self._send(ident, "request", "/requests/new/question", form | {"details": ident}, again_unanswered=True)

    def come_and_go(self) -> None:
        """Another browser of hers signs in, is in, signs out; its cookies are kept to be tried again."""
        other = Browser(self.load.port, f"10.{self.number + 1}.{random.randrange(256)}.7")
        if not self._sign_in(other):
            return
        page = self.load.look_at("a page", other.get("/profile"))
        form = form_of(page.text, "/sign-out")
        if page.status == 200 and form is not None:
            cookies = dict(other.cookies)
            ident = self.load.journal.begin("sign-out", str(self.who.id))
            if self.load.look_at("sign-out", other.post("/sign-out", form)).status == 303:
                self.load.settle(ident, "sign-out", ACKNOWLEDGED)
                self.load.ended_cookies.append(cookies)

    def _form(self, path: str) -> dict[str, str] | None:
        began = time.monotonic()
        answer = self.load.look_at("a page", self.browser.get(path))
        self.load.slowest = max(self.load.slowest, time.monotonic() - began)
        if answer.status == 303:
            self._sign_in(self.browser)
            return None
        return form_of(answer.text, path) if answer.status == 200 else None

    def _sign_in(self, browser: Browser) -> bool:
        browser.cookies.clear()
        page = self.load.look_at("a page", browser.get("/sign-in"))
        form = form_of(page.text, "/sign-in") if page.status == 200 else None
        if form is None:
            self.load._ending.wait(0.5)
            return False
        answer = browser.post("/sign-in", form | {"email": self.who.email, "password": PASSWORD})
        self.load.look_at("sign-in", answer)
        if answer.status == 429:
            self.load._ending.wait(5)
        return answer.status == 303

    def _send(self, ident: str, kind: str, path: str, form: dict[str, str], *, again_unanswered: bool = False) -> None:
        """Press Send; on a page that says "in a moment", press it again, with what that page has kept."""
        refused = False
        for _ in range(PRESSES):
            typed = form | ({"password": PASSWORD} if "password" in form else {})
            try:
                answer = self.load.look_at(kind, self.browser.post(path, typed))
            except AwayError:
                self.load.seen["no answer"] += 1
                if not again_unanswered:
                    return  # unknown
                self.load._ending.wait(0.5)
                continue
            if answer.taken and answer.status == 303:
                self.load.settle(ident, kind, ACKNOWLEDGED)
                return
            if answer.status != 503:
                self.load.seen[f"{kind} declined {answer.status}"] += 1
                return  # signed out meanwhile, or changed by the try that was not answered
            refused = True
            kept = form_of(answer.text, path)
            if kept is None or ident not in [*kept.values(), *([ident] if kind == "choices" else [])]:
                self.load.wrong.append(f"{kind}: the page that says 503 has not kept what was typed")
                return
            form = form | kept
            if self.load._ending.wait(0.5):
                break
        if refused:
            self.load.settle(ident, kind, REFUSED)
