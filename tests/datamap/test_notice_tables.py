"""The record of processing: the command prints it, the privacy notice shows it, from the one map (P17, P24, P37)."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.datamap import inventory, notice_tables
from portal.extensions import Base
from portal.purposes import HOLDINGS, NEVER_HELD, PERIODS, PURPOSES, RECIPIENTS
from tests.browse import Browse
from tests.conftest import Runner

RECORD = notice_tables.record(Base.metadata)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_nothing_of_the_map_and_the_catalogue_is_left_out() -> None:
    """P26: every personal column under each of its purposes, every period, every place outside, every recipient."""
    told = {each.code: each for each in RECORD.purposes}
    assert list(told) == list(PURPOSES)
    for entry in inventory.entries(Base.metadata):
        for code in entry.note.purposes:
            assert entry.note.label in dict(told[code].data)[entry.note.kind], entry.name
    for code, each in told.items():
        assert each.recipients == tuple(RECIPIENTS[name] for name in PURPOSES[code].recipients)
        assert all(recipient.safeguard for recipient in each.recipients)
        headings = [heading for heading, _ in each.rows()]
        assert headings[:5] == [
            "Legal basis", "What we use", "Who receives it", "Ground for holding it in the United States", "How long",
        ]  # fmt: skip
        assert all(lines and all(lines) for _, lines in each.rows())
    assert {period for each in RECORD.purposes for period in each.periods} == set(PERIODS.values())
    assert {place for each in RECORD.purposes for place in each.holdings} == set(HOLDINGS.values())
    (security,) = (each for each in RECORD.purposes if each.code == "security")
    assert PERIODS["sign-ins"] in security.periods
    assert PERIODS["disclosures"] not in security.periods


@pytest.mark.usefixtures("people")
def test_the_command_and_the_notice_say_the_same(run: Runner, browse: Browse, tmp_path: Path) -> None:
    """P17, P24, P37: each purpose with its ground, data, recipients and their safeguard, transfer and periods."""
    text = tmp_path / "notice.md"
    text.write_text("# Notice\n\nWords of the society.\n", encoding="utf-8")
    assert run("notices", "publish", text, "--change", "wording").exit_code == 0
    printed = squeezed(run("map", "show").stdout)
    shown = squeezed(browse("/notice").said)
    assert "Words of the society." in shown
    for processing in RECORD.purposes:
        assert processing.purpose.name in printed
        assert processing.purpose.name in shown
        for heading, lines in processing.rows():
            for line in lines:
                assert squeezed(line) in printed, heading
                assert squeezed(line) in shown, heading
    for words in (*NEVER_HELD, *(word for each in HOLDINGS.values() for word in (each.name, each.what, each.ends))):
        assert words in printed
        assert words in shown
    assert "How we use data in this portal" not in browse("/notice/1").said  # an older version is what it was
