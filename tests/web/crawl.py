"""Test bed: every page that somebody comes to by following links, and each form there, sent as it should not be.

for state in crawl(browse, "alice", as_=people.alice): state.name, state.page
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from bs4 import Tag
from werkzeug.exceptions import HTTPException

from tests.browse import WHATEVER, Browse, Page, Person, tags

NO_PAGES = ("static", "download.", "weaknesses.security_txt", "metrics.", "health.", "dev.")
OFTEN = {"requests.one": 9, "handling.one": 12}  # one page with many states
SELDOM = 3
WRONG = {"email": "nonsense", "tel": "nonsense", "password": "short"}  # everything else is emptied


@dataclass(frozen=True)
class State:
    """A page, and what brought it about."""

    name: str
    endpoint: str
    page: Page


def crawl(browse: Browse, who: str, *, as_: Person | None, starts: Iterable[str] = ("/",)) -> Iterator[State]:
    """The first few of many alike. Of forms, those that one types into; no button without one is pressed."""
    if as_ is not None:
        browse.sign_in(as_)
    browse.turn_to(as_)
    waiting = deque(starts)
    met, opened, sent = set(waiting), Counter[str](), set[str]()
    while waiting:
        path = waiting.popleft()
        endpoint = endpoint_of(browse, path)
        opened[endpoint] += 1
        if endpoint.startswith(NO_PAGES) or opened[endpoint] > OFTEN.get(endpoint, SELDOM):
            continue
        page = browse(path, status=WHATEVER)
        waiting.extend(_ours(page, met))
        if page.status == 303:
            continue
        yield State(f"{who}: {path}", endpoint, page)
        for action, typed in _forms(page):
            kind = f"{endpoint_of(browse, action, 'POST')} {sorted(typed)}"
            if kind not in sent:
                sent.add(kind)
                yield from _send(browse, f"{who}: {path}, badly filled in", path, action, typed)


def endpoint_of(browse: Browse, path: str, method: str = "GET") -> str:
    """Which page an address is; empty if none."""
    try:
        return str(browse.app.url_map.bind("").match(urlsplit(path).path, method=method)[0])
    except HTTPException:
        return ""


def _send(browse: Browse, name: str, path: str, action: str, typed: dict[str, str]) -> Iterator[State]:
    """The form again with its errors; or, where nothing was wrong, the page that says what is now true."""
    if action not in [each["action"] for each in browse(path, status=WHATEVER).forms]:
        return  # what was sent before has ended it
    page = browse.post(action, typed, status=WHATEVER)
    while page.status == 303:
        page = browse.follow(status=WHATEVER)
    yield State(f"{name} ({action})", endpoint_of(browse, action, "POST"), page)


def _forms(page: Page) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each form leads that one types into, and what is typed."""
    for form in page.forms:
        typed = {str(each["name"]): WRONG.get(str(each.get("type")), "") for each in _typed_into(form)}
        if typed and form.get("method") == "post":
            yield str(form["action"]), typed


def _typed_into(form: Tag) -> list[Tag]:
    kinds = (*WRONG, "text", "date", "search")
    controls = [each for each in tags(form, "input", "textarea") if each.get("name")]
    return [each for each in controls if each.name == "textarea" or each.get("type") in kinds]


def _ours(page: Page, met: set[str]) -> list[str]:
    """Where the page leads to within the portal and where nobody was yet."""
    links = [str(each["href"]) for each in page.tags if each.name == "a" and each.get("href")]
    found = []
    for link in [page.location] if page.status == 303 else links:
        parts = urlsplit(urljoin(page.path, link))
        path = parts._replace(fragment="").geturl()
        if not parts.netloc and not parts.scheme and path not in met:
            met.add(path)
            found.append(path)
    return found
