"""The catalogue and the notes that name it: every purpose has its ground, every field its reason."""

from __future__ import annotations

import re

from portal.datamap import inventory
from portal.extensions import Base
from portal.purposes import CHOICES, PURPOSES, RECIPIENTS, TOPICS, topic_choice
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


def test_the_map_shows_the_basis_of_every_column(run: Runner) -> None:
    """P23: `map show` names the purposes of each column with their basis."""
    lines = run("map", "show").stdout.splitlines()
    assert len(lines) == len(list(inventory.entries(Base.metadata)))
    assert all("Art. 6(1)" in line for line in lines)


def test_a_member_is_asked_for_what_serves_membership_content_or_sanctions_law() -> None:
    """P8: each field of the profile form serves communication, content design, age or sanctions law, and says why."""
    allowed = {"membership", "contact", "content", "sanctions", "age", "events", "careers"}
    for entry in inventory.entries(Base.metadata, edit=Edit.MEMBER, table="member"):
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
