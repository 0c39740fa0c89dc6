"""contact.vcf: the member's own card, for an address book (vCard 4.0, RFC 6350)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date

from portal.datamap.export.copy import Copy
from portal.datamap.held import Item
from portal.lines import line, text

_E164 = re.compile(r"\+\d{2,15}(;ext=\d{1,11})?", re.ASCII)


def written(copy: Copy) -> Iterator[str]:
    """The card, line by line; without a member's record no more than the number of the record."""
    rows = copy.snapshot.rows.get("member") or [{}]
    member = {name: value for name, value in rows[0].items() if value}
    name = " ".join(part for part in (member.get("first_name", ""), member.get("last_name", "")) if part)
    yield line("BEGIN", "VCARD")
    yield line("VERSION", "4.0")
    yield line("KIND", "individual")
    yield line("UID", f"urn:uuid:{copy.snapshot.who.id}")
    yield line("REV", f"{copy.snapshot.now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    yield line("FN", text(name or member.get("email", "") or str(copy.snapshot.who.id)))
    if name:
        yield line("N", _parts(member, "last_name", "first_name", "", "honorific", ""))
    country = next((copy.shown(item, {}) for item in _country(copy)), "")
    yield from _reached(member, country=country)
    if "organization" in member:
        yield line("ORG", text(member["organization"]))
    if "job_title" in member:
        yield line("TITLE", text(member["job_title"]))
    if isinstance(born := member.get("birth_date"), date):
        yield line("BDAY", f"{born:%Y%m%d}" if born.year >= 1000 else f"{born.year:04}{born:%m%d}")
    yield line("END", "VCARD")


def _reached(member: Mapping[str, str], *, country: str) -> Iterator[str]:
    kind = f";TYPE={member['address_kind']}" if "address_kind" in member else ""
    if "email" in member:
        yield line("EMAIL", text(member["email"]))
    for field, what in (("phone", "voice"), ("mobile", "cell")):
        if field in member and _E164.fullmatch(member[field]):
            yield line(f"TEL;VALUE=uri;TYPE={what}", f"tel:{member[field]}")
        elif field in member:
            yield line(f"TEL;TYPE={what}", text(member[field]))
    address = ("", "address_line2", "address_line1", "city", "region", "postal_code")
    if any(part in member for part in (*address, "country")):
        yield line(f"ADR{kind}", f"{_parts(member, *address)};{text(country)}")


def _parts(member: Mapping[str, str], *names: str) -> str:
    return ";".join(text(member.get(name, "")) for name in names)


def _country(copy: Copy) -> Iterator[Item]:
    return (item for row in copy.rows["member"] for item in row if item.name == "member.country")
