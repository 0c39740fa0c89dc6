"""Test bed: the same four people everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from argon2 import PasswordHasher

from portal import journal
from portal.extensions import db
from portal.journal import Erasure, Step
from portal.models import Account, Member, Subject
from portal.models.member import new_subject
from portal.tokens import canonical_address, suppression_hash

NOW = datetime(2026, 12, 4, 15, 0, tzinfo=UTC)  # where the `clock` fixture stops time
JOINED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

ALICE_PASSWORD = "copper-lantern-violin-41"
BOB_PASSWORD = "maple-harbour-window-72"
DANA_PASSWORD = "quartz-meadow-ticket-93"

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_HASHES = {password: _hasher.hash(password) for password in (ALICE_PASSWORD, BOB_PASSWORD, DANA_PASSWORD)}

ALICE = {
    "member_number": "M-1001",
    "kind": "member",
    "membership_status": "Active since spring",
    "joined_on": date(2011, 3, 14),
    "expires_on": date(2027, 3, 31),
    "honorific": "Dr.",
    "first_name": "Alice",
    "last_name": "Okonkwo-Lindqvist",
    "birth_date": date(1964, 5, 17),
    "email": "Alice.Okonkwo@mail.example.org",
    "address_kind": "home",
    "country": "SE",
    "address_line1": "Björkgatan 14",
    "address_line2": "Staircase B",
    "postal_code": "753 28",
    "city": "Uppsala",
    "region": "Uppland",
    "phone": "+46184960001",
    "mobile": "+46701740602",
    "organization": "Fyris Ceramics",
    "job_title": "Principal Packaging Engineer",
    "business_type": "Ceramic substrates",
    "education": "Chalmers, materials science, 1988",
    "work_experience": "Thirty years of co-fired ceramics",
    "certifications": "IPC-A-610 specialist",
    "interests": "Ceramics\nThermal management",
    "demographics": "Woman in engineering",
}
BOB = {
    "member_number": "M-2002",
    "kind": "registered",
    "membership_status": "Lapsed in autumn",
    "joined_on": date(2019, 9, 2),
    "expires_on": date(2026, 9, 30),
    "honorific": "Prof.",
    "first_name": "Bob",
    "last_name": "Tanaka",
    "birth_date": date(1979, 12, 30),
    "email": "bob@tanaka.example.org",
    "address_kind": "work",
    "country": "US",
    "address_line1": "2200 Saguaro Way",
    "address_line2": "Suite 310",
    "postal_code": "85004",
    "city": "Phoenix",
    "region": "AZ",
    "phone": "+16025550143",
    "mobile": "+16025550178",
    "organization": "Desert Wirebond",
    "job_title": "Process Manager",
    "business_type": "Assembly services",
    "education": "Arizona State, electrical engineering",
    "work_experience": "Wire bonding lines in Phoenix and Sendai",
    "certifications": "Six Sigma black belt",
    "interests": "Wire bonding\nReliability",
    "demographics": "Veteran",
}
DANA_EMAIL = "dana@desk.example.org"


@dataclass(frozen=True)
class People:
    """Members Alice and Bob, whose every field is filled; Charlie, who was erased; Dana of the desk."""

    alice: Member
    bob: Member
    charlie: Subject
    dana: Account


def settle() -> People:
    """Add the four to the open transaction."""
    charlie = new_subject()
    charlie.erased_at = NOW.replace(month=6)
    dana = Account(
        email=DANA_EMAIL, email_key=DANA_EMAIL, password_hash=_HASHES[DANA_PASSWORD], password_at=JOINED, staff=True
    )
    people = People(alice=member(**ALICE), bob=member(**BOB), charlie=charlie, dana=dana)
    for each, password in ((people.alice, ALICE_PASSWORD), (people.bob, BOB_PASSWORD)):
        each.account = Account(password_hash=_HASHES[password], password_at=JOINED)
    db.session.add_all([people.alice, people.bob, charlie, dana])
    db.session.flush()
    journal.note_erasure(Erasure("c" * 32, charlie.erased_at, Step.DONE, charlie.id, ()))
    return people


def member(**fields: object) -> Member:
    """A member with these fields and what follows from them; an address is all that is needed."""
    email = str(fields["email"])
    key = canonical_address(email)
    return Member(subject=new_subject(), email_key=key, address_hash=suppression_hash(key), **fields)
