"""What the database itself refuses, whoever asks: by direct SQL, past every verb and model."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import CheckConstraint, delete, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from portal.extensions import Base, db
from portal.models import ChoiceRow, Subject
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import choice, fill

# For each CHECK a change that it forbids.
FORBIDDEN = {
    "ck_account_address": "UPDATE account SET email = 'x@example.org', email_key = 'x@example.org'"
    " WHERE member_id IS NOT NULL",
    "ck_account_email_key": "UPDATE account SET email_key = NULL WHERE member_id IS NULL",
    "ck_broadcast_ended": "UPDATE broadcast SET state = 'ended'",
    "ck_broadcast_final": "UPDATE broadcast SET ended_at = created_at",
    "ck_broadcast_state": "UPDATE broadcast SET state = 'lost'",
    "ck_data_subject_request_closed": "UPDATE data_subject_request SET state = 'refused'",
    "ck_data_subject_request_carried_out": "UPDATE data_subject_request SET kind = 'erasure',"
    " carried_out_at = received_at",
    "ck_data_subject_request_erasing": "UPDATE data_subject_request SET wait_until = received_at",
    "ck_data_subject_request_erasure_fulfilled": "UPDATE data_subject_request SET kind = 'erasure',"
    " state = 'fulfilled', closed_at = received_at, verified_at = received_at, verified_how = 'sign-in'",
    "ck_data_subject_request_extended": "UPDATE data_subject_request SET state = 'extended', verified_at = received_at,"
    " verified_how = 'sign-in'",
    "ck_data_subject_request_extension": "UPDATE data_subject_request SET extended_at = received_at",
    "ck_data_subject_request_identity": "UPDATE data_subject_request SET identity_answered_at = received_at",
    "ck_data_subject_request_refusal": "UPDATE data_subject_request SET refusal = 'verify'",
    "ck_data_subject_request_seconded": "UPDATE data_subject_request SET state = 'refused', closed_at = received_at,"
    " refusal = 'excessive'",
    "ck_data_subject_request_verifying": "UPDATE data_subject_request SET state = 'verifying'",
    "ck_data_subject_request_state": "UPDATE data_subject_request SET state = 'lost', closed_at = received_at,"
    " verified_at = received_at, verified_how = 'sign-in'",
    "ck_data_subject_request_verified": "UPDATE data_subject_request SET state = 'working'",
    "ck_disclosure_recalled": "UPDATE disclosure SET recalled = 'delete'",
    "ck_email_change_door": "UPDATE email_change SET door = 'window'",
    "ck_erasure_line_action": "UPDATE erasure_line SET action = 'hidden'",
    "ck_erasure_line_kept": "UPDATE erasure_line SET action = 'kept'",
    "ck_event_dates": "UPDATE event SET ends_on = '2001-01-01'",
    "ck_list_release_people": "UPDATE list_release SET people = 3",
    "ck_member_address_kind": "UPDATE member SET address_kind = 'boat'",
    "ck_member_kind": "UPDATE member SET kind = 'king'",
    "ck_message_kind": "UPDATE message SET kind = 'postcard'",
    "ck_message_lease": "UPDATE message SET state = 'claimed'",
    "ck_message_sent": "UPDATE message SET state = 'sent'",
    "ck_message_state": "UPDATE message SET state = 'lost'",
    "ck_notice_change": "UPDATE notice SET change = 'secret'",
    "ck_password_link_purpose": "UPDATE password_link SET purpose = 'entry'",
    "ck_recognition_taken_down": "UPDATE recognition SET taken_down_at = '2026-12-04 15:00:00+00'",
    "ck_sign_in_kind": "UPDATE sign_in SET kind = 'eternal'",
    "ck_suspension_reason": "UPDATE suspension SET reason = 'mood'",
    "ck_suppression_reason": "UPDATE suppression SET reason = 'mood'",
}


@pytest.fixture
def rows(people: People) -> People:
    """The four people, and a row in every table."""
    with writes():
        fill(people)
    return people


def count() -> int:
    return db.session.execute(select(func.count()).select_from(ChoiceRow)).scalar_one()


def test_every_check_is_tried() -> None:
    checks = {
        str(each.name)
        for table in Base.metadata.sorted_tables
        for each in table.constraints
        if isinstance(each, CheckConstraint)
    }
    assert checks == FORBIDDEN.keys(), "say in FORBIDDEN what each CHECK refuses"


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_state_is_refused(rows: People, name: str) -> None:
    with pytest.raises(IntegrityError, match=name), writes():
        db.session.execute(text(FORBIDDEN[name]))


def test_a_choice_is_never_changed(rows: People) -> None:
    with pytest.raises(DBAPIError, match="never changed"), writes():
        db.session.execute(text("UPDATE choice SET value = 'no'"))
    assert db.session.scalars(select(ChoiceRow.value).order_by(ChoiceRow.id)).all() == ["no", "yes"]


def test_a_choice_is_never_changed_after_an_erasure_either(rows: People) -> None:
    with writes():
        db.session.execute(text("UPDATE subject SET erased_at = :now"), {"now": "2026-12-04 15:00:00+00"})
    with pytest.raises(DBAPIError, match="never changed"), writes():
        db.session.execute(text("UPDATE choice SET value = 'no'"))


def test_a_choice_is_never_replaced(rows: People) -> None:
    """By its number, or by any other column whose values are unique."""
    if db.engine.dialect.name == "sqlite":
        row = choice(rows, "attendee_list", "public")
        row.journal_id = "line"
        with writes():
            db.session.add(row)
        for same in ({"id": "id", "journal_id": "NULL"}, {"id": "NULL", "journal_id": "journal_id"}):
            values = ", ".join(
                ({"value": "'no'"} | same).get(each.name, each.name) for each in ChoiceRow.__table__.columns
            )
            with pytest.raises(DBAPIError, match="never replaced"), writes():
                db.session.execute(
                    text(f"INSERT OR REPLACE INTO choice SELECT {values} FROM choice WHERE code = 'attendee_list'")
                )
        assert count() == 3
    else:
        with pytest.raises(DBAPIError, match="never changed"), writes():
            db.session.execute(text("TRUNCATE choice"))
        assert count() == 2


def test_a_choice_stays_while_the_record_stands(rows: People) -> None:
    with pytest.raises(DBAPIError, match="record stands"), writes():
        db.session.execute(text("DELETE FROM choice"))
    assert count() == 2


def test_a_choice_goes_once_its_person_is_erased(rows: People) -> None:
    with writes():
        db.session.get_one(Subject, rows.alice.id).erased_at = NOW
    with writes():
        db.session.execute(text("DELETE FROM choice"))
    assert count() == 0


def test_another_persons_erasure_frees_nothing(rows: People) -> None:
    with writes():
        db.session.get_one(Subject, rows.bob.id).erased_at = NOW
    with pytest.raises(DBAPIError, match="record stands"), writes():
        db.session.execute(text("DELETE FROM choice"))


def test_an_old_answer_goes_when_a_newer_one_stands(rows: People) -> None:
    """The trigger reads the database's own clock, so the dates are far off: the standing answer stays, however old."""
    long_ago = datetime(2011, 1, 1, tzinfo=UTC)
    with writes():
        first, second = (choice(rows, "attendee_list", value, at=long_ago) for value in ("public", "nobody"))
        db.session.add_all([first, second])
    with pytest.raises(DBAPIError, match="record stands"), writes():
        db.session.execute(delete(ChoiceRow).where(ChoiceRow.id == second.id))
    with writes():
        db.session.execute(delete(ChoiceRow).where(ChoiceRow.id == first.id))
    assert count() == 3


def test_a_person_with_choices_cannot_be_dropped(rows: People) -> None:
    with pytest.raises(IntegrityError), writes():
        db.session.execute(text("DELETE FROM subject"))
