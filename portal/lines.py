"""Leaf: content lines, as vCard (RFC 6350 §3.2) and iCalendar (RFC 5545 §3.1) share them: escaped, folded, with CRLF.

Whole calendars are written here, too: one for the download, one for the mails to staff.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from portal.clock import days_after

FOLDED_AT = 75  # octets, without the line's end
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# A calendar has one component at least (RFC 5545 §3.6): where there is no event, the zone in which there is none.
_NO_EVENT = (
    ("BEGIN", "VTIMEZONE"),
    ("TZID", "UTC"),
    ("BEGIN", "STANDARD"),
    ("DTSTART", "19700101T000000"),
    ("TZOFFSETFROM", "+0000"),
    ("TZOFFSETTO", "+0000"),
    ("END", "STANDARD"),
    ("END", "VTIMEZONE"),
)


@dataclass(frozen=True)
class AllDay:
    """One entry of a calendar: whole days, so no time zone has a say. `uid` is the same whenever it is written."""

    uid: str
    title: str
    first_on: date
    last_on: date
    place: str = ""
    words: str = ""


def text(value: str) -> str:
    """A text value: backslash, comma, semicolon and line break escaped; controls, which no TEXT may hold, are gone."""
    value = _CONTROLS.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    for letter in "\\,;":
        value = value.replace(letter, f"\\{letter}")
    return value.replace("\n", "\\n")


def line(name: str, value: str) -> str:
    """One content line. `value`: escaped already; folded between two letters, never inside one."""
    folded = ""
    room = FOLDED_AT
    for letter in f"{name}:{value}":
        size = len(letter.encode())
        if size > room:
            folded += "\r\n "
            room = FOLDED_AT - 1
        folded += letter
        room -= size
    return f"{folded}\r\n"


def calendar(entries: Iterable[AllDay], *, society: str, now: datetime) -> Iterator[str]:
    """A calendar, line by line. It has no METHOD: nobody is invited, and nothing is answered (RFC 5546 §1.4)."""
    yield line("BEGIN", "VCALENDAR")
    yield line("VERSION", "2.0")
    yield line("PRODID", f"-//{text(society)}//privacy portal//EN")
    empty = True
    for entry in entries:
        empty = False
        yield line("BEGIN", "VEVENT")
        yield line("UID", entry.uid)
        yield line("DTSTAMP", f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
        yield line("DTSTART;VALUE=DATE", _day(entry.first_on))
        after = days_after(entry.last_on, 1)  # the day after the last
        if after > entry.first_on:  # without an end it is one day long (§3.6.1), as on the last of the calendar
            yield line("DTEND;VALUE=DATE", _day(after))
        yield line("SUMMARY", text(entry.title))
        if entry.place:
            yield line("LOCATION", text(entry.place))
        if entry.words:
            yield line("DESCRIPTION", text(entry.words))
        yield line("TRANSP", "TRANSPARENT")
        yield line("END", "VEVENT")
    for name, value in _NO_EVENT if empty else ():
        yield line(name, value)
    yield line("END", "VCALENDAR")


def _day(day: date) -> str:
    return day.isoformat().replace("-", "")
