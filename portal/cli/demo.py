"""Commands on the demonstration: invented people at example.org, played from a diary by the domain's own verbs."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import select

from portal import clock
from portal.cli.groups import Group
from portal.domain import (
    broadcasts,
    choices,
    desk,
    event_choices,
    events,
    handling,
    imports,
    lists,
    members,
    notices,
    reminders,
    requests,
    signin,
    unsubscribe,
)
from portal.domain.recognition_imports import import_recognitions
from portal.domain.registration_imports import import_registrations
from portal.extensions import db, settings, transaction
from portal.mail import broadcasts as letters
from portal.mail import transport
from portal.models import Account, Broadcast, DataSubjectRequest, Event, Member, Message, RequestStep
from portal.models.message import MailState
from portal.purposes import AUDIENCES
from portal.tokens import EVERYTHING, UnsubscribeToken, canonical_address
from portal.vocabulary import Door

FOLDER = Path(__file__).parent / "demo"
PASSWORD = "seven copper herons dance"  # noqa: S105  of every demonstration person; never in production
SHOWN = (
    ("maria.keller@example.org", "a member, long here, with much to see"),
    ("james.okafor@example.org", "a member who asked for deletion"),
    ("desk@example.org", "the desk"),
)

group = Group("demo", help="Demonstration data.")


@dataclass(frozen=True)
class Entry:
    """One line of the diary: who did what, when. `what`, `to` and `words` mean what the act makes of them."""

    who: str
    what: str
    to: str
    words: str
    now: datetime

    @property
    def member(self) -> Member:
        query = select(Member).where(Member.email_key == canonical_address(self.who))
        return db.session.scalars(query).one()

    @property
    def account(self) -> Account:
        return signin.find_account(self.who) or signin.account_of(self.member)


@group.command("load")
def load() -> None:
    """Load the demonstration once: people, events, notice, choices, requests. Refused in production."""
    if settings().env == "production":
        click.echo("The demonstration has invented people and a known password: not in production.", err=True)
        raise SystemExit(3)
    with transaction():
        fresh = not _is_there()
        if fresh:
            _play(clock.now())
    click.echo("The demonstration is loaded." if fresh else "The demonstration is there already.", err=True)
    for address, words in SHOWN:
        click.echo(f"{address}\t{PASSWORD}\t{words}")


def _is_there() -> bool:
    """Events outlive whatever a visitor does to the demonstration's people."""
    codes = [row["event_id"] for row in _rows("events.csv")]
    return db.session.scalars(select(Event.id).where(Event.code.in_(codes)).limit(1)).first() is not None


def _play(today: datetime) -> None:
    """The diary from its first day on; what it mails is stored as delivered."""
    others = set(_queued())
    for row in _rows("events.csv"):
        first = clock.society_date(today) + timedelta(days=int(row["starts_in"]))
        events.add(
            row["event_id"],
            name=row["name"],
            starts_on=first,
            ends_on=first + timedelta(days=int(row["days"]) - 1),
            place=row["place"],
            exhibition=row["exhibition"] == "yes",
        )
    for row in _rows("diary.csv"):
        now = today - timedelta(days=float(row["days_ago"]))
        ACTS[row["act"]](Entry(row["who"], row["what"], row["to"], row["words"], now))
    db.session.flush()
    _store_as_delivered([message for ident, message in _queued().items() if ident not in others])


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)


# Acts -----------------------------------------------------------------------------------------------------


def _publish(entry: Entry) -> None:
    text = (FOLDER / entry.what).read_text(encoding="utf-8")
    notices.publish(text, change=entry.to, now=entry.now)
    while notices.tell_some(most=100, now=entry.now).number:
        pass


def _import(entry: Entry) -> None:
    with (FOLDER / entry.what).open("rb") as file:
        report = imports.import_members(file, now=entry.now)
    assert not report.refused, report.refused


def _hire(entry: Entry) -> None:
    desk.add(entry.who, now=entry.now)


def _invite(entry: Entry) -> None:
    members.invite(entry.member.id, now=entry.now)


def _password(entry: Entry) -> None:
    signin.set_password(entry.account, PASSWORD, now=entry.now)


def _sign_in(entry: Entry) -> None:
    assert entry.account.password_hash is not None
    proved = signin.Proved(entry.account.id, entry.account.password_hash)
    signin.open_sign_in(proved, PASSWORD, keep=True, browser=entry.what, network=entry.to, now=entry.now)


def _edit(entry: Entry) -> None:
    member = entry.member
    members.save_profile(member, {entry.what: entry.to}, version=member.version, via=Door.PAGE, now=entry.now)


def _move(entry: Entry) -> None:
    members.ask_email_change(entry.member, entry.what, via=Door.PAGE, now=entry.now)


def _choose(entry: Entry, via: Door = Door.PAGE) -> None:
    """Through the page's own verb: a saved default is an answer too."""
    subject = entry.member.subject
    seen = choices.newest_row(subject.id)
    choices.change_many(subject, {entry.what: entry.to}, seen=seen, via=via, now=entry.now)


def _by_staff(entry: Entry) -> None:
    _choose(entry, Door.STAFF)


def _by_link(entry: Entry, via: Door = Door.LINK) -> None:
    topic = EVERYTHING if entry.what == "everything" else entry.what
    unsubscribe.stop(UnsubscribeToken(entry.member.subject.unsubscribe_reference, topic), via=via, now=entry.now)


def _by_one_click(entry: Entry) -> None:
    _by_link(entry, Door.ONE_CLICK)


def _lost_link(entry: Entry) -> None:
    unsubscribe.answer(entry.who, now=entry.now)


def _register(entry: Entry) -> None:
    event = db.session.scalars(select(Event).where(Event.code == entry.what)).one()
    events.register(entry.member, event, role=entry.to)


def _registrations(entry: Entry) -> None:
    with (FOLDER / entry.what).open("rb") as file:
        report = import_registrations(file, now=entry.now)
    assert not report.refused, report.refused


def _recognitions(entry: Entry) -> None:
    with (FOLDER / entry.what).open("rb") as file:
        report = import_recognitions(file, now=entry.now)
    assert not report.refused, report.refused


def _choose_at(entry: Entry) -> None:
    """For one event, through its page's own verb: `words` is the question."""
    event = db.session.scalars(select(Event).where(Event.code == entry.what)).one()
    subject = entry.member.subject
    seen = event_choices.newest_row(subject.id, event.id)
    event_choices.change_many(subject, event, {entry.words: entry.to}, seen=seen, via=Door.PAGE, now=entry.now)


def _release(entry: Entry) -> None:
    """A list of an event, to a recipient, approved by the desk; the file goes nowhere, the disclosures are shown."""
    event = db.session.scalars(select(Event).where(Event.code == entry.what)).one()
    made = lists.file(AUDIENCES[entry.to], event, to=entry.words, by=None, now=entry.now)
    lists.approve(made, by=entry.account, now=entry.now)
    lists.release(made, io.StringIO(), by=entry.account, now=entry.now)


def _request(entry: Entry) -> None:
    operation = secrets.token_urlsafe()
    _mark(
        requests.file(
            entry.member, entry.what, details=entry.words, operation_id=operation, via=Door.PAGE, now=entry.now
        ),
        entry,
    )


def _letter(entry: Entry) -> None:
    """It came by letter: staff write it down, and the mailbox is asked whether it was they."""
    made = handling.write_down(
        entry.member.subject,
        entry.what,
        details=entry.words,
        contact="",
        how=entry.to,
        received_at=entry.now,
        operation_id=secrets.token_urlsafe(),
        now=entry.now,
    )
    _mark(made, entry)


def _mark(request: DataSubjectRequest, entry: Entry) -> None:
    """Nobody is reminded of it."""
    step = RequestStep(request_id=request.id, step=reminders.DEMONSTRATION, by="portal", at=entry.now)
    db.session.add(step)
    db.session.flush()


def _open(entry: Entry) -> DataSubjectRequest:
    request = requests.open_request(entry.member.id, entry.what)
    assert request is not None
    return request


def _withdraw(entry: Entry) -> None:
    requests.withdraw(entry.member, _open(entry), now=entry.now)


def _take(entry: Entry) -> None:
    account = signin.find_account(entry.to)
    assert account is not None
    handling.take(_open(entry), account, now=entry.now)


def _extend(entry: Entry) -> None:
    handling.extend(_open(entry), entry.to, entry.words, now=entry.now)


def _answer(entry: Entry) -> None:
    handling.answer(_open(entry), entry.words, now=entry.now)


def _broadcast(entry: Entry) -> None:
    made = broadcasts.queue(entry.what, broadcasts.compose(entry.what, entry.to, entry.words), now=entry.now)
    while broadcasts.fill_some(made.id, now=entry.now):
        pass


ACTS: Mapping[str, Callable[[Entry], None]] = {
    "publish": _publish,
    "import": _import,
    "hire": _hire,
    "invite": _invite,
    "password": _password,
    "sign-in": _sign_in,
    "edit": _edit,
    "move": _move,
    "choose": _choose,
    "staff": _by_staff,
    "link": _by_link,
    "one-click": _by_one_click,
    "lost-link": _lost_link,
    "register": _register,
    "registrations": _registrations,
    "recognitions": _recognitions,
    "choose-at": _choose_at,
    "release": _release,
    "request": _request,
    "letter": _letter,
    "take": _take,
    "extend": _extend,
    "answer": _answer,
    "withdraw": _withdraw,
    "broadcast": _broadcast,
}


# Mail -----------------------------------------------------------------------------------------------------


def _queued() -> dict[object, Message]:
    query = select(Message).where(Message.state == MailState.QUEUED).order_by(Message.created_at, Message.id)
    return {message.id: message for message in db.session.scalars(query)}


def _store_as_delivered(messages: list[Message]) -> None:
    """Nothing leaves. The newest of each sort is put into the development mailbox, so that there is mail to read."""
    if not settings().mail_server:
        newest = {message.name: message for message in messages}
        with transport.mail.connect() as line:
            for message in newest.values():
                line.send(_written(message))
    for message in messages:
        message.state = MailState.SENT
        message.sent_at = message.created_at + timedelta(seconds=4)
        message.attempts = 1
        message.text = message.html = message.calendar = ""
    for each in db.session.scalars(select(Broadcast).order_by(Broadcast.id)):
        broadcasts.tend(now=each.created_at + timedelta(minutes=4))


def _written(message: Message) -> transport.Message:
    """As it leaves: one of a broadcast has no text of its own."""
    if message.broadcast_id is None:
        return transport.Message(message)
    member = db.session.get_one(Member, message.subject_id)
    names = member.first_name, member.last_name, member.email
    letter = letters.letter(db.session.get_one(Broadcast, message.broadcast_id))
    person = letters.Recipient(*names, reference=member.subject.unsubscribe_reference)
    return letter.message(person, title=message.title, message_id=message.message_id)
