"""Two at once: what one has begun and not committed, the other waits for or is refused; nothing is half done."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import Context
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal import clock as portal_clock
from portal import journal
from portal.datamap import erasure
from portal.datamap.rows import person
from portal.domain import (
    choices,
    desk,
    handling,
    members,
    optouts,
    recognition_imports,
    recognitions,
    requests,
    signin,
    subjects,
    unsubscribe,
)
from portal.domain.errors import CannotWithdraw, DomainError, LinkUsedUp, NothingToUndo, StaleRecord
from portal.extensions import db, transaction
from portal.models import (
    Account,
    ChoiceRow,
    DataSubjectRequest,
    EmailChange,
    Member,
    Recognition,
    RequestStep,
    SignIn,
    Subject,
)
from portal.models.signin import SignInKind
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import EVERYTHING, UnsubscribeToken
from portal.vocabulary import Door
from tests.databases import writes
from tests.letters import letter, letters, link_in
from tests.people import ALICE_PASSWORD, DANA_EMAIL, DANA_PASSWORD, People

Verb = Callable[[], Any]


def together(app: Flask, first: Verb, second: Verb) -> tuple[Any, Any]:
    """What both came to, a refusal included. The second begins when the first is done and has not committed yet."""
    db.session.rollback()
    done, go = Event(), Event()

    def early() -> Any:
        with app.app_context(), transaction():
            try:
                made = first()
                db.session.flush()
            finally:
                done.set()
            assert go.wait(20)
            return made

    def late() -> Any:
        assert done.wait(20)
        with app.app_context(), transaction():
            return second()

    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(Context().run, each) for each in (early, late)]
        assert done.wait(20)
        wait(futures, timeout=0.3)  # as far as the second comes
        go.set()
    one, two = (future.exception() or future.result() for future in futures)
    assert all(not isinstance(each, BaseException) or isinstance(each, DomainError) for each in (one, two)), (one, two)
    return one, two


@pytest.fixture
def link(people: People) -> UnsubscribeToken:
    """Alice's link that stops everything."""
    return UnsubscribeToken(people.alice.subject.unsubscribe_reference, EVERYTHING)


def answers(code: str = SUPPRESS) -> list[tuple[str, str]]:
    db.session.rollback()
    query = select(ChoiceRow).where(ChoiceRow.code == code).order_by(ChoiceRow.id)
    return [(row.value, row.door) for row in db.session.scalars(query)]


# Choices --------------------------------------------------------------------------------------------------


def test_a_page_that_knows_nothing_of_a_one_click_overrides_it_not(
    app: Flask, people: People, link: UnsubscribeToken
) -> None:
    ident = people.alice.id
    shown = {code: choice.default for code, choice in CHOICES.items()}

    def save() -> Any:
        subject = db.session.get_one(Subject, ident)
        return choices.change_many(subject, shown, seen=0, via=Door.PAGE, now=portal_clock.now())

    _, saved = together(app, lambda: unsubscribe.stop(link, via=Door.ONE_CLICK, now=portal_clock.now()), save)
    assert isinstance(saved, StaleRecord)
    assert answers() == [("yes", "one-click")]


def test_a_one_click_during_a_first_save_is_the_last_word(app: Flask, people: People, link: UnsubscribeToken) -> None:
    ident = people.alice.id
    shown = {code: choice.default for code, choice in CHOICES.items()}

    def save() -> Any:
        subject = db.session.get_one(Subject, ident)
        return choices.change_many(subject, shown, seen=0, via=Door.PAGE, now=portal_clock.now())

    together(app, save, lambda: unsubscribe.stop(link, via=Door.ONE_CLICK, now=portal_clock.now()))
    assert answers() == [("no", "page"), ("yes", "one-click")]


def test_what_the_journal_alone_knows_is_older_than_an_answer_under_way(app: Flask, people: People) -> None:
    ident, now = people.alice.id, portal_clock.now()
    reference = people.alice.subject.unsubscribe_reference
    journal.note(reference, SUPPRESS, "yes", door=Door.ONE_CLICK, at=now - timedelta(minutes=5))
    shown = {code: choice.default for code, choice in CHOICES.items()}

    def save() -> Any:
        subject = db.session.get_one(Subject, ident)
        return choices.change_many(subject, shown, seen=0, via=Door.PAGE, now=portal_clock.now())

    together(app, save, lambda: optouts.catch_up(now=portal_clock.now()))
    assert answers() == [("no", "page")], "the person's own last word"


def test_two_presses_at_once_are_one_answer_and_can_be_given_back(
    app: Flask, people: People, link: UnsubscribeToken
) -> None:
    together(app, *[lambda: unsubscribe.stop(link, via=Door.LINK, now=portal_clock.now())] * 2)
    assert answers() == [("yes", "link")]
    with writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("no", "link")


def test_what_came_twice_before_is_given_back_whole(people: People, link: UnsubscribeToken, clock: Any) -> None:
    """Two equal rows of two presses, as an older portal could leave them: what stood before both comes back."""
    with writes():
        for value, door in (("no", "page"), ("yes", "link"), ("yes", "one-click")):
            db.session.add(answer(people, value, door))
            db.session.flush()
    with writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("no", "link")


def test_a_link_gives_back_only_what_links_stopped(people: People, link: UnsubscribeToken, clock: Any) -> None:
    with writes():
        for value, door in (("yes", "page"), ("yes", "one-click")):
            db.session.add(answer(people, value, door))
            db.session.flush()
    with pytest.raises(NothingToUndo), writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("yes", "one-click")


def answer(people: People, value: str, door: str) -> ChoiceRow:
    return ChoiceRow(
        subject_id=people.alice.id, code=SUPPRESS, value=value, at=portal_clock.now(), door=door, wording="Suppress"
    )


# The address ----------------------------------------------------------------------------------------------

NEW = "alice@new.example.org"


def begun(people: People) -> tuple[str, str]:
    """A change of Alice's address that waits: the token that confirms it and the one that cancels it."""
    with writes():
        members.ask_email_change(people.alice, NEW, via=Door.PAGE, now=portal_clock.now())
    confirm, cancel = (link_in(letter(name)).rpartition("/")[2] for name in ("email_confirm", "email_notice"))
    return confirm, cancel


def change() -> EmailChange:
    db.session.rollback()
    return db.session.scalars(select(EmailChange).order_by(EmailChange.id.desc())).first()  # type: ignore[return-value]


def test_a_cancel_during_a_confirm_takes_it_back(app: Flask, people: People) -> None:
    old = people.alice.email
    confirm, cancel = begun(people)
    together(
        app,
        lambda: members.confirm_email(confirm, now=portal_clock.now()),
        lambda: members.cancel_email(cancel, now=portal_clock.now()),
    )
    made = change()
    assert (made.confirmed_at is not None, made.cancelled_at is not None) == (True, True)
    assert made.member.email == old


def test_a_confirm_during_a_cancel_is_refused(app: Flask, people: People) -> None:
    old = people.alice.email
    confirm, cancel = begun(people)
    _, confirmed = together(
        app,
        lambda: members.cancel_email(cancel, now=portal_clock.now()),
        lambda: members.confirm_email(confirm, now=portal_clock.now()),
    )
    assert isinstance(confirmed, LinkUsedUp)
    assert (change().confirmed_at, change().member.email) == (None, old)


def test_a_confirm_while_a_password_is_set_is_refused(app: Flask, people: People) -> None:
    ident, old = people.alice.id, people.alice.email
    confirm, _ = begun(people)

    def set_password() -> None:
        account = signin.account_of(db.session.get_one(Member, ident))
        signin.set_password(account, "seven-grey-herons-fly-south", now=portal_clock.now())

    _, confirmed = together(app, set_password, lambda: members.confirm_email(confirm, now=portal_clock.now()))
    assert isinstance(confirmed, LinkUsedUp)
    assert change().member.email == old


def test_a_change_begun_twice_at_once_waits_once(app: Flask, people: People) -> None:
    ident = people.alice.id

    def ask() -> None:
        member = db.session.get_one(Member, ident)
        members.ask_email_change(member, NEW, via=Door.PAGE, now=portal_clock.now())

    assert together(app, ask, ask) == (None, None)
    waiting = members.waiting_change(people.alice)
    assert waiting is not None
    assert waiting.new_email == NEW
    assert len(letters("email_confirm")) == 2


def test_an_import_leaves_the_members_own_change_alone(people: People, clock: Any) -> None:
    begun(people)
    with writes():
        assert not members.propose_email(people.alice, "other@example.org", now=portal_clock.now())
    assert change().new_email == NEW
    assert change().cancelled_at is None
    clock.shift(members.CONFIRM_WITHIN)
    with writes():
        assert members.propose_email(people.alice, "other@example.org", now=portal_clock.now())
    assert (change().new_email, change().door) == ("other@example.org", "import")


# Signing in -----------------------------------------------------------------------------------------------

WHERE = {"browser": "Firefox on Linux", "network": "192.0.2.0/24"}


def proved(address: str, password: str) -> signin.Proved:
    db.session.rollback()
    found = signin.prove(address, password)
    assert found is not None
    return found


def sign_ins(account_id: Any, kind: str) -> int:
    db.session.rollback()
    query = select(func.count()).where(SignIn.account_id == account_id, SignIn.kind == kind)
    return db.session.execute(query).scalar_one()


def test_a_password_that_ends_while_it_is_proved_opens_nothing(app: Flask, people: People) -> None:
    ident = people.alice.id
    known = proved(people.alice.email, ALICE_PASSWORD)

    def set_password() -> None:
        account = signin.account_of(db.session.get_one(Member, ident))
        signin.set_password(account, "seven-grey-herons-fly-south", now=portal_clock.now())

    _, opened = together(
        app,
        set_password,
        lambda: signin.open_sign_in(known, ALICE_PASSWORD, keep=True, now=portal_clock.now(), **WHERE),
    )
    assert opened is None
    assert sign_ins(known.account_id, SignInKind.SESSION) == sign_ins(known.account_id, SignInKind.KEPT) == 0


def test_nobody_of_the_desk_is_kept_signed_in(people: People) -> None:
    known = proved(DANA_EMAIL, DANA_PASSWORD)
    with writes():
        opened = signin.open_sign_in(known, DANA_PASSWORD, keep=True, now=portal_clock.now(), **WHERE)
        assert opened is not None
        assert opened.keep_token is None
    assert sign_ins(known.account_id, SignInKind.KEPT) == 0


def test_whoever_comes_to_the_desk_is_kept_no_longer(people: People) -> None:
    known = proved(people.alice.email, ALICE_PASSWORD)
    with writes():
        opened = signin.open_sign_in(known, ALICE_PASSWORD, keep=True, now=portal_clock.now(), **WHERE)
        assert opened is not None
        token = str(opened.keep_token)
        assert signin.reopen(token, now=portal_clock.now(), **WHERE) is not None
    with writes():
        db.session.execute(update(Account).where(Account.id == known.account_id).values(staff=True))
    with writes():
        assert signin.reopen(token, now=portal_clock.now(), **WHERE) is None


def test_a_kept_sign_in_that_ends_at_this_moment_opens_nothing(app: Flask, people: People) -> None:
    """Signed out in one window while another one loads: that one is a stranger's, not a fault of ours."""
    known = proved(people.alice.email, ALICE_PASSWORD)
    with writes():
        opened = signin.open_sign_in(known, ALICE_PASSWORD, keep=True, now=portal_clock.now(), **WHERE)
        assert opened is not None
        token = str(opened.keep_token)
    _, again = together(
        app,
        lambda: signin.end_by_tokens(token),
        lambda: signin.reopen(token, now=portal_clock.now(), **WHERE),
    )
    assert again is None
    assert sign_ins(known.account_id, SignInKind.SESSION) == sign_ins(known.account_id, SignInKind.KEPT) == 0


def test_a_kept_sign_in_fills_no_table(people: People, clock: Any) -> None:
    """At most twenty rows an account, however often its cookie comes; the cookie itself goes on working."""
    known = proved(people.alice.email, ALICE_PASSWORD)
    with writes():
        opened = signin.open_sign_in(known, ALICE_PASSWORD, keep=True, now=portal_clock.now(), **WHERE)
        assert opened is not None
        token = str(opened.keep_token)
    for _ in range(2 * signin.MOST_SIGN_INS):
        clock.shift(1)
        with writes():
            assert signin.reopen(token, now=portal_clock.now(), **WHERE) is not None
    assert sign_ins(known.account_id, SignInKind.KEPT) == 1
    assert sign_ins(known.account_id, SignInKind.SESSION) == signin.MOST_SIGN_INS - 1
    clock.shift(signin.IDLE)
    with writes():
        assert signin.reopen(token, now=portal_clock.now(), **WHERE) is not None
    assert sign_ins(known.account_id, SignInKind.SESSION) == 1


# Requests -------------------------------------------------------------------------------------------------


def test_two_withdrawals_at_once_are_one(app: Flask, people: People) -> None:
    ident = people.alice.id
    with writes():
        made = requests.file(
            people.alice, "erasure", details="", operation_id="one", via=Door.PAGE, now=portal_clock.now()
        )
        reference = made.reference

    def withdraw() -> None:
        member = db.session.get_one(Member, ident)
        request = requests.one_of(member, reference)
        assert request is not None
        requests.withdraw(member, request, now=portal_clock.now())

    _, second = together(app, withdraw, withdraw)
    assert isinstance(second, CannotWithdraw)
    assert len(letters("request_withdrawn")) == len(letters("staff_request_withdrawn")) == 1
    steps = list(db.session.scalars(select(RequestStep.step).order_by(RequestStep.id)))
    assert steps == ["received", "staff_told", "withdrawn"]


PRESSES: dict[str, Callable[[DataSubjectRequest, Account], object]] = {
    "take": lambda request, by: handling.take(request, by, seen=None, now=portal_clock.now()),
    "answer": lambda request, by: handling.answer(request, "Because.", now=portal_clock.now()),
    "refuse": lambda request, by: handling.refuse(request, "duty", "Because.", by=by, now=portal_clock.now()),
    "withdraw": lambda request, by: requests.withdraw_for(request, now=portal_clock.now()),
}
ENDS = {"answered": "request_answered", "refused": "request_refused", "withdrawn": "request_withdrawn"}


@pytest.mark.parametrize(
    "presses", [("take", "take"), ("answer", "answer"), ("refuse", "answer"), ("answer", "withdraw")]
)
def test_two_of_the_desk_at_once(app: Flask, people: People, presses: tuple[str, str]) -> None:
    """The second waits, sees what stands then, and is refused: one step, one message to the person."""
    with writes():
        ids = people.dana.id, desk.add("erin@desk.example.org", now=portal_clock.now()).id
        made = requests.file(
            people.alice, "question", details="", operation_id="one", via=Door.PAGE, now=portal_clock.now()
        )
        ident = made.id

    def press(number: int) -> Verb:
        def act() -> None:
            request = db.session.get_one(DataSubjectRequest, ident)
            PRESSES[presses[number]](request, db.session.get_one(Account, ids[number]))

        return act

    first, second = together(app, press(0), press(1))
    assert first is None or first is True
    assert isinstance(second, DomainError)
    request = db.session.get_one(DataSubjectRequest, ident)
    ended = [step.step for step in request.steps if step.step in ENDS]
    assert ended == [] if presses == ("take", "take") else len(ended) == 1
    assert [step.step for step in request.steps].count("taken") == (presses == ("take", "take"))
    assert request.assigned_to_id == (ids[0] if presses == ("take", "take") else None)
    assert [row.name for row in letters() if row.name in ENDS.values()] == [ENDS[step] for step in ended]


# A file and an erasure ------------------------------------------------------------------------------------


def test_a_recognition_that_comes_in_during_an_erasure_leads_to_nobody(app: Flask, people: People) -> None:
    """P18: its days count as those of the others, and the published name does not say whose the random number was."""
    alice, now = people.alice.id, portal_clock.now()
    content = f"recognition_id,member_id,name\nR-1,{people.alice.member_number},A. Okonkwo\n".encode()

    def erase() -> Any:
        subjects.take_turn(alice)
        recognitions.leave(alice, now=now)
        return erasure.carry_out(person(alice), now=now)

    together(app, lambda: recognition_imports.import_recognitions(io.BytesIO(content), now=now), erase)
    db.session.rollback()
    row = db.session.scalars(select(Recognition)).one()
    assert (row.name, row.subject_id, row.left_at) == ("A. Okonkwo", None, now)
