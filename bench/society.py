"""Bench: a society of any size, multiplied out of one member by the database itself, on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Table, insert, text

from bench import bed
from portal import clock
from portal.extensions import Base, db
from portal.models import Account, ChoiceRow, Disclosure, Event, Member, Registration, SignIn, Subject, Trail
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import digest

TABLES = Base.metadata.tables
YEARS = 10
TOKEN, DESK_TOKEN = "token-of-the-one", "token-of-the-desk"
STANDING = (SUPPRESS, "no"), ("attendee_list", "attendees"), ("sponsor_sharing", "yes")
RECIPIENTS = ("Other attendees", "The sponsors")
BIG_SHARE = 10  # one contact in so many is registered for the great event


@dataclass(frozen=True)
class Size:
    """How much there is of everything; choices and disclosures together are five a contact."""

    contacts: int
    events: int

    @property
    def great(self) -> int:
        """People at the great event, which comes after all others."""
        return self.contacts // BIG_SHARE


# What each database calls the same things. The days go back over ten years, so that retention has something to do.
WORDS = {
    "sqlite": {
        "numbers": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :most)"
        " SELECT n, lower(hex(randomblob(16))) AS id, randomblob(16) AS reference FROM numbers",
        "earlier": "strftime('%Y-%m-%d %H:%M:%S.000000', one.at, '-' || (n % 3650) || ' days')",
    },
    "postgresql": {
        "numbers": "SELECT n, gen_random_uuid() AS id, uuid_send(gen_random_uuid()) AS reference"
        " FROM generate_series(1, :most) AS n",
        "earlier": "one.at - (n % 3650) * interval '1 day'",
    },
}


def settle(size: Size) -> None:
    """Make them all, inside a transaction: one member with a sign-in, and copies of her with names of their own."""
    words = WORDS[db.engine.dialect.name]
    _one(size)
    db.session.execute(
        text(f"CREATE TEMPORARY TABLE other AS {words['numbers']}"),
        {"most": size.contacts},  # one statement, no loop
    )
    address = "'other' || n || '@mail' || (n % 1000) || '.example.org'"
    copy = _Copier("", words["earlier"])
    copy(TABLES["subject"], {"id": "other.id", "unsubscribe_reference": "reference"})
    key = "CAST(other.id AS VARCHAR(36))"
    own = {"member_number": "'O-' || n", "email": address, "email_key": address, "address_hash": f"'s1:' || {key}"}
    copy(TABLES["member"], own | {"id": "other.id"})
    for number in range(len(STANDING)):
        _Copier(f"OFFSET {number}", words["earlier"])(TABLES["choice"], _OWN | {"journal_id": "NULL"})
    for number in range(len(RECIPIENTS)):
        event = {"event_id": f"1 + n % {size.events}"}
        _Copier(f"OFFSET {number}", words["earlier"])(TABLES["disclosure"], _OWN | event)
    carried = f"CASE WHEN n % 3650 > 30 THEN {words['earlier']} END"  # the last month waits for the membership system
    copy(TABLES["trail"], _OWN | {"carried_at": carried})
    at = {"member_id": "other.id", "event_id": f"1 + n % {size.events}"}
    copy(TABLES["registration"], at)
    copy(TABLES["registration"], at | {"event_id": str(size.events + 1)}, f"n <= {size.great}")
    db.session.execute(text("DROP TABLE other"))


_OWN = {"subject_id": "other.id"}


@dataclass(frozen=True)
class _Copier:
    """Copies one row of hers for everybody, the key left to the database."""

    which: str
    earlier: str

    def __call__(self, table: Table, own: dict[str, str], where: str = "true") -> None:
        given = own | ({"at": self.earlier} if "at" in table.columns else {})
        columns = [column.name for column in table.columns if column.name != "id" or "id" in own]
        values = [given.get(name, f'one."{name}"') for name in columns]
        order = ", ".join(column.name for column in table.primary_key)
        names = ", ".join(f'"{name}"' for name in columns)
        one = f"(SELECT * FROM {table.name} ORDER BY {order} LIMIT 1 {self.which}) AS one"
        others = f"(SELECT * FROM other WHERE {where} ORDER BY id) AS other"  # so that every index grows at its end
        db.session.execute(text(f"INSERT INTO {table.name} ({names}) SELECT {', '.join(values)} FROM {others}, {one}"))


def _one(size: Size) -> None:
    """The events, the one member with all her rows, and a colleague of the desk, both signed in."""
    now = clock.now()
    days = [now.date() - timedelta(days=YEARS * 365 * number // size.events) for number in range(size.events)]
    names = [(f"E-{number}", f"Workshop {number}", day) for number, day in enumerate(days)]
    names.append(("GREAT", "Symposium", now.date()))
    rows: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("subject", "member", "account", "sign_in", "choice", "registration", "trail")
    }
    bed._add_member(rows, 0, True)
    ident = rows["subject"][0]["id"]
    sign_in = rows["sign_in"][0] | {"token_hash": digest(TOKEN)}
    desk = Account(email="desk@example.org", email_key="desk@example.org", staff=True)
    db.session.execute(
        insert(Event), [{"code": code, "name": name, "starts_on": day, "ends_on": day} for code, name, day in names]
    )
    choice = {"subject_id": ident, "at": now, "door": "import"}
    sent = {"subject_id": ident, "at": now, "reason": "Badges", "fields": "first_name last_name", "event_id": 1}
    db.session.execute(insert(Subject), rows["subject"])
    db.session.execute(insert(Member), rows["member"])
    db.session.execute(insert(Account), rows["account"])
    db.session.add(desk)
    db.session.flush()
    for model, made in (
        (SignIn, [sign_in, sign_in | {"id": desk.id, "account_id": desk.id, "token_hash": digest(DESK_TOKEN)}]),
        (
            ChoiceRow,
            [choice | {"code": code, "value": value, "wording": CHOICES[code].question} for code, value in STANDING],
        ),
        (Disclosure, [sent | {"recipient": each, "audience": "attendees"} for each in RECIPIENTS]),
        (Trail, rows["trail"][:1]),
        (Registration, [{"event_id": 1, "member_id": ident, "role": "Speaker"}]),
    ):
        db.session.execute(insert(model), made)
