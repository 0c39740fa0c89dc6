"""Verbs on the privacy notice: publish a version, tell everybody, find the one that applies to a person (P31).

A version that makes a right smaller applies to a person only after their yes. Until then the version before it goes
on applying, and so does nothing that was published since. A yes covers the earlier versions, from its own version's
day on. Their answers are rows of `choice`, given by `agreements`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Select, Table, exists, func, select
from sqlalchemy.orm import defer

from portal.clock import in_words, society_date
from portal.domain.at_once import Line, Part, ask, columns
from portal.domain.errors import ChangeRefused, NoticeRefused
from portal.extensions import db
from portal.mail import messages, outbox
from portal.models import ChoiceRow, Member, Message, Notice, Subject, Suppression, Trail
from portal.models.message import NOTICE_CHANGED, MailState
from portal.models.notice import NEW_PROCESSING, REDUCED_RIGHT, WORDING
from portal.purposes import notice_choice

LONGEST: Final = 500_000  # characters
NEWS_FOR: Final = timedelta(days=90)  # how long the overview begins with a change
TOLD_BY_MAIL: Final = (NEW_PROCESSING, REDUCED_RIGHT)


@dataclass(frozen=True)
class Version:
    """One version without its text."""

    version: int
    change: str
    published_at: datetime
    effective_on: date

    def is_news_to(self, came_at: datetime | None) -> bool:
        """Whether somebody was here before it; None: longer than the trail knows."""
        if came_at is None:
            return True
        return came_at < self.published_at or society_date(came_at) < self.effective_on


@dataclass(frozen=True)
class NoticeFor:
    """How the notice stands for somebody. `in_force`: for all who have agreed; `coming`: published, not in force yet.

    `asked`: the newest version that makes a right smaller, where its yes is this person's to give; `answer`: what
    they said, empty before. `without` applies if it is no, `offered` if it is yes, from its day on.
    """

    applies: Version | None
    in_force: Version | None
    coming: Version | None
    today: date
    asked: Version | None = None
    answer: str = ""
    without: Version | None = None
    offered: Version | None = None

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier version than the one in force applies, for want of a yes."""
        return self.applies != self.in_force

    @property
    def news(self) -> Version | None:
        """What an overview begins with: a version that is to come, or has come into force lately."""
        newest = self.coming or self.in_force
        lately = newest is not None and newest.version > 1 and newest.effective_on > self.today - NEWS_FOR
        return newest if lately else None


# Which version --------------------------------------------------------------------------------------------


_ROWS = cast(Table, Notice.__table__).c
VERSIONS = Part(
    "versions",
    select(*columns(number=_ROWS.version, code=_ROWS.change, at=_ROWS.published_at, day=_ROWS.effective_on)),
)


def published() -> list[Version]:
    """Every version without its text, the oldest first. One query."""
    return versions_in(*ask(VERSIONS))


def versions_in(lines: Iterable[Line]) -> list[Version]:
    """The same from the lines of VERSIONS."""
    return [Version(each.number, each.code, each.at, each.day) for each in sorted(lines, key=lambda each: each.number)]


def reached(now: datetime) -> list[Version]:
    """Those whose day has come, the oldest first. One query."""
    return _until(published(), society_date(now))


def version_for(subject_id: UUID, now: datetime) -> int | None:
    """The number of the version that applies to this person, which choices and requests carry; None before the first.

    One query, as long as no version makes a right smaller.
    """
    return versions_for([subject_id], reached(now))[subject_id]


def versions_for(subject_ids: Collection[UUID], versions: Sequence[Version]) -> dict[UUID, int | None]:
    """The same for many, of these versions; asks the database only if one of them makes a right smaller.

    Somebody without a record never had an earlier version: the newest applies.
    """
    newest = versions[-1].version if versions else None
    found: dict[UUID, int | None] = dict.fromkeys(subject_ids, newest)
    reduced = _reduced(versions)
    if reduced and subject_ids:
        agreed = _agreed(subject_ids, reduced)
        for person, came_at in _came(subject_ids).items():
            applies = _applying(versions, agreed.get(person, ()), came_at)
            found[person] = applies.version if applies else None
    return found


def for_anybody(now: datetime) -> NoticeFor:
    """How the notice stands for somebody who is not signed in."""
    return _for_newest(published(), society_date(now))


def for_member(member_id: UUID, now: datetime, *, versions: Sequence[Version] | None = None) -> NoticeFor:
    """How the notice stands for a member. One query, as long as no version makes a right smaller; then three.

    `versions`: all of them, where they are known already; that is one query less.
    """
    versions, today = published() if versions is None else versions, society_date(now)
    stands = _for_newest(versions, today)
    reduced = _reduced(versions)
    if not reduced:
        return stands
    came_at = _came([member_id]).get(member_id, now)
    answers = _answers([member_id], reduced).get(member_id, {})
    agreed = {version for version, answer in answers.items() if answer == "yes"}
    there = _until(versions, today)
    applies = _applying(there, agreed.intersection(each.version for each in there), came_at)
    asked = next((each for each in reversed(reduced) if each.is_news_to(came_at)), None)
    if asked is None:
        return stands
    then = _until(versions, max(today, asked.effective_on))
    return NoticeFor(
        applies,
        stands.in_force,
        stands.coming,
        today,
        asked,
        answers.get(asked.version, ""),
        _applying(then, agreed - {asked.version}, came_at),
        _applying(then, agreed | {asked.version}, came_at),
    )


def in_full(version: int) -> Notice | None:
    """One version with its text; None if there is none of this number."""
    return db.session.get(Notice, version)


def _for_newest(versions: Sequence[Version], today: date) -> NoticeFor:
    there = _until(versions, today)
    newest = there[-1] if there else None
    return NoticeFor(newest, newest, versions[-1] if len(versions) > len(there) else None, today)


def _until(versions: Iterable[Version], day: date) -> list[Version]:
    return [each for each in versions if each.effective_on <= day]


def _reduced(versions: Sequence[Version]) -> list[Version]:
    """Those that make a right smaller; the first version has none before it."""
    return [each for each in versions[1:] if each.change == REDUCED_RIGHT]


def _applying(versions: Iterable[Version], agreed: Collection[int], came_at: datetime | None) -> Version | None:
    """The newest version before the first that this person would have to agree to; a yes covers the earlier ones."""
    covered = max(agreed, default=0)
    applies = None
    for each in versions:
        if applies and each.change == REDUCED_RIGHT and each.version > covered and each.is_news_to(came_at):
            break
        applies = each
    return applies


def _agreed(subject_ids: Collection[UUID], reduced: Sequence[Version]) -> dict[UUID, set[int]]:
    return {
        person: {version for version, answer in answers.items() if answer == "yes"}
        for person, answers in _answers(subject_ids, reduced).items()
    }


def _answers(subject_ids: Collection[UUID], reduced: Sequence[Version]) -> dict[UUID, dict[int, str]]:
    """What each of these people has answered last, by version. One query."""
    versions = {notice_choice(each.version).code: each.version for each in reduced}
    query = select(ChoiceRow.subject_id, ChoiceRow.code, ChoiceRow.value).where(
        ChoiceRow.subject_id.in_(subject_ids), ChoiceRow.code.in_(versions), ChoiceRow.event_id.is_(None)
    )
    found: dict[UUID, dict[int, str]] = {}
    for person, code, value in db.session.execute(query.order_by(ChoiceRow.id)):
        found.setdefault(person, {})[versions[code]] = value
    return found


def _came(subject_ids: Collection[UUID]) -> Mapping[UUID, datetime | None]:
    """When the record of each of these members was made; None: before the trail. One query."""
    made = (
        select(func.min(Trail.at))
        .where(Trail.subject_id == Member.id, Trail.act == "created")
        .correlate(Member)
        .scalar_subquery()
        .label("made_at")
    )
    rows = db.session.execute(select(Member.id, made).where(Member.id.in_(subject_ids)))
    return {row.id: row.made_at for row in rows}


# Publishing -----------------------------------------------------------------------------------------------


def publish(text: str, *, change: str, effective_on: date | None = None, now: datetime) -> Notice:
    """Make the next version; it is in force from its effective date at the society's seat, today if none is given.

    Everybody is told of it by email (`tell_some`), unless only the wording changed or it is the first.
    Raises NoticeRefused for a text that says nothing or nothing new, ChangeRefused for a kind or a date that it
    cannot have.
    """
    today = society_date(now)
    effective_on = effective_on or today
    newest = db.session.scalars(select(Notice).order_by(Notice.version.desc()).limit(1)).first()
    _refuse_text(text, newest)
    if effective_on < today:
        raise ChangeRefused(f"{in_words(effective_on)} is past: a notice cannot apply before it is published.")
    if newest is None and change == REDUCED_RIGHT:
        raise ChangeRefused("The first version can take no right away: there is none before it.")
    if newest is not None and effective_on < newest.effective_on:
        raise ChangeRefused(
            f"Version {newest.version} applies from {in_words(newest.effective_on)}: the next one cannot come before."
        )
    notice = Notice(
        version=newest.version + 1 if newest else 1,
        text=text,
        change=change,
        published_at=now,
        effective_on=effective_on,
        told_at=now if newest is None or change == WORDING else None,
    )
    db.session.add(notice)
    db.session.flush()
    return notice


def _refuse_text(text: str, newest: Notice | None) -> None:
    if not text.strip():
        raise NoticeRefused("The file is empty.")
    if "\0" in text:
        raise NoticeRefused("The file is no text: it has a zero byte in it.")
    if len(text) > LONGEST:
        raise NoticeRefused(f"The file is too long: {LONGEST:,} characters fit.")
    if newest is not None and text.split() == newest.text.split():
        raise NoticeRefused(f"Version {newest.version} says the same, word for word.")


# Telling --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What one part of the telling did: how many were told, where the next part begins, and whether one follows."""

    number: int = 0
    last: UUID | None = None
    goes_on: bool = False


def is_to_be_told() -> bool:
    """Whether there is a version of which somebody may have to be told."""
    return db.session.scalars(_untold().with_only_columns(Notice.version)).first() is not None


def tell_some(*, most: int, after: UUID | None = None, now: datetime) -> Told:
    """Tell so many people of the oldest version that not everybody was told of, from one person on.

    Told are all of whom a record stands, whatever they have chosen: it is no broadcast but a word about their rights.
    Only an address that sent mail back is spared. The message is the proof: whoever has it is not told again, so a
    telling that was cut off is begun anew. A version is done when nobody is found from the first person on.
    """
    notice = db.session.scalars(_untold().options(defer(Notice.text)).with_for_update()).first()
    if notice is None:
        return Told()
    told = exists().where(Message.subject_id == Member.id, Message.in_reply_to == outbox.message_id(notice.thread))
    bounces = exists().where(Suppression.keyed_hash == Member.address_hash, Suppression.reason == "bounced")
    query = select(Member).join(Subject, Subject.id == Member.id).where(Subject.erased_at.is_(None), ~told, ~bounces)
    if after is not None:
        query = query.where(Member.id > after)
    people = db.session.scalars(query.order_by(Member.id).limit(most)).all()
    then = [each for each in published() if each.version <= notice.version]
    versions = versions_for([member.id for member in people], then)
    for member in people:
        applies = versions[member.id]
        earlier = applies if notice.change != REDUCED_RIGHT and applies != notice.version else None
        messages.notice_changed(member, notice, earlier=earlier, now=now)
    if not people and after is None:
        notice.told_at = now
    db.session.flush()
    return Told(len(people), people[-1].id if people else None, goes_on=True)


def on_their_way(*, most: int, now: datetime) -> int:
    """How many of these messages wait to be carried away now, counted up to `most`."""
    waiting = select(Message.id).where(
        Message.state.in_((MailState.QUEUED, MailState.CLAIMED)),
        Message.name == NOTICE_CHANGED,
        Message.due_at <= now,
    )
    return db.session.execute(select(func.count()).select_from(waiting.limit(most).subquery())).scalar_one()


def _untold() -> Select[Notice]:
    query = select(Notice).where(Notice.told_at.is_(None), Notice.change.in_(TOLD_BY_MAIL))
    return query.order_by(Notice.version).limit(1)
