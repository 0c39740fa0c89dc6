"""Room of mail: the way in. What an incoming message is: a wish to stop, a bounce, a machine's answer, a letter. Pure.

`domain/inbound` acts on it. Nothing here asks the database or trusts a byte: whatever comes in, something comes out,
in bounded time. Headers are read in the plain way (compat32), as the library's own header parser fails on hostile ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from email.utils import getaddresses
from enum import StrEnum
from html.parser import HTMLParser
from itertools import islice
from typing import Final

from portal.mail import stop_words

MOST_BYTES: Final = 1024 * 1024  # of a message; what is longer is read up to here
MOST_PARTS: Final = 60
MOST_TEXT: Final = 100_000
MOST_HTML: Final = 60_000
LONGEST_LINE: Final = 998
MOST_FAILURES: Final = 20


class Sort(StrEnum):
    """What a message is, and so what is done with it."""

    TOKEN = "token"  # noqa: S105  an unsubscribe address was used: the token says who and what
    STOP = "stop"  # a plain "unsubscribe"
    BOUNCE = "bounce"  # a report that a message of ours did not arrive (RFC 3464)
    AUTOMATIC = "automatic"  # a machine's answer, a list, a loop: never answered (RFC 3834)
    LETTER = "letter"  # for a person to read


@dataclass(frozen=True)
class Failure:
    """One recipient whom a message did not reach, with the status of RFC 3463. `last`: nobody tries any more."""

    recipient: str
    status: str
    last: bool = True


@dataclass(frozen=True)
class Inbound:
    """What an incoming message says. `automatic`: sent by a machine, so that nothing answers it.

    `answers`: Message-ID of what it answers; `returned`: those of what came back in it. `cut`: longer than we read.
    """

    sort: Sort
    sender: str = ""
    subject: str = ""
    text: str = ""
    token: str = ""
    automatic: bool = False
    answers: str = ""
    returned: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    cut: bool = False


def parse(raw: bytes, *, names: Collection[str] = (), ours: Collection[str] = ()) -> Inbound:
    """What a message is. `names`: words of the society's name; `ours`: the portal's own addresses, as in a loop."""
    content = raw[:MOST_BYTES]
    head = _head(content)
    automatic = _automatic(head, {each.lower() for each in ours})
    message = _message(content, head)
    texts = list(_texts(message))
    lines = own_lines(texts[0] if texts else "")
    answers = _message_ids(_raw(head, "In-Reply-To"))
    read = Inbound(
        Sort.LETTER,
        sender=_sender(head),
        subject=_header(head, "Subject")[:LONGEST_LINE],
        text=texts[0] if texts else "",
        automatic=automatic != "",
        answers=answers[0] if answers else "",
        cut=len(raw) > MOST_BYTES,
    )
    token = _token(read.subject, lines)
    if token:
        return replace(read, sort=Sort.TOKEN, token=token)
    if any(part.get_content_type() == "message/feedback-report" for part in _parts(message)):
        return read  # a reader pressed "spam" (RFC 5965): a person looks into it
    bounce = _bounce(message, head, texts)
    if bounce is not None:
        return replace(read, sort=Sort.BOUNCE, automatic=True, failures=bounce[0], returned=bounce[1])
    by_hand = automatic in ("", _ASKS_FOR_NO_ANSWER)
    if (by_hand or automatic == _BY_PROGRAM) and wants_to_stop(read.subject, lines, names=names):
        return replace(read, sort=Sort.STOP)
    return read if by_hand else replace(read, sort=Sort.AUTOMATIC)


# Headers --------------------------------------------------------------------------------------------------


def _head(content: bytes) -> Message:
    """The headers alone: a hostile body cannot hide them."""
    try:
        return BytesHeaderParser(policy=compat32).parsebytes(content[:_HEAD])
    except (MessageError, ValueError, RecursionError, TypeError, AttributeError):
        return Message()


_HEAD: Final = 256 * 1024
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")


def _raw(message: Message, name: str) -> str:
    """A header as it stands there, its folds opened; of several the first."""
    try:
        value = message.get(name)
    except (MessageError, ValueError, TypeError, AttributeError):
        return ""
    text = str(value) if value is not None else ""
    return " ".join(_UNSEEN.sub("", text[:_HEADER]).split())


_HEADER: Final = 16 * 1024


def _header(message: Message, name: str) -> str:
    """The same with its encoded words read (RFC 2047), in whatever charset they say they are."""
    text = _raw(message, name)
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError, TypeError):
        return text
    read = "".join(each if isinstance(each, str) else _decoded(each, charset or "ascii") for each, charset in words)
    return " ".join(_UNSEEN.sub("", read).split())


def _decoded(content: bytes, charset: str) -> str:
    """Bytes as text, whatever they say they are; never an error."""
    for name in (charset, "utf-8"):
        try:
            return content.decode(name)
        except (LookupError, ValueError, TypeError):
            continue
    return content.decode("latin-1")


_LONGEST_FROM: Final = 2_000


def _sender(head: Message) -> str:
    """The one address in From; nothing where there is none, or several."""
    try:
        found = [address for _, address in getaddresses([_raw(head, "From")[:_LONGEST_FROM]]) if address]
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return ""
    return found[0] if len(found) == 1 and re.fullmatch(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", found[0]) else ""


def _message_ids(text: str) -> list[str]:
    return list(dict.fromkeys(islice(re.findall(r"<[^<>\s@]{1,150}@[^<>\s@]{1,150}>", text), MOST_FAILURES)))


# Machines -------------------------------------------------------------------------------------------------

_BY_PROGRAM: Final = "by a program"  # for a person who pressed a button: may ask to stop, is not answered
_ASKS_FOR_NO_ANSWER: Final = "asks for no answer"  # as whole companies do: read as any other, is not answered
_LISTS: Final = ("List-Id", "List-Post", "List-Unsubscribe", "List-Help", "List-Owner", "List-Archive", "Mailing-List")
# Feedback-ID is none of them: Fastmail, Proton and QQ write it into whatever a person sends.
_ANSWERS: Final = (
    *("X-Autoreply", "X-Autorespond", "X-AutoReply-From", "X-Mail-Autoreply", "X-FC-MachineGenerated"),
    *("X-MS-Exchange-Inbox-Rules-Loop", "X-Loop", "X-Beenthere"),
)
_ROBOTS: Final = re.compile(
    r"(mailer-daemon|mail-daemon|postmaster|no-?reply|do-?not-?reply|bounces?|auto-?reply|listserv|majordomo)\b.*@",
    re.I,
)
_AWAY: Final = re.compile(
    r"(auto(matic|mated)?[ -]?(reply|response|answer)|out of (the )?office|ooo:|away from (the )?office|vacation"
    r"|automatische antwort|abwesenheit|nicht im b(ü|ue)ro|r(é|e)ponse automatique|absence du bureau"
    r"|respuesta autom(á|a)tica|fuera de (la )?oficina|risposta automatica|fuori ufficio|resposta autom(á|a)tica"
    r"|fora do escrit(ó|o)rio|automatyczna odpowied(ź|z)|automatisch antwoord|afwezig|autosvar|frånvaro"
    r"|自動応答|自動返信|不在通知|自动回复|自動回覆|자동 ?회신|부재중)",
    re.I,
)
_CAME_BACK: Final = re.compile(
    r"(undeliver|undelivered|delivery (status|failure|failed|has failed)|mail delivery|returned mail|failure notice"
    r"|unzustellbar|nicht zugestellt|non remis|no se puede entregar|mancato recapito|não foi entregue)",
    re.I,
)


def _automatic(head: Message, ours: Collection[str]) -> str:
    """Why nothing answers this, mostly as a machine sent it; empty for a person's message (RFC 3834 §2)."""
    submitted = _raw(head, "Auto-Submitted").partition(";")[0].partition("(")[0].strip().lower()
    suppressed = _raw(head, "X-Auto-Response-Suppress").lower()
    sender = _sender(head).lower()
    reasons = {
        "answer": submitted not in ("", "no", "auto-generated"),
        "bulk": _raw(head, "Precedence").lower() in ("bulk", "junk", "list", "auto_reply", "auto-reply"),
        "list": any(name in head for name in _LISTS),
        "machine": any(name in head for name in _ANSWERS) or suppressed == "all" or _ROBOTS.match(sender) is not None,
        "loop": sender in ours,
        "no way back": "Return-Path" in head and _raw(head, "Return-Path") in ("<>", ""),
        "away": _AWAY.match(_header(head, "Subject")) is not None,
        "report": head.get_content_type() == "multipart/report",
    }
    found = next((reason for reason, there in reasons.items() if there), "")
    by_program = _BY_PROGRAM if submitted == "auto-generated" else ""
    return found or by_program or (_ASKS_FOR_NO_ANSWER if suppressed else "")


# Bounces --------------------------------------------------------------------------------------------------

_STATUS: Final = re.compile(r"(?<![\d.])([245])[. ](\d{1,3})[. ](\d{1,3})(?![\d.])")
_CODE: Final = re.compile(r"(?<![\d.])([45])\d\d(?![\d.])")


def _bounce(message: Message, head: Message, texts: list[str]) -> tuple[tuple[Failure, ...], tuple[str, ...]] | None:
    """Whom a message did not reach, and the Message-IDs of what came back; None for what is no bounce."""
    parts = list(_parts(message))
    reports = [part for part in parts if part.get_content_type() == "message/delivery-status"]
    if not reports and not _looks_like_bounce(head):
        return None
    failures = [each for report in reports for each in _report(report)]
    everything = "\n".join([*texts, *(_text_of(part) for part in parts if part not in reports)])
    if not reports:
        failures = list(_told(head, everything))
    returned = [each for part in parts for each in _returned(part)]
    returned += _message_ids(everything[:MOST_TEXT])
    if not failures and not reports:
        return None
    return tuple(failures[:MOST_FAILURES]), tuple(dict.fromkeys(returned))[:MOST_FAILURES]


def _looks_like_bounce(head: Message) -> bool:
    """A report of an older kind: in words, from a machine."""
    nowhere = _raw(head, "Return-Path") in ("<>", "") and "Return-Path" in head
    sender = _sender(head).lower()
    machine = sender.startswith(("mailer-daemon@", "postmaster@", "mail-daemon@")) or nowhere
    return machine and ("X-Failed-Recipients" in head or _CAME_BACK.search(_header(head, "Subject")) is not None)


def _report(part: Message) -> Iterator[Failure]:
    """The recipients of a delivery status, a group of fields each (RFC 3464 §2.3)."""
    payload = _payload(part)
    groups = [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []
    if not groups:
        text = _text_of(part)
        groups = [_head(group.encode("utf-8", "replace")) for group in re.split(r"\r?\n[ \t]*\r?\n", text)[:MOST_PARTS]]
    for group in groups[:MOST_PARTS]:
        action = _raw(group, "Action").lower()
        status = _status(_raw(group, "Status"), _raw(group, "Diagnostic-Code"))
        final = _raw(group, "Final-Recipient") or _raw(group, "Original-Recipient")
        failed = action.startswith("failed") or (not action and status.startswith("5"))
        if final and failed:
            yield Failure(_address(final), status or "5.0.0")


def _status(field: str, diagnostic: str) -> str:
    """The status of RFC 3463; what the other server said wins over a status that says nothing."""
    own, theirs = _STATUS.search(field), _STATUS.search(diagnostic)
    status = ".".join(own.groups()) if own else ""
    if theirs and (not status or status.endswith((".0.0", ".0"))):
        return ".".join(theirs.groups())
    if not status and (code := _CODE.search(diagnostic)):
        return f"{code[1]}.0.0"
    return status


def _told(head: Message, text: str) -> Iterator[Failure]:
    """The same from a report in words: the first status that it names, for the recipients that a header names."""
    found = _STATUS.search(text[:MOST_TEXT])
    status = ".".join(found.groups()) if found else ""
    named = [each for each in re.split(r"[,\s]+", _raw(head, "X-Failed-Recipients")) if "@" in each]
    if status[:1] in ("4", "5"):
        for address in named[:MOST_FAILURES] or [""]:
            yield Failure(_address(address), status)


def _address(field: str) -> str:
    """The address in a field such as `rfc822; alice@example.org`."""
    found = re.search(r"[^\s<>;,@]{1,200}@[^\s<>;,@]{1,200}", field)
    return found[0] if found else ""


def _returned(part: Message) -> list[str]:
    """The Message-ID of the message, or of its headers, that came back with a report."""
    if part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers"):
        return _message_ids(_raw(_head(_text_of(part).encode("utf-8", "replace")), "Message-ID"))
    if part.get_content_type() == "message/rfc822":
        payload = _payload(part)
        inner = payload[0] if isinstance(payload, list) and payload else None
        return _message_ids(_raw(inner, "Message-ID")) if isinstance(inner, Message) else []
    return []


# Parts ----------------------------------------------------------------------------------------------------


def _message(content: bytes, head: Message) -> Message:
    """The message as a tree; the headers alone where its nesting is an attack."""
    try:
        return BytesParser(policy=compat32).parsebytes(content)
    except (MessageError, ValueError, RecursionError, TypeError, AttributeError):
        return head


def _parts(message: Message) -> Iterator[Message]:
    """The parts, not those of a message that came back, in their order; so many at most, at whatever depth."""
    waiting, seen = [message], 0
    while waiting and seen < MOST_PARTS:
        part = waiting.pop()
        seen += 1
        yield part
        payload = _payload(part)
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting += [each for each in reversed(payload[:MOST_PARTS]) if isinstance(each, Message)]


def _payload(part: Message) -> object:
    """A part's parts, or its text as it stands there; none where its charset is an attack."""
    try:
        return part.get_payload()
    except (MessageError, ValueError, TypeError, LookupError, AttributeError):
        return ""


def _texts(message: Message) -> Iterator[str]:
    """What a person reads: the first plain part that says something, else the first part in HTML, as text."""
    readable = [
        part
        for part in _parts(message)
        if part.get_content_maintype() == "text" and not _raw(part, "Content-Disposition").lower().startswith("attach")
    ]
    for kind in ("text/plain", "text/html"):
        for part in readable:
            if part.get_content_type() == kind:
                text = _text_of(part)
                text = text if kind == "text/plain" else text_of_html(text)
                if text.strip():
                    yield text
    if message.get_content_maintype() not in ("text", "multipart"):
        yield _text_of(message)


def _text_of(part: Message) -> str:
    """A part as text, its transfer encoding and charset undone, as far as they can be."""
    payload = _payload(part)
    if isinstance(payload, list):
        return ""
    try:
        content = part.get_payload(decode=True)
    except (MessageError, ValueError, TypeError, LookupError, AttributeError):
        content = None
    if not isinstance(content, bytes):
        content = str(payload).encode("utf-8", "replace")
    try:
        charset = part.get_content_charset() or "utf-8"
    except (MessageError, ValueError, TypeError, LookupError, AttributeError):
        charset = "utf-8"
    text = _decoded(content[: 4 * MOST_TEXT], charset)[:MOST_TEXT]
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\u00a0", " ")
    return _UNSEEN.sub("", text.encode("utf-8", "replace").decode())


class _Reader(HTMLParser):
    """HTML as lines of text; a quotation has `>` before its lines, as in plain mail."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._quoted = 0
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._quoted += tag == "blockquote"
        self._hidden += tag in _HIDDEN
        if tag in _BREAKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        self._quoted = max(self._quoted - (tag == "blockquote"), 0)
        self._hidden = max(self._hidden - (tag in _HIDDEN), 0)
        if tag in _BREAKS:
            self._break()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))

    def _break(self) -> None:
        self.pieces.append("\n> " if self._quoted else "\n")


_HIDDEN: Final = ("style", "script", "head", "title")
_BREAKS: Final = (
    *("p", "div", "br", "tr", "li", "ul", "ol", "table", "hr", "blockquote", "body", "h1", "h2", "h3", "h4", "pre"),
)


_COMMENT: Final = re.compile(r"<!(?:--.*?(?:-->|\Z)|\[.*?(?:\]>|\Z))", re.S)  # a reader of HTML is slow on open ones


def text_of_html(html: str) -> str:
    """What HTML says, line by line."""
    reader = _Reader()
    try:
        reader.feed(_COMMENT.sub(" ", html[:MOST_HTML]))
        reader.close()
    except (AssertionError, ValueError, IndexError, RecursionError):
        reader.pieces.append(re.sub(r"<[^<>]{0,2000}>", " ", html[:MOST_HTML]))
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join("" if line == ">" else line for line in lines)).strip()


# What a person wrote --------------------------------------------------------------------------------------

_BEFORE: Final = re.compile(
    r"(?:\s*(?:\[[^\[\]]{1,20}\]|(?:re|aw|antw|antwort|sv|vs|ref|rif|r|odp|fwd?|fw|wg|tr|rv|res|enc|ynt|i|回复|答复|回覆|转发"
    r"|返信|転送|답장|전달)(?:\[\d{1,3}\]|\(\d{1,3}\))?\s{0,3}[:：]))+\s*",
    re.I,
)
_ORIGINAL: Final = re.compile(r"\s*(?:-{3,}.{2,60}-{3,}|_{8,}|\*{8,}|={8,}|-{8,})\s*")
_HEADING: Final = re.compile(
    r"\*?(from|von|de|da|od|van|från|fra|gönderen|от|差出人|发件人|寄件者|보낸 사람)\s?\*?\s?[:：]\*?\s*\S.*", re.I
)
_WROTE: Final = re.compile(r".*(?:@|\b(?:19|20)\d\d\b|[0-9]年).*[:：]|.*<[^<>\s]+@[^<>\s]+>.*[:：]")
_GREETING: Final = re.compile(
    r"(hi|hello|hey|dear|good (morning|day|afternoon)|to whom|hallo|guten|sehr geehrte|liebe|bonjour|madame|monsieur"
    r"|hola|estimad|buen|ciao|gentil|salve|egregi|spett|ol[aá]|caro|cara|prezad|bom dia|boa|dzie[nń]|witam|szanown"
    r"|beste|geachte|goed|hej|hei|kära|kære|kjære|dobrý|merhaba|здравствуй|добрый|您好|你好|こんにちは|お世話|ご担当|안녕)",
    re.I,
)
_QUOTED: Final = (">", "|", "＞", "»")
_ENDS: Final = re.compile(r"--\s?")


def own_lines(text: str) -> list[str]:
    """The lines that the sender wrote: without what is quoted, the lines that lead to it, and the signature.

    The first MOST_PARTS of them that say something; an empty text stands for the empty lines between paragraphs.
    """
    own: list[str] = []
    lines = [line[:LONGEST_LINE] for line in text.split("\n", 400)[:400]]
    for number, line in enumerate(lines):
        said = line.strip()
        if _ENDS.fullmatch(line) or _ORIGINAL.fullmatch(said) or _HEADING.fullmatch(said):
            break
        if said.startswith(_QUOTED):
            continue
        if said.endswith((":", "：")):
            after = next((each.strip() for each in lines[number + 1 : number + 4] if each.strip()), "")
            if after.startswith(_QUOTED):
                continue  # it leads to the quotation
            if _WROTE.fullmatch(said):
                break
        if said or (own and own[-1]):
            own.append(said)
    while own and not own[-1]:
        own.pop()
    return own[:MOST_PARTS]


def wants_to_stop(subject: str, lines: list[str], *, names: Collection[str] = ()) -> bool:
    """Whether the subject, or the first line that the sender wrote, is a request to stop and nothing else."""
    if _first_line_asks(lines, names):
        return True
    bare = _BEFORE.sub("", subject, count=1) if _BEFORE.match(subject) else subject
    return stop_words.asks_to_stop(bare, names=names) and not stop_words.objects(" ".join(lines[:4]))


def _first_line_asks(lines: list[str], names: Collection[str]) -> bool:
    lines = list(lines)
    if lines and not stop_words.asks_to_stop(lines[0], names=names) and _is_greeting(lines[0]):
        lines = [line for number, line in enumerate(lines) if number and (line or number > 1)]
    if not lines:
        return False
    first = lines[0]
    if stop_words.objects(" ".join(lines[1:4])):
        return False
    if stop_words.is_clear(first, names=names):
        return True
    # "Please remove" may be the beginning of a sentence that the mail program broke; "please remove / me" as well.
    together = " ".join([first, lines[1]]) if len(lines) > 1 and lines[1] and _goes_on(lines[1]) else first
    return stop_words.asks_to_stop(together, names=names)


def _is_greeting(line: str) -> bool:
    return len(line) <= 60 and len(line.split()) <= 7 and _GREETING.match(line) is not None


def _goes_on(line: str) -> bool:
    return unicodedata.category(line[0]) == "Ll"


# The token of the unsubscribe address: `transport` writes `mailto:…?subject=unsubscribe%20TOKEN` --------------

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,64}\.[a-z-]{1,40}\.[A-Za-z0-9]{1,8}\.[A-Za-z0-9_-]{20,100}")
_LINK: Final = re.compile(r"https?://[^\s/]{1,250}/unsubscribe/")


def _token(subject: str, lines: list[str]) -> str:
    """The token in the subject, or alone on the first line, with or without the word or the link before it."""
    for text in (_BEFORE.sub("", subject, count=1) if _BEFORE.match(subject) else subject, *lines[:1]):
        words = text.split()
        if words and stop_words.normal(words[0]) == "unsubscribe":
            words = words[1:]
        together = _LINK.sub("", "".join(words).strip("<>"))  # a blank within came from a fold
        if _TOKEN.fullmatch(together):
            return together
    return ""
