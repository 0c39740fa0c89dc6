"""`members invite`: who is mailed the first link, and who is not (rights §7.1)."""

from __future__ import annotations

from sqlalchemy import select

from portal.domain import choices
from portal.extensions import db
from portal.models import Message, PasswordLink
from portal.purposes import SUPPRESS
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People, member


def invited() -> list[str]:
    return list(
        db.session.scalars(select(Message.to_address).where(Message.name == "invitation").order_by("to_address"))
    )


def newcomers(*names: str) -> None:
    with writes():
        db.session.add_all([member(email=f"{name}@example.org") for name in names])


def test_those_named_are_mailed_a_link_that_works_once(run: Runner, people: People) -> None:
    newcomers("eva", "finn")
    result = run("members", "invite", "EVA@example.org")
    assert (result.exit_code, result.stderr) == (0, "invited 1\nrefused 0\n")
    assert invited() == ["eva@example.org"]
    assert db.session.scalars(select(PasswordLink.purpose)).all() == ["activation"]


def test_unknown_and_active_people_are_refused_by_name_and_the_rest_is_done(run: Runner, people: People) -> None:
    newcomers("eva")
    result = run("members", "invite", "nobody@example.org", people.bob.email, "eva@example.org")
    assert result.exit_code == 1
    assert "invited 1\nrefused 2\n" in result.stderr
    assert "nobody@example.org: not known here" in result.stderr
    assert invited() == ["eva@example.org"]


def test_all_leaves_out_the_active_and_those_who_want_no_broadcasts(run: Runner, people: People) -> None:
    newcomers("eva", "finn")
    with writes():
        gone = member(email="quiet@example.org")
        db.session.add(gone)
        db.session.flush()
        choices.change(gone.subject, SUPPRESS, to="yes", via=Door.LINK, now=NOW)
    assert run("members", "invite", "--all").exit_code == 0
    assert invited() == ["eva@example.org", "finn@example.org"]


def test_whom_to_invite_has_to_be_said(run: Runner, people: People) -> None:
    assert run("members", "invite").exit_code == 2
    assert run("members", "invite", "--all", "eva@example.org").exit_code == 2
    assert invited() == []
