"""Verb: write each email once, about sample people. For `mail doctor` and the tests of the mails: this is the list.

What is written goes into the open transaction, which is for the caller to take back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from portal.datamap.erasure import Action, Line, Plan
from portal.domain import erasures, members, requests, reviews
from portal.domain.deadlines import dates
from portal.domain.handling import EXTENSIONS, REFUSALS, WAS_IT_YOU
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages, outbox
from portal.models import Account, DataSubjectRequest, EmailChange, Member, Notice
from portal.models.member import new_subject
from portal.models.message import MailKind
from portal.models.request import FILE, State
from portal.purposes import HOLDINGS
from portal.tokens import canonical_address, sign_unsubscribe, suppression_hash
from portal.vocabulary import Door

NOW: Final = datetime(2026, 12, 4, 15, 0, tzinfo=UTC)
NOVEMBER: Final = datetime(2026, 11, 23, 10, 2, tzinfo=UTC)
TOKEN: Final = "kq3V9d_Zr0tXw7yBn2HcJm5Lp8Gs1FaE4uT6iO-RvCk"  # noqa: S105  no token of anybody
NEW_EMAIL: Final = "alice@newmail.example.org"
BROWSER: Final = "Firefox on Windows"
DETAILS: Final = "My cousin Ottilie says you hold letters of mine."


class People(Protocol):
    """Two members and somebody of the desk."""

    @property
    def alice(self) -> Member: ...

    @property
    def bob(self) -> Member: ...

    @property
    def dana(self) -> Account: ...


@dataclass(frozen=True)
class Cast:
    """Sample people of nobody's name, at addresses that nobody has."""

    alice: Member
    bob: Member
    dana: Account


def cast() -> Cast:
    """Add sample people to the open transaction."""
    house = f"{secrets.token_hex(8)}.example.org"

    def member(name: str) -> Member:
        email = f"{name.lower()}@{house}"
        key = canonical_address(email)
        made = Member(
            subject=new_subject(), first_name=name, email=email, email_key=key, address_hash=suppression_hash(key)
        )
        made.account = Account(password_hash=None)
        return made

    dana = Account(email=f"dana@{house}", email_key=f"dana@{house}", staff=True)
    made = Cast(member("Alice"), member("Bob"), dana)
    db.session.add_all([made.alice, made.bob, made.dana])
    db.session.flush()
    return made


def account(people: People) -> Account:
    assert people.alice.account is not None
    return people.alice.account


def change(people: People, door: Door = Door.PAGE) -> EmailChange:
    made = EmailChange(
        member=people.alice,
        old_email=people.alice.email,
        new_email=NEW_EMAIL,
        door=door,
        confirm_hash="c" * 64,
        cancel_hash="d" * 64,
        created_at=NOW,
        confirm_until=NOW + (members.PROPOSAL_WITHIN if door is Door.IMPORT else members.CONFIRM_WITHIN),
        cancel_until=NOW + members.CANCEL_WITHIN,
    )
    db.session.add(made)
    return made


def filed(people: People, kind: str, *, at: datetime = NOW, closed: bool = False) -> DataSubjectRequest:
    request = DataSubjectRequest(
        reference="IM-7K3F-92QD",
        operation_id="one-form",
        subject_id=people.alice.id,
        kind=kind,
        details=DETAILS,
        state=State.WITHDRAWN if closed else State.RECEIVED,
        closed_at=at + timedelta(days=1) if closed else None,
        door=Door.PAGE,
        verified_at=at,
        verified_how="password",
        received_at=at,
        wait_until=at + erasures.COOLING_OFF if kind == "erasure" else None,
        **asdict(dates(at)),
    )
    db.session.add(request)
    return request


def review_opened(people: People, scope: str = "") -> None:
    request = filed(people, "review")
    request.scope, request.wait_until = scope, NOW + erasures.COOLING_OFF
    messages.review_opened(request, KINDS["review"], ended=reviews.what_ended(scope), now=NOW)


def unsubscribe_link(people: People) -> None:
    people.alice.subject.unsubscribe_reference = b"always the same."
    messages.unsubscribe_link(people.alice, now=NOW)


def notice(days: int = 0, change: str = "new-processing") -> Notice:
    """A second version of the notice, in force so many days from now."""
    return Notice(
        version=2, text="# Notice", change=change, effective_on=NOW.date() + timedelta(days), published_at=NOW
    )


def to_member(send: Callable[..., None], kind: str, at: datetime = NOW, closed: bool = False) -> Callable[..., None]:
    return lambda people: send(filed(people, kind, at=at, closed=closed), KINDS[kind], now=at)


def told(send: Callable[..., None], kind: str = "access", **words: Any) -> Callable[[People], None]:
    """A mail about a request, with what it says beyond the request itself."""

    def write(people: People) -> None:
        request = filed(people, kind)
        request.identity_asked_at = NOW
        request.closed_at = NOW if send in (messages.request_answered, messages.request_refused) else None
        if send is messages.request_extended:
            request.extended_at, request.extension, request.legal_on = NOW, "complexity", request.legal_3_on
        if request.closed_at:
            request.state, request.refusal = State.REFUSED, "verify"
        send(request, KINDS[kind], **words, now=NOW)

    return write


def written_down(send: Callable[..., None], **words: Any) -> Callable[[People], None]:
    """A mail about a request that came by letter, with the link that confirms it."""

    def write(people: People) -> None:
        request = filed(people, "access")
        request.door, request.verified_at, request.verified_how, request.identity_asked_at = Door.STAFF, None, "", NOW
        request.state = State.VERIFYING
        send(request, KINDS["access"], **words, now=NOW)

    return write


def of_a_stranger(people: People, kind: str = "access") -> DataSubjectRequest:
    """A request of somebody about whom nothing is held."""
    request = filed(people, kind)
    stranger = new_subject()
    db.session.add(stranger)
    db.session.flush()
    request.subject_id, request.contact = stranger.id, "stranger@example.org"
    db.session.flush()
    return request


def answered_in_part(people: People) -> None:
    """The answer to a stranger, of which a part was refused."""
    request = of_a_stranger(people)
    request.closed_at, request.state, request.refusal = NOW, State.PARTLY_FULFILLED, "others"
    words, why = "We hold nothing about you.", REFUSALS["others"]
    messages.request_answered(request, KINDS["access"], words, not_done=why, needs_activation=False, now=NOW)


def withdrawn_by_call(people: People) -> None:
    request = of_a_stranger(people)
    request.closed_at, request.state = NOW, State.WITHDRAWN
    messages.request_withdrawn(request, KINDS["access"], noted=True, now=NOW)


def farewell_to_a_stranger(people: People) -> None:
    request = of_a_stranger(people, "erasure")
    to = request.contact
    messages.farewell(to=to, first_name="", request=request, plan=planned(NOW), had_record=False, now=NOW)


def to_staff(send: Callable[..., None], kind: str, closed: bool = False) -> Callable[..., None]:
    return lambda people: send(filed(people, kind, closed=closed), KINDS[kind], now=NOW)


def planned(now: datetime) -> Plan:
    """What most people's erasure looks like."""
    gone = ("Who you are", "How to reach you", "Your work", "About you", "Messages we sent", "Sign-ins and devices")
    kept = (("Your choices", 14, "proof of what you chose", 6 * 365), ("Requests", 2, FILE.reason, FILE.days))
    return Plan(
        (
            *(Line(what, Action.DELETED, rows) for rows, what in enumerate(gone, start=1)),
            Line("What changed", Action.DETACHED, 23),
            *(Line(what, Action.KEPT, rows, why, now.date() + timedelta(days)) for what, rows, why, days in kept),
        ),
        tuple(code for code, holding in HOLDINGS.items() if holding.asked),
    )


def farewell(people: People, plan: Plan | None = None, *, kind: str = "erasure") -> None:
    messages.farewell(
        to=people.alice.email,
        first_name="Alice",
        request=filed(people, kind),
        plan=plan or planned(NOW),
        now=NOW,
    )


def erasure_received(people: People) -> None:
    request = filed(people, "erasure", at=NOVEMBER)
    to = [people.alice.email]
    messages.erasure_received(people.alice, request, KINDS["erasure"], planned(NOVEMBER), to=to, now=NOVEMBER)


def erasure_held(people: People) -> None:
    messages.erasure_held(people.alice, filed(people, "erasure"), erasures.HOLDS["claim"], now=NOW)


def approved(after: timedelta) -> Callable[[People], None]:
    return lambda people: messages.erasure_approved(people.alice, filed(people, "erasure"), now=NOW + after)


def needs_attention(people: People) -> None:
    messages.staff_erasure_needs_attention(filed(people, "erasure"), ["stray.nickname"], ["member.education"], now=NOW)


SAMPLES: dict[str, Callable[[People], None]] = {
    "activation": lambda people: messages.activation(account(people), TOKEN, now=NOW),
    "activation-desk": lambda people: messages.activation(people.dana, TOKEN, now=NOW),
    "invitation": lambda people: messages.invitation(account(people), TOKEN, now=NOW),
    "reset": lambda people: messages.reset(account(people), TOKEN, now=NOW),
    "password_changed": lambda people: messages.password_changed(account(people), now=NOW),
    "new_sign_in": lambda people: messages.new_sign_in(account(people), browser=BROWSER, now=NOW),
    "email_confirm": lambda people: messages.email_confirm(change(people), TOKEN, now=NOW),
    "email_confirm-import": lambda people: messages.email_confirm(change(people, Door.IMPORT), TOKEN, now=NOW),
    "email_notice": lambda people: messages.email_notice(change(people), TOKEN, now=NOW),
    "email_notice-import": lambda people: messages.email_notice(change(people, Door.IMPORT), TOKEN, now=NOW),
    "email_changed": lambda people: messages.email_changed(change(people), TOKEN, now=NOW),
    "email_taken": lambda people: messages.email_taken(people.bob.id, people.bob.email, now=NOW),
    "data_downloaded": lambda people: messages.data_downloaded(account(people), name="zip", browser=BROWSER, now=NOW),
    "unsubscribe_link": unsubscribe_link,
    "unsubscribe_elsewhere": lambda people: messages.unsubscribe_elsewhere("alias@example.org", "", now=NOW),
    "unsubscribe_elsewhere-answered": lambda people: messages.unsubscribe_elsewhere(
        "alias@example.org", sign_unsubscribe(b"always the same."), now=NOW
    ),
    "address_check": lambda people: messages.address_check(people.alice, TOKEN, now=NOW),
    "staff_letter": lambda people: messages.staff_letter(
        "reader@example.org",
        "A question",
        "Hello,\n\nwhen does the next issue come?\n\nGreetings",
        cut=False,
        known=True,
        now=NOW,
    ),
    "staff_letter-long": lambda people: messages.staff_letter("", "", "word " * 9, cut=True, known=False, now=NOW),
    "request_received-access": to_member(messages.request_received, "access"),
    "request_withdrawn-access": to_member(messages.request_withdrawn, "access", closed=True),
    "request_withdrawn-erasure": to_member(messages.request_withdrawn, "erasure", closed=True),
    "erasure_received": erasure_received,
    "erasure_approved": approved(timedelta(hours=20)),
    "erasure_approved-late": approved(timedelta(days=5)),
    "erasure_held": erasure_held,
    "farewell": farewell,
    "farewell-review": lambda people: farewell(people, kind="review"),
    "farewell-anonymisation": lambda people: farewell(people, kind="anonymisation"),
    "staff_erasure_done": lambda people: messages.staff_erasure_done(
        filed(people, "erasure"), planned(NOW).holdings, now=NOW
    ),
    "staff_erasure_needs_attention": needs_attention,
    "staff_erasures_repeated": lambda people: messages.staff_erasures_repeated(
        [filed(people, "erasure")], 2, ["stray.nickname"], now=NOW
    ),
    "review_opened": review_opened,
    "review_opened-consent": lambda people: review_opened(people, scope="careers"),
    "request_withdrawn-review": to_member(messages.request_withdrawn, "review", closed=True),
    "review_ended": lambda people: messages.review_ended(
        filed(people, "review", closed=True), KINDS["review"], again=reviews.AGAIN[True], now=NOW
    ),
    "review_ended-needed": lambda people: messages.review_ended(
        filed(people, "review", closed=True), KINDS["review"], again=requests.STILL_NEEDED, now=NOW
    ),
    "staff_reviews_opened": lambda people: messages.staff_reviews_opened([filed(people, "review")] * 12, now=NOW),
    "ask_confirm": lambda people: messages.ask_confirm(
        people.alice.email, KINDS["access"], TOKEN, ends_at=NOW + timedelta(days=7), now=NOW
    ),
    "identity_asked": told(messages.identity_asked, words="In which year did you first come to a symposium?"),
    "identity_asked-by-letter": written_down(messages.identity_asked, words=WAS_IT_YOU.format(how="letter")),
    "identity_reminder": told(messages.identity_reminder),
    "identity_reminder-by-letter": written_down(messages.identity_reminder),
    "request_received-by-letter": written_down(messages.request_received),
    "request_extended": told(
        messages.request_extended, reason=EXTENSIONS["complexity"], words="Your papers of twenty years are on paper."
    ),
    "request_answered": told(messages.request_answered, words="", needs_activation=True),
    "request_answered-stranger": answered_in_part,
    "request_withdrawn-stranger": withdrawn_by_call,
    "farewell-stranger": farewell_to_a_stranger,
    "staff_suspensions_due": lambda people: messages.staff_suspensions_due(2, now=NOW),
    "request_refused": told(messages.request_refused, reason=REFUSALS["others"], words="The photograph shows others."),
    "notice_changed": lambda people: messages.notice_changed(people.alice, notice(), earlier=None, now=NOW),
    "notice_changed-coming": lambda people: messages.notice_changed(people.alice, notice(28), earlier=1, now=NOW),
    "notice_changed-reduced": lambda people: messages.notice_changed(
        people.alice, notice(28, "reduced-right"), earlier=None, now=NOW
    ),
    "restriction_set": lambda people: messages.restriction_set(people.alice, now=NOW),
    "restriction_lifted": lambda people: messages.restriction_lifted(people.alice, now=NOW),
    "second_factor_on": lambda people: messages.second_factor_on(people.dana, now=NOW),
    "second_factor_off": lambda people: messages.second_factor_off(people.dana, now=NOW),
    "recovery_code_used": lambda people: messages.recovery_code_used(people.dana, left=9, now=NOW),
    "staff_request_assigned": lambda people: messages.staff_request_assigned(
        filed(people, "access"), KINDS["access"], people.dana, now=NOW
    ),
    "staff_request_added": to_staff(messages.staff_request_added, "access"),
    "staff_request_due": told(messages.staff_request_due, left=3),
    "staff_request_overdue": told(messages.staff_request_overdue, late=1),
    "staff_digest": lambda people: messages.staff_digest([filed(people, "access")] * 2, KINDS, now=NOW),
    "staff_digest-one": lambda people: messages.staff_digest([filed(people, "access")], KINDS, now=NOW),
    "staff_request_received": to_staff(messages.staff_request_received, "erasure"),
    "staff_request_withdrawn": to_staff(messages.staff_request_withdrawn, "erasure", closed=True),
}

# Beside those of `mail/messages`: the alarm of the delivery, and what a broadcast looks like.
BESIDE: dict[str, Callable[[People], None]] = {
    "dead_letter": lambda _: outbox.put_to_staff(
        "dead_letter",
        now=NOW,
        number="0f8fad5b",
        dead_kind="receipt",
        dead_topic="",
        failure="refused by the receiving side (550 5.1.1)",
        written_at=NOW,
    ),
    "sample_broadcast": lambda people: broadcast(people),
}


def broadcast(people: People) -> None:
    """A broadcast with a real link, as its reader sees it."""
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference, "events")
    outbox.put(
        "sample_broadcast",
        kind=MailKind.BROADCAST,
        to=people.alice.email,
        subject_id=people.alice.id,
        now=NOW,
        topic="events",
        unsubscribe_url=outbox.absolute(f"/unsubscribe/{token}"),
        first_name=people.alice.first_name,
    )
