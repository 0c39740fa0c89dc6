"""Whatever is sent to whatever page, by whomever: never a fault of ours, one error summary, nothing runs.

Hypothesis fills every form that a visitor finds, and sends to every other address that takes something: control
characters, half characters, very long texts, fields twice, missing and of other forms, bodies of other kinds. What was
changed is put back after each. POSTS of them are sent by each visitor; the figures of long runs stand in docs/audit.md.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from bs4 import BeautifulSoup
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from portal.domain import passwords
from portal.extensions import Base, limiter
from portal.web import access
from portal.web.access import ACCOUNT, DESK, MEMBER, PUBLIC
from tests.browse import Browse, filled
from tests.databases import keep, writes
from tests.people import People
from tests.routes import of_alice, routes
from tests.rows import fill

POSTS = int(os.environ.get("POSTS", "40"))
RUNS = "<script>alert(1)</script>"
ODD = (
    "", " ", "0", "-1", "9" * 40, "1e309", "NaN", "true", "2026-02-30", "9999-12-31", "0000-00-00", "+", "%", "_", "@",
    "\r\nBcc: eve@example.org", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "\U0001f600" * 300, "a\u0301" * 400,
    RUNS, "\"'><img src=x onerror=alert(1)>", "javascript:alert(1)", "{{7*7}}", "${7*7}", "%s%n", "=1+1", "'--",
    "' OR 1=1 --", "../../etc/passwd", "//evil.example", "/\\evil.example", "a@b@c", "eve@example.org\n", "İı",
    "x" * 6000,
)  # fmt: skip
BODIES = ("form",) * 15 + ("multipart", "json", "text", "broken", "none")
NOT_LOOKED_AT = ("static", "download.download", "metrics.page")
SUMMARY = b'class="error-summary"'


class Sent(NamedTuple):
    """A form: where it goes, and what it holds before anybody types."""

    path: str
    fields: tuple[tuple[str, str], ...]


class Visitor:
    """Somebody's browser, as it stands before anything is sent, and every form that it finds."""

    def __init__(self, browse: Browse, looks: list[str], takes: list[str]) -> None:
        self.client = browse.app.test_client(use_cookies=False)
        self.headers = {"Sec-Fetch-Site": "same-origin"}
        browse("/security" if browse.who else "/sign-in")
        cookies = "; ".join(f"{name}={text}" for name, text in browse.cookies().items())
        self.headers["Cookie"] = cookies
        forms = {form.path: form for path in looks for form in self._forms(path)}
        token = next(dict(form.fields)["csrf_token"] for form in forms.values())
        bare = {path: Sent(path, (("csrf_token", token),)) for path in takes}
        self.forms = sorted((bare | forms).values())

    def _forms(self, path: str) -> Iterator[Sent]:
        with self.client.get(path, headers=self.headers) as answer:
            body = answer.get_data()
        for form in BeautifulSoup(body, "html.parser").find_all("form", attrs={"method": "post"}):
            fields = filled(form)
            names = {str(each["name"]) for each in form.find_all(["input", "select", "textarea"]) if each.get("name")}
            empty = sorted(names - {name for name, _ in fields})
            yield Sent(str(form["action"]), (*fields, *((name, "") for name in empty)))

    def send(self, path: str, method: str, **more: Any) -> TestResponse:
        return self.client.open(path, method=method, headers=self.headers, **more)


def typed(draw: st.DrawFn, form: Sent, names: list[str]) -> list[tuple[str, bytes]]:
    """The form's fields with something else in some; some are missing, sent twice, or not ours at all."""
    sent: list[tuple[str, bytes]] = []
    times = draw(st.sampled_from([(1,)] * 12 + [(1, 1, 1, 0), (1, 1, 1, 2)]))
    for name, usual in form.fields:
        for _ in range(1 if name == "csrf_token" else draw(st.sampled_from(times))):
            keeps = name == "csrf_token" or draw(st.booleans())
            sent.append((name, usual.encode() if keeps else draw(VALUES)))
    more = draw(st.lists(st.sampled_from(names), max_size=2))
    return sent + [(name, draw(VALUES)) for name in more]


@st.composite
def bodies(draw: st.DrawFn, forms: list[Sent], names: list[str]) -> tuple[str, dict[str, Any]]:
    """Where it goes, and what the test client is told to send."""
    form = draw(st.sampled_from(forms))
    sort = draw(st.sampled_from(BODIES))
    if sort in ("json", "text", "broken"):
        kind = {"json": "application/json", "text": "text/plain"}.get(sort, "multipart/form-data; boundary=x")
        return form.path, {
            "data": draw(st.sampled_from([b'{"a": [1]}', b"\xff\x00", b"--x\r\n", b""])),
            "content_type": kind,
        }
    fields = typed(draw, form, names)
    if sort == "multipart":
        parts: dict[str, Any] = {}
        for name, text in fields:
            whole = name == "csrf_token" or draw(st.integers(0, 5)) != 0
            parts[name] = text.decode(errors="replace") if whole else (io.BytesIO(text), "x.csv")
        return form.path, {"data": parts, "content_type": "multipart/form-data"}
    return form.path, {"data": urlencode(fields).encode(), "content_type": "application/x-www-form-urlencoded"}


VALUES = st.one_of(
    st.sampled_from([each.encode() for each in ODD]),
    st.text(max_size=30).map(str.encode),
    st.binary(max_size=12),  # among them the NUL, which every page refuses
    st.integers().map(lambda number: str(number).encode()),
)


@pytest.fixture
def visitor(request: pytest.FixtureRequest, app: Flask, browse: Browse, people: People, cheap: None) -> Visitor:
    with writes():
        fill(people)
    things = of_alice(people)
    if request.param:
        browse.sign_in(getattr(people, request.param))
    looks = [path for rule, path in routes(app, things, "GET") if rule.endpoint not in NOT_LOOKED_AT]
    takes = [
        path for rule, path in routes(app, things, "POST") if lets_in(request.param, access._mark(app, rule.endpoint))
    ]
    return Visitor(browse, looks, takes)


def lets_in(who: str, mark: access.Mark | None) -> bool:
    """Whether a page takes anything from somebody; tests/rules/test_matrix.py sees that it takes nothing of others."""
    assert mark is not None
    doors = {mark.read, mark.send}
    return bool(doors & {"": {PUBLIC}, "alice": {PUBLIC, ACCOUNT, MEMBER}, "dana": {PUBLIC, ACCOUNT, DESK}}[who])


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes made in no time; what they cost is measured elsewhere. And nobody is told to wait."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(limiter, "enabled", False)


def check(answer: TestResponse) -> None:
    """An answer of ours, whatever was asked."""
    with answer:
        body = answer.get_data()
        assert answer.status_code < 500
        assert answer.headers["Content-Security-Policy"]
        if 300 < answer.status_code < 400:
            place = answer.headers["Location"]
            assert place.startswith("/"), place
            assert not place.startswith(("//", "/\\")), place
    if answer.mimetype == "text/html":
        assert RUNS.encode() not in body
        assert body.count(SUMMARY) <= 1
        assert SUMMARY in body or b'aria-invalid="true"' not in body
        assert answer.status_code == 422 or SUMMARY not in body


@pytest.mark.parametrize("visitor", ["", "alice", "dana"], indirect=True, ids=["nobody", "alice", "dana"])
def test_whatever_is_sent_is_answered(app: Flask, database: str, visitor: Visitor) -> None:
    """Threats T15, T17, T24: 200 to 499, and what was typed is text. A column's name in a form is nobody's field."""
    names = sorted({column.name for table in Base.metadata.tables.values() for column in table.columns})
    put_back = keep(database)
    seen: Counter[int] = Counter()

    @given(bodies(visitor.forms, names))
    @hypothesis_settings(max_examples=POSTS, database=None, suppress_health_check=list(HealthCheck))
    def send(sent: tuple[str, dict[str, Any]]) -> None:
        path, body = sent
        answer = visitor.send(path, "POST", **body)
        seen[answer.status_code] += 1
        check(answer)
        if answer.status_code < 400 or answer.status_code == 429:
            put_back()

    send()
    print(f"{len(visitor.forms)} forms, answers {dict(sorted(seen.items()))}")
    assert {200, 303, 422} & seen.keys()
