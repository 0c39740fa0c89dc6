"""Verbs that say to its person how far a request is: the day, why that day, and what comes next (rights §4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from portal.clock import in_words, society_date
from portal.domain import asks, handling, reminders, requests
from portal.domain.kinds import KINDS
from portal.models import DataSubjectRequest, RequestStep
from portal.models.request import REVIEW, State

KNOWN_BY: Mapping[str, str] = {
    requests.BY_PASSWORD: "You had just given your password",
    asks.BY_MAILBOX: "You pressed the button behind a link that we sent to your address",
    "seen by letter": "You answered us by letter",
    "seen by phone": "We called you at the number on file",
    "seen by meeting": "We met you",
    "seen by other": "You convinced our staff in another way",
}
ANSWERS = ("answered", "refused", "turned_off")


def due_on(request: DataSubjectRequest) -> date:
    """The day by which the person has the answer, as they were told it."""
    return reminders.due_on(request)


def why_due(request: DataSubjectRequest) -> list[str]:
    """Why that day, in sentences: promise, law, pause, extension, each with its dates."""
    return [_rule(request), *_counted_from(request), *_pause(request)]


def _counted_from(request: DataSubjectRequest) -> list[str]:
    if request.received_at.date() == request.received_on:
        return []
    return [f"Where the society has its seat it was {in_words(request.received_on)} when it arrived: that day counts."]


def _rule(request: DataSubjectRequest) -> str:
    if request.extended_at is not None:
        return (
            f"On {in_words(society_date(request.extended_at))} we told you that we need longer, which the law allows "
            f"once. {handling.EXTENSIONS[request.extension]} Before, the day was {in_words(request.promise_on)}."
        )
    arrived = "it was opened" if request.kind == REVIEW else "your request arrived"
    if request.promise_on == request.legal_1_on:
        return f"One month after {arrived}, as the law says; that is no later than the 30 days that we promise."
    return (
        f"30 days after {arrived}, as we promise. The law itself gives us one month, until "
        f"{in_words(request.legal_1_on)}."
    )


def _pause(request: DataSubjectRequest) -> list[str]:
    asked, answered = request.identity_asked_at, request.identity_answered_at
    if asked is None:
        return []
    if answered is None and request.is_open:
        when = in_words(society_date(asked))
        return [f"On {when} we asked who you are: the law lets us wait for that. The day that we promised stays."]
    if answered is None or request.extended_at is not None or request.verified_at is None:
        return []
    if request.legal_on == request.legal_1_on:
        return []
    waited = f"We waited for your answer from {in_words(society_date(asked))} to {in_words(society_date(answered))}."
    moved = f"So the day by law moved from {in_words(request.legal_1_on)} to {in_words(request.legal_on)}."
    return [waited, moved, "The day that we promised stays."]


def how_known(request: DataSubjectRequest) -> str:
    """How we know who asked, as the person may read it; empty where it did not matter."""
    return KNOWN_BY.get(request.verified_how, "") if request.verified_at is not None else ""


def comes_next(request: DataSubjectRequest) -> list[str]:
    """What happens from here on, in sentences; empty for a request that is closed."""
    if not request.is_open:
        return []
    if request.state == State.VERIFYING:
        if request.identity_answered_at is None:
            return ["You tell us what we asked. Then we go on."]
        return ["You have answered. Our staff read it, and go on or ask you once more."]
    if request.state == State.EXTENDED:
        return [f"We go on with it. You will have our answer by {in_words(due_on(request))}."]
    return list(KINDS[request.kind].what_happens)


def answer(request: DataSubjectRequest) -> RequestStep | None:
    """The step in which the request was answered, or refused, in words; None if it was not."""
    said = [step for step in request.steps if step.step in ANSWERS and step.words]
    return said[-1] if said else None


def reason_refused(request: DataSubjectRequest) -> str:
    """Why it was refused, in whole or in part, in a sentence; empty if it was not."""
    return handling.REFUSALS.get(request.refusal, "")
