"""wapiti on every page: injection of SQL, commands, headers and scripts, files, redirects, methods, forged forms.

    python -m tests.audit.crawl --minutes 10 alice

The portal is started for it. wapiti comes as one visitor after the other: nobody, Alice, Bob, somebody of the desk.
Ends with 1 at a finding of wapiti's level medium or above, or at a fault of the portal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.audit.target import VISITORS, Target, acts, is_signed_in, portal

WAPITI = Path(".audit/scanners/bin/wapiti")
MODULES = (
    "backup,buster,cookieflags,crlf,csp,csrf,exec,file,htaccess,http_headers,methods,permanentxss,redirect,"
    "shellshock,sql,timesql,upload,xss"
)  # the others look for programs of other makers, for LDAP, or need a machine of their own on the internet
ENDS_THE_VISIT = ("/sign-out", "/security/password", "/security/everywhere", "/security/end", "/security/second-factor")
NO_FINDING = {("Cross Site Request Forgery", "/unsubscribe")}  # RFC 8058 forbids a form's token to this one link
PLAIN_HTTP = ("Strict-Transport-Security", "Secure flag is not set")  # of https alone: see tests/audit/headers.py
MEDIUM = 2


def crawl(target: Target, who: str, minutes: float) -> tuple[list[dict[str, Any]], int]:
    """wapiti's findings as one visitor, and how many addresses and forms it found."""
    cookie, before = target.cookie(who), acts(target)
    with tempfile.TemporaryDirectory(prefix="wapiti-") as folder:
        command = [
            str(WAPITI), "--url", f"{target.url}/", "--scope", "domain", "--module", MODULES, "--format", "json",
            "--output", f"{folder}/report.json", "--store-session", folder, "--store-config", folder, "--flush-session",
            "--no-bugreport", "--level", "2", "--depth", "6", "--tasks", "2", "--detailed-report", "1",
            "--max-scan-time", str(int(minutes * 20)), "--max-attack-time", str(int(minutes * 60 / 18)),
        ]  # fmt: skip
        for path in ENDS_THE_VISIT:
            command += ["--exclude", f"{target.url}{path}*"]
        for path in target.paths:
            if not path.startswith(ENDS_THE_VISIT):
                command += ["--start", f"{target.url}{path}"]
        command += ["--cookie-value", cookie]
        environ = {"PATH": os.environ["PATH"], "HOME": folder}
        subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL, timeout=minutes * 180)
        told = json.loads(Path(folder, "report.json").read_text())
    known = who != "nobody"
    assert not known or is_signed_in(target, cookie), f"{who} was signed out on the way"
    assert not known or acts(target) > before, f"nothing was done as {who}: wapiti was not signed in"
    found = [
        {"what": sort, "level": each["level"], "info": each["info"], "path": each["path"], "by": each["method"]}
        for part in ("vulnerabilities", "anomalies")
        for sort, entries in told[part].items()
        for each in entries
        if not any(words in each["info"] for words in PLAIN_HTTP)
        and not any(sort == name and each["path"].startswith(f"{path}/") for name, path in NO_FINDING)
    ]
    return found, int(told["infos"]["crawled_pages_nbr"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("visitors", nargs="*", default=VISITORS, help=", ".join(VISITORS))
    parser.add_argument("--minutes", type=float, default=10.0, help="for each visitor")
    asked = parser.parse_args()
    serious = 0
    with portal() as target:
        for who in asked.visitors:
            found, pages = crawl(target, who, asked.minutes)
            serious += sum(each["level"] >= MEDIUM for each in found)
            print(
                f"{who}: {pages} pages and forms; findings {dict(Counter(each['what'] for each in found))}", flush=True
            )
            for each in found:
                print(f"  {each['level']} {each['what']}: {each['by']} {each['path']}: {each['info']}", flush=True)
    sys.exit(1 if serious else 0)


if __name__ == "__main__":
    main()
