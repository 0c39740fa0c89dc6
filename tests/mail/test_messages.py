"""What a person reads: every email rendered by its own function, and kept in `golden/` for the reviewer.

`pytest tests/mail --golden` writes the golden files anew; look at the difference before you commit it.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import html5lib
import pytest
from flask import Flask
from sqlalchemy import select

from portal.datamap.erasure import Action, Plan
from portal.domain import signin
from portal.domain.kinds import KINDS
from portal.domain.samples import DETAILS, NEW_EMAIL, NOVEMBER, SAMPLES, TOKEN, farewell, planned
from portal.extensions import db
from portal.mail import messages
from portal.mail.doctor import Seen
from portal.models import DataSubjectRequest, Message
from portal.purposes import HOLDINGS
from portal.tokens import read_unsubscribe
from portal.web.filters import day
from tests.databases import writes
from tests.people import ALICE, BOB, DANA_EMAIL, NOW, People

GOLDEN = Path(__file__).parent / "golden"
URL = "https://privacy.example.org"
CONTACT = "Privacy desk, privacy@example.org"
DPO = "Ingrid Berg, dpo@example.org"
SOCIETY = "International Microelectronics Assembly and Packaging Society"
COPY = "If the button does not work, copy this address into your browser:"


@pytest.fixture
def settings() -> dict[str, str]:
    return {"PORTAL_URL": URL, "PRIVACY_CONTACT": CONTACT, "DPO_CONTACT": DPO, "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1"}


# The messages -------------------------------------------------------------------------------------------

ACTING = {
    "activation": f"/set-password/{TOKEN}",
    "invitation": f"/set-password/{TOKEN}",
    "reset": f"/set-password/{TOKEN}",
    "email_confirm": f"/profile/email/confirm/{TOKEN}",
    "email_notice": f"/profile/email/cancel/{TOKEN}",
    "email_changed": f"/profile/email/cancel/{TOKEN}",
    "unsubscribe_link": "/unsubscribe/",
    "unsubscribe_elsewhere": "/unsubscribe",
    "unsubscribe_elsewhere-answered": "/unsubscribe/",
    "address_check": f"/profile/email/works/{TOKEN}",
    "ask_confirm": f"/ask/{TOKEN}",
    "identity_asked": "/requests/IM-7K3F-92QD",
    "identity_asked-by-letter": "/requests/confirm/IM-7K3F-92QD.",
    "identity_reminder": "/requests/IM-7K3F-92QD",
    "identity_reminder-by-letter": "/requests/confirm/IM-7K3F-92QD.",
    "request_extended": "/requests/IM-7K3F-92QD",
    "request_answered": "/requests/IM-7K3F-92QD",
    "request_answered-stranger": "/ask/status/IM-7K3F-92QD.",
    "request_withdrawn-stranger": "/ask/status/IM-7K3F-92QD.",
    "staff_suspensions_due": "/desk/suspended",
    "request_refused": "/requests/IM-7K3F-92QD",
    "notice_changed": "/notice/2/changes",
    "notice_changed-reduced": "/notice/answer",
    "restriction_set": "/choices",
    "restriction_lifted": "/choices",
    "staff_request_assigned": "/desk/requests/IM-7K3F-92QD",
    "staff_request_added": "/desk/requests/IM-7K3F-92QD",
    "staff_request_due": "/desk/requests/IM-7K3F-92QD",
    "staff_request_overdue": "/desk/requests/IM-7K3F-92QD",
    "staff_digest": "/desk",
    "request_received": "/requests/IM-7K3F-92QD",
    "request_withdrawn": "/requests/IM-7K3F-92QD",
    "erasure_received": "/requests/keep/IM-7K3F-92QD.",
    "erasure_approved": "/requests/keep/IM-7K3F-92QD.",
    "erasure_held": "/requests/IM-7K3F-92QD",
    "farewell": "/ask/status/IM-7K3F-92QD.",
    "staff_erasure_done": "/desk/requests/IM-7K3F-92QD",
    "staff_erasure_needs_attention": "/desk/requests/IM-7K3F-92QD",
    "staff_erasures_repeated": "/desk",
    "review_opened": "/requests/IM-7K3F-92QD",
    "review_ended": "/requests/IM-7K3F-92QD",
    "staff_reviews_opened": "/desk",
    "staff_request_received": "/desk/requests/IM-7K3F-92QD",
    "staff_request_withdrawn": "/desk/requests/IM-7K3F-92QD",
}

WHOLE = (
    "erasure_received",
    "farewell",
    "farewell-anonymisation",
    "farewell-stranger",
)  # they name what is deleted and what is kept

# To staff, to strangers, and to an address of which nobody knows yet whose it is.
NAMELESS = (
    *("staff_", "email_taken", "email_confirm", "unsubscribe_", "activation-desk", "ask_confirm"),
    *("request_answered-stranger", "request_withdrawn-stranger", "farewell-stranger", "second_factor", "recovery_code"),
)

every_message = pytest.mark.parametrize("sample", SAMPLES)


def written(sample: str, people: People) -> Message:
    """The one message that a sample puts into the outbox."""
    with writes():
        SAMPLES[sample](people)
    (row,) = db.session.scalars(select(Message))
    return row


def links_in(text: str) -> list[str]:
    return re.findall(r"https?://\S+", text)


def words_of(text: str) -> list[str]:
    """The words without links and punctuation."""
    return re.findall(r"[^\W_]+", re.sub(r"https?://\S+", " ", text))


# What is read ---------------------------------------------------------------------------------------------


def golden(sample: str, row: Message, request: pytest.FixtureRequest) -> None:
    links = "\n".join(Seen(row.html).links)
    read = f"To: {row.to_address}\nSubject: {row.title}\n\n{row.text}\nLinks of the HTML part:\n{links}\n"
    read += f"\nCalendar:\n{row.calendar}".replace("\r\n", "\n") if row.calendar else ""
    file = GOLDEN / f"{sample}.txt"
    if request.config.getoption("--golden"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(read, encoding="utf-8")
    assert file.exists(), "a new message: write its file with `pytest tests/mail --golden` and read it"
    assert read == file.read_text(encoding="utf-8"), "if the new words are meant: `pytest tests/mail --golden`"


def test_every_message_is_here() -> None:
    functions = {name for name, _ in inspect.getmembers(messages, inspect.isfunction) if not name.startswith("_")}
    ours = {name for name in functions if inspect.getmodule(getattr(messages, name)) is messages}
    assert {sample.partition("-")[0] for sample in SAMPLES} == ours
    assert {file.stem for file in GOLDEN.iterdir()} == set(SAMPLES)


def both_parts_say_the_same(sample: str, row: Message) -> None:
    seen = Seen(row.html)
    assert words_of(seen.text.replace(COPY, "")) == words_of(f"{SOCIETY} {row.title} {row.text}")
    assert set(seen.links) == set(links_in(row.text))


def what_acts_is_the_first_link(sample: str, row: Message) -> None:
    acting = ACTING.get(sample) or ACTING.get(sample.partition("-")[0])
    if acting is None:
        assert TOKEN not in row.text
        assert '<a class="button"' not in row.html
        return
    first = links_in(row.text)[0]
    assert first.startswith(URL + acting)
    assert Seen(row.html).links[0] == first


def links_lead_to_pages_of_this_portal(sample: str, row: Message, app: Flask) -> None:
    pages = app.url_map.bind("privacy.example.org", url_scheme="https")
    for link in Seen(row.html).links + links_in(row.text):
        assert link.startswith(f"{URL}/")
        pages.match(link.removeprefix(URL), method="GET")


def the_html_part_is_clean_and_fetches_nothing(sample: str, row: Message) -> None:
    html5lib.HTMLParser(strict=True).parse(row.html)
    assert not re.search(r"\bsrc\b|srcset|url\(|@import|<link|<script|<img|<form", row.html)


def no_message_holds_data(sample: str, row: Message) -> None:
    """The greeting is all; desk and strangers do not even get that."""
    everything = " ".join((row.title, row.text, Seen(row.html).text))
    data = [str(value) for person in (ALICE, BOB) for value in person.values() if len(str(value)) > 6]
    secret = [*data, NEW_EMAIL, DETAILS, "Ottilie", "Okonkwo", "Dr.", DANA_EMAIL]
    if sample.startswith(NAMELESS):
        secret.append("Alice")
    else:
        assert "Dear Alice," in row.text
    assert [value for value in secret if value in everything] == []


def the_tone_is_calm(sample: str, row: Message) -> None:
    assert "!" not in row.title + row.text
    assert "Alice" not in row.title
    assert 10 <= len(row.title) <= 60
    assert len(words_of(row.text)) < (450 if sample.split("-")[0] in WHOLE else 300)


@every_message
def test_a_message(sample: str, app: Flask, people: People, request: pytest.FixtureRequest) -> None:
    """Written once, and asked everything that is asked of each."""
    row = written(sample, people)
    golden(sample, row, request)
    both_parts_say_the_same(sample, row)
    what_acts_is_the_first_link(sample, row)
    links_lead_to_pages_of_this_portal(sample, row, app)
    the_html_part_is_clean_and_fetches_nothing(sample, row)
    no_message_holds_data(sample, row)
    the_tone_is_calm(sample, row)


# What must be in it ---------------------------------------------------------------------------------------


def test_links_work_as_long_as_the_mail_says(people: People) -> None:
    assert f"within {signin.ACTIVATION_LINK.days} days" in written("activation", people).text
    with writes():
        db.session.delete(db.session.scalars(select(Message)).one())
    hours = signin.RESET_LINK // timedelta(hours=1)
    assert f"within {hours} hour." in written("reset", people).text


@pytest.mark.parametrize(("sample", "code"), [("request_received-access", "access"), ("erasure_received", "erasure")])
def test_the_receipt_tells_all_that_it_must(sample: str, code: str, people: People) -> None:
    """Rights 4.5."""
    text = written(sample, people).text
    kind = KINDS[code]
    needed = ("IM-7K3F-92QD", kind.title, kind.question, *kind.what_happens, "password", CONTACT, DPO, "complain")
    assert [words for words in needed if words not in text] == []
    if code == "access":
        assert "You will have our answer by 3 January 2027. The law gives us until 4 January 2027." in text
        return
    for words in ("by 23 December 2026. If", "Nothing is deleted before: 26 November 2026, 10:02 UTC", "35 days"):
        assert words in text
    for line in planned(NOVEMBER).lines:
        assert line.what in text
    assert HOLDINGS["membership-system"].name in text
    assert HOLDINGS["analytics"].ends in text, "P16"


def test_the_farewell_is_the_certificate(people: People) -> None:
    """P15: counts a class, each thing kept with reason and end, each holding as asked, backups; no link signs in."""
    row = written("farewell", people)
    for line in planned(NOW).lines:
        assert f"{line.what}: {line.rows}" in row.text
        if line.action is Action.KEPT:
            assert f"{line.reason}; until {day(line.until_on)}" in row.text
    for holding in HOLDINGS.values():
        assert (f"- {holding.name}: {holding.ends}" in row.text) == holding.asked
    assert "they keep what they have under their own numbers" in row.text, "P16"
    for words in ("your data from this portal", "until 8 January 2027", DPO, "IM-7K3F-92QD"):
        assert words in row.text
    paths = [link.removeprefix(URL).partition("IM-")[0] for link in links_in(row.text)]
    assert sorted(paths) == ["/", "/ask/status/"]
    with writes():
        db.session.delete(db.session.scalars(select(DataSubjectRequest)).one())
        db.session.delete(db.session.scalars(select(Message)).one())
    with writes():
        farewell(people, Plan((), ()))
    text = db.session.scalars(select(Message.text)).one()
    assert "Nobody else had to be asked." in text
    assert "why, and until when" not in text


def test_unsubscribe_link_is_a_real_one(people: People) -> None:
    token = links_in(written("unsubscribe_link", people).text)[0].rpartition("/")[2]
    read = read_unsubscribe(token)
    assert read is not None
    assert read.reference == people.alice.subject.unsubscribe_reference


def test_each_desk_address_gets_a_message_of_its_own(app: Flask, people: People) -> None:
    config = app.extensions["portal.config"]
    app.extensions["portal.config"] = replace(config, staff_emails=("one@example.org", "two@example.org"))
    with writes():
        SAMPLES["staff_request_received"](people)
    rows = db.session.scalars(select(Message).order_by(Message.to_address)).all()
    assert [row.to_address for row in rows] == ["one@example.org", "two@example.org"]
    assert [row.subject_id for row in rows] == [None, None]


def test_a_name_is_never_markup(people: People) -> None:
    with writes():
        people.alice.first_name = "<b>Al</b> & {{ 7 * 7 }}"
    row = written("reset", people)
    assert "<b>Al</b> & " in row.text
    assert "&lt;b&gt;Al&lt;/b&gt; &amp;" in row.html
    assert "<b>" not in row.html
    assert "49" not in row.text


def test_without_a_name_it_says_hello(people: People) -> None:
    with writes():
        people.alice.first_name = ""
    row = written("password_changed", people)
    assert row.text.startswith("Hello,\n")
    assert "Dear" not in row.text + row.html


@pytest.mark.parametrize("settings", [{"PORTAL_URL": URL}])
def test_the_receipt_reads_well_where_no_contact_is_named(people: People) -> None:
    row = written("request_received-access", people)
    assert "write to us. You can also complain" in row.text
    assert "data protection officer" not in row.text
