"""The kinds of request: one entry in one table for each. A new kind is a new entry (P25, P27)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOLE = "[…]"  # in a reply: here belong words of the desk's own, and without them it does not go out


@dataclass(frozen=True)
class Reply:
    """A text to begin an answer with. `{held}` is a link; `{controller}` the other organisation; see HOLE."""

    code: str
    title: str
    text: str


@dataclass(frozen=True)
class RequestKind:
    """One kind: its words for the person, and what it may do."""

    code: str
    title: str  # as on the button and in mails: "See my data"
    question: str  # what the person wants, in a sentence
    what_happens: tuple[str, ...]
    what_we_need: str
    wants_words: bool = False  # without them it says nothing
    yourself: str = ""  # the instant way, in a sentence
    yourself_path: str = ""
    once: bool = False  # at most one may be open
    at_once: bool = False  # done by sending it; nobody reviews it
    checklist: tuple[str, ...] = ()  # for the desk
    replies: tuple[Reply, ...] = ()  # for the desk
    filed: bool = True  # by a person; otherwise the portal opens it


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
                "You get it by the date that we show with your request.",
            ),
            what_we_need="Nothing to write: you are signed in, so we know who you are.",
            yourself="See and download everything that this portal holds about you, now.",
            yourself_path="/held",
            once=True,
            checklist=("Collect what outside systems hold", "Hand the answer out in the portal"),
            replies=(
                Reply(
                    "handed-out",
                    "Everything is ready",
                    "Everything that this portal holds about you, with the reasons, the sources, who received it and "
                    "how long it stays, is here to read and to download: {held}"
                    "\n\nWe have asked everybody outside who may hold something about you. What they told us:\n\n[…]",
                ),
                Reply(
                    "nothing",
                    "We hold nothing",
                    "We looked for you in this portal and asked those who work for us. Nobody holds anything about you "
                    "but this request.",
                ),
            ),
        ),
        RequestKind(
            code="portability",
            title="Take my data elsewhere",
            question="I want my data in a form that another organisation can read, or have it sent there.",
            what_happens=(
                "You can download your data now, in a documented form (JSON, CSV, vCard, calendar).",
                "If you name another organisation, we check whether it can take the data safely, and tell you.",
            ),
            what_we_need="If we are to send it: the name of the organisation, and where it takes such data.",
            yourself="Download everything yourself, now.",
            yourself_path="/held",
            once=True,
            checklist=(
                "Ask the other organisation whether and how it can take the data safely",
                "Send, and write down how; or say why it is not possible",
            ),
            replies=(
                Reply(
                    "handed-out",
                    "Ready to download",
                    "Your data is here to download, in documented forms that other programs can read (JSON, CSV, "
                    "vCard, calendar): {held}",
                ),
                Reply(
                    "sent",
                    "Sent to the other organisation",
                    "We have sent your data to {controller}. How we did it:\n\n"
                    "[…]\n\nYou can also download it yourself, at any time: {held}",
                ),
                Reply(
                    "not-sent",
                    "They cannot take the data",
                    "We asked {controller} whether and how they can take your data safely. They cannot, because:\n\n"
                    "[…]\n\nYou can download it yourself, at any time, and pass it on: {held}",
                ),
            ),
        ),
        RequestKind(
            code="correction",
            title="Correct something",
            question="Something about me is wrong, and I cannot change it myself.",
            what_happens=(
                "Our staff compare it with the membership records, and correct it here and there.",
                "We tell everybody who received the wrong data from us, and you see who they were.",
            ),
            what_we_need="What is wrong, and how it should read.",
            wants_words=True,
            yourself="Most of your profile you can change yourself, now.",
            yourself_path="/profile/edit",
            checklist=("Correct it here", "Correct it in the membership system", "Tell those who received it"),
            replies=(
                Reply(
                    "corrected",
                    "Corrected",
                    "We have corrected it, here and in the membership records. You see the new value here: {held}"
                    "\n\nWe have told these, who had received the old value from us:\n\n[…]",
                ),
                Reply(
                    "right",
                    "It is right as it stands",
                    "We have compared it with the membership records. It stays as it is, because:"
                    "\n\n[…]\n\nIf you do not agree, we will note your own words beside it: just send a new request.",
                ),
            ),
        ),
        RequestKind(
            code="completion",
            title="Add something",
            question="Something about me is missing, and I cannot add it myself.",
            what_happens=("Our staff add it here and in the membership records, and tell you.",),
            what_we_need="What is missing.",
            wants_words=True,
            yourself="Most of your profile you can fill in yourself, now.",
            yourself_path="/profile/edit",
            checklist=("Add it here", "Add it in the membership system"),
            replies=(
                Reply(
                    "added",
                    "Added",
                    "We have added it, here and in the membership records. You see it here: {held}",
                ),
            ),
        ),
        RequestKind(
            code="erasure",
            title="Delete my data",
            question="I want the society to delete my data and to close my account.",
            what_happens=(
                "Nothing is deleted for 72 hours. Until your data is deleted, one press withdraws the request.",
                "Then our staff check whether a law obliges us to keep anything, such as invoices. The rest goes.",
                "We ask the systems that work for us to delete their copies too, and tell you when it is done.",
                "Your membership and its benefits end with your account.",
            ),
            what_we_need="Nothing to write: you are signed in, so we know who you are.",
            yourself="If you only want no more emails, stop all broadcast email and keep your membership.",
            yourself_path="/choices",
            once=True,
            checklist=("Check what the law obliges us to keep", "Ask outside systems to delete", "Delete"),
        ),
        RequestKind(
            code="anonymisation",
            title="Make my data anonymous",
            question="I want the society to forget who I am. It may keep me in its numbers.",
            what_happens=(
                "Your name, your addresses and your sign-in go, as with a deletion, and your account closes.",
                "Only numbers stay that point to nobody: for example, how many people came to an event.",
                "Nothing happens for 72 hours. Until your data is anonymous, one press withdraws the request.",
            ),
            what_we_need="Nothing to write: you are signed in, so we know who you are.",
            yourself="If you only want no more emails, stop all broadcast email and keep your membership.",
            yourself_path="/choices",
            once=True,
            checklist=("Check what the law obliges us to keep", "Ask outside systems to do the same", "Make anonymous"),
        ),
        RequestKind(
            code="restriction",
            title="Stop using my data for now",
            question="I want the society to keep my data, but not to use it until something is settled.",
            what_happens=(
                "When we agree, we only store your data: you are on no list and get no broadcast email.",
                "We will tell you before we use it again.",
            ),
            what_we_need="Why: for example, something is wrong, or you object, or you need the data for a legal claim.",
            wants_words=True,
            yourself="Take yourself off every list, and stop all broadcast email.",
            yourself_path="/choices",
            once=True,
            checklist=("Restrict the record", "Tell those who received data"),
            replies=(
                Reply(
                    "restricted",
                    "Restricted",
                    "We now only store your data. You are on no list and get no broadcast email, and we will tell you "
                    "before that changes.",
                ),
            ),
        ),
        RequestKind(
            code="objection",
            title="Object to something",
            question="I do not want the society to use my data, or pictures of me, for a certain purpose.",
            what_happens=(
                "We stop, unless we have reasons that weigh more than yours. Then we tell you what they are.",
                "If you object to news and offers, we stop them at once.",
            ),
            what_we_need="What you object to. For a picture: where it can be seen.",
            wants_words=True,
            yourself="News, offers, lists and sponsors you can turn off yourself, now.",
            yourself_path="/choices",
            checklist=("Weigh the reasons", "Stop, or say why not", "Tell those who received data"),
            replies=(
                Reply(
                    "stopped",
                    "We have stopped",
                    "We have stopped it, and told these, who had received the data from us:\n\n[…]",
                ),
            ),
        ),
        RequestKind(
            code="withdrawal",
            title="Withdraw a consent",
            question="I once said yes to something, and I no longer agree.",
            what_happens=(
                "What you see under Choices you can withdraw there; it counts at once.",
                "For anything else, our staff stop it and tell you.",
                "What was done before stays lawful. Services that count visits keep what they counted.",
            ),
            what_we_need="Which consent you withdraw.",
            wants_words=True,
            yourself="Withdraw a yes under Choices, now.",
            yourself_path="/choices",
            checklist=("Stop what the consent allowed", "See what is held only for it", "Tell those who received data"),
            replies=(
                Reply(
                    "stopped",
                    "Withdrawn",
                    "Your consent is withdrawn, and what it allowed has stopped. What was done before stays lawful."
                    "\n\nServices that count visits to the society's public sites may keep what they counted, under "
                    "numbers of their own that do not name you; the notice says who they are and how to say no.",
                ),
            ),
        ),
        RequestKind(
            code="marketing",
            title="Stop all marketing",
            question="I want no news and no offers: not by email, post or phone, and not from sponsors.",
            what_happens=("It counts at once: all news and all offers are turned off.",),
            what_we_need="Nothing.",
            yourself="Under Choices, you can choose what to keep.",
            yourself_path="/choices",
            at_once=True,
        ),
        RequestKind(
            code="complaint",
            title="Complain",
            question="I am not satisfied with how the society treats my data or my request.",
            what_happens=(
                "Somebody who has not handled the matter before looks at it.",
                "You may also complain to a data protection authority at any time; it costs nothing.",
            ),
            what_we_need="What happened, and what you would like us to do.",
            wants_words=True,
            checklist=("Give it to somebody who was not involved", "Answer"),
            replies=(
                Reply(
                    "answer",
                    "Our answer to your complaint",
                    "Somebody who had nothing to do with the matter has looked at it. What we found:\n\n"
                    "[…]\n\nWhat we do now:\n\n[…]",
                ),
            ),
        ),
        RequestKind(
            code="question",
            title="Ask or suggest something",
            question="I have a question about the privacy notice, or an idea to make it better.",
            what_happens=("We answer. Suggestions are welcome.",),
            what_we_need="Your question, or your idea.",
            wants_words=True,
            yourself="The privacy notice itself may have the answer.",
            yourself_path="/notice",
            checklist=("Answer",),
            replies=(
                Reply(
                    "answer",
                    "Our answer",
                    "Thank you for writing.\n\n[…]",
                ),
            ),
        ),
        RequestKind(
            code="child",
            title="For my child",
            question="I am a parent, and the society may hold something about my child under 13.",
            what_happens=(
                "We look at once, and delete what we hold about the child. The child does not need to sign in.",
                "We tell you what we found and that it is gone.",
            ),
            what_we_need="The child's name and, if you know it, the address that was used. Nothing else, please.",
            wants_words=True,
            checklist=("Look for the child", "Delete what is found", "Answer the parent"),
            replies=(
                Reply(
                    "deleted",
                    "Found and deleted",
                    "We found data of the child. We have deleted it here, and asked everybody outside to do the same.",
                ),
                Reply(
                    "nothing",
                    "Nothing found",
                    "We looked for the child, here and with those who work for us, and found nothing.",
                ),
            ),
        ),
        RequestKind(
            code="review",
            title="Do we still need your data?",
            question="Something has ended. The society looks at what it still needs about me, and deletes the rest.",
            what_happens=(
                "Nothing is deleted for 72 hours.",
                "Then our staff look at what we still need, and at what a law obliges us to keep. The rest is deleted.",
                "If you want us to keep your record, press “Keep my record” on this page. Then nothing is deleted.",
            ),
            what_we_need="Nothing. You need not do anything.",
            filed=False,
            checklist=(
                "See what is still needed, and what the law obliges us to keep",
                "Approve the plan, or close the review if everything is still needed",
            ),
        ),
    )
}

# What `/requests/new` offers.
FILED: Mapping[str, RequestKind] = {code: kind for code, kind in KINDS.items() if kind.filed}
