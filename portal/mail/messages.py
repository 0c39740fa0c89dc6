"""Every email that the portal sends, one small function each: this file is the list. Verbs call it.

The words are in `templates/email/<name>/`. A message is put into the outbox, in the transaction of what it tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from portal.clock import society_date
from portal.extensions import db, settings
from portal.lines import AllDay, calendar
from portal.mail import outbox
from portal.models import Account, DataSubjectRequest, EmailChange, Member, Notice
from portal.models.message import FAREWELL, NOTICE_CHANGED, MailKind
from portal.models.notice import CHANGE_WORDS, REDUCED_RIGHT
from portal.purposes import BACKUP_DAYS, HOLDINGS
from portal.tokens import CONFIRM_LINK, KEEP_LINK, STATUS_LINK, sign_reference, sign_unsubscribe
from portal.vocabulary import Door


class Kind(Protocol):
    """What a mail says of a kind of request."""

    @property
    def title(self) -> str: ...

    @property
    def question(self) -> str: ...

    @property
    def what_happens(self) -> tuple[str, ...]: ...


class Done(Protocol):
    """One line of what an erasure did."""

    @property
    def what(self) -> str: ...

    @property
    def action(self) -> str: ...

    @property
    def rows(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def until_on(self) -> date | None: ...


class Plan(Protocol):
    """What an erasure did here, and the codes of who is asked outside."""

    @property
    def lines(self) -> Sequence[Done]: ...

    @property
    def holdings(self) -> Sequence[str]: ...


# Accounts -------------------------------------------------------------------------------------------------


def activation(account: Account, token: str, *, now: datetime) -> None:
    """The link with which an imported person chooses a first password."""
    _to_account(account, "activation", now=now, token=token)


def invitation(account: Account, token: str, *, now: datetime) -> None:
    """The same link, sent by the society without being asked."""
    _to_account(account, "invitation", now=now, token=token)


def reset(account: Account, token: str, *, now: datetime) -> None:
    """The link with which a forgotten password is replaced."""
    _to_account(account, "reset", now=now, token=token)


def password_changed(account: Account, *, now: datetime) -> None:
    """Says that a password was set, so that a stranger's hand is noticed."""
    _to_account(account, "password_changed", now=now, at=now)


def second_factor_on(account: Account, *, now: datetime) -> None:
    """Says that the desk now asks for a second factor, and how many recovery codes there are."""
    _to_account(account, "second_factor_on", now=now, at=now)


def second_factor_off(account: Account, *, now: datetime) -> None:
    """Says that the second factor was taken away by an operator."""
    _to_account(account, "second_factor_off", now=now, at=now)


def recovery_code_used(account: Account, *, left: int, now: datetime) -> None:
    """Says that a recovery code stood in for the second factor."""
    _to_account(account, "recovery_code_used", now=now, at=now, left=left)


def new_sign_in(account: Account, *, browser: str, now: datetime) -> None:
    """Says that somebody signed in from a browser not seen lately."""
    _to_account(account, "new_sign_in", now=now, browser=browser, at=now)


def email_confirm(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the new address: the link that confirms it."""
    _to_change(change, "email_confirm", change.new_email, now=now, token=token)


def email_notice(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the old address: what is under way, and the link that cancels it."""
    _to_change(change, "email_notice", change.old_email, now=now, token=token)


def email_changed(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the old address: it is done, and can be undone for a while."""
    _to_change(change, "email_changed", change.old_email, now=now, token=token)


def email_taken(holder: UUID | None, address: str, *, now: datetime) -> None:
    """To an address that has an account already: somebody tried to use it. `holder`: whose it is, None for staff's."""
    outbox.put("email_taken", kind=MailKind.ACCOUNT, to=address, subject_id=holder, now=now)


def data_downloaded(account: Account, *, name: str, browser: str, now: datetime) -> None:
    """Says that everything was downloaded, so that a stranger's hand is noticed. `name`: of the format."""
    words = {"zip": "all files, in a zip archive", "json": "one JSON file"}[name]
    _to_account(account, "data_downloaded", now=now, format=words, browser=browser, at=now)


def unsubscribe_link(member: Member, *, now: datetime) -> None:
    """The link that stops broadcast email, for whoever lost it."""
    outbox.put(
        "unsubscribe_link",
        kind=MailKind.ACCOUNT,
        to=member.email,
        subject_id=member.id,
        now=now,
        token=sign_unsubscribe(member.subject.unsubscribe_reference),
    )


def unsubscribe_elsewhere(address: str, token: str, *, now: datetime) -> None:
    """To an address that asked us to stop and is nobody's here: the way to stop mail to the address that we have.

    `token`: of the person whose message it answered; empty where it answered none of ours.
    """
    outbox.put("unsubscribe_elsewhere", kind=MailKind.ACCOUNT, to=address, subject_id=None, now=now, token=token)


def address_check(member: Member, token: str, *, now: datetime) -> None:
    """To an address from which mail came back: the link that shows that it works again."""
    outbox.put(
        "address_check",
        kind=MailKind.ACCOUNT,
        to=member.email,
        subject_id=member.id,
        now=now,
        first_name=member.first_name,
        token=token,
    )


def staff_letter(sender: str, subject: str, text: str, *, cut: bool, known: bool, now: datetime) -> None:
    """To staff: what somebody wrote to the unsubscribe mailbox that a person has to read. `known`: a member's address.

    The words stand in the body alone: a title stays in the log of messages for years.
    """
    lines = [outbox.one_line(line) for line in text.split("\n")]
    outbox.put_to_staff(
        "staff_letter",
        now=now,
        sender=outbox.one_line(sender),
        letter_subject=outbox.one_line(subject),
        lines=lines,
        cut=cut,
        known=known,
    )


# Requests -------------------------------------------------------------------------------------------------


ANALYTICS = "analytics"  # the holding that nobody can ask: it cannot tell whose its numbers are (P16)


def request_received(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """The receipt: reference, what was asked, the day the answer is due, how to take it back (rights §4.5)."""
    _to_requester(request, kind, "request_received", now=now)


def request_withdrawn(request: DataSubjectRequest, kind: Kind, *, noted: bool = False, now: datetime) -> None:
    """Says that a request was taken back. `noted`: staff wrote down that the person said so."""
    _to_requester(request, kind, "request_withdrawn", now=now, noted=noted)


def ask_confirm(address: str, kind: Kind, token: str, *, ends_at: datetime, now: datetime) -> None:
    """To an address that was typed, known or not: the link that makes a request of it."""
    outbox.put(
        "ask_confirm",
        kind=MailKind.ACCOUNT,
        to=address,
        subject_id=None,
        now=now,
        request_kind=kind,
        token=token,
        ends_at=ends_at,
    )


def identity_asked(request: DataSubjectRequest, kind: Kind, words: str, *, now: datetime) -> None:
    """Asks what is missing to know who it is, and says what that does to the day (Art. 12(6))."""
    member = db.session.get(Member, request.subject_id)
    answers_here = member is not None and member.account is not None and member.account.password_hash is not None
    _to_requester(
        request,
        kind,
        "identity_asked",
        now=now,
        words=words,
        signed_in_answer=answers_here,
        confirm_url=_confirm_url(request),
    )


def identity_reminder(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """Says that we still wait for that answer."""
    _to_requester(request, kind, "identity_reminder", now=now, confirm_url=_confirm_url(request))


def _confirm_url(request: DataSubjectRequest) -> str:
    """Where the mailbox confirms what staff wrote down; empty for a request that the person sent themselves."""
    if request.door != Door.STAFF:
        return ""
    return f"{settings().url}/requests/confirm/{sign_reference(request.reference, purpose=CONFIRM_LINK)}"


def request_extended(request: DataSubjectRequest, kind: Kind, reason: str, words: str, *, now: datetime) -> None:
    """The new day, and why (Art. 12(3))."""
    _to_requester(request, kind, "request_extended", now=now, reason=reason, words=words)


def request_answered(
    request: DataSubjectRequest, kind: Kind, words: str, *, not_done: str = "", needs_activation: bool, now: datetime
) -> None:
    """Says that the answer is there. `words`: only for somebody without a record, so that they give nothing away.

    `not_done`: why a part was refused, in a sentence; the rights that follow stand beside it (Art. 12(4)).
    """
    _to_requester(
        request,
        kind,
        "request_answered",
        now=now,
        words=words,
        not_done=not_done,
        needs_activation=needs_activation,
    )


def request_refused(request: DataSubjectRequest, kind: Kind, reason: str, words: str, *, now: datetime) -> None:
    """What is not done, why, and the rights that follow (Art. 12(4))."""
    _to_requester(request, kind, "request_refused", now=now, reason=reason, words=words)


def review_opened(request: DataSubjectRequest, kind: Kind, *, ended: str, now: datetime) -> None:
    """What ended, what we look at, until when nothing is deleted, how to keep the record (P28). `ended`: a sentence."""
    _to_requester(request, kind, "review_opened", now=now, ended=ended)


def review_ended(request: DataSubjectRequest, kind: Kind, *, again: str, now: datetime) -> None:
    """What had ended stands again, or all is still needed, so nothing is deleted. `again`: why, in sentences."""
    _to_requester(request, kind, "review_ended", now=now, again=again)


def notice_changed(member: Member, notice: Notice, *, earlier: int | None, now: datetime) -> None:
    """Says how the privacy notice changes, and when; asks for a word where a right becomes smaller (P31).

    No broadcast: it is about the person's rights, and goes to those who want no news, too. `earlier`: the version that
    goes on applying to somebody who did not agree to one before this; None for all others.
    """
    outbox.put(
        NOTICE_CHANGED,
        kind=MailKind.RECEIPT,
        to=member.email,
        subject_id=member.id,
        now=now,
        thread=notice.thread,
        first_name=member.first_name,
        version=notice.version,
        effective_on=notice.effective_on,
        is_to_come=notice.effective_on > society_date(now),
        change_words=CHANGE_WORDS[notice.change],
        asks=notice.change == REDUCED_RIGHT,
        earlier=earlier,
    )


def restriction_set(member: Member, *, now: datetime) -> None:
    """Says that the data only lie here from now on (Art. 18)."""
    _to_member(member, "restriction_set", now=now)


def restriction_lifted(member: Member, *, now: datetime) -> None:
    """Says that they are used again (Art. 18(3))."""
    _to_member(member, "restriction_lifted", now=now)


def staff_reviews_opened(requests: Sequence[DataSubjectRequest], *, now: datetime) -> None:
    """To staff, where one file opened many reviews: how many, and the day by which the first is due."""
    due = min(request.promise_on for request in requests)
    outbox.put_to_staff(
        "staff_reviews_opened",
        now=now,
        number=len(requests),
        due_on=due,
    )


def staff_request_received(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """To staff: reference, kind, due date and a link, and the day for a calendar. Nothing about the person."""
    days = _due_days([request], {request.kind: kind}, now=now)
    _to_staff(request, kind, "staff_request_received", now=now, calendar=days)


def staff_request_withdrawn(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """To staff: nothing more to do."""
    _to_staff(request, kind, "staff_request_withdrawn", now=now)


def staff_request_assigned(request: DataSubjectRequest, kind: Kind, account: Account, *, now: datetime) -> None:
    """To the one of the desk who has it now."""
    _to_staff(request, kind, "staff_request_assigned", to=(account.address,), now=now)


def staff_request_added(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """To staff: the person has added something."""
    _to_staff(request, kind, "staff_request_added", now=now)


def staff_request_due(request: DataSubjectRequest, kind: Kind, left: int, *, now: datetime) -> None:
    """To staff: so many days are left."""
    _to_staff(request, kind, "staff_request_due", now=now, left=left)


def staff_request_overdue(request: DataSubjectRequest, kind: Kind, late: int, *, now: datetime) -> None:
    """To whoever has to see to it: so many days late."""
    _to_staff(request, kind, "staff_request_overdue", to=settings().escalation_emails, now=now, late=late)


SUSPENSIONS_DUE = "staff_suspensions_due"


def staff_suspensions_due(number: int, *, now: datetime) -> None:
    """To staff: so many suspensions need another look, a year after they began or were kept (P15)."""
    outbox.put_to_staff(SUSPENSIONS_DUE, now=now, number=number)


def staff_digest(requests: Sequence[DataSubjectRequest], kinds: Mapping[str, Kind], *, now: datetime) -> None:
    """To staff: several new requests in one message (threat T32)."""
    days = _due_days(requests, kinds, now=now)
    outbox.put_to_staff("staff_digest", now=now, calendar=days, requests=requests, kinds=kinds)


def _due_days(requests: Sequence[DataSubjectRequest], kinds: Mapping[str, Kind], *, now: datetime) -> str:
    """The days on which answers are due, for a calendar: reference and kind, nothing of a person."""
    entries = [
        AllDay(
            uid=f"{request.reference}@{settings().host}",
            title=f"{request.reference} due: {kinds[request.kind].title}",
            first_on=request.promise_on,
            last_on=request.promise_on,
            words=f"{settings().url}/desk/requests/{request.reference}",
        )
        for request in requests
    ]
    return "".join(calendar(entries, society=settings().society_short_name, now=now))


# Erasures -------------------------------------------------------------------------------------------------


def erasure_received(
    member: Member | None,
    request: DataSubjectRequest,
    kind: Kind,
    plan: Plan,
    *,
    to: Sequence[str],
    now: datetime,
) -> None:
    """The receipt of an erasure, to every address that we know: its first link takes it back (threat T2, rights §4.5).

    That link needs no sign-in: whoever has stolen a session cannot keep the mailbox's owner from it.
    """
    outside = [HOLDINGS[code] for code in plan.holdings]
    for address in to:
        _of_erasure(
            member,
            request,
            "erasure_received",
            to=address,
            now=now,
            request_kind=kind,
            plan=plan,
            outside=outside,
            backup_days=BACKUP_DAYS,
            analytics=HOLDINGS[ANALYTICS],
        )


def erasure_approved(member: Member | None, request: DataSubjectRequest, *, now: datetime) -> None:
    """Says that staff agreed, when it happens, and how to stop it even now."""
    if to := member.email if member is not None else request.contact:
        _of_erasure(member, request, "erasure_approved", to=to, now=now)


def erasure_held(member: Member | None, request: DataSubjectRequest, reason: str, *, now: datetime) -> None:
    """Says that it has to wait, and why. `reason`: a sentence."""
    if to := member.email if member is not None else request.contact:
        _of_erasure(member, request, "erasure_held", to=to, now=now, reason=reason)


def farewell(
    *, to: str, first_name: str, request: DataSubjectRequest, plan: Plan, had_record: bool = True, now: datetime
) -> None:
    """The last message: what was deleted here, what is kept and until when, who outside is asked (rights §5.8).

    `to` is the last copy of the address; it goes when the message has reached its end. `had_record`: False for
    somebody of whom we held the request and nothing else.
    """
    _receipt(
        request,
        FAREWELL,
        to=to,
        first_name=first_name,
        now=now,
        plan=plan,
        had_record=had_record,
        outside=[HOLDINGS[code] for code in plan.holdings],
        analytics=HOLDINGS[ANALYTICS],
        backups_end_on=society_date(now) + timedelta(days=BACKUP_DAYS),
        token=sign_reference(request.reference, purpose=STATUS_LINK),
        at=now,
    )


def staff_erasure_done(request: DataSubjectRequest, holdings: Sequence[str], *, now: datetime) -> None:
    """To staff: it is deleted here; who outside has to answer now. Nothing about the person, who is gone."""
    outbox.put_to_staff(
        "staff_erasure_done",
        now=now,
        thread=f"{request.reference}-desk",
        request=request,
        outside=[HOLDINGS[code] for code in holdings],
    )


def staff_erasure_needs_attention(
    request: DataSubjectRequest, found: Sequence[str], words: Sequence[str], *, now: datetime
) -> None:
    """To staff: after an erasure something is left, or others have written about the person (`words`).

    Names of tables and columns, never a value.
    """
    outbox.put_to_staff(
        "staff_erasure_needs_attention",
        now=now,
        thread=f"{request.reference}-desk",
        request=request,
        found=found,
        words=words,
    )


def staff_erasures_repeated(
    requests: Sequence[DataSubjectRequest], unknown: int, found: Sequence[str], *, now: datetime
) -> None:
    """To staff, after a restore: those outside have to be asked again. `unknown`: erasures without a request here."""
    outbox.put_to_staff(
        "staff_erasures_repeated",
        now=now,
        references=[request.reference for request in requests],
        unknown=unknown,
        found=found,
    )


# To whom --------------------------------------------------------------------------------------------------


def _to_account(account: Account, name: str, *, now: datetime, **context: Any) -> None:
    outbox.put(
        name,
        kind=MailKind.ACCOUNT,
        to=account.address,
        subject_id=account.member_id,
        now=now,
        first_name=account.member.first_name if account.member else "",
        **context,
    )


def _to_change(change: EmailChange, name: str, to: str, *, now: datetime, token: str) -> None:
    outbox.put(
        name,
        kind=MailKind.ACCOUNT,
        to=to,
        subject_id=change.member_id,
        now=now,
        first_name=change.member.first_name,
        change=change,
        token=token,
    )


def _to_requester(request: DataSubjectRequest, kind: Kind, name: str, *, now: datetime, **context: Any) -> None:
    """To the address on file, or the one given by somebody without a record; to nobody once it is erased."""
    member = db.session.get(Member, request.subject_id)
    to = member.email if member else request.contact
    if not to:
        return
    _receipt(
        request,
        name,
        to=to,
        first_name=member.first_name if member else "",
        now=now,
        request_kind=kind,
        request_url=_page_of(request, member),
        **context,
    )


def _page_of(request: DataSubjectRequest, member: Member | None) -> str:
    """Where its person sees how far it is: signed in, or by a link that shows the state and nothing else."""
    if member is not None:
        return f"{settings().url}/requests/{request.reference}"
    return f"{settings().url}/ask/status/{sign_reference(request.reference, purpose=STATUS_LINK)}"


def _to_member(member: Member, name: str, *, now: datetime) -> None:
    outbox.put(
        name,
        kind=MailKind.RECEIPT,
        to=member.email,
        subject_id=member.id,
        now=now,
        first_name=member.first_name,
        at=now,
    )


def _of_erasure(
    member: Member | None, request: DataSubjectRequest, name: str, *, to: str, now: datetime, **context: Any
) -> None:
    token = sign_reference(request.reference, purpose=KEEP_LINK)
    first_name, page = member.first_name if member is not None else "", _page_of(request, member)
    _receipt(request, name, to=to, first_name=first_name, now=now, token=token, request_url=page, at=now, **context)


def _receipt(
    request: DataSubjectRequest, name: str, *, to: str, first_name: str, now: datetime, **context: Any
) -> None:
    """Whatever a person is told about a request of theirs: one thread by its reference."""
    outbox.put(
        name,
        kind=MailKind.RECEIPT,
        to=to,
        subject_id=request.subject_id,
        now=now,
        thread=request.reference,
        first_name=first_name,
        dpo_contact=settings().dpo_contact,
        request=request,
        **context,
    )


def _to_staff(
    request: DataSubjectRequest, kind: Kind, name: str, *, to: Sequence[str] = (), now: datetime, **context: Any
) -> None:
    outbox.put_to_staff(
        name,
        now=now,
        thread=f"{request.reference}-desk",
        to=to,
        request=request,
        request_kind=kind,
        due_on=request.legal_on if request.extended_at else request.promise_on,
        **context,
    )
