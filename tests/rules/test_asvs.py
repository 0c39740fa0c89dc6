"""docs/asvs.md: every number of the standard once, and nothing shown by what is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ANSWERED, REST = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8").split("## Does not apply")
ROWS = re.findall(r"^\| (V\d.*?) \| (.+) \|$", ANSWERED, re.MULTILINE)
NUMBER = re.compile(r"V\d+\.\d+\.\d+")
PLACE = re.compile(r"`((?:tests|docs)/[^`:]+|[\w.-]+\.(?:txt|toml))(?:::(\w+))?`")


def test_every_number_stands_once() -> None:
    numbers = [number for named, _ in ROWS for number in NUMBER.findall(named)]
    assert sorted({each for each in numbers if numbers.count(each) > 1}) == []
    assert len(numbers) == 235
    assert not set(numbers) & set(NUMBER.findall(REST.partition("## Of level 3")[0]))


def test_what_shows_it_is_there() -> None:
    text = ANSWERED + (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    for place, test in PLACE.findall(text):
        path = ROOT / place
        assert path.exists(), place
        assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), f"{place}::{test}"
    for named, shown in ROWS:
        assert shown.strip(), named
