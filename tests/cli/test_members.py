"""members import and members export: each sentence of the contract's section on members.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select

from portal import clock
from portal.domain import choices, members
from portal.domain.member_csv import COLUMNS
from portal.extensions import db
from portal.models import Account, ChoiceRow, EmailChange, Member, Message, Suppression, Trail
from portal.tokens import number_to_hash, suppression_hash
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import People

Import = Callable[..., Result]


@pytest.fixture
def bring(run: Runner, tmp_path: Path) -> Import:
    """Import a file with this content; text or bytes."""

    def bring(content: str | bytes, *options: object) -> Result:
        path = tmp_path / "members.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return run("members", "import", path, *options)

    return bring


def said(result: Result, *lines: str) -> None:
    """The lines of the summary, in their order."""
    shown = [line for line in result.stderr.splitlines() if line in lines]
    assert shown == list(lines), result.stderr


def person(email: str) -> Member:
    db.session.rollback()
    return db.session.scalars(select(Member).where(Member.email == email)).one()


def answers(email: str) -> dict[str, str]:
    db.session.rollback()
    query = select(ChoiceRow).join(Member, Member.id == ChoiceRow.subject_id).where(Member.email == email)
    return {row.code: row.value for row in db.session.scalars(query.order_by(ChoiceRow.id))}


# What comes in --------------------------------------------------------------------------------------------


def test_creates_people_and_the_same_file_twice_changes_nothing(bring: Import) -> None:
    content = (
        ",".join(COLUMNS) + "\n"
        "M1,ada@example.org,Ada,Ng,member,Chips Ltd,Engineer,work,1 Fab Street,Hall 2,Leeds,Yorks,LS1 4AB,UK,"
        "0113 496 0000,+44 7700 900123,1970-02-03,BSc,20 years,None,Wire bonding; Reliability,Foundry,"
        "yes,attendees,no,1,active,2001-05-06,2027-12-31,Dr.,Woman in tech,magazine;surveys\n"
    )
    first = bring(content)
    assert first.exit_code == 0
    said(first, "created 1", "updated 0", "unchanged 0", "held back 0", "refused 0")
    ada = person("ada@example.org")
    assert (ada.member_number, ada.version, ada.country, ada.phone) == ("M1", 1, "GB", "+441134960000")
    assert (ada.interests, ada.kind, str(ada.joined_on)) == ("Wire bonding\nReliability", "member", "2001-05-06")
    assert answers("ada@example.org") == {
        "suppress_broadcast_emails": "yes",
        "attendee_list": "attendees",
        "sponsor_sharing": "no",
        "employer_sharing": "yes",
        "topic_magazine": "off",
        "topic_surveys": "off",
    }
    made = db.session.scalars(select(Trail).where(Trail.subject_id == ada.id)).all()
    assert [(row.act, row.field, row.door) for row in made] == [("created", "", "import")]
    row = db.session.scalars(select(ChoiceRow).where(ChoiceRow.code == "attendee_list")).one()
    assert row.door == "import"
    assert "attendee_list" in row.wording
    assert "Other attendees" in row.wording
    assert db.session.scalars(select(Account)).first() is None

    again = bring(content)
    said(again, "created 0", "updated 0", "unchanged 1", "held back 0", "refused 0")
    assert person("ada@example.org").version == 1


def test_columns_stand_in_any_order_and_a_byte_order_mark_is_no_part_of_the_first(bring: Import) -> None:
    result = bring(b"\xef\xbb\xbflast_name,email\r\nNg,ada@example.org\r\n")
    said(result, "created 1")
    assert person("ada@example.org").last_name == "Ng"


def test_an_unlisted_column_is_ignored_and_named_once(bring: Import) -> None:
    result = bring("email,shoe size,restricted\na@example.org,43,yes\nb@example.org,44,no\n")
    assert result.exit_code == 0
    assert result.stderr.count("shoe size") == 1
    said(result, "created 2")


def test_the_contracts_example_of_a_summary(bring: Import) -> None:
    result = bring("email,country\na@example.org,FR\nnobody\nb@example.org,Norway\nx@,FR\nc@example.org,Atlantis\n")
    assert result.exit_code == 1
    said(result, "created 2", "updated 0", "unchanged 0", "held back 0", "refused 3")
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines[lines.index("refused 3") + 1 :]] == ["line 3", "line 5", "line 6"]


def test_updates_by_id_and_without_it_by_address(bring: Import) -> None:
    bring("member_id,email,first_name\nM1,a@example.org,Ada\n,b@example.org,Bo\n")
    result = bring("member_id,email,first_name\nM1,new@example.org,Ada\n,B@Example.org,Bob\n")
    said(result, "created 0", "updated 2", "unchanged 0")
    assert person("new@example.org").member_number == "M1"
    bob = person("b@example.org")
    assert (bob.first_name, bob.version) == ("Bob", 2)
    changed = select(Trail).where(Trail.act == "changed").order_by(Trail.id)
    rows = [(row.field, row.door, row.carried_at is not None) for row in db.session.scalars(changed)]
    assert sorted(rows) == [("email", "import", True), ("first_name", "import", True)]


def test_missing_people_missing_columns_and_empty_cells_change_nothing(bring: Import) -> None:
    bring("member_id,email,first_name,city,sponsor_sharing\nM1,a@example.org,Ada,Oslo,no\nM2,b@example.org,Bo,Rome,\n")
    result = bring("member_id,email,first_name,sponsor_sharing,birth_date\nM1,a@example.org,,,\n")
    said(result, "created 0", "updated 0", "unchanged 1", "held back 0", "refused 0")
    assert (person("a@example.org").first_name, person("a@example.org").city) == ("Ada", "Oslo")
    assert answers("a@example.org") == {"sponsor_sharing": "no"}
    assert person("b@example.org").first_name == "Bo"


def test_an_unknown_id_with_the_address_of_a_person_without_id_gives_the_id(bring: Import) -> None:
    bring("email\na@example.org\n")
    said(bring("member_id,email\nM9,a@example.org\n"), "created 0", "updated 1")
    assert person("a@example.org").member_number == "M9"


def test_an_address_that_belongs_to_another_id_is_refused(bring: Import) -> None:
    bring("member_id,email\nM1,a@example.org\nM2,b@example.org\n")
    result = bring("member_id,email\nM3,a@example.org\nM2,A@example.org\n")
    assert result.exit_code == 1
    said(result, "created 0", "updated 0", "refused 2")
    assert person("b@example.org").member_number == "M2"


def test_an_address_given_up_in_a_file_may_be_taken_in_it(bring: Import) -> None:
    bring("member_id,email\nM1,a@example.org\nM2,b@example.org\n")
    content = "member_id,email\nM1,z@example.org\nM2,a@example.org\nM3,b@example.org\n"
    dry = bring(content, "--dry-run")
    said(dry, "created 1", "updated 2", "refused 0")
    said(bring(content), "created 1", "updated 2", "refused 0")
    assert [person(f"{name}@example.org").member_number for name in "zab"] == ["M1", "M2", "M3"]


def test_line_breaks_become_commas_in_address_lines_and_spaces_elsewhere(bring: Import) -> None:
    bring('email,address_line1,education,first_name\na@example.org,"1 Fab St\r\nHall 2","BSc\nMSc"," Ada\n"\n')
    ada = person("a@example.org")
    assert (ada.address_line1, ada.education, ada.first_name) == ("1 Fab St, Hall 2", "BSc MSc", "Ada")


def test_a_phone_that_nobody_can_read_is_kept_as_written(bring: Import) -> None:
    said(bring("email,phone\na@example.org,ask Joan\n"), "created 1")
    assert person("a@example.org").phone == "ask Joan"


def test_yes_and_no_are_understood_in_every_listed_spelling(bring: Import) -> None:
    words = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "1": "yes", "0": "no", "TRUE": "yes"}
    rows = "".join(f"p{number}@example.org,{word}\n" for number, word in enumerate(words))
    bring(f"email,sponsor_sharing\n{rows}")
    assert [answers(f"p{n}@example.org")["sponsor_sharing"] for n in range(len(words))] == list(words.values())


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "part"),
    [
        ("first_name", "x" * 301, "300"),
        ("education", "x" * 4001, "4,000"),
        ("country", "Atlantis", "Atlantis"),
        ("kind", "friend", "friend"),
        ("address_kind", "boat", "boat"),
        ("attendee_list", "all", "all"),
        ("sponsor_sharing", "maybe", "maybe"),
        ("topics_off", "magazine;gossip", "gossip"),
        ("birth_date", "03/02/1970", "1970"),
        ("joined_on", "20200101", "20200101"),
    ],
)
def test_a_row_with_an_unknown_word_or_too_much_text_is_refused(
    bring: Import, column: str, cell: str, part: str
) -> None:
    result = bring(f"email,{column}\na@example.org,{cell}\nb@example.org,\n")
    assert result.exit_code == 1
    said(result, "created 1", "refused 1")
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"line 2: {column}: ")
    assert part in line


def test_long_columns_take_four_thousand_characters(bring: Import) -> None:
    said(bring(f"email,education,honorific\na@example.org,{'x' * 4000},{'y' * 300}\n"), "created 1")


def test_lines_are_physical_with_breaks_in_cells_and_blank_lines_counted(bring: Import) -> None:
    result = bring('email,education\n\na@example.org,"one\ntwo\nthree"\n\n\nbad,"x\ny"\nworse,\nb@example.org,\n')
    said(result, "created 2", "refused 2")
    assert [line for line in result.stderr.splitlines() if line.startswith("line")] == [
        "line 8: malformed email address",
        "line 10: malformed email address",
    ]


def test_a_child_is_refused_until_the_thirteenth_birthday(bring: Import, clock: object) -> None:
    result = bring("email,birth_date\na@example.org,2013-12-05\nb@example.org,2013-12-04\n")
    said(result, "created 1", "refused 1")
    assert "line 2: birth_date: under 13" in result.stderr
    assert person("b@example.org").birth_date is not None


def test_the_later_of_two_rows_with_one_id_or_address_is_refused(bring: Import) -> None:
    result = bring("member_id,email\nM1,a@example.org\nM1,b@example.org\nM2,A@EXAMPLE.org\nM3,c@example.org\n")
    said(result, "created 2", "refused 2")
    assert "line 3:" in result.stderr
    assert "line 4:" in result.stderr


def test_a_row_with_the_wrong_number_of_cells_is_refused(bring: Import) -> None:
    result = bring('email,city\na@example.org,Oslo,Norway\nb@example.org\nd@example.org,"x"y\nc@example.org,Rome\n')
    said(result, "created 1", "refused 3")
    assert "line 2: 3 cells where the header has 2" in result.stderr
    assert "line 4: a quotation mark" in result.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"a@example.org,Ada\nb@example.org,Bo\n",
        b"member_id,first_name\nM1,Ada\n",
        b"email;city\na@example.org;Oslo\n",
        b"email,email\na@example.org,b@example.org\n",
        "email,city\na@example.org,Malmö\n".encode("latin-1"),
        "email,city\na@example.org,Malmo\n".encode("utf-16"),
        b"email,city\n" + b"".join(b"p%d@example.org,Oslo\n" % n for n in range(3000)) + b"z@example.org,\xff\n",
        b'email,city\na@example.org,Oslo\nb@example.org,"Ro',
        b"email,city\n" + b"".join(b"p%d@example.org,Oslo\n" % n for n in range(3000)) + b"z@exam",
        b'email,city\na@example.org,"' + b"x" * 200_000,
        b"email,city\na@example.org," + b"x" * 2_000_000 + b"\n",
        b"PK\x03\x04 a spreadsheet\n",
    ],
)
def test_a_file_that_cannot_be_trusted_changes_nothing(bring: Import, content: bytes) -> None:
    result = bring(content)
    assert result.exit_code == 3
    assert "Nothing was changed." in result.stderr
    assert "created" not in result.stderr
    assert db.session.scalars(select(Member)).first() is None


def test_a_file_that_is_not_there_and_an_unknown_option_are_wrong_use(run: Runner, tmp_path: Path) -> None:
    assert run("members", "import", tmp_path / "none.csv").exit_code == 2
    assert run("members", "import").exit_code == 2


# What is held back ----------------------------------------------------------------------------------------


def test_what_would_loosen_a_choice_is_held_back_and_what_tightens_is_taken(bring: Import) -> None:
    head = "email,suppress_broadcast_emails,attendee_list,sponsor_sharing\n"
    bring(f"{head}a@example.org,yes,attendees,yes\n")
    result = bring(f"{head}a@example.org,no,public,no\n")
    assert result.exit_code == 0
    said(result, "updated 1", "unchanged 0", "held back 1", "refused 0")
    expected = {"suppress_broadcast_emails": "yes", "attendee_list": "attendees", "sponsor_sharing": "no"}
    assert answers("a@example.org") == expected
    again = bring(f"{head}a@example.org,no,public,no\n")
    said(again, "updated 0", "unchanged 0", "held back 1")


def test_a_choice_made_here_is_not_undone_by_a_file_that_only_repeats_itself(bring: Import) -> None:
    content = "email,sponsor_sharing\na@example.org,no\n"
    bring(content)
    ada = person("a@example.org")
    with writes():
        choices.change(ada.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=clock.now())
    said(bring(content), "updated 0", "unchanged 0", "held back 1")
    assert answers("a@example.org") == {"sponsor_sharing": "yes"}


def test_a_first_value_is_taken_but_not_over_an_answer_given_here(bring: Import, people: People) -> None:
    with writes():
        choices.change(people.alice.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=clock.now())
        choices.change(people.alice.subject, "sponsor_sharing", to="no", via=Door.PAGE, now=clock.now())
    content = f"email,sponsor_sharing,employer_sharing\n{people.alice.email},yes,yes\n"
    said(bring(content), "updated 1", "held back 1")
    assert answers(people.alice.email) == {"sponsor_sharing": "no", "employer_sharing": "yes"}


def test_a_field_changed_here_keeps_its_value_until_it_is_carried_over(bring: Import, people: People) -> None:
    alice = people.alice
    with writes():
        change = {"city": "Gävle", "job_title": ""}
        members.save_profile(alice, change, version=alice.version, via=Door.PAGE, now=clock.now())
    old = f"email,city,job_title\n{alice.email},Uppsala,Engineer\n"
    said(bring(old), "updated 0", "unchanged 0", "held back 1")
    assert (person(alice.email).city, person(alice.email).job_title) == ("Gävle", "")

    said(bring(f"email,city,job_title\n{alice.email},Gävle,\n"), "updated 0", "unchanged 1", "held back 0")
    waiting = select(Trail.field).where(Trail.act == "changed", Trail.carried_at.is_(None))
    assert db.session.scalars(waiting).all() == []
    said(bring(f"email,city,job_title\n{alice.email},Lund,Boss\n"), "updated 1", "held back 0")
    assert person(alice.email).city == "Lund"


def test_a_row_whose_id_or_address_was_erased_is_held_back(bring: Import) -> None:
    with writes():
        for name, reason in (
            ("gone@example.org", "erased"),
            (number_to_hash("M7"), "erased"),
            ("bounced@example.org", "bounced"),
        ):
            db.session.add(Suppression(keyed_hash=suppression_hash(name), reason=reason, at=clock.now()))
    content = "member_id,email\n,Gone@example.org\nM7,other@example.org\nM8,bounced@example.org\n"
    result = bring(content, "--dry-run")
    assert "line 2" not in result.output
    assert "line 3" not in result.output
    result = bring(content)
    assert result.exit_code == 0
    said(result, "created 1", "held back 2", "refused 0")
    assert db.session.scalars(select(Member.email)).all() == ["bounced@example.org"]


def test_a_new_address_for_somebody_who_signs_in_is_proposed_once(bring: Import, people: People) -> None:
    content = "member_id,email,city\nM-1001,alice@new.example.org,Lund\n"
    said(bring(content), "updated 1", "unchanged 0", "held back 1")
    alice = person(people.alice.email)
    assert alice.city == "Lund"
    change = db.session.scalars(select(EmailChange)).one()
    assert (change.new_email, change.door, change.member_id) == ("alice@new.example.org", "import", alice.id)
    mails = len(db.session.scalars(select(Message)).all())
    assert mails == 2
    said(bring(content), "updated 0", "held back 1")
    assert len(db.session.scalars(select(Message)).all()) == mails


def test_the_address_changed_here_still_finds_its_person_in_a_file_without_ids(bring: Import, people: People) -> None:
    bob = people.bob
    with writes():
        db.session.add(
            EmailChange(
                member=bob, old_email=bob.email, new_email="bob@new.example.org", door="page", confirm_hash="c",
                cancel_hash="d", created_at=clock.now(), confirm_until=clock.now(), cancel_until=clock.now(),
                confirmed_at=clock.now(),
            )
        )  # fmt: skip
        members.set_email(bob, "bob@new.example.org", now=clock.now())
        db.session.add(Trail(subject_id=bob.id, act="changed", field="email", door="page", at=clock.now()))
    said(bring("email,city\nbob@tanaka.example.org,Mesa\n"), "created 0", "updated 1", "held back 1")
    assert person("bob@new.example.org").city == "Mesa"


def moved_away(member: Member, *, suppressed: bool) -> None:
    """The member leaves the old address through the portal's own verbs."""
    with writes():
        if suppressed:
            choices.change(member.subject, "suppress_broadcast_emails", to="yes", via=Door.PAGE, now=clock.now())
        members.ask_email_change(member, "moved@mail.example.org", via=Door.PAGE, now=clock.now())
        db.session.flush()
        (letter,) = db.session.scalars(select(Message).where(Message.to_address == "moved@mail.example.org"))
        token = letter.text.partition("/profile/email/confirm/")[2].split()[0]
        assert members.confirm_email(token, now=clock.now()) is not None


@pytest.mark.parametrize("told", ["", "no", "yes"])
def test_an_old_address_of_somebody_who_opted_out_is_not_mailed_again(
    run: Runner, bring: Import, people: People, told: str
) -> None:
    old = people.alice.email
    moved_away(people.alice, suppressed=True)
    content = f"member_id,email,suppress_broadcast_emails,sponsor_sharing\nX-9,{old.upper()},{told},no\n"
    said(bring(content), "created 1", f"held back {int(told == 'no')}", "refused 0")
    rows = db.session.scalars(select(ChoiceRow).join(Member, Member.id == ChoiceRow.subject_id).where(
        Member.member_number == "X-9").order_by(ChoiceRow.code)).all()  # fmt: skip
    assert [(row.code, row.value, row.door) for row in rows] == [
        ("sponsor_sharing", "no", "import"),
        ("suppress_broadcast_emails", "yes", "import"),
    ]
    assert "brought back an address" in rows[1].wording
    allowed = run("broadcasts", "filter", "--topic", "magazine", stdin=f"email\n{old}\nmoved@mail.example.org\n")
    assert "dropped 2" in allowed.stderr
    said(bring(content), "created 0", "updated 0", f"held back {int(told == 'no')}")


@pytest.mark.parametrize(("before", "told", "now"), [("yes", "", "yes"), ("no", "yes", "yes"), ("no", "", "no")])
def test_an_address_given_up_in_a_file_is_as_silent_in_it_as_in_the_next(
    bring: Import, before: str, told: str, now: str
) -> None:
    """P5: a file of everybody moves somebody to another address and has the old one in another row."""
    bring(f"member_id,email,suppress_broadcast_emails\nM-1,a@example.org,{before}\n")
    content = f"member_id,email,suppress_broadcast_emails\nM-1,b@example.org,{told}\n,a@example.org,no\n"
    summary = ("created 1", "updated 1", "unchanged 0", f"held back {int(now == 'yes')}", "refused 0")
    said(bring(content, "--dry-run"), *summary)
    said(bring(content), *summary)
    assert answers("a@example.org") == {"suppress_broadcast_emails": now}


def test_an_old_address_of_somebody_who_wants_mail_starts_as_any_other(bring: Import, people: People) -> None:
    old = people.alice.email
    moved_away(people.alice, suppressed=False)
    said(bring(f"member_id,email\nX-9,{old}\n"), "created 1", "held back 0")
    assert answers(old) == {}


def test_no_file_moves_a_role_of_the_desk_not_even_before_its_first_password(run: Runner, bring: Import) -> None:
    run("desk", "add", "helper@desk.example.org")
    said(bring("member_id,email\nH-1,helper@desk.example.org\n"), "created 1")
    said(bring("member_id,email\nH-1,other@mail.example.org\n"), "updated 0", "held back 1")
    account = db.session.scalars(select(Account).where(Account.staff)).one()
    assert account.address == "helper@desk.example.org"
    assert db.session.scalars(select(EmailChange.new_email)).all() == [], "not even proposed"


def test_a_sign_in_of_the_desk_is_joined_to_its_new_member(bring: Import, people: People) -> None:
    said(bring("email,first_name\nDana@desk.example.org,Dana\n"), "created 1")
    account = db.session.scalars(select(Account).where(Account.staff)).one()
    assert (account.member_id, account.email, account.email_key) == (person("Dana@desk.example.org").id, None, None)


# Dry run, map, export -------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_changes_and_makes_none(bring: Import) -> None:
    bring("email,city,sponsor_sharing\na@example.org,Oslo,no\n")
    result = bring("email,city,sponsor_sharing\na@example.org,Rome,yes\nb@example.org,Bonn,\n", "--dry-run")
    assert "line 2: city: Oslo -> Rome" in result.stdout
    assert "line 2: held back, sponsor_sharing" in result.stdout
    assert "line 3: a new person" in result.stdout
    said(result, "created 1", "updated 1", "held back 1")
    assert person("a@example.org").city == "Oslo"
    assert len(db.session.scalars(select(Member)).all()) == 1


def test_a_map_brings_another_systems_columns_and_words(bring: Import, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(
        '[columns]\n"E-Mail" = "email"\nNation = "country"\nType = "kind"\n'
        '[values.kind]\nFull = "member"\n[values.country]\nDeutschland = "DE"\n[defaults]\naddress_kind = "work"\n'
    )
    result = bring("e-mail,Nation,Type\na@example.org,Deutschland,full\n", "--map", path)
    said(result, "created 1", "refused 0")
    ada = person("a@example.org")
    assert (ada.country, ada.kind, ada.address_kind) == ("DE", "member", "work")


@pytest.mark.parametrize(
    "text",
    [
        "[columns",
        '[columns]\nA = "no_such"',
        '[columns]\nA = "email"\nB = "email"',
        "[columns]\nA = 1",
        '[values.no_such]\na = "b"',
        'values = "x"',
        '[defaults]\nsponsor_sharing = "yes"',
        '[values.employer_sharing]\n" " = "yes"',
        '[other]\na = "b"',
    ],
)
def test_a_bad_map_is_wrong_use(bring: Import, tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    result = bring("email\na@example.org\n", "--map", path)
    assert result.exit_code == 2
    assert db.session.scalars(select(Member)).first() is None


def test_importing_an_export_changes_nothing(run: Runner, bring: Import, people: People) -> None:
    with writes():
        people.alice.education = "Line one\nLine; two"
        people.alice.interests = "Ceramics\nBonding; wire"
        people.alice.phone = "ask Joan"
        people.bob.member_number = None
        people.bob.subject.restricted_at = clock.now()
        for code, value in (("attendee_list", "public"), ("topic_magazine", "off"), ("topic_recruiting", "on")):
            choices.change(people.alice.subject, code, to=value, via=Door.PAGE, now=clock.now())
    made = run("members", "export")
    assert made.exit_code == 0
    head, *rows = made.stdout.splitlines()
    assert head == ",".join((*COLUMNS, "restricted"))
    assert sorted(row.rsplit(",", 1)[1] for row in rows if row.endswith((",yes", ",no"))) == ["no", "yes"]
    again = bring(made.stdout)
    assert again.exit_code == 0
    said(again, "created 0", "updated 0", "unchanged 2", "held back 0", "refused 0")
    assert run("members", "export").stdout == made.stdout


def test_a_file_may_come_by_standard_input(run: Runner) -> None:
    said(run("members", "import", "-", stdin="email\na@example.org\n"), "created 1")
