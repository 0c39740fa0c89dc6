"""Pages of the desk on one request: everything that staff need to know of it, and each act as a small form (P15, P28).

Every look at a person, and every press, leaves a row that the person can see; nobody works on their own record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.datamap import held
from portal.domain import erasures, handling, reminders, requests, suspensions, trail
from portal.domain.errors import CannotWithdraw, NotDue, NotNow
from portal.domain.kinds import KINDS, RequestKind
from portal.extensions import db, settings, transaction
from portal.models import Account, DataSubjectRequest, Member
from portal.models.request import ERASING, REVIEW, State
from portal.purposes import RECEIVERS
from portal.tokens import canonical_address
from portal.web.access import DESK, RECENT, access
from portal.web.desk import OWN_RECORD
from portal.web.forms import Form
from portal.web.forms.desk import (
    AnswerForm,
    ApproveForm,
    ExtendForm,
    HandOutForm,
    HoldForm,
    IdentityForm,
    NoteForm,
    RefuseForm,
    SentForm,
    SuspendForm,
    TakeForm,
    VerifiedForm,
)
from portal.web.forms.signin import EmptyForm

bp = Blueprint("handling", __name__)

NO_ADDRESS = "We have no email address, so nothing was mailed. Please tell the person by post or by telephone."
ANSWERED_BY_HAND = tuple(code for code in KINDS if code not in (*ERASING, *handling.DATA_KINDS))
FORMS: Mapping[str, type[Form]] = {
    "approve": ApproveForm,
    "hold": HoldForm,
    "identity": IdentityForm,
    "verified": VerifiedForm,
    "extend": ExtendForm,
    "answer": AnswerForm,
    "hand_out": HandOutForm,
    "refuse": RefuseForm,
    "note": NoteForm,
    "sent": SentForm,
    "suspend": SuspendForm,
}


@bp.get("/desk/requests/<reference>")
@access(DESK)
def one(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>`: what is asked, by whom, what it would do, and every step. `?reply=` begins one."""
    return _page(_look(_found(reference), "looked at"), reply=request.args.get("reply", ""))


@bp.post("/desk/requests/<reference>/take")
@access(DESK)
def take(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/take`: it is mine from now on."""
    form = TakeForm()

    def act(found: DataSubjectRequest) -> str:
        handling.take(found, _account(), seen=_uuid(form.text("seen")), now=clock.now())
        return "This request is yours."

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/identity")
@access(DESK)
def identity(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/identity`: ask for what is missing to know who it is."""
    form = IdentityForm()

    def act(found: DataSubjectRequest) -> str:
        handling.ask_identity(found, form.text("identity_words"), now=clock.now())
        rest = "We remind them after 7 and 21 days, and close the request after 60 without an answer."
        return _told(found, "Asked.", rest)

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/verified")
@access(DESK)
def verified(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/verified`: we know now who it is."""
    form = VerifiedForm()

    def act(found: DataSubjectRequest) -> str:
        handling.verify(found, f"seen by {form.text('verified_how')}", now=clock.now())
        return "Noted: you know who it is."

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/extend")
@access(DESK)
def extend(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/extend`: once, with the reason."""
    form = ExtendForm()

    def act(found: DataSubjectRequest) -> str:
        handling.extend(found, form.text("extension"), form.text("extension_words"), now=clock.now())
        return _told(found, "Extended.", "The person is told the new day and why.")

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/answer")
@access(DESK)
def answer(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/answer`: the answer, in full or in part."""
    form = AnswerForm()

    def act(found: DataSubjectRequest) -> str:
        handling.answer(found, form.text("answer_words"), not_done=form.text("left_out"), now=clock.now())
        return _told(found, "Answered.", "The person is told by email that the answer is there.")

    return _act(reference, form, act, ANSWERED_BY_HAND)


@bp.post("/desk/requests/<reference>/hand-out")
@access(DESK, post=RECENT)
def hand_out(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/hand-out`: the data are there to read and to fetch, signed in."""
    form = HandOutForm()

    def act(found: DataSubjectRequest) -> str:
        handling.hand_out(found, form.text("answer_words"), not_done=form.text("left_out"), now=clock.now())
        return "Handed out. The person reads it in the portal, signed in, and is told by email."

    return _act(reference, form, act, handling.DATA_KINDS)


@bp.post("/desk/requests/<reference>/refuse")
@access(DESK)
def refuse(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/refuse`: nothing of it is done, for a reason that the law knows."""
    form = RefuseForm()

    def act(found: DataSubjectRequest) -> str:
        refused = handling.refuse(
            found, form.text("refusal"), form.text("refusal_words"), by=_account(), now=clock.now()
        )
        if not refused:
            return "Proposed. It is refused when a second person of the desk presses Refuse with the same reason."
        return _told(found, "Refused.", "The person is told why, and what they can do about it.")

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/withdrawn")
@access(DESK)
def withdrawn(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/withdrawn`: the person took it back by letter or by telephone, and is told."""

    def act(found: DataSubjectRequest) -> str:
        requests.withdraw_for(found, now=clock.now())
        return _told(found, "Withdrawn.", "The person is told.")

    return _act(reference, EmptyForm(), act)


@bp.post("/desk/requests/<reference>/note")
@access(DESK)
def note(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/note`: from staff to staff."""
    form = NoteForm()

    def act(found: DataSubjectRequest) -> str:
        handling.note(found, form.text("note_words"), now=clock.now())
        return "Noted."

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/sent")
@access(DESK)
def sent(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/sent`: to which other organisation, and how; or why not (Art. 20(2))."""
    form = SentForm()

    def act(found: DataSubjectRequest) -> str:
        handling.sent(found, form.text("sent_to"), form.text("sent_outcome"), form.text("sent_how"), now=clock.now())
        return "Written down. Now answer the person."

    return _act(reference, form, act, ("portability",))


@bp.post("/desk/requests/<reference>/restrict")
@access(DESK)
def restrict(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/restrict`: the data only lie here, from now on."""

    def act(found: DataSubjectRequest) -> str:
        handling.restrict(found, now=clock.now())
        return "Restricted: on no list, no broadcast email. Now answer the person."

    return _act(reference, EmptyForm(), act, ("restriction", "objection", "correction"))


@bp.post("/desk/requests/<reference>/lift")
@access(DESK)
def lift(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/lift`: what was in question is settled."""

    def act(found: DataSubjectRequest) -> str:
        handling.lift(found, now=clock.now())
        return "The restriction is over. The person is told."

    return _act(reference, EmptyForm(), act)


@bp.post("/desk/requests/<reference>/suspend")
@access(DESK)
def suspend(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/suspend`: this person may not use the portal for now (P15)."""
    form = SuspendForm()

    def act(found: DataSubjectRequest) -> str:
        suspensions.suspend(found.subject, form.text("suspension"), now=clock.now())
        return "Suspended. Every sign-in has ended. You are asked to look at it again in a year."

    return _act(reference, form, act)


@bp.post("/desk/requests/<reference>/approve")
@access(DESK, post=RECENT)
def approve(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/approve`: agree to an erasure, or to what a review proposes."""

    def act(found: DataSubjectRequest) -> str:
        erasures.approve(found, now=clock.now())
        return "Approved. The portal carries it out as soon as nothing else stops it."

    return _act(reference, ApproveForm(), act, ERASING)


@bp.post("/desk/requests/<reference>/hold")
@access(DESK)
def hold(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/hold`: it has to wait, for one of the known reasons."""
    form = HoldForm()

    def act(found: DataSubjectRequest) -> str:
        erasures.hold(found, form.text("reason"), now=clock.now())
        if found.kind == REVIEW:
            return "On hold. The member reads why on the page of the review."
        return _told(found, "On hold.", "The person is told why, by email and on the page of the request.")

    return _act(reference, form, act, ERASING)


@bp.post("/desk/requests/<reference>/go-on")
@access(DESK)
def go_on(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/go-on`: the reason to wait is over."""

    def act(found: DataSubjectRequest) -> str:
        erasures.resume(found, now=clock.now())
        return "The hold is over."

    return _act(reference, EmptyForm(), act, ERASING)


@bp.post("/desk/requests/<reference>/done/<holding>")
@access(DESK)
def done(reference: str, holding: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/done/<holding>`: somebody outside has deleted, too; or has told what they hold."""

    def act(found: DataSubjectRequest) -> str:
        if holding not in {task.holding for task in found.tasks}:
            abort(404)
        if found.kind not in ERASING:
            handling.tick(found, holding, now=clock.now())
            return "Noted as done."
        erasures.tick(found, holding, now=clock.now())
        return "Noted as done." if found.is_open else "Noted. With that the request is done, everywhere."

    return _act(reference, EmptyForm(), act, (*ERASING, *handling.DATA_KINDS))


@bp.post("/desk/requests/<reference>/close")
@access(DESK)
def close(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>/close`: a review that finds everything still needed."""

    def act(found: DataSubjectRequest) -> str:
        requests.close_review(found, now=clock.now())
        return "Closed: nothing had to be erased."

    return _act(reference, EmptyForm(), act, (REVIEW,))


# What they share ------------------------------------------------------------------------------------------


def _act(
    reference: str, form: Form, act: Callable[[DataSubjectRequest], str], kinds: tuple[str, ...] = ()
) -> ResponseReturnValue:
    """Note the look, check the form, act once. What is not possible any more changes nothing and says why."""
    found = _look(_found(reference, kinds), "worked on")
    if not form.validate_on_submit():
        return _page(found, form), 422
    try:
        with db.session.begin_nested():
            said = act(found)
    except (CannotWithdraw, NotDue, NotNow) as error:
        return _page(found, form, refused=str(error)), 422
    flash(said, "success")
    return redirect(url_for("handling.one", reference=reference), 303)


def _told(found: DataSubjectRequest, done: str, told: str) -> str:
    """What was done, and that its person hears of it: from the portal, or from staff where it has no address."""
    return f"{done} {told if handling.has_address(found) else NO_ADDRESS}"


def _account() -> Account:
    account: Account = g.sign_in.account
    return account


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _found(reference: str, kinds: tuple[str, ...] = ()) -> DataSubjectRequest:
    """The request; 404 if there is none, or none of these kinds, 403 if it is one's own."""
    found = requests.by_reference(reference)
    if found is not None and _is_own(found):
        abort(403, OWN_RECORD)
    if found is None or (kinds and found.kind not in kinds):
        abort(404)
    return found


def _is_own(found: DataSubjectRequest) -> bool:
    """Whether somebody of the desk asked it, also without a record, from the address with which they sign in."""
    account = _account()
    return found.subject_id == account.member_id or found.contact == canonical_address(account.address)


def _look(found: DataSubjectRequest, act: str) -> DataSubjectRequest:
    """Note what staff do, in a transaction of its own, before anything is shown. Of the erased nothing is noted."""
    subject_id, reference, erased = found.subject_id, found.reference, found.subject.erased_at is not None
    db.session.rollback()
    if not erased:
        with transaction():
            trail.look(subject_id, act, now=clock.now())
    again = requests.by_reference(reference)
    assert again is not None
    return again


# The page -------------------------------------------------------------------------------------------------


def _page(found: DataSubjectRequest, failed: Form | None = None, *, refused: str = "", reply: str = "") -> str:
    now, kind = clock.now(), KINDS[found.kind]
    member = db.session.get(Member, found.subject_id)
    forms = {name: failed if isinstance(failed, form) else form(formdata=None) for name, form in FORMS.items()}
    if reply and failed is None:
        _begin_reply(found, kind, reply, forms)
    return render_template(
        "desk/request.html",
        request=found,
        kind=kind,
        member=member,
        form=failed,
        refused=refused,
        reached=handling.has_address(found),
        forms=forms,
        reply=reply,
        me=_account().id,
        colleague=handling.colleague(found.assigned_to_id),
        proposer=handling.colleague(found.proposed_by_id),
        today=clock.society_date(now),
        now=now,
        due_on=reminders.due_on(found),
        why_due=handling.why_due(found),
        suspension=suspensions.standing(found.subject_id),
        **_possible(found, member),
        **_erasure(found),
    )


def _begin_reply(found: DataSubjectRequest, kind: RequestKind, reply: str, forms: dict[str, Form]) -> None:
    if reply not in {each.code for each in kind.replies}:
        abort(404)
    forms["answer"]["answer_words"].data = forms["hand_out"]["answer_words"].data = handling.reply(found, reply)


def _possible(found: DataSubjectRequest, member: Member | None) -> dict[str, Any]:
    """What may be done now, and in a sentence why something may not."""
    open_, known = found.is_open and found.carried_out_at is None, found.verified_at is not None
    data = found.kind in handling.DATA_KINDS
    return {
        "open": open_,
        "data_kind": data,
        "handed": _counts(found.subject_id) if data and member is not None and open_ else [],
        "waits_for": handling.waits_for(found) if data and open_ else "",
        "may_answer": open_ and known and found.kind not in ERASING,
        "may_verify": open_ and not known and found.kind != REVIEW,
        "may_extend": handling.may_extend(found, now=clock.now()),
        "why_not_extend": _why_not_extend(found) if open_ else "",
        "may_refuse": open_ and found.kind != REVIEW and State.REFUSED in requests.TRANSITIONS[State(found.state)],
        "two_to_refuse": settings().desk_requires_second_person,
    }


def _why_not_extend(found: DataSubjectRequest) -> str:
    if found.extended_at is not None:
        return "It was extended already; that is possible once."
    if found.kind in handling.NEVER_EXTENDED:
        return "This kind is never extended: it takes no time."
    if found.kind in ERASING:
        return "A deletion is not extended. If it has to wait, put it on hold."
    if found.state != State.WORKING:
        return "It can be extended once somebody has taken it and we know who it is."
    return "The day until which it could be extended is over."


def _counts(subject_id: UUID) -> list[tuple[str, int]]:
    """What would be handed out: for each group how many values and rows, never a value."""
    glimpse = held.glimpse(subject_id, few=0, now=clock.now())
    kinds = {table.name: kind for table, kind in held.lists().items()}
    counts = Counter(item.kind for item in glimpse.items if item.value not in (None, "", []))
    for listing in glimpse.lists:
        counts[kinds[listing.table.name]] += listing.total
    return [(str(kind), number) for kind, number in sorted(counts.items()) if number]


def _erasure(found: DataSubjectRequest) -> dict[str, Any]:
    """The plan of an erasure or a review, and what still stops it."""
    now = clock.now()
    ahead = found.kind in ERASING and found.is_open and found.carried_out_at is None
    return {
        "ahead": ahead,
        "plan": erasures.plan(found.subject_id, scope=found.scope, now=now) if ahead else None,
        "why": erasures.why_not_yet(found, now=now) if ahead else "",
        "hold_words": erasures.HOLDS.get(found.hold, ""),
        "words": erasures.worded(found),
        "receivers": erasures.receivers(found),
        "receivers_code": RECEIVERS,
        "starts_at": erasures.wait_until(found) if ahead else None,
    }
