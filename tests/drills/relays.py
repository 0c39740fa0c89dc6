"""The drill of the relay: it refuses, is silent, answers 421, 450 or 550, breaks off, lies about its name, drips bytes.

`python -m tests.drills relays [--times 20]`. So many messages meet each of these; afterwards it is well again, and
nothing may be missing. A worker must not stay with a bad relay for more than 45 seconds, and no page may suffer.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models import LinkRequest
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import ACKNOWLEDGED, Journal
from tests.drills.bed import Copy
from tests.drills.clients import Browser, Load, form_of
from tests.drills.judged import Verdict, judge
from tests.mail.test_transport import NAMED, Authority

LONGEST = 45.0  # seconds of a worker's life that a bad relay may take
DRIP = 2.0  # seconds between two bytes
QUICK = ("refuses", "421 at once", "421 at MAIL", "450 at RCPT", "550 at RCPT", "550 after the dot",
         "breaks off at DATA", "breaks off after the dot", "bad certificate")  # fmt: skip
HANGS = ("is silent", "is silent after the dot", "drips bytes")
WELL = "is well"


@dataclass
class BadRelay:
    """A relay with a mood, in threads. `stays`: how long each line to it was open while the mood was bad."""

    port: int
    good: ssl.SSLContext
    bad: ssl.SSLContext
    copies: list[Copy]
    mood: str = WELL
    met: int = 0  # how often somebody met the mood
    unsure: int = 0  # messages that it took and never said so, in all
    stays: list[float] = field(default_factory=list)
    _server: socket.socket | None = None

    def set(self, mood: str) -> None:
        self.mood, self.met = mood, 0
        self.stays.clear()
        if mood == "refuses":
            self.close()
        elif self._server is None:
            self._server = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()

    def _serve(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _ = server.accept()
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        mood, began = self.mood, time.monotonic()
        with suppress(OSError, ConnectionError, EndError), _Line(line, mood) as talk:
            self._conversation(talk, mood)
        if mood != WELL:
            self.stays.append(time.monotonic() - began)

    def _conversation(self, talk: _Line, mood: str) -> None:
        self._greet(talk, mood)
        recipient = ""
        while True:
            word = talk.hear()
            verb = word[:4].upper()
            if verb == "STAR":
                talk.say("220 go on")
                self.met += mood == "bad certificate"
                talk.encrypt(self.bad if mood == "bad certificate" else self.good)
            elif verb == "RCPT":
                recipient = word.partition("<")[2].partition(">")[0]
                self.met += mood in ("450 at RCPT", "550 at RCPT")
                talk.say({"450 at RCPT": "450 4.2.1 later", "550 at RCPT": "550 5.7.1 no"}.get(mood, "250 yes"))
            elif verb == "DATA":
                self._end_if(talk, mood == "breaks off at DATA", "")
                talk.say("354 go on")
                self._message(talk, mood, recipient)
            else:
                self._end_if(talk, verb == "MAIL" and mood == "421 at MAIL", "421 4.3.2 closing")
                extension = "250 SIZE 9999999" if talk.encrypted else "250 STARTTLS"
                talk.say({"EHLO": f"250-relay\r\n{extension}", "QUIT": "221 bye"}.get(verb, "250 yes"))

    def _greet(self, talk: _Line, mood: str) -> None:
        self.met += mood in ("is silent", "drips bytes")
        if mood == "is silent":
            talk.until_they_go()
        self._end_if(talk, mood == "421 at once", "421 4.3.2 too busy")
        talk.say("220 relay")

    def _end_if(self, talk: _Line, ends: bool, words: str) -> None:
        if ends:
            self.met += 1
            if words:
                talk.say(words)
            raise EndError

    def _message(self, talk: _Line, mood: str, recipient: str) -> None:
        content = talk.hear_message()
        if mood == "550 after the dot":
            self.met += 1
            talk.say("550 5.7.1 no")
            return
        message = BytesParser(policy=default).parsebytes(content)
        title, ident = str(message["Subject"]), str(message["Message-ID"])
        self.copies.append(Copy(time.time(), recipient, ident, title, ""))
        if mood in ("breaks off after the dot", "is silent after the dot", "drips bytes"):
            self.unsure += 1
        if mood in ("breaks off after the dot", "is silent after the dot"):
            self.met += 1
            if mood == "is silent after the dot":
                talk.until_they_go()
            raise EndError
        talk.say("250 taken")


class EndError(Exception):
    """The conversation is over."""


class _Line:
    """One conversation, by lines."""

    def __init__(self, line: socket.socket, mood: str) -> None:
        self.line = line
        self.drips = mood == "drips bytes"
        self.encrypted = False
        self._heard = b""
        line.settimeout(180)

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def say(self, words: str) -> None:
        told = words.encode() + b"\r\n"
        for byte in [told[at : at + 1] for at in range(len(told))] if self.drips else [told]:
            self.line.sendall(byte)
            if self.drips:
                time.sleep(DRIP)

    def hear(self) -> str:
        return self._until(b"\r\n").decode("ascii", "replace")

    def hear_message(self) -> bytes:
        return self._until(b"\r\n.\r\n")

    def _until(self, end: bytes) -> bytes:
        while end not in self._heard:
            more = self.line.recv(65536)
            if not more:
                raise EndError
            self._heard += more
        heard, _, self._heard = self._heard.partition(end)
        return heard

    def encrypt(self, context: ssl.SSLContext) -> None:
        self.line = context.wrap_socket(self.line, server_side=True)
        self.encrypted = True

    def until_they_go(self) -> None:
        while self.line.recv(65536):
            pass
        raise EndError


def drill(folder: Path, *, database: str, times: int, hangs: int = 1) -> Verdict:
    """Every mood in turn, with so many messages; what was found."""
    port, slowest = free_port(), {WELL: 0.0}
    for name in ("good", "bad"):
        (folder / name).mkdir()
    authority, relay_port = Authority(folder / "good"), free_port()
    with (
        bed.drill_database(database, folder) as (url, _),
        bed.portal(url, folder, recipients=40, MAIL_PORT=str(relay_port)) as portal,
    ):
        portal.environ["SSL_CERT_FILE"] = str(authority.bundle)
        good = authority.server(NAMED)
        relay = BadRelay(relay_port, good, bed.bad_certificate(folder / "bad"), portal.copies)
        relay.set(WELL)
        journal = Journal(folder / "acknowledged.jsonl")
        portal.start_web(port=port)
        portal.start_worker()
        load = Load(portal, journal, port, pause=0.2)
        load.start()
        load.flow()
        slowest[WELL], load.slowest = load.slowest, 0.0
        verdict = Verdict()
        for mood in (*QUICK, *HANGS):
            load.slowest = 0.0
            _meet(portal, relay, load, mood, times if mood in QUICK else hangs, verdict)
            verdict.counts[f"slowest page while it {mood}, ms"] = round(load.slowest * 1000)
        relay.set(WELL)
        load.stop()
        portal.finish()
        relay.close()
        judged = judge(portal, journal, load, kills=relay.unsure, dead=True)
    verdict.counts.update(judged.counts)
    verdict.wrong += judged.wrong
    verdict.counts["slowest page while all is well, ms"] = round(slowest[WELL] * 1000)
    return verdict


def _meet(portal: bed.Portal, relay: BadRelay, load: Load, mood: str, times: int, verdict: Verdict) -> None:
    """Until the mood was met so often; meanwhile a stranger's question for a link is answered in good time."""
    relay.set(mood)
    before = len(portal.copies)
    asked_at = _ask_for_link(portal, load)
    answered = 0.0
    until = time.monotonic() + 60 + 12 * times
    while (relay.met < times and mood != "refuses") or not answered:
        portal.send_broadcast() if not portal.waiting() else portal.time_passes_for_retries()
        if not answered and not portal.read(_questions):
            answered = time.monotonic() - asked_at
        if time.monotonic() > until:
            verdict.add("relay", f"it {mood}: met {relay.met} times, question answered after {answered:.0f} s")
            break
        time.sleep(0.3)
    if mood == "refuses":
        time.sleep(min(times, 20) * 0.3)
    verdict.counts[f"met: {mood}"] = relay.met
    time.sleep(1)
    longest = max(relay.stays, default=0.0)
    verdict.counts[f"longest stay while it {mood}, ms"] = round(longest * 1000)
    if longest > LONGEST or answered > LONGEST:
        verdict.add("relay", f"it {mood}: a worker stayed {longest:.0f} s, a question waited {answered:.0f} s")
    assert len(portal.copies) >= before


def _ask_for_link(portal: bed.Portal, load: Load) -> float:
    browser = Browser(load.port, f"10.66.{len(portal.copies) % 250}.1")
    page = browser.get("/unsubscribe")
    reader = portal.recipients[len(portal.copies) % len(portal.recipients)]
    form = form_of(page.text, "/unsubscribe") or {}
    ident = load.journal.begin("link", reader.email)
    if browser.post("/unsubscribe", form | {"email": reader.email}).status == 303:
        load.settle(ident, "link", ACKNOWLEDGED)
    return time.monotonic()


def _questions() -> int:
    return db.session.scalar(select(func.count()).select_from(LinkRequest)) or 0
