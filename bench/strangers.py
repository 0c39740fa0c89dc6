"""Bench: whether times tell a stranger that an address exists, at the five doors where one is typed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlencode

from bs4 import BeautifulSoup

from bench.bed import HOST, SIGNED_IN, Bed, Person
from bench.load import PATIENCE, BenchError, Server
from portal import clock
from portal.domain.passwords import HASHER

DOORS = {
    "/sign-in": {"password": "guess-after-guess-after-guess"},
    "/forgot-password": {},
    "/activate": {},
    "/ask": {"kind": "access", "details": ""},
    "/profile/email": {},
}
SIGNIFICANT = 0.01
WARM_UP = 12
PAIRS_AT_A_TIME = 3  # then what is counted is forgotten: three doors share a limit of 20 a network


@dataclass
class Door:
    """One page, and how long its answers took in seconds.

    Chance decides the order of a pair, and the next pair is asked the other way round: the first answer after another
    page takes longer, and must not do so for one sort more often than for the other.
    """

    path: str
    existing: list[float] = field(default_factory=list)
    invented: list[float] = field(default_factory=list)


def asked(bed: Bed, portal: Server, *, pairs: int) -> list[Door]:
    """Type existing and invented addresses into each door by turns. Raises BenchError where the answers differ."""
    chance = random.Random(29)
    existing = _existing(bed, chance)
    doors = [Door(path) for path in DOORS]
    askers = {door.path: _asker(bed, portal, door.path) for door in doors}
    existing_first = dict.fromkeys(DOORS, True)
    for number in range(-WARM_UP, pairs):
        if number % PAIRS_AT_A_TIME == 0:
            for table in ("limit_counter", "email_change"):
                bed.write(f"DELETE FROM {table}")
        known = existing[number % len(existing)]
        invented = f"{chance.getrandbits(24):06x}{known.removeprefix('member')}"  # of the same length
        pair = [(known, True), (invented, False)]
        for door in doors:
            first = chance.random() < 0.5 if number % 2 == 0 else not existing_first[door.path]
            existing_first[door.path] = first
            seen = set()
            for address, exists in pair if first else reversed(pair):
                took, answer = askers[door.path](address)
                seen.add(answer)
                if number >= 0:
                    (door.existing if exists else door.invented).append(took)
            if len(seen) != 1:
                raise BenchError(f"{door.path} answers differently: {sorted(seen)}")
    return doors


def _existing(bed: Bed, chance: random.Random) -> list[str]:
    """A third with a password, a third that is not activated, a third that was never invited."""
    stored = HASHER.hash("the password of somebody")
    ids = bed.read("SELECT id FROM account ORDER BY id")
    for (ident,) in ids[: len(ids) // 2]:
        bed.write("UPDATE account SET password_hash = ? WHERE id = ?", stored, ident)
    bed.write("UPDATE sign_in SET password_at = ?", clock.now().strftime("%Y-%m-%d %H:%M:%S.%f"))
    found = [each.email for each in bed.recipients[: SIGNED_IN * 3 // 2]]
    chance.shuffle(found)
    return found


def _asker(bed: Bed, portal: Server, path: str) -> Callable[[str], tuple[float, tuple[int, str, int]]]:
    """What types an address into a page over one connection; how long it took, and what the answer was, in short."""
    line = HTTPConnection("127.0.0.1", portal.port, timeout=PATIENCE)
    own: Person | None = bed.people[-1] if path == "/profile/email" else None
    line.request("GET", path, headers={"Host": HOST, "Cookie": own.cookie if own else ""})
    opened = line.getresponse()
    cookie = own.cookie if own else (opened.getheader("Set-Cookie") or "").partition(";")[0]
    control = BeautifulSoup(opened.read(), "html.parser").select_one("main [name=csrf_token]")
    if control is None:
        raise BenchError(f"{path} has no form")
    form = {"csrf_token": str(control["value"]), **DOORS[path]}
    headers = {"Host": HOST, "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}

    def ask(address: str) -> tuple[float, tuple[int, str, int]]:
        body = urlencode(form | {"email": address})
        began = time.perf_counter()
        line.request("POST", path, body=body, headers=headers)
        answer = line.getresponse()
        text = answer.read()
        took = time.perf_counter() - began
        if answer.status not in (303, 422):
            raise BenchError(f"{path} answered {answer.status}")
        return took, (answer.status, answer.getheader("Location") or "", len(text.replace(address.encode(), b"")))

    return ask


def longer(here: Sequence[float], there: Sequence[float]) -> tuple[float, float]:
    """Mann and Whitney's rank test: how often one of `here` takes longer than one of `there`, and p, two-sided.

    0.5 and a p near 1 where chance alone decides. By the normal approximation, with ties, for samples of 20 and more.
    """
    ranked = sorted((*((value, 0) for value in here), *((value, 1) for value in there)))
    ranks, tied, start = 0.0, 0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        ranks += (start + end + 1) / 2 * sum(1 for _, sort in ranked[start:end] if sort == 0)
        tied += (end - start) ** 3 - (end - start)
        start = end
    one, two = len(here), len(there)
    both = one + two
    wins = ranks - one * (one + 1) / 2
    deviation = math.sqrt(one * two / 12 * (both + 1 - tied / (both * (both - 1))))
    return wins / (one * two), math.erfc(abs(wins - one * two / 2) / deviation / math.sqrt(2))


def could_be_seen(times: Sequence[float]) -> float:
    """Seconds: had another sample like this one taken so much longer each time, this run would have shown it."""
    low, high = 0.0, max(times)
    while high - low > 0.01 * high:
        shift = (low + high) / 2
        _, p = longer([each + shift for each in times], times)
        low, high = (low, shift) if p < SIGNIFICANT else (shift, high)
    return high
