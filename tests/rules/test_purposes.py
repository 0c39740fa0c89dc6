"""The catalogue and the notes that name it: every purpose has its ground, every field its reason."""

from __future__ import annotations

import re

from portal.datamap import inventory
from portal.extensions import Base
from portal.purposes import AUDIENCES, CHOICES, CONSENTS, HOLDINGS, PURPOSES, RECIPIENTS, TOPICS, topic_choice
from portal.vocabulary import Basis, Edit
from tests.conftest import Runner

MONEY = re.compile(r"card|iban|bank|account_number|cvc|sort_code|swift|passport|social_security|ssn|tax_id")


def test_every_purpose_has_a_legal_basis_and_a_transfer_ground() -> None:
    """P23, P24: GDPR Art. 6(1) and Art. 49."""
    for code, purpose in PURPOSES.items():
        assert isinstance(purpose.basis, Basis), code
        assert "Art. 49" in purpose.transfer, code
        assert purpose.retention, code
        assert set(purpose.recipients) <= set(RECIPIENTS), f"{code}: write the recipient into RECIPIENTS"


def test_what_a_list_may_carry_says_so() -> None:
    """P26, P37: each field of each list names what the list is for, and nobody may receive something unnamed."""
    notes = {entry.column.name: entry.note for entry in inventory.noted(Base.metadata.tables["member"])}
    silent = {
        (audience.code, field)
        for audience in AUDIENCES.values()
        for field in audience.fields
        if audience.purpose not in notes[field].purposes
    }
    assert not silent, "name the purpose of the list on the column, in portal/models/member.py"
    named = {name for purpose in PURPOSES.values() for name in purpose.recipients}
    holders = {each.recipient for each in HOLDINGS.values()} - {""}
    assert named | holders == set(RECIPIENTS), "a recipient that nothing names is told to nobody"
    published = {"readers"}  # whoever reads what stands for all to read holds nothing that could be asked for
    assert named - published <= holders, "who receives something holds it: write the place into HOLDINGS"


def test_a_choice_opens_a_review_where_its_purpose_stands_on_consent() -> None:
    """P28: and each such purpose that a recipient waits for has its choice."""
    on_consent = {code for code, purpose in PURPOSES.items() if purpose.basis is Basis.CONSENT}
    assert set(CONSENTS.values()) == {code for code in on_consent if PURPOSES[code].recipients}
    assert set(CONSENTS) <= set(CHOICES)


def test_the_map_shows_the_basis_of_every_column(run: Runner) -> None:
    """P23: `map show` names the purposes of each column with their basis, after the record of processing."""
    *_, table = run("map", "show").stdout.split("\n\n")
    lines = table.splitlines()
    assert len(lines) == len(list(inventory.entries(Base.metadata)))
    assert all("Art. 6(1)" in line for line in lines)


def test_a_member_is_asked_for_what_serves_membership_content_or_sanctions_law() -> None:
    """P8: each field of the profile form serves communication, content design, age or sanctions law, and says why."""
    allowed = {"membership", "contact", "content", "sanctions", "age", "events", "careers"}
    asked = [each for each in inventory.entries(Base.metadata) if each.note.edit is Edit.MEMBER]
    assert {each.table.name for each in asked} == {"member"}
    for entry in asked:
        assert set(entry.note.purposes) <= allowed, entry.name
        plain_address = entry.column.name in ("address_line2", "postal_code", "city", "region")
        assert entry.note.why or plain_address, f"{entry.name}: say why we ask, in the note"


def test_no_column_is_made_for_money_or_an_identity_number() -> None:
    """P14: card and bank data are never stored."""
    names = [f"{table.name}.{column.name}" for table in Base.metadata.tables.values() for column in table.columns]
    assert not [name for name in names if MONEY.search(name)]


def test_nothing_leaves_by_default() -> None:
    """P20, P21: without a choice nobody sees a person, and no sponsor and no employer receives anything."""
    standing = {code: choice.default for code, choice in CHOICES.items()}
    assert (standing["attendee_list"], standing["sponsor_sharing"], standing["employer_sharing"]) == (
        "nobody",
        "no",
        "no",
    )
    for topic in TOPICS.values():
        assert CHOICES[topic_choice(topic.code)].default == ("off" if topic.opt_in else "on")
    for choice in CHOICES.values():
        tightest = choice.options[0].value
        assert not any(choice.loosens(option.value, tightest) for option in choice.options), choice.code
