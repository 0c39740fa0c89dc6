"""Bench: the targets that are asked over HTTP, each with the limit it is measured against and the proof of its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from urllib.parse import urlencode

from bs4 import BeautifulSoup

from bench import bounds
from bench.bed import CITIES, Bed, Person
from bench.bounds import Bound
from bench.elsewhere import Elsewhere
from bench.load import CLIENTS, BenchError, Burst, Server, click, get, pages, posts, request
from portal import clock
from portal.domain.kinds import FILED, KINDS
from portal.domain.requests import AT_ONCE

COMMIT = request("POST", "/commit", body=urlencode({"city": "Wrocław"}))
ASKED = [kind for kind in FILED if not KINDS[kind].at_once]  # what is done at once would stop mail, too
MOST_REQUESTS = 400  # data subject requests a round: each needs a member who has none open


@dataclass(frozen=True)
class Target:
    """One row of the table: `against` names the row of its limit, `share` and `tail` what is asked of it."""

    name: str
    once: Callable[[], Burst]
    against: str = ""
    share: Bound | None = None  # of the limit
    tail: Bound | None = None  # p99 at most so many times p50


@dataclass
class Writing:
    """What the posts of all rounds have been answered for, to be found again in the database."""

    bed: Bed
    portal: Server
    limits: Server
    elsewhere: Elsewhere | None
    seconds: float
    committed: int = 0
    journalled: int = 0
    stopped: int = 0
    filed: int = 0
    versions: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forms = [self._form(person) for person in self.bed.people[:CLIENTS]]
        self.versions = dict.fromkeys(range(CLIENTS), 1)
        with self.bed.app.app_context():
            links = [(self.bed.link(each), each.suppressed) for each in self.bed.recipients]
        self.free = iter([link for link, suppressed in links if not suppressed])
        self.spent = cycle([link for link, suppressed in links if suppressed])
        self.unasked = iter([(person, kind) for person in self.bed.people[CLIENTS:] for kind in ASKED])

    def save(self) -> Burst:
        """Each client saves her own profile, with another city and title each time."""

        def following(client: int) -> bytes:
            version = self.versions[client]
            self.versions[client] += 1
            changed = {"version": version, "city": CITIES[version % 8], "job_title": f"Engineer {version}"}
            body = urlencode(self.forms[client] | changed)
            return request("POST", "/profile/edit", self.bed.people[client].cookie, body)

        return posts(self.portal.port, following, seconds=self.seconds)

    def commit(self) -> Burst:
        burst = posts(self.limits.port, lambda _client: COMMIT, seconds=self.seconds)
        self.committed += burst.answers
        return burst

    def stop(self) -> Burst:
        """One-click on a link that still counts: each stops everything for somebody who got it so far."""
        burst = posts(self.portal.port, lambda _client: click("/unsubscribe/", self.free), seconds=self.seconds)
        self.stopped += burst.answers
        return burst

    def check_link(self) -> Burst:
        burst = posts(self.limits.port, lambda _client: click("/token/", self.spent), seconds=self.seconds)
        self.journalled += burst.answers
        return burst

    def file(self) -> Burst:
        """Members who have just signed in state a request, each of another kind or member."""
        self.bed.write("UPDATE sign_in SET password_at = ?", clock.now().strftime("%Y-%m-%d %H:%M:%S.%f"))
        left = count()

        def following(_client: int) -> bytes | None:
            person, kind = next(self.unasked, (None, ""))
            if person is None or next(left) >= MOST_REQUESTS:
                return None
            sent = {"details": "Please look at it.", "controller": "Another society"}
            sent |= {"csrf_token": person.form_token, "operation_id": f"{person.id}-{kind}"[:64]}
            body = urlencode(sent)
            return request("POST", f"/requests/new/{kind}", person.cookie, body)

        burst = posts(self.portal.port, following, seconds=self.seconds)
        self.filed += burst.answers
        return burst

    def prove(self) -> None:
        """Read the stored state back. Raises BenchError where it is not what was acknowledged."""
        read = self.bed.read
        people = self.bed.people[:CLIENTS]
        for client, person in enumerate(people):
            version = self.versions[client]
            found = read("SELECT version, job_title, city FROM member WHERE id = ?", person.id.hex)
            last = version - 1
            self._same("saved profile", found, [(version, f"Engineer {last}", CITIES[last % 8])] if last else found)
        self._same("rows of the commit", read("SELECT count(*) FROM bench_commit"), [(self.committed,)])
        one_click = read("SELECT count(*), count(journal_id) FROM choice WHERE door = 'one-click'")
        self._same("one-click rows", one_click, [(self.stopped, self.stopped)])
        self._same("lines of the journal", self._lines("journal"), self.stopped)
        self._same("lines of the limit's journal", self._lines("limits"), self.journalled)
        self._same("requests", read("SELECT count(*) FROM data_subject_request"), [(self.filed,)])
        self._same("messages", read("SELECT count(*) FROM message"), [(self.filed + min(self.filed, AT_ONCE),)])
        if self.elsewhere is not None:
            self.elsewhere.prove()

    def _lines(self, folder: str) -> int:
        """Whole lines; an empty one, which keeps a line apart from one that was cut, is none."""
        files = (self.bed.folder / folder).glob("*.jsonl")
        return sum(line.endswith(b"}\n") for path in files for line in path.read_bytes().splitlines(keepends=True))

    def _same(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise BenchError(f"{what}: {found} are stored, {expected} were acknowledged")

    def _form(self, person: Person) -> dict[str, str]:
        """What the form shows, as a browser would send it back."""
        status, page = get(self.portal.port, "/profile/edit", person.cookie)
        if status != 200:
            raise BenchError(f"the profile form answered {status}")
        sent = {"csrf_token": person.form_token}
        for control in BeautifulSoup(page, "html.parser").select("form[action='/profile/edit'] [name]"):
            name, chosen = str(control["name"]), control.select_one("option[selected]")
            if control.name == "select":
                sent[name] = str(chosen["value"]) if chosen else ""
            elif control.get("type") != "checkbox" and name not in sent:
                sent[name] = control.get_text() if control.name == "textarea" else str(control.get("value", ""))
        return sent


def targets(writing: Writing) -> list[Target]:
    """The rows, each limit before what is measured against it."""
    portal, limits, seconds, folder = writing.portal, writing.limits, writing.seconds, writing.bed.folder
    own_cookie = writing.bed.people[-1].cookie

    def page(server: Server, path: str, cookie: str = own_cookie) -> Callable[[], Burst]:
        status, text = get(server.port, path, cookie)
        if status != 200 or len(text) < 1000:
            raise BenchError(f"{path} answers {status}, {len(text)} characters")
        return lambda: pages(server.port, path, cookie, seconds=seconds, folder=folder)

    found = [
        Target("bare page", page(limits, "/bare", "")),
        Target("overview", page(portal, "/"), "bare page", bounds.SERVED["overview"]),
        Target("profile form", page(portal, "/profile/edit"), "bare page", bounds.SERVED["profile form"]),
        Target("profile form, obvious build", page(limits, "/obvious/profile"), "bare page"),
        Target("choices page", page(portal, "/choices"), "bare page", bounds.SERVED["choices page"]),
        Target("requests page", page(portal, "/requests"), "bare page", bounds.SERVED["requests page"]),
        Target("what we hold", page(portal, "/held"), "bare page", bounds.SERVED["what we hold"]),
        Target("one durable commit", writing.commit),
        Target("profile save", writing.save, "one durable commit", bounds.SAVED, bounds.SAVED_TAIL),
        Target("create a request", writing.file, "one durable commit", bounds.FILED),
        Target("token check and journal", writing.check_link),
        Target("one-click POST", writing.stop, "token check and journal", bounds.STOPPED, bounds.STOPPED_TAIL),
    ]
    if (elsewhere := writing.elsewhere) is not None:
        once = partial(elsewhere.stop, seconds=seconds)
        share = bounds.STOPPED_ELSEWHERE
        found.append(Target("one-click POST, PostgreSQL", once, "token check and journal", share, bounds.STOPPED_TAIL))
    return found
