"""Verbs of the desk on a request: write it down, take it, ask who it is, extend, answer, refuse, note (rights §4.4).

Each asks under the request's lock what stands; a second press says so and changes nothing. Dates are stored, never
computed again: what moves the day by law writes `legal_on`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select

from portal.clock import SOCIETY_ZONE, in_words, society_date
from portal.datamap import erasure
from portal.domain import asks, requests, restrictions, signin, trail
from portal.domain.errors import NotNow
from portal.domain.kinds import KINDS
from portal.extensions import db, settings
from portal.mail import messages
from portal.models import Account, DataSubjectRequest, Member, RequestStep, RequestTask, Subject
from portal.models.member import new_subject
from portal.models.request import ERASING, State
from portal.models.suppression import suspended
from portal.purposes import RECEIVERS
from portal.tokens import canonical_address
from portal.vocabulary import Door

EXTENSIONS: Mapping[str, str] = {
    "complexity": "The request is complex.",
    "number": "This person sent several requests at the same time.",
}
NEVER_EXTENDED = ("marketing", "withdrawal", "correction", "completion")

REFUSALS: Mapping[str, str] = {
    "verify": "We could not make sure that it was you who asked.",
    "excessive": "The request is manifestly unfounded, or repeats itself beyond measure.",
    "duty": "A law obliges us to keep this data.",
    "claims": "The data is needed for a legal claim.",
    "safety": "The data is needed to prevent fraud, or for safety.",
    "others": "It would show other people's data.",
    "elsewhere": "We do not hold this data; somebody else does.",
}
EXCESSIVE, NOT_SURE = "excessive", "verify"
PARTLY: Mapping[str, str] = {code: words for code, words in REFUSALS.items() if code not in (NOT_SURE, EXCESSIVE)}

DATA_KINDS = ("access", "portability")  # answered by handing the data out
SEEN_BY: Mapping[str, str] = {
    "letter": "They answered by letter.",
    "phone": "I called them at the number on file.",
    "meeting": "I met them.",
    "other": "In another way; my note says how.",
}
BY_LETTER: Mapping[str, str] = {"letter": "letter", "phone": "telephone call", "mail": "email", "meeting": "visit"}
WAS_IT_YOU = "A {how} with this request reached us in your name. Was it you?"

SENT: Mapping[str, str] = {
    "yes": "They can take the data safely, and have received it.",
    "no": "They cannot take the data safely.",
}

IDENTITY_WITHIN = timedelta(days=3)  # asked later than this, it stops no clock
NOT_KNOWN = "We do not know yet that it was really this person who asked."
HAND_MADE = "Erasures are answered by the portal itself, when they are carried out."


def write_down(
    subject: Subject | None,
    kind: str,
    *,
    details: str,
    contact: str,
    how: str,
    received_at: datetime,
    operation_id: str,
    now: datetime,
) -> DataSubjectRequest:
    """A request that came by letter, telephone, mail or in person: its dates run from the day when it arrived.

    `subject`: None for somebody without a record. `contact`: their address, then. Whoever has an address is asked
    there at once whether it was they: until then nobody is known. Raises AlreadyOpen, KeyError for no `how`.
    """
    words = WAS_IT_YOU.format(how=BY_LETTER[how])
    if (again := requests.of_operation(operation_id)) is not None:
        return again
    if subject is None:
        subject = new_subject()
        db.session.add(subject)
        db.session.flush()
    elif subject.erased_at is None:
        trail.look(subject.id, "worked on", now=now)
    request = requests.file_for(
        subject,
        kind,
        details=details,
        operation_id=operation_id,
        contact=canonical_address(contact) if contact else "",
        verified_how="",
        via=Door.STAFF,
        received_at=received_at,
        now=now,
    )
    if request.state == State.RECEIVED and has_address(request):
        ask_identity(request, words, now=now)
    return request


def has_address(request: DataSubjectRequest) -> bool:
    """Whether mail about it reaches anybody: not who wrote a letter with no address in it, nor who is erased."""
    return bool(request.contact) or db.session.get(Member, request.subject_id) is not None


def arrived_at(day: date, *, now: datetime) -> datetime:
    """The moment to count from, of something that came on a day at the society's seat; never later than now."""
    return min(datetime.combine(day, time(12), tzinfo=SOCIETY_ZONE).astimezone(now.tzinfo), now)


def confirm(request: DataSubjectRequest, *, now: datetime) -> bool:
    """The mailbox says that it was they who asked. False when there is nothing to confirm any more."""
    _in_turn(request)
    if not request.is_open or request.verified_at is not None:
        return False
    verify(request, asks.BY_MAILBOX, by="member", now=now)
    return True


def take(request: DataSubjectRequest, account: Account, *, seen: UUID | None = None, now: datetime) -> None:
    """Somebody of the desk has it from now on; for access, everybody outside who holds something is then listed.

    `seen`: who had it when they pressed. Raises NotNow when it is closed, or went to another colleague meanwhile.
    """
    _in_turn(request)
    _still_open(request)
    if request.assigned_to_id == account.id:
        return
    if request.assigned_to_id != seen:
        raise NotNow("A colleague took this request a moment ago.")
    request.assigned_to_id = account.id
    if request.kind in DATA_KINDS and db.session.get(Member, request.subject_id) is not None:
        listed = {task.holding for task in request.tasks}
        fresh = [code for code in erasure.holdings(request.subject_id, now=now) if code not in (*listed, RECEIVERS)]
        db.session.add_all([RequestTask(request_id=request.id, holding=code) for code in fresh])
    if request.state == State.RECEIVED and request.verified_at is not None:
        request.state = State.WORKING
    _step(request, "taken", by="staff", now=now)
    messages.staff_request_assigned(request, KINDS[request.kind], account, now=now)


def ask_identity(request: DataSubjectRequest, words: str, *, now: datetime) -> None:
    """Ask for what is missing to know who it is (Art. 12(6)). Raises NotNow where we know it already.

    While we wait, a second question moves no date: the time counts from the first. After an answer it is a question
    of its own: we wait again, from now, with its own reminders, and what we waited before is no longer added.
    """
    _in_turn(request)
    _still_open(request)
    if request.verified_at is not None:
        raise NotNow("We know who this is: nothing more may be asked.")
    answered = request.identity_answered_at is not None
    if not answered and _just_said(request, "identity_asked", words):
        return
    if request.state != State.VERIFYING:
        _move(request, State.VERIFYING)
        request.identity_asked_at = now
    elif answered:
        request.identity_asked_at, request.identity_answered_at = now, None
    _step(request, "identity_asked", by="staff", words=words, now=now)
    messages.identity_asked(request, KINDS[request.kind], words, now=now)


def verify(request: DataSubjectRequest, how: str, *, by: str = "staff", now: datetime) -> None:
    """We know now who it is. `how`: in a few words, never a number or a copy of a document. `by`: whose word it is.

    The time that we waited for the answer is added to the day by law, if we had asked within three days
    (rights §4.4); the promise stays as it was shown.
    """
    _in_turn(request)
    _still_open(request)
    if request.verified_at is not None:
        return
    asked = request.identity_asked_at
    if asked is not None:
        answered = request.identity_answered_at = request.identity_answered_at or now
        if society_date(asked) <= request.received_on + IDENTITY_WITHIN:
            request.legal_on += society_date(answered) - society_date(asked)
    request.verified_at = now
    request.verified_how = how
    _move(request, State.WORKING)
    _step(request, "verified", by=by, now=now)


def may_extend(request: DataSubjectRequest, *, now: datetime) -> bool:
    """Once, in time, and not for what takes no time."""
    return (
        request.is_open
        and request.extended_at is None
        and request.kind not in (*NEVER_EXTENDED, *ERASING)
        and request.state == State.WORKING
        and society_date(now) <= min(request.legal_on, request.us_1_on)
        and request.legal_on < _latest_on(request)
    )


def _latest_on(request: DataSubjectRequest) -> date:
    """The end of an extension: three months; for somebody in the United States never more than 90 days."""
    member = db.session.get(Member, request.subject_id)
    in_us = member is not None and member.country == "US"
    return min(request.legal_3_on, request.us_2_on) if in_us else request.legal_3_on


def extend(request: DataSubjectRequest, reason: str, words: str, *, now: datetime) -> None:
    """Take up to three months, once, with the reason told at once (Art. 12(3)). KeyError for another reason.

    For somebody in the United States 90 days after receipt is the end. Raises NotNow.
    """
    _in_turn(request)
    why = EXTENSIONS[reason]
    if not may_extend(request, now=now):
        raise NotNow("This request cannot be extended any more.")
    request.legal_on = _latest_on(request)
    request.extended_at, request.extension = now, reason
    _move(request, State.EXTENDED)
    _step(request, "extended", by="staff", words=words, now=now)
    messages.request_extended(request, KINDS[request.kind], why, words, now=now)


def answer(request: DataSubjectRequest, words: str, *, not_done: str = "", now: datetime) -> None:
    """The answer, read in the portal, never mailed. `not_done`: a code of PARTLY if a part was refused.

    Raises NotNow, KeyError for another code.
    """
    _in_turn(request)
    refused = PARTLY[not_done] if not_done else ""
    if request.kind in ERASING:
        raise NotNow(HAND_MADE)
    _still_open(request)
    if request.verified_at is None:
        raise NotNow(NOT_KNOWN)
    if request.state == State.RECEIVED:
        request.state = State.WORKING
    _move(request, State.PARTLY_FULFILLED if not_done else State.FULFILLED)
    request.refusal = not_done
    request.closed_at = now
    _step(request, "answered", by="staff", words=f"{refused}\n\n{words}".strip(), now=now)
    member = db.session.get(Member, request.subject_id)
    account = signin.account_of(member) if member else None
    shut_out = bool(db.session.scalars(select(suspended(request.subject_id))).one())
    needs_activation = account is not None and account.password_hash is None and not shut_out
    told = "" if member else words  # about somebody without a record there is nothing that an answer could give away
    messages.request_answered(
        request, KINDS[request.kind], told, not_done=refused, needs_activation=needs_activation, now=now
    )
    if account is not None and needs_activation:
        signin.mail_link(account, now=now)


def waits_for(request: DataSubjectRequest) -> str:
    """Why the data cannot be handed out in full yet; empty when they can."""
    if request.verified_at is None:
        return NOT_KNOWN
    if db.session.get(Member, request.subject_id) is None:
        return ""
    if request.assigned_to_id is None and not request.outside:
        return "Nobody has taken the request yet. Take it: everybody outside who may hold something is then listed."
    return "Not everybody outside has answered." if any(task.done_at is None for task in request.outside) else ""


def hand_out(request: DataSubjectRequest, words: str, *, not_done: str = "", now: datetime) -> None:
    """The answer to who wants their data: they read and fetch them in the portal, signed in. Raises NotNow, KeyError.

    Before everybody outside has answered, only a part can be handed out, and the answer says which.
    """
    _in_turn(request)
    why = waits_for(request)
    if request.is_open and why and not (not_done and request.verified_at is not None):
        raise NotNow(why)
    answer(request, words, not_done=not_done, now=now)


def tick(request: DataSubjectRequest, holding: str, *, now: datetime) -> None:
    """Somebody outside has said what they hold, or that they hold nothing. Raises NotNow when it is closed."""
    _in_turn(request)
    _still_open(request)
    for task in request.tasks:
        if task.holding == holding and task.done_at is None:
            task.done_at = now
    db.session.flush()


def refuse(request: DataSubjectRequest, reason: str, words: str, *, by: Account, now: datetime) -> bool:
    """Refuse, with the reason and the rights that follow (Art. 12(4)). False: a second person has to agree first.

    Only for "excessive", and where the settings ask for it; the second is not the first. Raises NotNow, KeyError.
    """
    _in_turn(request)
    why = REFUSALS[reason]
    if State.REFUSED not in requests.TRANSITIONS.get(State(request.state), ()) or request.carried_out_at is not None:
        raise NotNow("This request is closed, or was carried out already.")
    if reason == NOT_SURE and request.verified_at is not None:
        raise NotNow("We know who this is, so that is no reason.")
    if reason == EXCESSIVE and settings().desk_requires_second_person and request.proposed_by_id in (None, by.id):
        if request.proposed_by_id is None:
            request.proposed_by_id = by.id
            _step(request, "refusal_proposed", by="staff", words=words, now=now)
        return False
    if reason == EXCESSIVE:
        request.seconded_at = now
    request.refusal = reason
    _move(request, State.REFUSED)
    request.closed_at = now
    _step(request, "refused", by="staff", words=words, now=now)
    messages.request_refused(request, KINDS[request.kind], why, words, now=now)
    return True


def give_up(request: DataSubjectRequest, words: str, *, now: datetime) -> None:
    """Close what nobody could be verified for (Art. 12(4)); the portal's own act, after 60 days without an answer."""
    _in_turn(request)
    request.refusal = NOT_SURE
    _move(request, State.REFUSED)
    request.closed_at = now
    _step(request, "refused", by="portal", words=words, now=now)
    messages.request_refused(request, KINDS[request.kind], REFUSALS[NOT_SURE], words, now=now)


def note(request: DataSubjectRequest, words: str, *, now: datetime) -> None:
    """A note of staff to staff. It is part of what is held about the person, and in the download.

    The same words twice, one after the other, are one note.
    """
    _in_turn(request)
    if not _just_said(request, "note", words):
        _step(request, "note", by="staff", words=words, now=now)


def sent(request: DataSubjectRequest, to: str, outcome: str, how: str, *, now: datetime) -> None:
    """Whether another controller could take the data, what it answered, how they went or why not (Art. 20(2)).

    `outcome`: a code of SENT. Raises NotNow, KeyError for another code.
    """
    _in_turn(request)
    _still_open(request)
    if request.kind != "portability" or request.verified_at is None:
        raise NotNow("Nothing can be sent elsewhere for this request as it stands now.")
    words = f"{to}: {SENT[outcome]}\n\n{how}"
    if not _just_said(request, "sent_elsewhere", words):
        request.controller = to
        _step(request, "sent_elsewhere", by="staff", words=words, now=now)


def restrict(request: DataSubjectRequest, *, now: datetime) -> None:
    """Their data only lie here from now on (Art. 18). Twice is once. Raises NotNow before we know who asks."""
    _in_turn(request)
    _still_open(request)
    if request.verified_at is None:
        raise NotNow(NOT_KNOWN)
    if restrictions.restrict(request.subject, now=now):
        _step(request, "restricted", by="staff", now=now)


def lift(request: DataSubjectRequest, *, now: datetime) -> None:
    """What was in question is settled; also long after the request was closed. Twice is once."""
    _in_turn(request)
    if restrictions.lift(request.subject, now=now):
        _step(request, "restriction_lifted", by="staff", now=now)


def why_due(request: DataSubjectRequest) -> str:
    """Why the day that binds is that day, in a sentence or two, for the desk."""
    if request.extended_at is not None:
        return (
            f"Extended on {in_words(society_date(request.extended_at))}, which is possible once. "
            f"{EXTENSIONS[request.extension]} The day promised before was {in_words(request.promise_on)}."
        )
    if request.promise_on == request.legal_1_on:
        why = "One month after it arrived, as the law says; that is no later than the 30 days that the notice promises."
    else:
        why = "30 days after it arrived, as the notice promises; the month of the law ends a day later."
    paused = (request.legal_on - request.legal_1_on).days
    if paused:
        why += f" We waited {paused} days to know who it is, so the law's own day moved; the promised one stays."
    return why


def colleague(account_id: UUID | None) -> str:
    """The name of somebody of the desk, for colleagues; "somebody who has left" where the role was given up."""
    account = db.session.get(Account, account_id) if account_id else None
    if account is None:
        return ""
    return account.member.name if account.member else account.address


def reply(request: DataSubjectRequest, code: str) -> str:
    """The text of a reply with the notice's link and the reference in it. KeyError for a code that its kind lacks."""
    texts = {each.code: each.text for each in KINDS[request.kind].replies}
    version = f"/{request.notice_version}" if request.notice_version else ""
    text = texts[code].format(
        held=f"{settings().url}/held", controller=request.controller or "the organisation that you named"
    )
    notice = f"{settings().url}/notice{version}"
    return f"{text}\n\nThis answers your request {request.reference}. The privacy notice that counts for it: {notice}"


def _in_turn(request: DataSubjectRequest) -> None:
    """The same request, as it stands when it is our turn."""
    db.session.refresh(request, with_for_update={"key_share": True, "of": DataSubjectRequest})


def _still_open(request: DataSubjectRequest) -> None:
    if not request.is_open:
        raise NotNow("This request is closed.")


def _just_said(request: DataSubjectRequest, step: str, words: str) -> bool:
    """Whether the newest word of this sort is the very same: a second press of one button."""
    query = select(RequestStep.words).where(RequestStep.request_id == request.id, RequestStep.step == step)
    return db.session.scalars(query.order_by(RequestStep.id.desc()).limit(1)).first() == words


def _move(request: DataSubjectRequest, to: State) -> None:
    """Along the one table of transitions. Raises NotNow."""
    if to not in requests.TRANSITIONS.get(State(request.state), ()):
        raise NotNow("This is not possible as the request stands now.")
    request.state = to


def _step(request: DataSubjectRequest, step: str, *, by: str, now: datetime, words: str = "") -> None:
    db.session.add(RequestStep(request_id=request.id, step=step, by=by, words=words, at=now))
    db.session.flush()
