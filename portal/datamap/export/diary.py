"""events.ics: the events that the person registered for, for a calendar (iCalendar, RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterator

from portal.datamap.export.copy import Copy
from portal.lines import AllDay, calendar


def written(copy: Copy) -> Iterator[str]:
    """The calendar, line by line."""
    return calendar(_entries(copy), society=copy.society, now=copy.snapshot.now)


def _entries(copy: Copy) -> Iterator[AllDay]:
    for each in copy.snapshot.rows.get("registration", ()):
        event = copy.snapshot.facts.things["event", each["event_id"]]
        yield AllDay(
            uid=f"{copy.snapshot.who.id}-{each['event_id']}",
            title=event["name"],
            first_on=event["starts_on"],
            last_on=event["ends_on"],
            place=event["place"],
            words=f"Your part: {each['role']}" if each["role"] else "",
        )
