"""What the desk sees of a broadcast and presses; the member's own view of it; the page behind its link."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from time_machine import Traveller

from portal import clock as our_clock
from portal.domain import broadcasts, choices
from portal.extensions import db
from portal.mail import delivery
from portal.models import Broadcast, Member, Message
from portal.models.broadcast import BroadcastState
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests.browse import Browse
from tests.conftest import MailServer
from tests.databases import writes
from tests.drills.broadcast import queue, settle
from tests.people import People


def bars(page: object, caption: str) -> dict[str, tuple[str, str]]:
    """By the words of a row: its number, and the length of its bar in percent."""
    table = page.soup.find("caption", string=caption).find_parent("table")  # type: ignore[attr-defined]
    return {row.th.get_text(): (row.span.get_text(), row.rect["width"]) for row in table.select("tbody tr")}


def tend() -> None:
    with writes():
        while broadcasts.tend(now=our_clock.now()):
            pass


def numbers(page: object) -> dict[str, str]:
    rows = page.soup.select("dl.summary > div")  # type: ignore[attr-defined]
    return {row.dt.get_text(): row.dd.get_text() for row in rows}


def test_the_desk_watches_and_holds(browse: Browse, people: People, smtp: MailServer, clock: Traveller) -> None:
    """Sent, waiting, refused, unsubscribed; Pause, Go on and Stop; no name of anybody on the page."""
    settle(28)
    browse.sign_in(people.dana)
    delivery.deliver()  # that she signed in
    assert "No broadcast yet" in browse("/desk/broadcasts").said
    number = queue("News for {first_name}")
    assert f"/desk/broadcasts/{number}" in {a["href"] for a in browse("/desk/broadcasts").soup.select("tbody th a")}
    assert delivery.deliver(limit=10).sent == 10
    path = f"/desk/broadcasts/{number}"
    shown = numbers(browse(path))
    assert (shown["Queued for"], shown["Sent"], shown["Waiting"]) == ("30 people", "10", "20")
    browse.press("Pause")
    assert "Paused." in browse.follow().said
    assert delivery.deliver().sent == 0
    browse.press("Go on")
    assert "Sending goes on." in browse.follow().said
    assert delivery.deliver(limit=5).sent == 5
    browse.press("Stop")
    page = browse.follow()
    assert "Stopped" in page.said
    assert "Pause" not in {each.get_text(strip=True) for each in page.soup.select("main button")}
    assert (numbers(page)["Waiting"], numbers(page)["Not sent"]) == ("0", "15")
    tend()
    assert delivery.deliver().sent == 0
    clock.shift(timedelta(minutes=10))
    got_it = db.session.scalars(
        select(Message.subject_id).where(Message.broadcast_id == number, Message.state == "sent")
    ).all()
    for ident, via in zip(got_it[:3], (Door.LINK, Door.ONE_CLICK, Door.PAGE), strict=False):
        assert isinstance(ident, UUID)
        with writes():
            subject = db.session.get_one(Member, ident).subject
            choices.change(subject, "topic_events", to="off", via=via, now=our_clock.now())
    page = browse(path)
    assert numbers(page)["Unsubscribed"] == "2"
    days = bars(page, "People who said no, from the day it was queued")
    assert (len(days), days[our_clock.in_words(our_clock.now())]) == (16, ("2", "100.0")), "a month late"
    assert sum(int(count) for count, _ in days.values()) == 2
    clock.shift(timedelta(days=15))
    with writes():
        subject = db.session.get_one(Member, got_it[4]).subject
        choices.change(subject, "topic_events", to="off", via=Door.LINK, now=our_clock.now())
    tend()
    browse.sign_in(people.dana)
    assert numbers(browse(path))["Unsubscribed"] == "2"
    with writes():
        row = db.session.get_one(Broadcast, number)
        assert (row.state, row.sent, row.not_sent, row.unsubscribed) == (BroadcastState.STOPPED, 15, 15, 2)

    assert bars(browse(path), "People who said no, from the day it was queued")
    with writes():
        row.unsubscribed = 3  # of one of them the message is gone
    assert "day by day" not in browse(path).said


def test_others_see_nothing_of_it(browse: Browse, people: People) -> None:
    number = queue()
    browse.sign_in(people.alice)
    for path in ("/desk/broadcasts", f"/desk/broadcasts/{number}"):
        browse(path, status=403, as_=people.alice)
        browse(path, status=303, as_=None)
    browse.sign_in(people.dana)
    browse("/desk/broadcasts/999", status=404)
    browse("/desk/broadcasts?before=x", status=404)


def test_it_shows_among_what_is_held(browse: Browse, people: People, smtp: MailServer) -> None:
    """P26: the member sees that it came, by which topic and when; her page behind the link does what the link says."""
    queue("News for {first_name}")
    assert delivery.deliver().sent == 2
    browse.sign_in(people.alice)
    held = browse("/held/messages-we-sent").said
    assert "News for Alice" in held
    assert "News for Bob" not in held
    data = browse("/held/download?format=json").body.decode()
    assert "News for Alice" in data
    assert "Dear Alice" not in data
    link = f"/unsubscribe/{sign_unsubscribe(people.alice.subject.unsubscribe_reference, 'events')}"
    page = browse(link, as_=None)
    assert "Stop “Events”?" in page.said
    assert {each.get_text(strip=True) for each in page.soup.select("main button")} == {
        "Unsubscribe",
        "Stop all broadcast email",
    }
