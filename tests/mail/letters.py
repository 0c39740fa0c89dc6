"""What people and machines write to the unsubscribe mailbox: messages in the shape of many clients, in our own words.

Each is built as its client would write it: transfer encodings, folded headers, quotations above and below, signatures.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from quopri import encodestring

from portal.mail.inbound import Failure, Sort

TOKEN = "c29tZS1yYW5kb20tbnVtYg.events.1.Xq3V9d_Zr0tXw7yBn2HcJm5Lp8Gs1FaE4uT6iO-RvCk"
SENT = "<8f14e45fceea167a@privacy.example.org>"
QUOTE = (
    "> Dear Alice,\n>\n> the programme of the symposium is out.\n>\n> --\n> IMAPS\n"
    "> Unsubscribe: https://privacy.example.org/unsubscribe/xyz\n"
)
ON = "On Fri, 4 Dec 2026 at 10:02, IMAPS <privacy@portal.example.org> wrote:\n"


@dataclass(frozen=True)
class Case:
    """One message and what it must be read as."""

    raw: bytes
    sort: Sort
    token: str = ""
    automatic: bool = False
    failures: tuple[Failure, ...] = ()
    returned: tuple[str, ...] = ()
    answers: str = ""


def mail(
    subject: str,
    body: str = "",
    *,
    head: str = "",
    kind: str = "text/plain",
    charset: str = "utf-8",
    encoding: str = "8bit",
    sender: str = "Alice Example <alice@example.org>",
) -> bytes:
    content = body.encode(charset)
    if encoding == "base64":
        content = b64encode(content)
    elif encoding == "quoted-printable":
        content = encodestring(content)
    written = subject if subject.isascii() else f"=?{charset}?B?{b64encode(subject.encode(charset)).decode()}?="
    lines = (
        f"From: {sender}\nTo: stop@example.org\nSubject: {written}\nDate: Fri, 4 Dec 2026 10:02:00 +0000\n"
        f"Message-ID: <made-up@mail.example.org>\n{head}MIME-Version: 1.0\n"
        f"Content-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    )
    return lines.encode() + content


def parts(subject: str, *bodies: tuple[str, str], kind: str = "multipart/alternative", head: str = "") -> bytes:
    top = (
        f"From: alice@example.org\nTo: stop@example.org\nSubject: {subject}\n{head}MIME-Version: 1.0\n"
        f'Content-Type: {kind}; boundary="=_b"\n\nThis is a message in several parts.\n'
    )
    return "".join([top, *(f"--=_b\nContent-Type: {what}\n\n{text}\n" for what, text in bodies), "--=_b--\n"]).encode()


def report(
    fields: str, original: str = f"Message-ID: {SENT}\nSubject: Hello", *, kind: str = "text/rfc822-headers"
) -> bytes:
    """A delivery status notification, as most servers write it."""
    groups = f"Reporting-MTA: dns; mx.example.net\nArrival-Date: Fri, 4 Dec 2026 10:02:00 +0000\n\n{fields}\n"
    return parts(
        "Undelivered Mail Returned to Sender",
        ("text/plain", "This is the mail system. I'm sorry to have to tell you that your message was not delivered."),
        ("message/delivery-status", groups),
        *([(kind, original)] if original else []),
        kind="multipart/report; report-type=delivery-status",
        head="Return-Path: <>\nAuto-Submitted: auto-replied\n",
    ).replace(b"From: alice@example.org", b"From: Mail Delivery System <MAILER-DAEMON@mx.example.net>")


def failed(status: str, diagnostic: str = "", *, action: str = "failed", to: str = "alice@example.org") -> str:
    more = f"Diagnostic-Code: smtp; {diagnostic}\n" if diagnostic else ""
    return f"Final-Recipient: rfc822; {to}\nOriginal-Recipient: rfc822;{to}\nAction: {action}\nStatus: {status}\n{more}"


def stop(*words: object, **more: object) -> Case:
    return Case(mail(*words, **more), Sort.STOP)  # type: ignore[arg-type]


def letter(*words: object, **more: object) -> Case:
    return Case(mail(*words, **more), Sort.LETTER)  # type: ignore[arg-type]


def machine(*words: object, **more: object) -> Case:
    return Case(mail(*words, **more), Sort.AUTOMATIC, automatic=True)  # type: ignore[arg-type]


def bounce(raw: bytes, *failures: Failure, returned: tuple[str, ...] = (SENT,)) -> Case:
    return Case(raw, Sort.BOUNCE, automatic=True, failures=failures, returned=returned)


HTML = (
    '<html><head><style>p{color:red}</style><title>x</title></head><body><div dir="auto">Please unsubscribe&nbsp;me'
    '</div><br><div class="gmail_quote">On Fri, 4 Dec 2026, IMAPS &lt;privacy@portal.example.org&gt; wrote:<br>'
    "<blockquote><p>Do not stop reading: the programme is out.</p></blockquote></div></body></html>"
)
OUTLOOK = (
    "Abmelden\n\nMit freundlichen Grüßen\nA. Beispiel\n\n________________________________\n"
    "Von: IMAPS <privacy@portal.example.org>\nGesendet: Freitag, 4. Dezember 2026 10:02\nAn: A. Beispiel\n"
    "Betreff: Programm\n\nLiebe Alice, nicht abmelden, sondern lesen: das Programm ist da.\n"
)
CASES: dict[str, Case] = {
    # The unsubscribe address of a broadcast
    "mailto": Case(mail(f"unsubscribe {TOKEN}"), Sort.TOKEN, TOKEN),
    "mailto, folded within": Case(mail(f"unsubscribe\n\t{TOKEN[:40]}\n {TOKEN[40:]}"), Sort.TOKEN, TOKEN),
    "mailto, by the mail program": Case(
        mail(f"unsubscribe {TOKEN}", "This message was sent automatically.", head="Auto-Submitted: auto-generated\n"),
        *(Sort.TOKEN, TOKEN, True),
    ),
    "mailto, in encoded words": Case(
        mail(f"=?us-ascii?Q?unsubscribe?=\n =?us-ascii?Q?_{TOKEN.replace('_', '=5F')}?="), Sort.TOKEN, TOKEN
    ),
    "token on the first line": Case(mail("Hello", f"\n{TOKEN}\n"), Sort.TOKEN, TOKEN),
    "the link on the first line": Case(
        mail("", f"unsubscribe <https://privacy.example.org/unsubscribe/{TOKEN}>\n"), Sort.TOKEN, TOKEN
    ),
    "a link in the quotation is none": letter("Re: Programme", f"Thank you\n\n{ON}{QUOTE}".replace("xyz", TOKEN)),
    # A mailbox provider counts complaints by a header of its own, in a person's mail too
    "stop, by Fastmail": stop("unsubscribe", head="Feedback-ID: i1a2b3c4d:Fastmail\n"),
    "a letter, by Proton": letter("Please delete my record", "Thank you", head="Feedback-ID: 1234567:user:proton\n"),
    "stop, from a company that wants no machine's answers": Case(
        mail("unsubscribe", head="X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply\n"), Sort.STOP, automatic=True
    ),
    "a letter from there": Case(
        mail("Please delete my record", head="X-Auto-Response-Suppress: DR, OOF, AutoReply\n"),
        *(Sort.LETTER, "", True),
    ),
    "no letter: whoever wants none at all is a machine": machine("A ticket", head="X-Auto-Response-Suppress: All\n"),
    # Plain words
    "subject alone": stop("UNSUBSCRIBE"),
    "first line, quotation below": stop("Re: Programme", f"Unsubscribe\n\n{ON}{QUOTE}"),
    "below the quotation": stop("Re: Programme", f"{ON}{QUOTE}\nPlease remove me from the IMAPS list.\n"),
    "reply from a telephone": stop("Re: Programme", f"Stop\n\nSent from my telephone\n\n{ON}{QUOTE}"),
    "greeting first": stop("Question", "Dear Sir or Madam,\n\nplease take me off your mailing list.\n\nA. Example"),
    "broken line": stop("Programme", "I would like to be removed from your mailing\nlist, thank you.\n"),
    "polite question": stop("Programme", "Could you please unsubscribe me?\n"),
    "signature and subject": stop("Re: Fwd: [EXT] unsubscribe", "-- \nAlice Example\nDo not print this.\n"),
    "html only": stop("Re: Programme", HTML, kind="text/html"),
    "html in base64, utf-16": stop("Re: Programme", HTML, kind="text/html", charset="utf-16", encoding="base64"),
    "empty plain part, words in html": Case(
        parts("Programme", ("text/plain", "  \n"), ("text/html", "<p>Hello,</p><p>opt-out</p>")), Sort.STOP
    ),
    "German, Outlook": stop("AW: Programm", OUTLOOK, charset="iso-8859-1", encoding="quoted-printable"),
    "German, two sentences apart": stop("Bitte keine E-Mails mehr", "Danke\n"),
    "French": stop("Re: Programme", "Bonjour,\n\nje souhaite me désabonner, merci d'avance.\n", encoding="base64"),
    "French, short": stop("Re: Programme", "STOP pub svp"),
    "Spanish": stop("RV: Programa", "Por favor, darme de baja de la lista.", charset="windows-1252"),
    "Italian": stop("R: Programma", "Vorrei disiscrivermi dalla newsletter, grazie."),
    "Portuguese": stop("Quero cancelar a inscrição"),
    "Polish": stop("Odp: Program", "Proszę o wypisanie z listy mailingowej", charset="iso-8859-2"),
    "Dutch": stop("Antw: Programma", "Schrijf mij uit aub"),
    "Swedish": stop("Sv: Program", "Avregistrera mig, tack"),
    "Russian": stop("Отписаться", charset="koi8-r"),
    "Japanese": stop("Re: ご案内", "メルマガの配信停止をお願いします。\n", charset="iso-2022-jp", encoding="7bit"),
    "Chinese": stop("回复: 通知", "您好，请退订，谢谢！", charset="gb18030", encoding="base64"),
    "Chinese, traditional": stop("取消訂閱", charset="big5"),
    "Korean": stop("수신거부 부탁드립니다"),
    "a wrong charset": Case(
        mail("Re: Programme", "unsubscribe").replace(b"charset=utf-8", b"charset=x-nonsense"), Sort.STOP
    ),
    # For a person to read
    "negation": letter("Please don't unsubscribe me", "I still read it."),
    "negation below": letter("unsubscribe", "Please do not unsubscribe me, the other address is meant."),
    "a machine to stop": letter("How do I stop the machine?", "It runs and runs."),
    "a paper to remove": letter("Programme", "Please remove\nmy paper from the programme of Tuesday.\n"),
    "a wish to be deleted": letter("Delete me", "Please delete all that you hold about me."),
    "a question": letter("Re: Programme", f"How can I stop?\n\n{ON}{QUOTE}"),
    "nothing at all": letter("", ""),
    "several senders": letter("Hello", sender="a@example.org, b@example.org"),
    # Machines
    "out of office": machine("Automatic reply: Programme", "Unsubscribe"),
    "German out of office": machine("Abwesenheitsnotiz", "Ich bin nicht da."),
    "auto-replied": machine("unsubscribe", head="Auto-Submitted: auto-replied (vacation)\n"),
    "null return path": machine("stop", head="Return-Path: <>\n"),
    "another list": machine("stop", head="List-Id: <members.example.net>\n"),
    "bulk": machine("stop", head="Precedence: bulk\n"),
    "a loop": machine("stop", head="X-Loop: stop@example.org\n"),
    "our own": machine("stop", sender="IMAPS <Privacy@portal.example.org>"),
    "a notice of a program": machine("Your report is ready", head="Auto-Submitted: auto-generated\n"),
    "a complaint": Case(
        parts(
            "Complaint",
            ("text/plain", "A reader pressed the button for spam."),
            ("message/feedback-report", "Feedback-Type: abuse\nVersion: 1\n"),
            kind="multipart/report; report-type=feedback-report",
        ),
        *(Sort.LETTER, "", True),
    ),
    "a read receipt": Case(
        parts("Read: Programme", ("text/plain", "It was read."), kind="multipart/report; report-type=x"),
        *(Sort.AUTOMATIC, "", True),
    ),
    # Bounces
    "no such mailbox": bounce(report(failed("5.1.1", "550 5.1.1 User unknown")), Failure("alice@example.org", "5.1.1")),
    "status in the diagnosis": bounce(
        report(failed("5.0.0", "550-5.1.10 null MX")), Failure("alice@example.org", "5.1.10")
    ),
    "mailbox full": bounce(report(failed("5.2.2"), kind="message/rfc822"), Failure("alice@example.org", "5.2.2")),
    "given up": bounce(report(failed("4.4.1")), Failure("alice@example.org", "4.4.1")),
    "only late": bounce(report(failed("4.4.1", action="delayed"))),
    "original cut": bounce(report(failed("5.1.1"), ""), Failure("alice@example.org", "5.1.1"), returned=()),
    "two recipients": bounce(
        report(f"{failed('5.1.1')}\n{failed('5.2.1', to='bob@example.org')}"),
        *(Failure("alice@example.org", "5.1.1"), Failure("bob@example.org", "5.2.1")),
    ),
    "in words, with a header": bounce(
        mail(
            "Mail delivery failed: returning message to sender",
            f"550 5.1.1 No such user\n\n--- The header of the original ---\nMessage-ID: {SENT}\n",
            head="Return-Path: <>\nX-Failed-Recipients: alice@example.org\n",
            sender="Mailer-Daemon@mx.example.net",
        ),
        Failure("alice@example.org", "5.1.1"),
    ),
    "in words alone": bounce(
        mail("failure notice", f"Sorry, no mailbox by that name. (#5.1.1)\n{SENT}", sender="MAILER-DAEMON@x.example"),
        Failure("", "5.1.1"),
    ),
}
