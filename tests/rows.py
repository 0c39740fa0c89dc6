"""Test bed: a row in every table, about Alice (and some about Bob), so that nothing is missed for want of rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select

from portal.extensions import Base, db
from portal.models import (
    ChoiceRow,
    DataSubjectRequest,
    EmailChange,
    Event,
    FailedSignIn,
    JournalMark,
    LimitCounter,
    LinkRequest,
    Message,
    Notice,
    PasswordLink,
    Registration,
    RequestStep,
    SignIn,
    Suppression,
    Trail,
)
from portal.tokens import digest, new_reference, suppression_hash
from tests.people import NOW, People

DAY = timedelta(days=1)


def fill(people: People) -> None:
    """Add rows to the open transaction until every table has one; says so if a table was forgotten."""
    alice, bob, account = people.alice, people.bob, people.alice.account
    assert account is not None
    notice = Notice(
        version=1, text="# Notice", change="wording", published_at=NOW - 90 * DAY, effective_on=date(2026, 9, 5)
    )
    symposium = Event(
        code="SYM-26", name="Symposium 2026", starts_on=date(2026, 10, 5), ends_on=date(2026, 10, 8), place="Boston"
    )
    request = DataSubjectRequest(
        reference=new_reference(),
        operation_id="operation-of-alice",
        subject_id=alice.id,
        kind="access",
        details="Please include the events.",
        door="page",
        received_at=NOW,
        received_on=date(2026, 12, 4),
        promise_on=date(2026, 12, 18),
        legal_1_on=date(2027, 1, 4),
        legal_1_rolled_on=date(2027, 1, 4),
        legal_3_on=date(2027, 3, 4),
        us_1_on=date(2027, 1, 18),
        us_2_on=date(2027, 3, 4),
        notice_version=1,
    )
    db.session.add_all([notice, symposium])
    db.session.flush()
    kept = SignIn(
        account_id=account.id,
        kind="kept",
        token_hash=digest("kept"),
        browser="Firefox on Linux",
        network="192.0.2.0",
        created_at=NOW,
        seen_at=NOW,
        ends_at=NOW + 30 * DAY,
    )
    db.session.add_all([request, kept])
    db.session.flush()
    session = SignIn(
        account_id=account.id,
        kept_by_id=kept.id,
        kind="session",
        token_hash=digest("session"),
        browser="Firefox on Linux",
        network="192.0.2.0",
        created_at=NOW,
        seen_at=NOW,
        password_at=NOW,
        ends_at=NOW + DAY,
    )
    message = Message(
        message_id="<1@localhost>",
        in_reply_to="<0@localhost>",
        subject_id=alice.id,
        kind="receipt",
        name="receipt",
        topic="events",
        to_address=alice.email,
        title="We have your request",
        text="Dear Alice",
        html="<p>Dear Alice",
        unsubscribe_url="http://localhost/unsubscribe/x",
        created_at=NOW,
        due_at=NOW,
    )
    change = EmailChange(
        member_id=alice.id,
        old_email=alice.email,
        new_email="alice@new.example.org",
        door="page",
        confirm_hash=digest("confirm"),
        cancel_hash=digest("cancel"),
        created_at=NOW,
        confirm_until=NOW + DAY,
        cancel_until=NOW + 7 * DAY,
    )
    link = PasswordLink(
        account_id=account.id, purpose="reset", token_hash=digest("link"), created_at=NOW, ends_at=NOW + DAY
    )
    db.session.add_all(
        [
            session,
            message,
            change,
            link,
            Registration(event_id=symposium.id, member_id=alice.id, role="Speaker"),
            Registration(event_id=symposium.id, member_id=bob.id, role="Chair"),
            RequestStep(request_id=request.id, step="received", by="member", at=NOW),
            choice(people, "suppress_broadcast_emails", "no"),
            choice(people, "suppress_broadcast_emails", "yes"),
            FailedSignIn(address_hash=suppression_hash(alice.email_key), network="192.0.2.0", at=NOW),
            LinkRequest(address=alice.email, wanted="password", at=NOW),
            JournalMark(file="opt-outs-web-1.jsonl", position=4096),
            LimitCounter(name="sign-in/0123abcd", count=3, ends_at=NOW + DAY),
            Suppression(keyed_hash=suppression_hash("gone@example.org"), reason="erased", at=NOW),
            Trail(subject_id=alice.id, act="changed", field="city", door="page", at=NOW),
        ]
    )
    db.session.flush()
    empty = [name for name, table in Base.metadata.tables.items() if db.session.execute(select(table)).first() is None]
    assert not empty, f"add a row of {', '.join(empty)} in tests/rows.py"


def choice(people: People, code: str, value: str, *, at: datetime = datetime(2026, 12, 4, tzinfo=UTC)) -> ChoiceRow:
    """One answer of Alice."""
    return ChoiceRow(
        subject_id=people.alice.id,
        code=code,
        value=value,
        at=at,
        door="page",
        wording="Suppress Broadcast Emails",
        notice_version=1,
    )
