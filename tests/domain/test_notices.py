"""The notice: which version applies to whom, the explicit yes, and that everybody is told once (P31)."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from portal import journal
from portal.cli.notices import tell_a_few
from portal.clock import society_date
from portal.domain import agreements, choices, imports, notices, optouts, requests, reviews
from portal.domain.errors import ChangeRefused, NoticeRefused, StaleRecord, UnknownChoice
from portal.domain.notices import Told
from portal.extensions import db
from portal.mail import delivery
from portal.models import ChoiceRow, DataSubjectRequest, Member, Message, Notice, Suppression, Trail
from portal.models.member import new_subject
from portal.purposes import CHOICES, SUPPRESS
from portal.vocabulary import Door
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.letters import letters, link_in
from tests.people import NOW, People, member

DAY = timedelta(days=1)
TODAY = society_date(NOW)


def publish(change: str, *, days: int = 0, text: str = "") -> int:
    """A version published so many days from now, or to come into force then."""
    with writes():
        number = len(notices.published()) + 1
        made = notices.publish(
            text or f"# Notice {number}",
            change=change,
            effective_on=TODAY + days * DAY,
            now=NOW + min(days, 0) * DAY,
        )
        return made.version


def say(who: Member, version: int, to: str, now: datetime = NOW) -> None:
    with writes():
        agreements.answer(db.session.merge(who), version, to=to, via=Door.PAGE, now=now)


def applies(who: Member, now: datetime = NOW) -> int | None:
    db.session.rollback()
    return notices.version_for(who.id, now)


def came(who: Member, days: int) -> None:
    with writes():
        db.session.add(Trail(subject_id=who.id, act="created", door="import", at=NOW + days * DAY))


def rows(who: Member) -> list[tuple[str, str, int | None]]:
    db.session.rollback()
    query = select(ChoiceRow).where(ChoiceRow.subject_id == who.id).order_by(ChoiceRow.id)
    return [(row.code, row.value, row.notice_version) for row in db.session.scalars(query)]


# Which version --------------------------------------------------------------------------------------------


def test_a_smaller_right_waits_for_a_yes_and_nothing_later_applies_without_it(people: People) -> None:
    """P31: the version before goes on applying; a yes covers the earlier ones, and is taken back at any time."""
    alice, bob = people.alice, people.bob
    assert applies(alice) is None
    publish("wording", days=-30)
    publish("new-processing", days=-20)
    assert (applies(alice), applies(alice, NOW - 25 * DAY), applies(alice, NOW - 40 * DAY)) == (2, 1, None)
    publish("reduced-right", days=-10)
    publish("wording", days=-5)
    assert applies(alice) == applies(bob) == 2
    assert applies(alice, NOW - 15 * DAY) == 2
    say(alice, 3, "yes")
    assert (applies(alice), applies(bob)) == (4, 2)
    say(bob, 3, "no")
    publish("reduced-right", days=3)
    assert (applies(alice, NOW + 2 * DAY), applies(alice, NOW + 3 * DAY), applies(bob, NOW + 3 * DAY)) == (4, 4, 2)
    with pytest.raises(StaleRecord):
        say(bob, 3, "yes")  # the newest is asked
    say(bob, 5, "yes")
    assert (applies(bob), applies(bob, NOW + 3 * DAY)) == (2, 5), "from its day on"
    say(alice, 5, "yes")
    say(alice, 5, "no")
    assert applies(alice, NOW + 9 * DAY) == 4, "her yes to version 3 stands"
    stranger = new_subject().id
    assert notices.for_member(bob.id, NOW).applies == notices.published()[1]
    assert notices.versions_for([stranger, bob.id, alice.id], notices.reached(NOW + 9 * DAY)) == {
        stranger: 5,
        bob.id: 5,
        alice.id: 4,
    }


@pytest.mark.parametrize(("days", "asked"), [(-30, 2), (-11, 2), (-9, None)])
def test_who_came_after_a_version_is_not_asked_about_it(people: People, days: int, asked: int | None) -> None:
    publish("wording", days=-30)
    publish("reduced-right", days=-10)
    came(people.alice, days)
    stands = notices.for_member(people.alice.id, NOW)
    assert (stands.asked.version if stands.asked else None) == asked
    assert applies(people.alice) == (1 if asked else 2)
    assert stands.is_earlier == bool(asked)


def test_the_answer_is_kept_with_its_wording(people: People) -> None:
    """P31, P26: a first no has a row too; twice is once; a yes taken back is in the journal, like an opt-out."""
    alice = people.alice
    publish("wording", days=-9)
    publish("reduced-right", days=-1)
    for to in ("no", "no", "yes", "yes", "no"):
        say(alice, 2, to)
    assert rows(alice) == [("notice_2", "no", 1), ("notice_2", "yes", 1), ("notice_2", "no", 2)]
    first, _, last = db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)).all()
    assert (first.journal_id, bool(last.journal_id)) == (None, True)
    assert (first.door, first.at) == (Door.PAGE, NOW)
    assert first.wording.startswith(
        "Version 2 of the privacy notice reduces one of your rights. Do you agree to it? No:"
    )
    with pytest.raises(UnknownChoice):
        say(alice, 2, "perhaps")
    assert set(choices.standing(alice.id)) == set(CHOICES)


def test_a_yes_taken_back_is_taken_back_again_after_a_restore(people: People) -> None:
    """The database of a moment before: it knows the yes, the journal knows the no."""
    bob = people.bob
    publish("wording", days=-9)
    publish("reduced-right", days=-1)
    say(bob, 2, "yes")
    with writes():
        subject = db.session.merge(bob).subject
        journal.note(subject.unsubscribe_reference, "notice_2", "no", door=Door.PAGE, at=NOW + DAY)
    assert applies(bob) == 2
    with writes():
        assert optouts.catch_up(now=NOW + 2 * DAY) == 1
    assert rows(bob)[-1] == ("notice_2", "no", 2)
    assert applies(bob, NOW + 2 * DAY) == 1
    with writes():
        assert optouts.catch_up(now=NOW + 2 * DAY) == 0
    assert SUPPRESS not in {code for code, *_ in rows(bob)}


def test_choices_requests_and_imports_carry_the_version_of_their_person(people: People) -> None:
    """P31: with two people under two versions, at every door."""
    publish("wording", days=-9)
    publish("reduced-right", days=-1)
    say(people.alice, 2, "yes")
    with writes():
        for who in map(db.session.merge, (people.alice, people.bob)):
            choices.change(who.subject, "post", to="yes", via=Door.PAGE, now=NOW)
            requests.file(who, "question", details="?", operation_id="x", via=Door.PAGE, now=NOW)
            who.country = "SE"
        reviews.open_many([people.alice.id, people.bob.id], scope="careers", via=Door.PAGE, now=NOW)
    file = "email,phone,topics_off\n" + "".join(
        f"{email},,magazine\n" for email in (people.alice.email, people.bob.email, "new@example.org")
    )
    with writes():
        imports.import_members(io.BytesIO(file.encode()), now=NOW)
    new = db.session.scalars(select(Member).where(Member.email == "new@example.org")).one()
    for who, version in ((people.alice, 2), (people.bob, 1), (new, 2)):
        given = {carried for code, _, carried in rows(who) if not code.startswith("notice")}
        assert given == {version}
    asked = db.session.execute(select(DataSubjectRequest.subject_id, DataSubjectRequest.notice_version)).all()
    assert [version for person, version in asked if person == people.alice.id] == [2, 2]
    assert [version for person, version in asked if person == people.bob.id] == [1, 1]


# Publishing -----------------------------------------------------------------------------------------------


def test_what_cannot_be_the_next_version(people: People) -> None:
    for text in ("", " \n\t", "a\0b", "x" * (notices.LONGEST + 1)):
        with pytest.raises(NoticeRefused):
            publish("wording", text=text or "\n")
    with pytest.raises(ChangeRefused, match="first version"):
        publish("reduced-right")
    with pytest.raises(ChangeRefused, match="3 December 2026 is past"), writes():
        notices.publish("# One", change="wording", effective_on=date(2026, 12, 3), now=NOW)
    publish("wording", days=5, text="# One\n\nWord for  word.")
    with pytest.raises(NoticeRefused, match="Version 1 says the same"):
        publish("wording", days=6, text="# One\n\nWord for word.\n")
    with pytest.raises(ChangeRefused, match="Version 1 applies from 9 December 2026"):
        publish("wording", days=4)
    assert len(notices.published()) == 1


# Telling --------------------------------------------------------------------------------------------------


def told() -> list[str]:
    return sorted(row.to_address for row in letters("notice_changed"))


def told_at(version: int) -> datetime | None:
    db.session.rollback()
    return db.session.scalars(select(Notice.told_at).where(Notice.version == version)).one()


def crowd(number: int) -> list[str]:
    """So many more people, of whom one stopped all mail, one is restricted, and of one the address bounces."""
    with writes():
        more = [member(email=f"p{each}@example.org") for each in range(number)]
        db.session.add_all(more)
        db.session.flush()
        choices.change(more[0].subject, SUPPRESS, to="yes", via=Door.PAGE, now=NOW)
        more[1].subject.restricted_at = NOW
        db.session.add(Suppression(keyed_hash=more[2].address_hash, reason="bounced", at=NOW))
        return [each.email for each in more if each is not more[2]]


def killed_in_the_middle(first: Told) -> None:
    with writes():
        assert notices.tell_some(most=3, after=first.last, now=NOW).number
        raise KeyboardInterrupt


def test_everybody_is_told_once_also_after_a_crash(people: People, run: Runner, clock: object) -> None:
    """P31: whatever they chose; in parts; begun anew where it was cut off. Not of a first version, nor of wording."""
    expected = sorted([*crowd(5), people.alice.email, people.bob.email])
    publish("new-processing", days=-3)
    publish("wording", days=-2)
    assert run("notices", "tell").stderr == "told 0\n"
    assert told_at(1) is not None
    version = publish("new-processing", days=-1)
    with writes():
        first = notices.tell_some(most=3, now=NOW)
    assert (first.number, len(told())) == (3, 3)
    with pytest.raises(KeyboardInterrupt):
        killed_in_the_middle(first)
    assert told_at(version) is None
    assert run("notices", "tell").stderr == "told 3\n"
    assert told() == expected
    assert told_at(version) == NOW
    assert run("notices", "tell").stderr == "told 0\n"
    assert {(row.kind, row.unsubscribe_url) for row in letters("notice_changed")} == {("receipt", "")}
    assert {link_in(row) for row in letters("notice_changed")} == {f"/notice/{version}/changes"}


def test_who_refused_reads_that_the_earlier_version_goes_on(people: People, run: Runner, clock: object) -> None:
    publish("wording", days=-9)
    publish("reduced-right", days=-5)
    run("notices", "tell")
    assert {link_in(row) for row in letters("notice_changed")} == {"/notice/answer"}
    say(people.alice, 2, "yes")
    publish("new-processing")
    assert run("notices", "tell").stderr == "told 2\n"
    newest = {row.to_address: row.text for row in letters("notice_changed") if "/notice/3/" in row.text}
    assert "For you, version 1 still applies" in newest[people.bob.email]
    assert "still applies" not in newest[people.alice.email]


def test_the_worker_tells_a_few_at_a_time_so_that_other_mail_is_not_held_up(
    people: People, smtp: MailServer, clock: object
) -> None:
    """While two wait to be carried away, no more are written; two workers do not write twice."""
    crowd(6)
    publish("wording", days=-1)
    publish("new-processing")
    last = other = None
    for _ in range(9):
        db.session.rollback()
        last = tell_a_few(last, most=2).last
        other = tell_a_few(other, most=2).last
        waiting = [row for row in letters("notice_changed") if row.state == "queued"]
        assert len(waiting) <= 2
        db.session.rollback()
        delivery.deliver()
    assert told_at(2) is not None
    recipients = [each.rcpt_tos for each in smtp.received]
    assert len(recipients) == len(set(recipients)) == 7
    assert db.session.scalars(select(Message.state).distinct()).all() == ["sent"]
