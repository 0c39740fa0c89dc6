"""`make audit-pages`: Lighthouse on the main pages of a running portal, as on a slow telephone.

Writes docs/lighthouse.md.

Each page is judged three times, since its speed is also that of this machine; of each figure the middle one counts.
A figure under its limit ends in exit status 1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from aiosmtpd.controller import Controller

from portal import clock
from portal.domain import requests
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests import databases
from tests.browser.live import Live, Person, running
from tests.conftest import MailServer, free_port

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs" / "lighthouse.md"
PROGRAM = ROOT / ".tools/lighthouse/node_modules/.bin/lighthouse"
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-dev-shm-usage"
LIMITS = {"accessibility": 100, "best-practices": 100, "performance": 98}
TIMES = 3


@dataclass(frozen=True)
class Judged:
    """What Lighthouse says of one page."""

    figures: dict[str, int]
    faults: list[str]  # audits that were not passed, by their titles
    first_paint: int  # milliseconds, as on the telephone that Lighthouse imagines
    bytes: int  # all that was sent for the page
    requests: int


def main() -> int:
    """Judge, write down, and say what is under its limit."""
    with tempfile.TemporaryDirectory() as folder, portal(Path(folder)) as live:
        person = live.somebody()
        cookie = sign_in(live, person)
        judged = {}
        for name, path in pages(live, person).items():
            headers = Path(folder) / "headers.json"
            headers.write_text(json.dumps({"Cookie": cookie} if name != "Unsubscribe" else {}))
            judged[name] = middle([judge(live.url + path, headers) for _ in range(TIMES)])
            print(name, judged[name].figures, *judged[name].faults, sep="\n    ")
    RECORD.write_text(record(judged), encoding="utf-8")
    under = [name for name, each in judged.items() if any(each.figures[of] < least for of, least in LIMITS.items())]
    print(f"Under a limit: {', '.join(under)}" if under else f"All above their limits: {RECORD.relative_to(ROOT)}")
    return 1 if under else 0


@contextmanager
def portal(folder: Path) -> Iterator[Live]:
    smtp = MailServer("127.0.0.1", free_port())
    controller = Controller(smtp, hostname=smtp.host, port=smtp.port)
    controller.start()
    try:
        with running(folder, smtp, free_port()) as live:
            yield live
    finally:
        controller.stop()


def pages(live: Live, person: Person) -> dict[str, str]:
    with live.app.app_context(), databases.writes():
        member = live.member(person)
        filed = requests.file(member, "access", details="", operation_id="seen", via=Door.PAGE, now=clock.now())
        token = sign_unsubscribe(member.subject.unsubscribe_reference, "events")
        return {
            "Overview": "/",
            "Profile": "/profile",
            "Choices": "/choices",
            "Request": f"/requests/{filed.reference}",
            "Unsubscribe": f"/unsubscribe/{token}",
        }


def sign_in(live: Live, person: Person) -> str:
    """The Cookie header of somebody who has signed in by the form."""
    jar = CookieJar()
    browser = build_opener(HTTPCookieProcessor(jar))
    token = re.search(r'name="csrf_token" value="([^"]+)"', _read(browser, f"{live.url}/sign-in"))
    assert token is not None
    typed = {"csrf_token": token[1], "email": person.email, "password": person.password}
    assert person.first_name in _read(browser, f"{live.url}/sign-in", urlencode(typed).encode())
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def _read(browser: OpenerDirector, url: str, data: bytes | None = None) -> str:
    with browser.open(Request(url, data, {"Referer": url, "Sec-Fetch-Site": "same-origin"}), timeout=30) as answer:
        return str(answer.read().decode())


def judge(url: str, headers: Path) -> Judged:
    """One run of Lighthouse."""
    program = shutil.which("lighthouse", path=f"{PROGRAM.parent}:{os.environ['PATH']}")
    if program is None:
        raise SystemExit("Lighthouse is not installed: make audit-pages does it")
    command = [
        program, url, "--quiet", "--output=json", "--output-path=stdout", f"--chrome-flags={FLAGS}",
        f"--only-categories={','.join(LIMITS)}", f"--extra-headers={headers}",
    ]  # fmt: skip
    environment = {**os.environ, "CHROME_PATH": shutil.which("chromium") or "/usr/bin/chromium"}
    for _ in range(TIMES):  # a Chromium that did not start in time is no fault of the page
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=240)
        if done.returncode == 0:
            return _judged(json.loads(done.stdout))
    raise SystemExit(f"Lighthouse failed on {url}: {done.stderr}")


def _judged(report: dict[str, Any]) -> Judged:
    audits = report["audits"]
    assert report["finalDisplayedUrl"] == report["requestedUrl"], "the page led elsewhere: not signed in?"
    asked = audits["network-requests"]["details"]["items"]
    weighed = {ref["id"] for of in LIMITS for ref in report["categories"][of]["auditRefs"] if ref["weight"]}
    failed = [audits[ident] for ident in sorted(weighed) if (audits[ident]["score"] or 0) < 0.9]
    return Judged(
        figures={of: round(report["categories"][of]["score"] * 100) for of in LIMITS},
        faults=[each["title"] for each in failed if each["scoreDisplayMode"] not in ("notApplicable", "manual")],
        first_paint=round(audits["first-contentful-paint"]["numericValue"]),
        bytes=sum(each["transferSize"] for each in asked),
        requests=len(asked),
    )


def middle(runs: list[Judged]) -> Judged:
    return Judged(
        figures={of: round(median(run.figures[of] for run in runs)) for of in LIMITS},
        faults=sorted({fault for run in runs for fault in run.faults}),
        first_paint=round(median(run.first_paint for run in runs)),
        bytes=runs[0].bytes,
        requests=runs[0].requests,
    )


def record(judged: dict[str, Judged]) -> str:
    """docs/lighthouse.md."""
    rows = [
        f"| {name} | {' | '.join(str(each.figures[of]) for of in LIMITS)} | {each.first_paint / 1000:.1f} s"
        f" | {each.bytes / 1000:.1f} kB | {each.requests} |"
        for name, each in judged.items()
    ]
    return f"""# Lighthouse

Written by `make audit-pages`, last on {clock.now():%Y-%m-%d}: the main pages of a running portal on this machine alone,
judged as on a slow telephone, the middle one of {TIMES} runs. The limits are 100, 100 and 98; a figure under its limit
fails the audit.

| page | accessibility | best practices | performance | first paint | sent | requests |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(rows)}
"""


if __name__ == "__main__":
    sys.exit(main())
