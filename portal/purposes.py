"""The society's catalogue: why data is held, who receives it, what a person can choose, what is mailed.

Words that a lawyer can read and the society edits. Basis, recipients and retention belong to the purpose; a
column only names purposes. Periods marked "default" are for the society to confirm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from portal.vocabulary import DPV_GDPR, Basis

CONTRACT_TRANSFER = "needed for the contract with you (GDPR Art. 49(1)(b))"
CONSENT_TRANSFER = "only with your explicit consent (GDPR Art. 49(1)(a))"
DUTY_TRANSFER = "occasional, and does not outweigh your rights (GDPR Art. 49(1))"
TRANSFERS: Mapping[str, str] = {
    CONTRACT_TRANSFER: f"{DPV_GDPR}A49-1-b",
    CONSENT_TRANSFER: f"{DPV_GDPR}A49-1-a",
    DUTY_TRANSFER: f"{DPV_GDPR}A49-2",
}


@dataclass(frozen=True)
class Purpose:
    """Why something is held (GDPR Art. 13(1)(c)), on which ground, who may receive it, and for how long."""

    name: str
    basis: Basis
    recipients: tuple[str, ...]
    transfer: str
    retention: str
    note: str = ""  # what a person should know beyond the rest
    dpv: str = field(kw_only=True)  # the nearest purpose of the W3C Data Privacy Vocabulary 2.1


PURPOSES: Mapping[str, Purpose] = {
    "membership": Purpose(
        "Running your membership and its benefits",
        Basis.CONTRACT,
        ("membership-system", "library-vendor"),
        CONTRACT_TRANSFER,
        "as long as your membership lasts",
        dpv="MemberPartnerManagement",
    ),
    "contact": Purpose(
        "Writing to you about your membership, orders and events",
        Basis.CONTRACT,
        ("membership-system", "mail-relay"),
        CONTRACT_TRANSFER,
        "as long as your membership lasts",
        dpv="CommunicationManagement",
    ),
    "content": Purpose(
        "Choosing topics and events that fit our members' work",
        Basis.CONSENT,
        (),
        CONSENT_TRANSFER,
        "until you clear it",
        dpv="ServiceOptimisation",
    ),
    "sanctions": Purpose(
        "Complying with United States sanctions law",
        Basis.OBLIGATION,
        (),
        DUTY_TRANSFER,
        "as long as your membership lasts",
        dpv="LegalCompliance",
    ),
    "age": Purpose(
        "Making sure that we hold no data about children under 13",
        Basis.OBLIGATION,
        (),
        DUTY_TRANSFER,
        "as long as your membership lasts",
        dpv="AgeVerification",
    ),
    "broadcasts": Purpose(
        "Sending news, publications and offers to those who want them",
        Basis.INTEREST,
        ("mail-relay",),
        DUTY_TRANSFER,
        "until you say stop; we keep a record that you did",
        dpv="DirectMarketing",
    ),
    "events": Purpose(
        "Organising events and their attendee lists",
        Basis.CONTRACT,
        ("event-partners", "event-app"),
        CONTRACT_TRANSFER,
        "seven years after the event",
        dpv="RequestedServiceProvision",
    ),
    "careers": Purpose(
        "Showing your profile to employers, if you said yes first",
        Basis.CONSENT,
        ("career-centre",),
        CONSENT_TRANSFER,
        "until you withdraw your yes",
        dpv="RequestedServiceProvision",
    ),
    "orders": Purpose(
        "Taking orders and payments",
        Basis.CONTRACT,
        ("membership-system", "payment-processor", "fulfilment"),
        CONTRACT_TRANSFER,
        "as long as tax and audit law requires",
        "We never hold card or bank data: the payment processor takes them.",
        dpv="CustomerOrderManagement",
    ),
    "certification": Purpose(
        "Courses, exams and certificates",
        Basis.CONTRACT,
        ("exam-training",),
        CONTRACT_TRANSFER,
        "as long as the certificate is valid or your membership lasts",
        "If others ask us, we may tell them whether you hold one of our certificates; nothing else.",
        dpv="RequestedServiceProvision",
    ),
    "hotels": Purpose(
        "Hotel rates for people who come to an event",
        Basis.CONTRACT,
        ("hotels",),
        CONTRACT_TRANSFER,
        "until the event is over",
        dpv="RequestedServiceProvision",
    ),
    "enquiries": Purpose(
        "Answering questions, complaints and other letters",
        Basis.INTEREST,
        (),
        DUTY_TRANSFER,
        "as long as the matter is open, then two years",
        dpv="CommunicationForCustomerCare",
    ),
    "recognition": Purpose(
        "Naming officers, committee members and helpers in recognition",
        Basis.INTEREST,
        ("readers",),
        DUTY_TRANSFER,
        "as a record of the society's history, until you object",
        dpv="PublicRelations",
    ),
    "rights": Purpose(
        "Answering your requests and proving what you chose",
        Basis.OBLIGATION,
        ("mail-relay",),
        DUTY_TRANSFER,
        "requests two years, choices six years",
        dpv="RightsFulfillment",
    ),
    "security": Purpose(
        "Protecting your account",
        Basis.INTEREST,
        (),
        DUTY_TRANSFER,
        "sign-ins ninety days after they end, your password as long as your record",
        dpv="EnforceSecurity",
    ),
}


@dataclass(frozen=True)
class Recipient:
    """Somebody outside who may receive data (P13), and the safeguard that binds them (P37)."""

    name: str
    safeguard: str


RECIPIENTS: Mapping[str, Recipient] = {
    "membership-system": Recipient("the membership system (Member Leap)", "processing contract"),
    "library-vendor": Recipient("the library (Allen Press)", "processing contract; log-in only"),
    "career-centre": Recipient("the career centre", "terms of use; only with your yes"),
    "payment-processor": Recipient("the payment processor", "processing contract; card industry rules"),
    "mail-relay": Recipient("the relay that carries our email", "processing contract; TLS on the way"),
    "event-partners": Recipient("partners of an event, as your choices allow", "terms of the list"),
    "event-app": Recipient("the mobile app of an event", "processing contract"),
    "hotels": Recipient("the hotels of an event", "terms of the booking"),
    "exam-training": Recipient("exam and training partners", "processing contract"),
    "fulfilment": Recipient("the shipping company", "processing contract"),
    "readers": Recipient("everybody who reads what the society publishes", "published; you can object to it"),
    "analytics": Recipient("services that count visits to the society's public site", "processing contract"),
}


# Where data is held outside this portal -------------------------------------------------------------------

PORTAL = "this portal's database, in the United States"


@dataclass(frozen=True)
class Holding:
    """A place outside the portal that may hold something about a person, and what an erasure asks of it (Art. 19).

    `asked`: staff ask it to delete, and tick it; otherwise `ends` says how it goes by itself.
    """

    name: str
    what: str
    reach: str
    purposes: tuple[str, ...]
    ends: str
    recipient: str = ""  # of RECIPIENTS; none: the society itself
    asked: bool = True


BY_US = "Write to us; we ask them for you."
RECEIVERS = "list-receivers"  # asked where the log of what left the house names somebody (GDPR Art. 19)

HOLDINGS: Mapping[str, Holding] = {
    "membership-system": Holding(
        "The membership system (Member Leap)",
        "Your membership record, dues and orders: the record that this portal follows.",
        BY_US,
        ("membership", "contact", "orders"),
        "deleted there when we ask; invoices are kept as long as tax law requires",
        "membership-system",
    ),
    "library-vendor": Holding(
        "The library (Allen Press)",
        "Your log-in to the journal archive, nothing else.",
        BY_US,
        ("membership",),
        "deleted there when we ask",
        "library-vendor",
    ),
    "career-centre": Holding(
        "The career centre",
        "What you entered there yourself, and what you allowed us to share.",
        "Sign in there, or write to us.",
        ("careers",),
        "deleted there when you or we ask",
        "career-centre",
    ),
    "payment-processor": Holding(
        "The payment processor",
        "Card or bank data of your payments, which never reach us.",
        BY_US,
        ("orders",),
        "kept there as long as payment law requires",
        "payment-processor",
    ),
    "fulfilment": Holding(
        "The shipping company",
        "Your name, and the postal address that an order went to.",
        BY_US,
        ("orders",),
        "deleted there when we ask; delivery papers are kept as long as tax law requires",
        "fulfilment",
    ),
    "mail-relay": Holding(
        "The relay that carries our email",
        "Addresses and subject lines of messages, in its log.",
        BY_US,
        ("contact", "broadcasts"),
        "its log is deleted after 30 days",
        "mail-relay",
        asked=False,
    ),
    "event-app": Holding(
        "The mobile app of an event",
        "Your name and what you entered there yourself.",
        "Delete your profile in the app, or write to us.",
        ("events",),
        "deleted there when we ask",
        "event-app",
    ),
    "hotels": Holding(
        "The hotels of an event",
        "Your booking, if you took our rate.",
        "Write to the hotel, or to us.",
        ("hotels",),
        "kept there as long as the law of its country requires",
        "hotels",
    ),
    "exam-training": Holding(
        "Exam and training partners",
        "Courses you took, exams you sat, certificates you hold.",
        BY_US,
        ("certification",),
        "deleted there when we ask; the register of certificates stays as long as they are valid",
        "exam-training",
    ),
    "analytics": Holding(
        "Services that count visits to the society's public site",
        "Browser, shortened network address and pages, under a number in a cookie. This portal uses none.",
        "The page “Cookies” links to their opt-out pages.",
        ("content",),
        "they keep what they have under their own numbers; we cannot tell which is yours",
        "analytics",
        asked=False,
    ),
    RECEIVERS: Holding(
        "Organisations that received your details on a list",
        "What your choices allowed: each list is named here under “Who received your details”.",
        "Write to them, or to us; we tell each of them.",
        ("events", "careers"),
        "we tell each of them that your record here is deleted; they are responsible for what they hold",
        "event-partners",
    ),
    "staff-mailboxes": Holding(
        "The mailboxes of our staff",
        "Letters and emails between you and us: questions, complaints, requests for assistance at events.",
        BY_US,
        ("enquiries",),
        "deleted by hand when we ask; complaints may stay until they are settled",
    ),
    "contributions": Holding(
        "Papers, posts and committee pages",
        "What you published under your name.",
        BY_US,
        ("recognition",),
        "the contribution stays, your name is removed from it",
    ),
    "backups": Holding(
        "Backups of this portal",
        "Copies of everything on this page.",
        "They are never searched. After a restore, your choices and all deletions are repeated before anything else.",
        ("security",),
        "overwritten after 35 days",
        asked=False,
    ),
}

BACKUP_DAYS = 35

NEVER_HELD: tuple[str, ...] = (
    "Card numbers, bank accounts and passwords of payment services",
    "Government numbers: passport, tax, social security",
    "Race, religion, politics, health, sexual orientation, genes, fingerprints",
    "Anything about children under 13",
    "The exact network address or the pages that you visit here",
)


# How long rows stay ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Period:
    """How long rows of one table stay, counted from a moment in them; `datamap/retention` carries it out.

    `clears`: the columns that are emptied at the end; none: the row goes. `states`: only rows in these; none: all.
    """

    what: str
    table: str
    after: str  # the column that the days count from; one of another table as `event.ends_on`
    days: int
    words: str
    clears: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


# Every number of days is a default, for the society to confirm.
PERIODS: Mapping[str, Period] = {
    "sign-ins": Period("Sign-ins and devices", "sign_in", "ends_at", 90, "90 days after the sign-in ended"),
    "failed-sign-ins": Period("Sign-ins that were refused", "failed_sign_in", "at", 90, "90 days"),
    "password-links": Period("Links for a password", "password_link", "ends_at", 90, "90 days after the link ended"),
    "address-changes": Period(
        "Changes of your address", "email_change", "cancel_until", 90, "90 days after it can no longer be undone"
    ),
    "typed-addresses": Period(
        "Addresses typed to get a link", "link_request", "at", 1, "until answered, a day at most"
    ),
    "message-texts": Period(
        "Texts of delivered messages",
        "message",
        "sent_at",
        0,
        "until delivered",
        ("text", "html", "calendar", "unsubscribe_url"),
    ),
    "unsent-addresses": Period(
        "Addresses of messages that could not be delivered or were stopped",
        "message",
        "created_at",
        90,
        "90 days after writing",
        ("to_address",),
        ("dead", "cancelled"),
    ),
    "message-addresses": Period(
        "Addresses in the log of messages", "message", "sent_at", 90, "90 days after sending", ("to_address",)
    ),
    "bounces": Period("Mail that came back", "bounce", "at", 90, "90 days"),
    "farewells": Period("The last message after an erasure", "message", "created_at", 7, "seven days at most"),
    "messages": Period("The log of messages", "message", "created_at", 2 * 365, "two years"),
    "registrations": Period(
        "Registrations for events", "registration", "event.ends_on", 7 * 365, "seven years after the event"
    ),
    "choices": Period(
        "Answers that a newer one has replaced",
        "choice",
        "at",
        6 * 365,
        "as long as it stands, and six years in any case",
    ),
    "requests": Period(
        "Requests that are closed", "data_subject_request", "closed_at", 2 * 365, "two years after the answer"
    ),
    "unconfirmed-asks": Period(
        "Requests that were typed and not confirmed", "ask", "ends_at", 1, "a day after the link to confirm it ended"
    ),
    "suspensions": Period(
        "Suspensions that have ended", "suspension", "ended_at", 3 * 365, "three years after it ended"
    ),
    "trail": Period(
        "What changed, and who looked",
        "trail",
        "at",
        6 * 365,
        "six years; what says where a value came from, as long as your record",
    ),
    "former-values": Period(
        "What stood in your profile before you saved it", "former_value", "at", 1, "30 minutes, a day at most"
    ),
    "detached-trail": Period("The same without a name, after an erasure", "trail", "at", 365, "a year"),
    "disclosures": Period("Who received your details", "disclosure", "at", 6 * 365, "six years"),
    "list-steps": Period("What staff did with lists", "list_step", "at", 6 * 365, "six years"),
    "conflicts": Period(
        "What the membership records said otherwise",
        "import_conflict",
        "seen_at",
        90,
        "until it is settled, 90 days at most after they last said so",
    ),
    "requests-of-the-erased": Period(
        "Requests of people whose record was erased",
        "data_subject_request",
        "subject.erased_at",
        2 * 365,
        "two years after the erasure",
    ),
    "proofs-of-the-erased": Period(
        "Answers of people whose record was erased",
        "choice",
        "subject.erased_at",
        6 * 365,
        "six years after the erasure",
    ),
    "disclosures-of-the-erased": Period(
        "Who received details of people whose record was erased",
        "disclosure",
        "subject.erased_at",
        2 * 365,
        "two years after the erasure",
    ),
    "recognitions-of-the-erased": Period(
        "Published recognitions of people whose record was erased",
        "recognition",
        "left_at",
        10 * 365,
        "ten years after the erasure",
    ),
    "suspensions-of-the-erased": Period(
        "Suspensions of people whose record was erased",
        "suspension",
        "subject.erased_at",
        3 * 365,
        "three years after the erasure",
    ),
    "numbers-of-the-erased": Period(
        "The random number of an erased record", "subject", "erased_at", 6 * 365, "when nothing refers to it any more"
    ),
}

# The European Economic Area: where P28 opens a review when a membership ends or a consent is withdrawn.
EEA = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT"}
    | {"LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"}
)
# Words of `membership_status` that say that a membership has ended, compared in lower case.
ENDED = frozenset({"cancelled", "canceled", "ended", "expired", "inactive", "lapsed", "resigned", "terminated"})
# The consent that a choice gives, and its purpose, which stands on consent: withdrawing it opens a review in the EEA.
CONSENTS: Mapping[str, str] = {"employer_sharing": "careers"}


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
        Topic("announcements", "Announcements", "News from the society: elections, deadlines, new benefits."),
        Topic("events", "Events", "Calls for papers, programmes and registration for symposia and workshops."),
        Topic("magazine", "Magazine", "A message when a new issue of the magazine is out."),
        Topic("journal", "Journal", "A message when a new issue of the journal is out."),
        Topic("bulletin", "Bulletin", "A short summary of the week."),
        Topic("surveys", "Surveys", "Now and then, a question about what members need."),
        Topic(
            "sponsor-offers",
            "Sponsor offers",
            "Offers from sponsors. We send them; sponsors never see your address.",
            True,
        ),
        Topic("recruiting", "Recruiting", "Job openings. We send them; employers never see your address.", True),
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
                    "Messages about your own requests and your account still come: receipts, answers, password links.",
                ),
                Option("no", "No, keep sending", "You get the topics that are switched on for you."),
            ),
            "no",
        ),
        Choice(
            "attendee_list",
            "Attendee list",
            "When you register for an event, who may see that you are coming?",
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
            "We send post to your address only about your membership and orders.",
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


NOTICE_CODE = re.compile(r"notice_([1-9][0-9]{0,8})")


def notice_choice(version: int) -> Choice:
    """Whether a version of the privacy notice that takes a right away is agreed to (P31): a question for each."""
    return Choice(
        f"notice_{version}",
        f"Version {version} of the privacy notice",
        f"Version {version} of the privacy notice reduces one of your rights. Do you agree to it?",
        (
            Option("no", "No", "The earlier version still applies to you. Nothing changes for you."),
            Option("yes", "Yes", f"Version {version} applies to you, and so do later versions that reduce no right."),
        ),
        "no",
    )


def question(code: str) -> Choice | None:
    """The question that an answer of this code belongs to: of the catalogue, or of a version of the notice."""
    notice = NOTICE_CODE.fullmatch(code)
    return notice_choice(int(notice[1])) if notice else CHOICES.get(code)


# Who sees a person ----------------------------------------------------------------------------------------

SAME = "default"  # the answer for one event that says: as my answer for all events stands


@dataclass(frozen=True)
class Audience:
    """Who receives a list, which answers let a person onto it, and the columns of `member` that it may carry."""

    code: str
    name: str
    choice: str
    answers: frozenset[str]
    fields: tuple[str, ...]
    purpose: str = "events"
    of_event: bool = True


_PUBLIC = ("first_name", "last_name", "organization", "country")
_ATTENDEES = (*_PUBLIC, "job_title")
_SPONSORS = (*_ATTENDEES, "email", "business_type")
_EMPLOYERS = ("first_name", "last_name", "email", "job_title", "education", "work_experience", "interests")
_YES = frozenset({"yes"})

AUDIENCES: Mapping[str, Audience] = {
    audience.code: audience
    for audience in (
        Audience("public", "Public roster", "attendee_list", frozenset({"public"}), _PUBLIC),
        Audience("attendees", "Other attendees", "attendee_list", frozenset({"attendees", "public"}), _ATTENDEES),
        Audience("sponsors", "Sponsors", "sponsor_sharing", _YES, _SPONSORS),
        Audience("exhibitors", "Exhibitors", "sponsor_sharing", _YES, _SPONSORS),
        Audience("employers", "Employers", "employer_sharing", _YES, _EMPLOYERS, "careers", of_event=False),
    )
}
