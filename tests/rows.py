"""Test bed: a row in every table, about Alice (and some about Bob), so that nothing is missed for want of rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from portal.extensions import Base, db
from portal.models import (
    Ask,
    Bounce,
    Broadcast,
    ChoiceRow,
    Conflict,
    DataSubjectRequest,
    Disclosure,
    EmailChange,
    ErasureLine,
    Event,
    FailedSignIn,
    FormerAddress,
    FormerValue,
    JournalMark,
    LimitCounter,
    LinkRequest,
    ListRelease,
    ListStep,
    Message,
    Notice,
    PasswordLink,
    Recognition,
    RecoveryCode,
    Registration,
    RequestStep,
    RequestTask,
    SignIn,
    Suppression,
    Suspension,
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
        legal_on=date(2027, 1, 4),
        legal_1_rolled_on=date(2027, 1, 4),
        legal_3_on=date(2027, 3, 4),
        us_1_on=date(2027, 1, 18),
        us_2_on=date(2027, 3, 4),
        notice_version=1,
    )
    broadcast = Broadcast(
        topic="events", title="Symposium", text="Dear {first_name}", state="running", created_at=NOW, dated_at=NOW
    )
    db.session.add_all([notice, symposium, broadcast])
    db.session.flush()
    listed = ListRelease(
        audience="exhibitors", event_id=symposium.id, recipient="Exhibitors of the symposium", filed_at=NOW
    )
    db.session.add(listed)
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
        broadcast_id=broadcast.id,
        topic="events",
        to_address=alice.email,
        title="We have your request",
        text="Dear Alice",
        html="<p>Dear Alice",
        calendar="A calendar for Alice",
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
            Bounce(message=message, status="5.2.2", final=False, at=NOW),
            Registration(event_id=symposium.id, member_id=alice.id, role="Speaker"),
            Registration(event_id=symposium.id, member_id=bob.id, role="Chair"),
            RequestStep(request_id=request.id, step="received", by="member", at=NOW),
            Ask(
                address=alice.email_key,
                kind="access",
                details="By hand",
                token_hash=digest("ask"),
                at=NOW,
                ends_at=NOW + DAY,
            ),
            RecoveryCode(account_id=account.id, code_hash=digest("code")),
            Suspension(subject_id=alice.id, reason="abuse", at=NOW, review_on=date(2027, 12, 4), ended_at=NOW),
            RequestTask(request_id=request.id, holding="hotels"),
            ErasureLine(request_id=request.id, what="Events", action="deleted", rows=2),
            Disclosure(
                subject_id=alice.id,
                recipient="Exhibitors of the symposium",
                reason="Exhibition",
                fields="first_name last_name",
                event_id=symposium.id,
                list_number="L-204",
                line=17,
                audience="exhibitors",
                at=NOW,
            ),
            ListStep(list_id=listed.id, account_id=account.id, step="filed", at=NOW),
            Conflict(member_id=alice.id, field="city", brought="Lund", at=NOW, seen_at=NOW),
            choice(people, "suppress_broadcast_emails", "no"),
            choice(people, "suppress_broadcast_emails", "yes"),
            FailedSignIn(address_hash=suppression_hash(alice.email_key), network="192.0.2.0", at=NOW),
            LinkRequest(address=alice.email_key, wanted="password", at=NOW),
            recognition(people.alice.id, "R-1", "Alice Okonkwo-Lindqvist"),
            recognition(None, "R-2", "Somebody Else"),
            JournalMark(file="opt-outs-web-1.jsonl", position=4096),
            LimitCounter(name="sign-in/0123abcd", count=3, ends_at=NOW + DAY),
            FormerAddress(subject_id=alice.id, keyed_hash=suppression_hash("alice@before.example.org"), at=NOW - DAY),
            FormerValue(member_id=alice.id, field="city", value="Lund", version=alice.version, at=NOW),
            Suppression(keyed_hash=suppression_hash("gone@example.org"), reason="erased", at=NOW),
            Trail(subject_id=alice.id, act="changed", field="city", door="page", at=NOW),
        ]
    )
    db.session.flush()
    empty = [name for name, table in Base.metadata.tables.items() if db.session.execute(select(table)).first() is None]
    assert not empty, f"add a row of {', '.join(empty)} in tests/rows.py"


def recognition(subject_id: UUID | None, code: str, name: str) -> Recognition:
    """One published entry."""
    return Recognition(
        code=code,
        subject_id=subject_id,
        name=name,
        title="Dr.",
        country="SE",
        affiliation="Fyris Ceramics",
        role="Head of the ceramics committee",
        starts_on=date(2024, 1, 1),
        ends_on=date(2026, 12, 31),
    )


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
