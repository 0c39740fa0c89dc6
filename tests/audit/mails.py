"""`make audit-mails`: what the large mail programs do not support of our mails' HTML (docs/mail.md).

Every mail, written about sample people by `mail doctor`, is held against the data of caniemail.com. Prints each
feature, who does not know it and in how many mails; ends with 1 where one is not in ACCEPTED.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from email import message_from_bytes, policy
from pathlib import Path

from tests.screens import running_portal

TOOL = Path(__file__).parents[2] / ".audit" / "caniemail"
CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*"]
SCRIPT = """
import { caniemail } from "caniemail";
let input = "";
for await (const part of process.stdin) input += part;
const { clients, mails } = JSON.parse(input);
const found = [];
for (const [mail, html] of Object.entries(mails)) {
  const { issues } = caniemail({ clients, html });
  for (const [support, all] of Object.entries(issues))
    for (const [client, each] of all) for (const { title } of each) found.push([support, title, client, mail]);
}
console.log(JSON.stringify(found));
"""
# What a mail has that some do not know, and why it does not matter there: each falls back to what reads well.
ACCEPTED = {
    "<body> element": "the colour behind the card is lost, and nothing else",
    "<style> element": "the styles stand in the elements too; lost are the dark colours and the narrow margins",
    "@media": "the same: light colours, and margins that fit a phone",
    "border-radius": "square corners",
    "color-scheme meta tag": "these programs choose dark colours by themselves, or none",
    "overflow": "not used: the tool takes overflow-wrap for it",
    "overflow-wrap": "word-wrap and word-break stand beside it, for long addresses on a phone",
    "system-ui, ui-serif, ui-sans-serif, ui-rounded, ui-monospace": "the next font of the list: Segoe UI, Arial",
    "word-break": "word-wrap and overflow-wrap stand beside it; without all three a long address sticks out",
}
MUST_HAVE = {  # after css-inline has done its work
    "the language": r'<html lang="en">',
    "the width of a phone": r'<meta name="viewport"',
    "both colour schemes": r'<meta name="color-scheme" content="light dark">',
    "the dark colours": r"@media \(prefers-color-scheme: ?dark\)",
    "the narrow screen": r"@media \(max-width: ?480px\)",
}
MUST_NOT_HAVE = re.compile(r"<img|<svg|<script|<form|background-image|url\(")


def rendered() -> dict[str, str]:
    """The HTML part of every mail, by name."""
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder)) as (app, _):
        app.test_cli_runner().invoke(args=["mail", "doctor", "--write", f"{folder}/mails"], catch_exceptions=False)
        mails = {}
        for file in sorted(Path(folder, "mails").glob("*.eml")):
            part = message_from_bytes(file.read_bytes(), policy=policy.default).get_body(("html",))
            assert part is not None, file.stem
            # What the list says of `word-wrap` leaves out Gmail on iPhones, and the tool ends there.
            mails[file.stem] = re.sub(r"(?<![\w-])word-wrap:[^;]*;", "", str(part.get_content()))
        return mails


def main() -> int:
    mails = rendered()
    faults = [f"{name}: no mark for {what}" for name, html in mails.items() for what, mark in MUST_HAVE.items()
              if not name.startswith("broadcast") and not re.search(mark, html)]  # fmt: skip
    faults += [f"{name}: {found[0]}" for name, html in mails.items() if (found := MUST_NOT_HAVE.search(html))]
    told = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT],
        cwd=TOOL, input=json.dumps({"clients": CLIENTS, "mails": mails}), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    clients, places = defaultdict(set), defaultdict(set)
    for support, title, client, mail in json.loads(told):
        if support == "errors":
            clients[title].add(client)
            places[title].add(mail)
    for title in sorted(clients):
        print(f"{title}: {len(places[title])} mails; not in {', '.join(sorted(clients[title]))}")
        print(f"    {ACCEPTED.get(title, 'NOT ACCEPTED')}")
    print(*faults, sep="\n")
    print(f"{len(mails)} mails, {len(clients)} features that somebody does not know, {len(faults)} faults.")
    return int(bool(faults) or not set(clients) <= set(ACCEPTED))


if __name__ == "__main__":
    sys.exit(main())
