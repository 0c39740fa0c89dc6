"""Whose rows: the condition that finds one person's rows in any table, as the table's `owned(...)` declares it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, MetaData, Table, and_, false, or_, select, true, union

from portal.datamap.inventory import Fate, fate, owner
from portal.extensions import db
from portal.models import Account, EmailChange, FormerAddress, Member
from portal.tokens import suppression_hashes
from portal.vocabulary import Owned, Owner


@dataclass(frozen=True)
class Time:
    """An address as rows name it, by itself and by its keyed hashes, and the time in which it was a person's."""

    names: tuple[str, ...]
    since: datetime | None  # None: as long as is known
    until: datetime | None  # None: it still is


@dataclass(frozen=True)
class Person:
    """A person as rows name them: the random number, the addresses known to be theirs, and keyed hashes of those.

    `times`: which rows that name an address are theirs; None: all that name one of the addresses or hashes.
    """

    id: UUID
    addresses: tuple[str, ...]
    hashes: tuple[str, ...]
    times: tuple[Time, ...] | None = None


def person(subject_id: UUID) -> Person:
    """Who the number is, with every address that is known to have been theirs: compared forms, the newest first.

    An address that was only typed, and never confirmed from its mailbox, is not theirs. Of those longest given up
    only a hash is known. Some may be somebody else's by now: this is for an erasure, not for the person's eyes.
    """
    return _person(subject_id)[0]


def _person(subject_id: UUID) -> tuple[Person, frozenset[str]]:
    """The same, and which of the addresses is the present one."""
    now = db.session.scalars(select(Member.email_key).where(Member.id == subject_id)).all()
    changes = db.session.scalars(select(EmailChange).where(EmailChange.member_id == subject_id)).all()
    before = [
        address
        for change in sorted(changes, key=lambda each: each.id, reverse=True)  # few; asked by the person's index
        for address in ((change.new_key,) if change.confirmed_at else ()) + (change.old_key,)
    ]
    former = select(FormerAddress.keyed_hash).where(FormerAddress.subject_id == subject_id)
    addresses = tuple(dict.fromkeys([*now, *before]))
    hashes = [hashed for each in addresses for hashed in suppression_hashes(each)]
    hashes += db.session.scalars(former.order_by(FormerAddress.id.desc()))
    return Person(subject_id, addresses, tuple(dict.fromkeys(hashes))), frozenset(now)


def reader(subject_id: UUID) -> Person:
    """The same for what the person may see. An address changes hands, and what it names is for whoever had it then.

    The present address counts since nobody else has it, a former one while it was theirs, and not at all when it is
    somebody else's now.
    """
    who, present = _person(subject_id)
    named = [(each, *suppression_hashes(each)) for each in who.addresses]
    known = {name for names in named for name in names}
    named += [(each,) for each in who.hashes if each not in known]
    taken = others_now(who)
    given_up: dict[str, list[tuple[bool, datetime]]] = defaultdict(list)
    query = select(FormerAddress).where(FormerAddress.keyed_hash.in_(who.hashes))
    for each in db.session.scalars(query.order_by(FormerAddress.at, FormerAddress.id)):
        given_up[each.keyed_hash].append((each.subject_id == subject_id, each.at))
    times = []
    for names in named:
        ends = [end for name in names for end in given_up[name]]
        until = max((at for own, at in ends if own), default=None)
        if names[0] in present:
            until = None
        elif until is None or not taken.isdisjoint(names):
            continue
        since = max((at for own, at in ends if not own and (until is None or at < until)), default=None)
        times.append(Time(names, since, until))
    return replace(who, times=tuple(times))


def others_now(who: Person) -> set[str]:
    """Those of the person's addresses, and of their hashes, that are another member's now, or somebody's at the desk.

    Never the person's own present one.
    """
    members = select(Member.email_key).where(Member.email_key.in_(who.addresses), Member.id != who.id)
    hashed = select(Member.email_key).where(Member.address_hash.in_(who.hashes), Member.id != who.id)
    desk = select(Account.email_key).where(Account.email_key > "")  # no members: a few
    keys = db.session.scalars(union(members, hashed, desk)).all()
    names = {name for key in keys for name in (key, *suppression_hashes(key))}
    return names.intersection((*who.addresses, *who.hashes))


def owned_tables(metadata: MetaData) -> Iterator[tuple[Table, Owned]]:
    """Every table with a person's rows, the ones that others refer to first."""
    for table in metadata.sorted_tables:
        declared = owner(table)
        if declared is not None and declared.how is not Owner.NOBODY:
            yield table, declared


def belongs(table: Table, who: Person) -> ColumnElement[bool]:
    """SQL: the rows of this table that are about this person."""
    declared = owner(table)
    assert declared is not None, table.name
    column = table.columns[declared.column]
    if declared.how is Owner.SUBJECT:
        return column == who.id
    if declared.how is Owner.ADDRESS and who.times is not None:
        return or_(false(), *(_in_time(table, declared, each) for each in who.times))
    if declared.how is Owner.ADDRESS:
        return column.in_([*who.addresses, *who.hashes])
    (key,) = column.foreign_keys
    parent = key.column.table
    return column.in_(select(key.column).where(belongs(parent, who)))


def may_be_told(table: Table, today: date | ColumnElement[date]) -> ColumnElement[bool]:
    """SQL: the rows of this table of which their person may hear by now, as the table's `told` says."""
    declared = owner(table)
    if declared is None or not declared.told:
        return true()
    column = table.columns[declared.told]
    return or_(column.is_(None), column <= today)


def _in_time(table: Table, declared: Owned, time: Time) -> ColumnElement[bool]:
    """SQL: the rows about this address in its time. What stays after an erasure, a silence, is about any holder."""
    at, named = table.columns[declared.at], table.columns[declared.column].in_(time.names)
    if fate(table) is not Fate.GOES:
        return named
    return and_(named, *([at >= time.since] if time.since else []), *([at < time.until] if time.until else []))
