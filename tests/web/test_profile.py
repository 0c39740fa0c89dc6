"""Member Information and Change Contact/Profile Info, and the change of the sign-in address (P1, P6, P7)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text

from portal import clock
from portal.extensions import Base, db
from portal.models import ChoiceRow, EmailChange, Member, Trail
from portal.purposes import SUPPRESS
from portal.tokens import canonical_address, suppression_hash
from tests.browse import Browse, Page
from tests.databases import writes
from tests.letters import letter, letters, link_in
from tests.people import ALICE_PASSWORD, BOB_PASSWORD, People, member

NEW = "alice@new.example.org"
REQUIRED = ["address_kind", "address_line1", "city", "country", "first_name", "last_name"]
EDITED = {
    "honorific": "Prof.",
    "first_name": "Alícia",
    "last_name": "O’Conner-Łukasz",
    "birth_date": "1963-02-28",
    "address_kind": "work",
    "country": "PL",
    "address_line1": "ul. Długa 7",
    "address_line2": "m. 3",
    "postal_code": "31-147",
    "city": "Kraków",
    "region": "Małopolska",
    "phone": "+48 12 422 00 01",
    "mobile": "+48 501 234 567",
    "organization": "Nowa Ceramika <Sp. z o.o.>",
    "job_title": "Head & Founder",
    "business_type": "Materials",
    "education": "AGH, 1986\nAndré Citroën school",
    "work_experience": "Forty years of “ceramics”",
    "certifications": "IPC-6012",
    "interests": "Sensors\n日本の陶器",
    "demographics": "Grandmother",
}
STORED = EDITED | {"phone": "+48124220001", "mobile": "+48501234567", "birth_date": date(1963, 2, 28)}


def edit(browse: Browse, typed: dict[str, Any], *, status: int = 303) -> Any:
    browse("/profile/edit")
    return browse.press("Save", typed, status=status)


def told(page: Page) -> list[str]:
    """What a page says of the last save, a sentence or two for each field."""
    return [each.get_text() for each in page.soup.select(".notice.success li")]


def standing(people: People) -> list[tuple[str, str]]:
    rows = db.session.scalars(select(ChoiceRow).where(ChoiceRow.code == SUPPRESS).order_by(ChoiceRow.id))
    return [(row.value, row.door) for row in rows]


def test_every_field_can_be_changed(browse: Browse, people: People) -> None:
    """P1, P7: each field that a member gave is shown, can be corrected, and saving says what changed."""
    browse.sign_in(people.alice)
    assert set(browse("/profile/edit").controls()) == {*EDITED, "csrf_token", "version", "suppress_shown"}
    edit(browse, EDITED)
    page = browse.follow()
    said = page.said
    assert "Title is now “Prof.”. It was “Dr.”." in told(page)
    assert "Birth date is now “28 February 1963”. It was “17 May 1964”." in told(page)
    for name, value in STORED.items():
        assert getattr(people.alice, name) == value, name
    for value in (
        "Kraków",
        "+48 12 422 00 01",
        "Nowa Ceramika <Sp. z o.o.>",
        "28 February 1963",
        "日本の陶器",
        "Poland",
    ):
        assert value in said
    changed = set(db.session.scalars(select(Trail.field).where(Trail.subject_id == people.alice.id)))
    assert changed == EDITED.keys()
    edit(browse, {})
    assert "Nothing was changed." in browse.follow().said


def test_the_profile_shows_everything_that_a_member_gave(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    said = browse("/profile").said
    for words in (
        "Dr.",
        "Björkgatan 14",
        "753 28",
        "Uppsala",
        "+46 18 496 00 01",
        "17 May 1964",
        "M-1001",
        "31 March 2027",
    ):
        assert words in said
    assert "Suppress Broadcast Emails" in said


def test_only_what_the_policy_requires_is_required(browse: Browse, people: People) -> None:
    """P7: names and an address; every other field can be cleared, and is then held no longer."""
    browse.sign_in(people.alice)
    page = edit(browse, dict.fromkeys(EDITED, ""), status=422)
    wrong = sorted(str(each["name"]) for each in page.soup.find_all(attrs={"aria-invalid": "true"}))
    assert wrong == REQUIRED
    optional = {name for name in EDITED if name not in REQUIRED}
    for name in optional:
        assert "(optional)" in page.soup.select(f"label[for={name}]")[0].get_text(), name
    edit(browse, dict.fromkeys(optional, ""))
    browse.follow()
    for name in optional:
        assert getattr(people.alice, name) in ("", None), name
    assert people.alice.first_name == "Alice"


@pytest.mark.parametrize("blank", [" ", "\u3000", "\u200b", "\u200e\ufeff"])
def test_what_cannot_be_read_is_nothing(browse: Browse, people: People, blank: str) -> None:
    """P7: a name of blanks, or of signs that nobody sees, would be no name on a list or in a greeting."""
    browse.sign_in(people.alice)
    page = edit(browse, dict.fromkeys(("last_name", "city"), blank), status=422)
    assert page.beside("last_name") == "Enter your last name."
    assert page.beside("city") == "Enter your city."
    assert people.alice.last_name == "Okonkwo-Lindqvist"


@pytest.mark.parametrize(("name", "length"), [("organization", 300), ("education", 4000)])
def test_what_is_stored_is_no_longer_than_what_fits(browse: Browse, people: People, name: str, length: int) -> None:
    """A letter that is stored as two, as क़ is: PostgreSQL would refuse the name, and an import the text."""
    browse.sign_in(people.alice)
    assert "too long" in edit(browse, {name: "\u0958" * length}, status=422).beside(name)
    edit(browse, {name: "\u0958" * (length // 2)})
    assert len(getattr(people.alice, name)) == length


@pytest.mark.parametrize("name", sorted(set(EDITED) - set(REQUIRED)))
def test_each_voluntary_field_can_be_cleared_by_itself(browse: Browse, people: People, name: str) -> None:
    browse.sign_in(people.alice)
    edit(browse, {name: ""})
    assert getattr(people.alice, name) in ("", None)
    assert people.alice.last_name == "Okonkwo-Lindqvist"


def test_the_last_control_is_the_check_box(browse: Browse, people: People) -> None:
    """P6: Member Information, Change Contact/Profile Info, and at its bottom Suppress Broadcast Emails."""
    browse.sign_in(people.alice)
    page = browse("/profile")
    assert page.heading == "Member Information"
    (link,) = page.soup.find_all("a", string="Change Contact/Profile Info")
    page = browse(str(link["href"]))
    assert page.heading == "Change Contact/Profile Info"
    seen = [
        each
        for each in page.soup.select("main *")
        if each.name in ("input", "select", "textarea") and each.get("type") != "hidden"
    ]
    assert seen[-1]["type"] == "checkbox"
    assert page.soup.select(f"label[for={seen[-1]['id']}]")[0].get_text() == "Suppress Broadcast Emails"
    assert not seen[-1].has_attr("checked")


def test_the_check_box_suppresses_and_lets_go(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"Suppress Broadcast Emails": True})
    assert told(browse.follow()) == ["Suppress Broadcast Emails is now “on”. It was “off”."]
    assert standing(people) == [("yes", "page")]
    page = browse("/profile/edit")
    assert page.controls()["suppress"]
    browse.press("Save")
    assert standing(people) == [("yes", "page")], "a box that was only carried along changes nothing"
    edit(browse, {"Suppress Broadcast Emails": False})
    assert told(browse.follow()) == ["Suppress Broadcast Emails is now “off”. It was “on”."]
    assert standing(people) == [("yes", "page"), ("no", "page")]


def test_a_stale_check_box_does_not_subscribe_again(browse: Browse, people: People) -> None:
    """Unsubscribed in the meantime, then an older form is saved with the box as it was: the opt-out stands."""
    browse.sign_in(people.alice)
    older = browse("/profile/edit")
    edit(browse, {"Suppress Broadcast Emails": True})
    browse.open[browse.who] = older
    browse.press("Save", {"city": "Lund"})
    assert people.alice.city == "Lund"
    assert standing(people) == [("yes", "page")]
    with writes():
        subject = db.session.merge(people.alice).subject
        db.session.add(
            ChoiceRow(subject_id=subject.id, code=SUPPRESS, value="no", at=clock.now(), door="page", wording="x")
        )
    older = browse("/profile/edit")
    with writes():
        db.session.add(
            ChoiceRow(subject_id=subject.id, code=SUPPRESS, value="yes", at=clock.now(), door="link", wording="x")
        )
    browse.open[browse.who] = older
    browse.press("Save", {"city": "Malmö"})
    assert standing(people)[-1] == ("yes", "link")


def test_a_second_tab_overwrites_nothing(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    older = browse("/profile/edit")
    edit(browse, {"city": "Lund", "phone": "+46 46 222 00 00"})
    browse.open[browse.who] = older
    page = browse.press("Save", {"city": "Malmö"}, status=422)
    assert "is now: Lund" in page.said
    assert people.alice.city == "Lund"
    assert page.controls()["city"] == "Malmö"
    browse.press("Save", {"phone": "+46 46 222 00 00"})
    assert (people.alice.city, people.alice.phone) == ("Malmö", "+46462220000")


def test_two_saves_at_the_same_moment_overwrite_nothing(browse: Browse, people: People, engine_name: str) -> None:
    """On a database with several writers the other one may come between our look and our save."""
    browse.sign_in(people.alice)
    browse("/profile/edit")
    ident = people.alice.id
    other = db.engine.connect()
    done: list[int] = []

    def interfere(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if engine_name == "postgresql" and statement.startswith("UPDATE member") and not done:
            done.append(1)
            other.execute(text("UPDATE member SET version = version + 1, city = 'Lund' WHERE id = :id"), {"id": ident})
            other.commit()

    event.listen(db.engine, "before_cursor_execute", interfere)
    try:
        if engine_name == "sqlite":
            with writes():
                db.session.get_one(Member, ident).city = "Lund"
        page = browse.press("Save", {"city": "Malmö"}, status=422)
    finally:
        event.remove(db.engine, "before_cursor_execute", interfere)
        other.close()
    assert "another place" in page.said
    assert "is now: Lund" in page.said
    db.session.rollback()
    assert db.session.scalars(select(Member.city).where(Member.id == ident)).one() == "Lund"
    browse.press("Save")
    assert db.session.scalars(select(Member.city).where(Member.id == ident)).one() == "Malmö"


def test_phones_are_stored_as_e164(browse: Browse, people: People) -> None:
    browse.sign_in(people.bob)
    edit(browse, {"phone": "(919) 555-0143", "mobile": "+44 20 7946 0958"})
    assert (people.bob.phone, people.bob.mobile) == ("+19195550143", "+442079460958")
    for wrong in ("12", "call me", "+999 123456789", "0"):
        page = edit(browse, {"phone": wrong}, status=422)
        assert page.beside("phone")
        assert page.controls()["phone"] == wrong
    assert people.bob.phone == "+19195550143"


@pytest.mark.parametrize("years", [12, 5, 0])
def test_a_child_is_refused_and_nothing_is_stored(browse: Browse, people: People, clock: Any, years: int) -> None:
    """P30: no birth date under 13, no hint at the limit, and nothing else of the form either."""
    browse.sign_in(people.alice)
    born = date(2026 - years, 12, 3)
    page = edit(browse, {"birth_date": born.isoformat(), "city": "Lund"}, status=422)
    said = page.beside("birth_date")
    assert said
    assert "13" not in said
    assert "under" not in said
    assert people.alice.birth_date == date(1964, 5, 17)
    assert people.alice.city == "Uppsala"
    assert db.session.scalars(select(Trail)).first() is None


def test_thirteen_today_is_old_enough(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"birth_date": "2013-12-05"}, status=422)
    edit(browse, {"birth_date": "2013-12-04"})
    assert people.alice.birth_date == date(2013, 12, 4)


@pytest.mark.parametrize("wrong", ["1964-13-01", "31.5.1964", "tomorrow", "1764-05-31", "2999-01-01"])
def test_what_is_no_birth_date_is_refused(browse: Browse, people: People, wrong: str) -> None:
    browse.sign_in(people.alice)
    page = edit(browse, {"birth_date": wrong}, status=422)
    assert page.beside("birth_date")
    assert page.controls()["birth_date"] == wrong


def test_what_is_too_long_is_refused(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    page = edit(browse, {"city": "x" * 301, "education": "x" * 4001, "honorific": "x" * 300}, status=422)
    assert "300" in page.beside("city")
    assert "4,000" in page.beside("education")
    assert page.beside("honorific") == ""
    edit(browse, {"city": "x" * 300, "education": "é" * 4000})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("country", "ZZ"),
        ("country", "<b>"),
        ("address_kind", "boat"),
        ("version", "x"),
        ("version", ""),
        ("version", "9" * 40),
    ],
)
def test_what_no_form_of_ours_sends_is_no_fault(browse: Browse, people: People, name: str, value: str) -> None:
    browse.sign_in(people.alice)
    edit(browse, {name: value, "phone": "12345"}, status=422)
    assert people.alice.country == "SE"


def test_no_other_column_can_be_sent(browse: Browse, people: People) -> None:
    """Every column's name is sent along; only those of the form change (security, threat T24)."""
    browse.sign_in(people.alice)
    before = {each.name: getattr(people.alice, each.name) for each in Member.__table__.columns}
    names = {column.name for table in Base.metadata.sorted_tables for column in table.columns} - {*EDITED, "version"}
    browse("/profile/edit")
    form = {**browse.page.controls(), **dict.fromkeys(names, "1"), "staff": "y", "is_staff": "1", "city": "Lund"}
    assert browse.client.post("/profile/edit", data=form).status_code == 303
    db.session.rollback()
    after = {each.name: getattr(people.alice, each.name) for each in Member.__table__.columns}
    assert {name for name in before if before[name] != after[name]} == {"city", "version"}
    assert people.alice.account is not None
    assert people.alice.account.staff is False


@pytest.mark.parametrize(
    "nasty",
    ['"><script>alert(1)</script>', "{{ 7*7 }}", "<img src=x onerror=alert(1)>", "' OR 1=1 --", "javascript:alert(1)"],
)
def test_what_is_typed_stays_text(browse: Browse, people: People, nasty: str) -> None:
    """Shown as typed on every page that shows it; browse finds any script (security, threats T15, T18)."""
    browse.sign_in(people.alice)
    texts = set(EDITED) - {"birth_date", "phone", "mobile", "country", "address_kind"}
    edit(browse, dict.fromkeys(texts, nasty))
    for path in ("/", "/profile", "/profile/edit", "/choices", "/security"):
        page = browse(path)
        assert nasty in page.text or nasty in str(page.soup.find_all("input")) or path in ("/profile/edit",)
        assert "49" not in page.heading
    browse("/requests/new/access")
    browse.press("Send", {"Anything to add": nasty})
    assert nasty in browse.follow().said


def test_free_text_asks_for_nothing_sensitive(browse: Browse, people: People) -> None:
    """P12: nothing about health, religion, politics or origin, please."""
    browse.sign_in(people.alice)
    page = browse("/profile/edit")
    for name in ("education", "work_experience", "certifications", "interests", "demographics"):
        (hint,) = page.soup.select(f"#{name}-hint")
        assert "nothing about health, religion, politics or origin" in hint.get_text(), name


# The address ----------------------------------------------------------------------------------------------


def ask(browse: Browse, people: People, address: str = NEW) -> None:
    browse("/profile/email", as_=people.alice)
    browse.press("Send", {"Email address": address})


def test_change_of_address(browse: Browse, people: People) -> None:
    """Confirmed at the new one, told to the old one, and an opt-out comes along (rights §7.6)."""
    old = people.alice.email
    browse.sign_in(people.alice)
    edit(browse, {"Suppress Broadcast Emails": True})
    ask(browse, people)
    assert "link to the new address" in browse.follow().said
    assert people.alice.email == old
    confirm, notice = letter("email_confirm"), letter("email_notice")
    assert (confirm.to_address, notice.to_address) == (NEW, old)
    assert NEW in browse("/profile/email").said
    browse(link_in(confirm), as_=None)
    assert people.alice.email == old, "looking changes nothing"
    browse.press("Confirm")
    browse.follow()
    assert people.alice.email == NEW
    assert people.alice.email_key == canonical_address(NEW)
    assert people.alice.address_hash == suppression_hash(NEW)
    assert letter("email_changed").to_address == old
    assert standing(people)[-1][0] == "yes"
    browse("/sign-in")
    browse.press("Sign in", {"email": old, "password": ALICE_PASSWORD}, status=422)
    browse.press("Sign in", {"email": NEW, "password": ALICE_PASSWORD})
    browse(link_in(confirm), status=410, as_="again")


@pytest.mark.parametrize("link", ["email_notice", "email_changed"])
def test_cancel_after_it_was_done(browse: Browse, people: People, link: str) -> None:
    """From the old mailbox, by either mail: the old address is back, every sign-in and the password end."""
    old = people.alice.email
    browse.sign_in(people.alice)
    ask(browse, people)
    browse(link_in(letter("email_confirm")), as_=None)
    browse.press("Confirm")
    cancel = link_in(letter(link))
    browse(cancel)
    assert people.alice.email == NEW
    browse.press("Confirm")
    assert people.alice.email == old
    assert "open the link that we have sent there" in browse.follow().said
    browse("/profile", status=303, as_=people.alice)
    browse(cancel, status=410, as_=None)
    browse("/sign-in", as_="thief")
    browse.press("Sign in", {"email": old, "password": ALICE_PASSWORD}, status=422)
    browse(link_in(letter("activation", to=old)), as_=None)
    browse.press("Save", {"New password": "seven-grey-herons-fly-south"})
    browse.sign_in(people.alice, password="seven-grey-herons-fly-south")


def test_cancel_before_it_was_done(browse: Browse, people: People) -> None:
    old = people.alice.email
    browse.sign_in(people.alice)
    ask(browse, people)
    browse(link_in(letter("email_notice")), as_=None)
    browse.press("Confirm")
    assert "cancelled" in browse.follow().said
    browse(link_in(letter("email_confirm")), status=410)
    assert people.alice.email == old
    browse("/profile", as_=people.alice)


def test_links_of_a_change_end(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    ask(browse, people)
    confirm, cancel = link_in(letter("email_confirm")), link_in(letter("email_notice"))
    clock.shift(timedelta(hours=23, minutes=59))
    browse(confirm, as_=None)
    clock.shift(timedelta(minutes=1))
    browse(confirm, status=410)
    clock.shift(timedelta(days=6) - timedelta(seconds=1))
    browse(cancel)
    clock.shift(timedelta(seconds=1))
    browse(cancel, status=410)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_a_link_changes_no_address(browse: Browse, people: People, method: str) -> None:
    old = people.alice.email
    browse.sign_in(people.alice)
    ask(browse, people)
    for name in ("email_confirm", "email_notice"):
        for _ in range(30):
            assert browse.client.open(link_in(letter(name)), method=method).status_code == 200
    assert people.alice.email == old
    browse(link_in(letter("email_confirm")), as_=None)
    browse.press("Confirm")
    assert people.alice.email == NEW


def test_an_address_of_somebody_else_is_answered_alike(browse: Browse, people: People) -> None:
    """Nobody learns on this side whether an address is taken; the other mailbox is told (security, threat T6)."""
    browse.sign_in(people.alice)
    pages = []
    for address in ("free@example.org", people.bob.email):
        ask(browse, people, address)
        sent = browse.page
        browse.follow()
        pages.append(
            (sent.status, sent.location, browse.page.said, browse("/profile/email").said.replace(address, "X"))
        )
    assert pages[0][:3] == pages[1][:3]
    (told,) = letters("email_taken", to=people.bob.email)
    assert told.subject_id == people.bob.id, "it is his address that the letter bears"
    assert not letters("email_confirm", to=people.bob.email)
    assert len(letters("email_notice", to=people.alice.email)) == 2


def test_two_changes_under_way(browse: Browse, people: People) -> None:
    """The newer one counts; the older link confirms nothing."""
    browse.sign_in(people.alice)
    ask(browse, people, "first@example.org")
    first = link_in(letter("email_confirm"))
    ask(browse, people, "second@example.org")
    second = link_in(letter("email_confirm", to="second@example.org"))
    browse(first, status=410, as_=None)
    browse(second)
    browse.press("Confirm")
    assert people.alice.email == "second@example.org"
    waiting = select(EmailChange).where(EmailChange.confirmed_at.is_(None), EmailChange.cancelled_at.is_(None))
    assert db.session.scalars(waiting).first() is None


def test_an_address_that_was_taken_meanwhile(browse: Browse, people: People) -> None:
    old = people.alice.email
    browse.sign_in(people.alice)
    ask(browse, people)
    with writes():
        db.session.add(member(email=NEW.upper(), first_name="Other"))
    browse(link_in(letter("email_confirm")), as_=None)
    page = browse.press("Confirm", status=410)
    assert "old address stays" in page.said
    assert people.alice.email == old
    browse("/profile", as_=people.alice)


def test_two_people_who_want_the_same_address(browse: Browse, people: People) -> None:
    """Whoever confirms first has it; the other keeps the old one."""
    for person in (people.alice, people.bob):
        browse.sign_in(person)
        browse("/profile/email")
        browse.press("Send", {"Email address": "shared@example.org"})
    links = [link_in(row) for row in letters("email_confirm")]
    browse(links[0], as_=None)
    browse.press("Confirm")
    browse(links[1])
    browse.press("Confirm", status=410)
    assert [people.alice.email, people.bob.email].count("shared@example.org") == 1


def test_a_thief_cannot_take_the_taking_back_back(browse: Browse, people: People) -> None:
    """Two changes in a row by a thief: the link in the first mailbox undoes both, for good."""
    old = people.alice.email
    browse.sign_in(people.alice)
    for address in ("thief@example.org", "thief2@example.org"):
        ask(browse, people, address)
        browse(link_in(letter("email_confirm", to=address)), as_=None)
        browse.press("Confirm")
    to_thief = [link_in(letter(name, to="thief@example.org")) for name in ("email_notice", "email_changed")]
    browse(link_in(letter("email_notice", to=old)), as_=None)
    browse.press("Confirm")
    assert people.alice.email == old
    for link in to_thief:
        browse(link, status=410)
    assert people.alice.email == old


@pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "x" * 250 + "@example.org", "a@example.org, b@example.org"])
def test_what_is_no_address_is_refused(browse: Browse, people: People, address: str) -> None:
    browse.sign_in(people.alice)
    browse("/profile/email")
    assert browse.press("Send", {"Email address": address}, status=422).beside("email")
    assert not letters("email_notice")


def test_a_wrong_password_keeps_the_address_typed(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    browse("/profile/email")
    clock.shift(timedelta(minutes=6))
    page = browse.press("Send", {"Email address": NEW}, status=422)
    assert page.controls() | {"email": NEW} == page.controls()
    page = browse.press("Send", {"Password": BOB_PASSWORD}, status=422)
    assert page.controls()["email"] == NEW
    assert not letters("email_confirm")
    browse.press("Send", {"Password": ALICE_PASSWORD})
    assert letters("email_confirm")


def test_nobody_is_bombed_with_confirmations(browse: Browse, people: People) -> None:
    """The page mails addresses that were typed: ten a day at most to one (security, threat T32)."""
    browse.sign_in(people.alice)
    browse("/profile/email")
    answers = []
    for _ in range(12):
        form = {**browse("/profile/email").controls(), "email": "victim@example.org"}
        answers.append(browse.client.post("/profile/email", data=form).status_code)
    assert answers == [303] * 10 + [422] * 2
    assert len(letters("email_confirm")) == 10
