"""The kinds of request: one entry in one table for each. A new kind is a new entry (P25, P27)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestKind:
    """One kind: its words for the person, and what it may do."""

    code: str
    title: str  # as on the button and in mails: "See my data"
    question: str  # what the person wants, in a sentence
    what_happens: tuple[str, ...]
    what_we_need: str
    yourself: str = ""  # the instant way, in a sentence
    yourself_path: str = ""
    once: bool = False  # at most one may be open
    checklist: tuple[str, ...] = ()  # for the desk


KINDS: Mapping[str, RequestKind] = {
    kind.code: kind
    for kind in (
        RequestKind(
            code="access",
            title="See my data",
            question="I want to know what the society holds about me, why, from where, and who received it.",
            what_happens=(
                "We collect what is held here and in the systems that work for us.",
                "You read the answer in the portal, signed in. We never send your data by email.",
                "You have it by the date that we show with your request.",
            ),
            what_we_need="Nothing but your password: you are signed in, so we know who you are.",
            yourself="Your profile already shows what you and we entered about you.",
            yourself_path="/profile",
            once=True,
            checklist=("Collect what outside systems hold", "Hand the answer out in the portal"),
        ),
        RequestKind(
            code="erasure",
            title="Delete my data",
            question="I want the society to delete my data and to close my account.",
            what_happens=(
                "Nothing is deleted for the first 72 hours. Until then you can take the request back with one press.",
                "Then our staff check whether a law obliges us to keep anything, such as invoices. The rest goes.",
                "We ask the systems that work for us to delete their copies too, and tell you when it is done.",
                "Your membership and its benefits end with your account.",
            ),
            what_we_need="Nothing but your password: you are signed in, so we know who you are.",
            yourself="If you only want silence: stop all broadcast email, and keep your membership.",
            yourself_path="/choices",
            once=True,
            checklist=("Check what the law obliges us to keep", "Ask outside systems to delete", "Delete"),
        ),
    )
}
