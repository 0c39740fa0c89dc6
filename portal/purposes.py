"""The society's catalogue: why data is held, who receives it, what a person can choose, what is mailed.

Words that a lawyer can read and the society edits. Basis, recipients and retention belong to the purpose; a
column only names purposes. Periods marked "default" are for the society to confirm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portal.vocabulary import Basis

CONTRACT_TRANSFER = "needed for the contract with you (GDPR Art. 49(1)(b))"
CONSENT_TRANSFER = "only with your explicit consent (GDPR Art. 49(1)(a))"
DUTY_TRANSFER = "occasional, and does not outweigh your rights (GDPR Art. 49(1))"


@dataclass(frozen=True)
class Purpose:
    """Why something is held (GDPR Art. 13(1)(c)), on which ground, who may receive it, and for how long."""

    name: str
    basis: Basis
    recipients: tuple[str, ...]
    transfer: str
    retention: str
    retention_days: int | None  # after the person's membership or the row's end; None: as long as that lasts


PURPOSES: Mapping[str, Purpose] = {
    "membership": Purpose(
        "Running your membership and its benefits",
        Basis.CONTRACT,
        ("membership-system",),
        CONTRACT_TRANSFER,
        "as long as your membership lasts",
        None,
    ),
    "contact": Purpose(
        "Writing to you about your membership, orders and events",
        Basis.CONTRACT,
        ("membership-system", "mail-relay"),
        CONTRACT_TRANSFER,
        "as long as your membership lasts",
        None,
    ),
    "content": Purpose(
        "Choosing topics and events that fit our members' work",
        Basis.CONSENT,
        (),
        CONSENT_TRANSFER,
        "until you clear it",
        None,
    ),
    "sanctions": Purpose(
        "Keeping to United States sanctions law",
        Basis.OBLIGATION,
        (),
        DUTY_TRANSFER,
        "as long as your membership lasts",
        None,
    ),
    "age": Purpose(
        "Making sure that no data of children under 13 is held",
        Basis.OBLIGATION,
        (),
        DUTY_TRANSFER,
        "as long as your membership lasts",
        None,
    ),
    "broadcasts": Purpose(
        "Sending news, publications and offers to those who want them",
        Basis.INTEREST,
        ("mail-relay",),
        DUTY_TRANSFER,
        "until you say stop; that you said so is kept",
        None,
    ),
    "events": Purpose(
        "Organising events and their attendee lists",
        Basis.CONTRACT,
        ("event-partners",),
        CONTRACT_TRANSFER,
        "seven years after the event (default)",
        7 * 365,
    ),
    "careers": Purpose(
        "Showing your profile to employers, if you said yes beforehand",
        Basis.CONSENT,
        ("career-centre",),
        CONSENT_TRANSFER,
        "until you withdraw your yes",
        None,
    ),
    "rights": Purpose(
        "Answering your requests and proving what you chose",
        Basis.OBLIGATION,
        ("mail-relay",),
        DUTY_TRANSFER,
        "requests two years, choices six years (defaults)",
        6 * 365,
    ),
    "security": Purpose(
        "Protecting your account",
        Basis.INTEREST,
        (),
        DUTY_TRANSFER,
        "ninety days after the sign-in ends (default)",
        90,
    ),
}


@dataclass(frozen=True)
class Recipient:
    """Somebody outside who may receive data (P13), and the safeguard that binds them (P37)."""

    name: str
    safeguard: str


RECIPIENTS: Mapping[str, Recipient] = {
    "membership-system": Recipient("the membership system (Member Leap)", "processing contract"),
    "mail-relay": Recipient("the relay that carries our email", "processing contract; TLS on the way"),
    "event-partners": Recipient("partners of an event, as your choices allow", "terms of the list"),
    "career-centre": Recipient("the career centre", "terms of use; only with your yes"),
}


# What a person can choose ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One answer: its stored value, its label, and what it means in plain words."""

    value: str
    label: str
    meaning: str


@dataclass(frozen=True)
class Choice:
    """A question that the person alone answers. Options run from the tightest to the widest."""

    code: str
    label: str
    question: str
    options: tuple[Option, ...]
    default: str

    def option(self, value: str) -> Option:
        """The option with this value; KeyError for any other word."""
        for option in self.options:
            if option.value == value:
                return option
        raise KeyError(value)

    def loosens(self, old: str, new: str) -> bool:
        """Whether `new` lets more out than `old`: an import may never do that."""
        values = [option.value for option in self.options]
        return values.index(new) > values.index(old)


SUPPRESS = "suppress_broadcast_emails"


def _yes_or_no(code: str, label: str, question: str, no: str, yes: str) -> Choice:
    return Choice(code, label, question, (Option("no", "No", no), Option("yes", "Yes", yes)), "no")


@dataclass(frozen=True)
class Topic:
    """A kind of broadcast. `opt_in`: only to those who said yes; otherwise to all who did not say no."""

    code: str
    name: str
    words: str
    opt_in: bool = False


TOPICS: Mapping[str, Topic] = {
    topic.code: topic
    for topic in (
        Topic("announcements", "Announcements", "News of the society: elections, deadlines, new benefits."),
        Topic("events", "Events", "Calls for papers, programmes and registration for symposia and workshops."),
        Topic("magazine", "Magazine", "A message when a new issue of the magazine is out."),
        Topic("journal", "Journal", "A message when a new issue of the journal is out."),
        Topic("bulletin", "Bulletin", "The short round-up of the week."),
        Topic("surveys", "Surveys", "Now and then a question about what members need."),
        Topic("sponsor-offers", "Sponsor offers", "Offers of sponsors, sent by us; they never see your address.", True),
        Topic("recruiting", "Recruiting", "Job openings, sent by us; employers never see your address.", True),
    )
}


def topic_choice(topic: str) -> str:
    """The code of the choice that turns a topic on or off."""
    return f"topic_{topic.replace('-', '_')}"


def _topic(topic: Topic) -> Choice:
    return Choice(
        topic_choice(topic.code),
        topic.name,
        topic.words,
        (
            Option("off", "Off", f"You do not get “{topic.name}”."),
            Option("on", "On", f"You get “{topic.name}” by email."),
        ),
        "off" if topic.opt_in else "on",
    )


CHOICES: Mapping[str, Choice] = {
    choice.code: choice
    for choice in (
        Choice(
            SUPPRESS,
            "Suppress Broadcast Emails",
            "Should we stop sending you news, publications and offers by email?",
            (
                Option(
                    "yes",
                    "Yes, stop them",
                    "We send you no broadcast email at all, whatever is chosen elsewhere. "
                    "Messages that you cause yourself still come: receipts, answers, password links.",
                ),
                Option("no", "No, keep sending", "You get the topics that are switched on for you."),
            ),
            "no",
        ),
        Choice(
            "attendee_list",
            "Attendee list",
            "When you register for an event, who may see that you come?",
            (
                Option("nobody", "Nobody", "Your name is on no list that leaves the society."),
                Option(
                    "attendees",
                    "Other attendees",
                    "People registered for the same event see your name, company, country and job title.",
                ),
                Option(
                    "public",
                    "Public roster",
                    "Anyone can see your name, company and country on the event's public page; "
                    "other attendees also see your job title.",
                ),
            ),
            "nobody",
        ),
        _yes_or_no(
            "sponsor_sharing",
            "Sponsor sharing",
            "May sponsors and exhibitors of an event that you attend receive your details?",
            "Sponsors and exhibitors get nothing about you from us.",
            "They receive your name, company, country, job title, email address and type of business.",
        ),
        _yes_or_no(
            "employer_sharing",
            "Employer sharing",
            "May employers and recruiters of the career centre receive your details?",
            "Employers get nothing about you from us.",
            "They receive your name, email address, job title, education, work experience and interests.",
        ),
        _yes_or_no(
            "post",
            "Post",
            "May we send you news and offers on paper?",
            "We write to your postal address only about your membership and orders.",
            "News and offers may also come by post.",
        ),
        _yes_or_no(
            "phone",
            "Phone",
            "May we call you with news and offers?",
            "We call you only about your membership and orders.",
            "We may also call you with news and offers.",
        ),
        *(_topic(topic) for topic in TOPICS.values()),
    )
}
