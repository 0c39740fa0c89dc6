"""Writing a message: right in both parts, one line of title, nothing that a reader did not mean to see."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jinja2 import UndefinedError

from portal.extensions import db
from portal.mail import outbox
from portal.models import Message
from portal.models.message import MailKind
from tests.databases import writes

from .conftest import START, MakePortal, put, stored


def write(kind: MailKind = MailKind.ACCOUNT, **more: str) -> Message:
    """A message that is put and not committed."""
    context: dict[str, Any] = {"first_name": "Alice", **more}
    return outbox.put("hello", kind=kind, to="alice@example.org", subject_id=None, now=START, **context)


@pytest.fixture
def portal(make_portal: MakePortal) -> Flask:
    return make_portal()


def test_the_row(portal: Flask) -> None:
    row = stored(put(MailKind.RECEIPT, thread="IM-7K3F-92QD"))
    assert (row.state, row.kind, row.name, row.topic) == ("queued", "receipt", "hello", "")
    assert (row.created_at, row.due_at, row.attempts) == (START, START, 0)
    assert row.in_reply_to == "<IM-7K3F-92QD@privacy.example.org>"
    assert row.message_id.startswith("<IM-7K3F-92QD.")


def test_put_neither_flushes_nor_commits(portal: Flask) -> None:
    message = write()
    assert message in db.session.new
    db.session.rollback()


def test_both_parts_say_the_same(portal: Flask) -> None:
    row = stored(put())
    page = BeautifulSoup(row.html, "html5lib")
    assert page.html is not None
    assert page.html["lang"] == "en"
    assert page.title is not None
    assert page.title.string == "Hello Alice"
    for words in ("Dear Alice,", "https://privacy.example.org/profile", "Name", "Privacy desk, privacy@example.org"):
        assert words in row.text
        assert words in page.get_text(" ", strip=True)
    assert page("a")[0]["href"] == "https://privacy.example.org/profile"
    assert row.text.index("https://") == row.text.index("https://privacy.example.org/profile")


def test_the_page_brings_its_style_and_nothing_from_outside(portal: Flask) -> None:
    html = stored(put()).html
    page = BeautifulSoup(html, "html5lib")
    (style,) = page("style")
    assert "prefers-color-scheme: dark" in str(style)
    assert "max-width: 480px" in str(style)
    (button,) = page.select("a.button")
    assert "background-color: #0b5563" in str(button["style"])
    assert page(["img", "script", "link", "iframe", "form"]) == []
    assert "url(" not in html


def test_names_are_escaped_in_the_page_only(portal: Flask) -> None:
    row = stored(put(first_name='<b>O\'Neil & "Søn"</b> {{ 7*7 }}'))
    assert 'Dear <b>O\'Neil & "Søn"</b> {{ 7*7 }},' in row.text
    assert row.title == 'Hello <b>O\'Neil & "Søn"</b> {{ 7*7 }}'
    page = BeautifulSoup(row.html, "html5lib")
    assert page("b") == []
    assert 'Dear <b>O\'Neil & "Søn"</b> {{ 7*7 }},' in page.get_text()


def test_what_a_template_lacks_is_an_error(portal: Flask) -> None:
    with pytest.raises(UndefinedError):
        outbox.put("hello", kind=MailKind.ACCOUNT, to="a@example.org", subject_id=None, now=START)


def test_society_comes_from_the_settings_not_from_the_context(portal: Flask) -> None:
    assert "Evil Society" not in write(society="Evil Society").text


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (MailKind.BROADCAST, {}),
        (MailKind.BROADCAST, {"topic": "events"}),
        (MailKind.BROADCAST, {"unsubscribe_url": "https://privacy.example.org/unsubscribe/x"}),
        (MailKind.BROADCAST, {"topic": "gossip", "unsubscribe_url": "https://privacy.example.org/unsubscribe/x"}),
        (MailKind.ACCOUNT, {"topic": "events"}),
        (MailKind.RECEIPT, {"unsubscribe_url": "https://privacy.example.org/unsubscribe/x"}),
        (MailKind.STAFF, {"unsubscribe_url": "https://privacy.example.org/unsubscribe/x"}),
    ],
)
def test_broadcasts_and_only_they_can_be_unsubscribed_from(portal: Flask, kind: MailKind, more: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        write(kind, **more)


@pytest.mark.parametrize("thread", ["a b", "a>b", "a\r\nb", "a@b", "é", ".a", "a..b"])
def test_a_thread_fits_into_a_message_id(portal: Flask, thread: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        write(thread=thread)


def test_links_are_built_from_the_portals_address(portal: Flask) -> None:
    assert outbox.absolute("/requests/IM-7K3F-92QD") == "https://privacy.example.org/requests/IM-7K3F-92QD"
    for path in ("requests", "//example.net/", "https://example.net/", ""):
        with pytest.raises(ValueError, match="one slash"):
            outbox.absolute(path)
    with portal.test_request_context("/", base_url="http://evil.example.net"):
        assert outbox.absolute("/") == "https://privacy.example.org/"


def test_the_same_words_inside_a_request(portal: Flask) -> None:
    """No context processor of the web reaches a mail."""
    with portal.test_request_context("/", base_url="http://evil.example.net"):
        inside = write()
        db.session.expunge(inside)
    outside = write()
    db.session.expunge(outside)
    assert (inside.text, inside.html) == (outside.text, outside.html)


@examples(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_tidy(text: str) -> None:
    title, body = outbox.one_line(text), outbox.plain(text)
    assert len(title.splitlines()) <= 1
    assert title == title.strip()
    assert body.endswith("\n")
    assert "\r" not in body
    assert "\xa0" not in body
    assert "\n\n\n" not in body
    assert all(line == line.rstrip() for line in body.split("\n"))
    assert outbox.plain(body) == body


@examples(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=60))
def test_any_name_can_be_stored_and_read_again(portal: Flask, name: str) -> None:
    ident = put(first_name=name)
    row = stored(ident)
    assert outbox.one_line(f"Hello {name}") == row.title
    with writes():
        db.session.delete(db.session.get_one(Message, ident))
