"""`make audit-words`: how hard the sentences of every page and every mail are to read (docs/wording.md).

Pages are those of the demonstration to which links lead a visitor, a member and the desk; mails are the golden files.
Counted are whole sentences alone: no labels, tables, names and addresses. Measured by textstat: Flesch reading ease
(100 is easy, 60 is plain English) and Flesch-Kincaid grade (years of school). Ends with 1 where one is too hard, or
a sentence too long.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import textstat
from bs4 import BeautifulSoup
from flask.testing import FlaskClient

from portal.cli.demo import PASSWORD
from tests.screens import running_portal

GOLDEN = Path(__file__).parents[1] / "mail" / "golden"
EASE, GRADE = 60, 8  # each page and mail: at least, at most
EASE_OF_ALL = 75  # on average
LONGEST = 30  # words in a sentence
FEW = 30  # words; with fewer the measure says nothing
PEOPLE = {
    "visitor": "",
    "member": "maria.keller@example.org",
    "erasing": "lucja.zdzblowska@example.org",
    "desk": "desk@example.org",
}
MANY = 120  # pages for each of them
ALONE = re.compile(r"IM-[\w-]+|L-\d+|D-\d+|\d+|[?].*")
NO_PAGES = ("/static", "/dev", "/schemas", "/held/download", "/.well-known", "/healthz", "/readyz", "/metrics")
NOT_WORDS = re.compile(r"https?://\S+|\S+@\S+|\bIM-\w+-\w+\b|/\w+|\d{1,2} [A-Z][a-z]+ \d{4}(, \d\d:\d\d UTC)?")

# What is harder, and why it may be.
EXCEPTIONS: dict[str, str] = {}


@dataclass(frozen=True)
class Read:
    """One page or mail: its sentences, and how hard they are."""

    name: str
    text: str

    @property
    def words(self) -> int:
        return int(textstat.lexicon_count(self.text))

    @property
    def ease(self) -> float:
        return float(textstat.flesch_reading_ease(self.text))

    @property
    def grade(self) -> float:
        return float(textstat.flesch_kincaid_grade(self.text))

    @property
    def long(self) -> list[str]:
        """Its sentences that are too long."""
        return [each for each in re.split(r"(?<=[.?:])\s", self.text) if len(each.split()) > LONGEST]

    @property
    def is_hard(self) -> bool:
        return bool(self.long) or (self.words >= FEW and (self.ease < EASE or self.grade > GRADE))


def sentences(blocks: list[str]) -> str:
    """The blocks that are sentences, each once, without what is no word."""
    plain = [" ".join(NOT_WORDS.sub("", block).split()) for block in dict.fromkeys(blocks)]
    return "\n".join(re.sub(r":$", ".", block) for block in plain if re.search(r"\w[.?:”)]*$", block) and " " in block)


def pages(client: FlaskClient, base: str, who: str) -> Iterator[Read]:
    """What links lead to, one of each kind."""
    waiting, met = ["/", "/desk"] if who == "desk" else ["/"], {"/", "/desk"}
    for _ in range(MANY):
        if not waiting:
            return
        path = waiting.pop(0)
        answer = client.get(path, base_url=base)
        if answer.mimetype != "text/html" or answer.status_code != 200:
            continue
        soup = BeautifulSoup(answer.text, "html.parser")
        for link in soup.select("a[href^='/']"):
            href = str(link["href"]).partition("#")[0]
            kind = ALONE.sub("", href)
            if kind not in met and not href.startswith(NO_PAGES):
                met.add(kind)
                waiting.append(href)
        yield Read(f"{who}: {path}", sentences(list(_blocks(soup))))


def _blocks(soup: BeautifulSoup) -> Iterator[str]:
    for each in soup.select("main p, main li"):
        text = each.get_text(" ").strip()
        if re.search(r"[.?:]\W*$", text) and not each.select("p, li"):
            yield text


def signed_in(client: FlaskClient, base: str, email: str) -> FlaskClient:
    """The same browser, signed in where an address is named."""
    if email:
        form = BeautifulSoup(client.get("/sign-in", base_url=base).text, "html.parser")
        token = form.select("input[name=csrf_token]")[0]["value"]
        typed = {"csrf_token": str(token), "email": email, "password": PASSWORD}
        assert client.post("/sign-in", base_url=base, data=typed, headers={"Origin": base}).status_code == 303
    return client


def mails() -> Iterator[Read]:
    """The text part of each mail without its foot."""
    for file in sorted(GOLDEN.glob("*.txt")):
        body = file.read_text(encoding="utf-8").partition("\n\n")[2].partition("\n--\n")[0]
        blocks = [line.removeprefix("- ") for line in body.splitlines() if re.search(r"[.?:]$|[.?:] https", line)]
        yield Read(f"mail: {file.stem}", sentences(blocks))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder)) as (app, base):
        read = [
            each
            for who, email in PEOPLE.items()
            for each in pages(signed_in(app.test_client(), base, email), base, who)
        ]
    read = [*read, *mails()]
    hard = [each for each in read if each.is_hard]
    for each in hard:
        kind = each.name.partition(": ")[2]
        excuse = EXCEPTIONS.get(kind, "")
        print(f"{each.ease:5.0f} {each.grade:5.1f} {each.words:5} {each.name}{'  may: ' + excuse if excuse else ''}")
        for sentence in each.long:
            print(f"      {len(sentence.split())} words: {sentence}")
    if "--all" in sys.argv:
        for each in sorted(read, key=lambda each: each.ease):
            print(f"{each.ease:5.0f} {each.grade:5.1f} {each.words:5} {each.name}")
    counted = [each for each in read if each.words >= FEW]
    ease = mean(each.ease for each in counted)
    print(
        f"{len(read)} pages and mails, {sum(each.words for each in read):,} words. "
        f"Average ease {ease:.0f} (at least {EASE_OF_ALL}), average grade {mean(each.grade for each in counted):.1f}."
    )
    return int(ease < EASE_OF_ALL or any(each.name.partition(": ")[2] not in EXCEPTIONS for each in hard))


if __name__ == "__main__":
    sys.exit(main())
