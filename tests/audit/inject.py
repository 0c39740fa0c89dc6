"""sqlmap, level 5 and risk 3, on what a visitor sends: search, filters, keys in addresses, forms of every sort.

    python -m tests.audit.inject --minutes 3

A place is attacked for so many minutes at most. Ends with 1 if sqlmap can inject somewhere, or at a fault.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bs4 import BeautifulSoup

from tests.audit.target import Target, is_signed_in, portal
from tests.browse import filled, tags

SQLMAP = Path(".audit/scanners/bin/sqlmap")
FOUND = re.compile(r"^Parameter: .*\(|is vulnerable", re.MULTILINE)
NOTHING = "do not appear to be injectable"


class Place(NamedTuple):
    """Where something goes in: `*` in the address marks it; `field`: the one of the form on this page to try."""

    who: str
    path: str
    field: str = ""


PLACES = (
    Place("nobody", "/sign-in", "email"),
    Place("nobody", "/forgot-password", "email"),
    Place("nobody", "/ask", "email"),
    Place("nobody", "/unsubscribe/*"),
    Place("nobody", "/set-password/*"),
    Place("nobody", "/ask/status/*"),
    Place("nobody", "/events/*/roster?after=0"),
    Place("alice", "/profile/edit", "city"),
    Place("alice", "/choices?after=1*"),
    Place("alice", "/history?before=1*"),
    Place("alice", "/requests/*"),
    Place("alice", "/requests/new/question", "details"),
    Place("alice", "/held/*"),
    Place("alice", "/events/*"),
    Place("staff", "/desk", "look_up"),
    Place("staff", "/desk?whose=*"),
    Place("staff", "/desk?after=*"),
    Place("staff", "/desk/lists/*"),
    Place("staff", "/desk/requests/*"),
    Place("staff", "/desk/disclosures", "who"),
    Place("staff", "/desk/requests/new", "who"),
)


def form_of(target: Target, cookie: str, place: Place) -> tuple[str, str]:
    """Where the page's form with this field goes, and what it sends."""
    answer = target.live.app.test_client(use_cookies=False).get(
        place.path, headers={"Cookie": cookie}, base_url=target.url
    )
    for form in BeautifulSoup(answer.get_data(), "html.parser").find_all("form", attrs={"method": "post"}):
        names = {each.get("name") for each in tags(form, "input", "select", "textarea")}
        if place.field in names:
            return str(form["action"]), urlencode({**dict.fromkeys([place.field], ""), **dict(filled(form))})
    raise AssertionError(f"{place.path} has no form with {place.field}")


def attack(target: Target, place: Place, minutes: float) -> tuple[str, int]:
    """What sqlmap says of a place, and how many requests it sent."""
    cookie, known = target.cookie(place.who), place.who != "nobody"
    more = []
    path = place.path
    if place.field:
        path, data = form_of(target, cookie, place)
        more = ["--data", data, "-p", place.field]
    with tempfile.TemporaryDirectory(prefix="sqlmap-") as folder:
        command = [
            str(SQLMAP), "--batch", "--level", "5", "--risk", "3", "--dbms", "sqlite", "--url", target.url + path,
            *more, "--output-dir", folder, "--disable-coloring", "--ignore-code", "*", "--time-sec", "2",
            "--threads", "2", "--drop-set-cookie", "--flush-session", "--timeout", "10", "-t", f"{folder}/traffic",
            "--skip", "cookie,host,referer,user-agent",
        ]  # fmt: skip
        command += ["--cookie", cookie]
        environ = {"PATH": os.environ["PATH"], "HOME": folder}
        try:
            told = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=minutes * 60, stdin=subprocess.DEVNULL
            ).stdout
        except subprocess.TimeoutExpired as late:
            told = (late.stdout or b"").decode() + "\nstopped by the clock"
        traffic = Path(folder, "traffic")
        seen = traffic.read_text(errors="replace") if traffic.exists() else ""
        sent = seen.count("HTTP request [#")
    assert not known or "/sign-in?next=" not in seen, f"{place.path} does not know {place.who}"
    assert not known or is_signed_in(target, cookie), "sqlmap was signed out on the way"
    if found := FOUND.search(told):
        return f"FOUND: {told[found.start() :][:400]}", sent
    if NOTHING in told:
        return "nothing", sent
    return "nothing so far" if "stopped by the clock" in told else f"unclear: {told[-300:]}", sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="for each place")
    parser.add_argument("--only", default="", help="places whose address holds this")
    asked = parser.parse_args()
    bad = 0
    with portal() as target:
        for place in PLACES:
            if asked.only in place.path:
                said, sent = attack(target, place, asked.minutes)
                bad += not said.startswith("nothing")
                print(f"{place.who} {place.path} {place.field}: {sent} requests: {said}", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
