"""The log: JSON lines of a known inventory, each with the number of its request, and nothing about anybody."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import sys
from pathlib import Path

import pytest
import structlog
from flask import Flask

from portal import clock, logs
from portal.cli import worker
from portal.extensions import csrf
from portal.web.access import PUBLIC, access
from tests.browse import Browse
from tests.databases import writes
from tests.people import ALICE_PASSWORD, People
from tests.rows import fill
from tests.rules.source import modules

CANARY = "zq7canary"
ADDRESS = f"{CANARY}@example.org"
PROXYS = "0123456789abcdef" * 2
ROW = re.compile(r"^\| `([a-z_.]+)` \| (\w+) \| (.*?) \| (.+) \|$", re.M)


def written() -> dict[str, tuple[set[str], set[str], bool]]:
    """What the source logs: of each event the levels, the fields, and whether more come from a record of numbers."""
    found: dict[str, tuple[set[str], set[str], bool]] = {}
    for name, tree in modules().items():
        for call in ast.walk(tree):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("log") | ast.Call(), attr=level),
                    args=[ast.Constant(str() as event)],
                ) if level in ("info", "warning", "error") and "." in event:
                    levels, fields, more = found.setdefault(event, (set(), set(), False))
                    names = {keyword.arg for keyword in call.keywords}
                    fields |= {each or "" for each in names} - {"", "exc_info"}
                    fields |= {"trace"} if "exc_info" in names else set()
                    found[event] = (levels | {level}, fields, more or None in names)
                case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level)):
                    pytest.fail(f"{name}: log.{level}() begins with an event's code and a dot in it")
    return found


def test_the_inventory_is_what_the_source_logs() -> None:
    source = written()
    source["library.said"] = ({"warning", "error"}, {"logger", "where", "said", "trace"}, False)
    assert source.keys() == logs.EVENTS.keys(), "list it in logs.EVENTS"
    for event, (_, fields, more) in source.items():
        listed = set(logs.EVENTS[event].fields)
        assert fields <= listed if more else fields == listed, event
    table = (Path(__file__).parents[1] / "docs" / "logs.md").read_text(encoding="utf-8")
    told = {event: (level, fields, says) for event, level, fields, says in ROW.findall(table)}
    assert told == {
        event: (
            max(source[event][0], key=("info", "warning", "error").index),
            ", ".join(f"`{field}`" for field in known.fields) or "none",
            known.says,
        )
        for event, known in logs.EVENTS.items()
    }, "the table of docs/logs.md"


def test_a_careless_line_gives_nobody_away(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    log.error("mail.dead", message="1", to=ADDRESS, failure=f"550 <{ADDRESS}> unknown\nforged \u2028 line")
    log.info(ADDRESS)
    try:
        try:
            int(CANARY)
        except ValueError as cause:
            raise LookupError(ADDRESS) from cause
    except LookupError as fault:
        log.error("page.broken", reference="r", kind="LookupError", endpoint="x", exc_info=fault)
    handler = logs.Libraries()
    pattern = logging.LogRecord("lib", logging.ERROR, "lib.py", 7, "no such row: %s", (ADDRESS,), None)
    filled = logging.LogRecord("lib", logging.WARNING, "lib.py", 8, f"no such row: {CANARY}", (), None)
    for record in (pattern, filled):
        handler.emit(record)
    printed = capsys.readouterr().err
    assert CANARY not in printed
    dead, unlisted, broken, said, silent = map(json.loads, printed.splitlines())
    assert (dead["failure"], dead["unlisted"]) == ("550 <[address]> unknown\nforged \u2028 line", ["to"])
    assert unlisted["event"] == "unlisted"
    assert [place for place in broken["trace"] if "Error" in place] == ["ValueError", "LookupError"]
    assert "tests/test_logs.py:" in broken["trace"][0]
    assert (said["said"], said["level"], silent["said"]) == ("no such row: %s", "error", "")


def test_a_log_whose_disk_is_full_costs_no_page(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer that is logged after it stood, nor the one that says that something broke."""

    def broken() -> str:
        raise ValueError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/break", "breaking", access(PUBLIC)(broken))
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        monkeypatch.setattr(sys, "stderr", full)
        client = app.test_client()
        assert client.post("/sign-out").status_code == 400
        answer = client.get("/break")
        monkeypatch.undo()
    assert answer.status_code == 500
    assert "name this reference" in answer.get_data(as_text=True)


@pytest.mark.parametrize("settings", [{"TRUSTED_PROXIES": "1"}])
def test_a_canary_in_every_field_reaches_no_log(
    app: Flask, browse: Browse, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def broken() -> str:
        raise RuntimeError(f"{CANARY} {ADDRESS}")

    app.add_url_rule("/broken/<what>", "broken", csrf.exempt(access(PUBLIC)(lambda what: broken())), methods=["POST"])
    with writes():
        fill(people)
    capsys.readouterr()
    browse("/sign-in", as_=None)
    browse.press("Sign in", {"Email address": ADDRESS, "Password": f"{CANARY}-{CANARY}"}, status=422)
    browse("/forgot-password")
    browse.press("Send", {"Email address": ADDRESS})
    browse(f"/set-password/{CANARY}", status=404)
    browse(f"/unsubscribe/{CANARY}?{CANARY}", status=404)
    browse(f"/broken/{CANARY}", method="POST", data={CANARY: ADDRESS}, status=500, headers={"X-Request-ID": CANARY})
    browse(f"/notice?{CANARY}", method="DELETE", status=405, headers={"X-Request-ID": PROXYS})
    browse("/sign-in", method="POST", data={"email": ADDRESS}, status=400, headers={"Referer": f"https://{CANARY}/"})
    browse("/", status=400, headers={"Host": f"{CANARY}.example"})
    browse.sign_in(people.alice)
    browse("/profile/edit")
    browse.press("Save", {"city": CANARY, "Education": CANARY, "Last name": CANARY})
    browse("/profile/edit")
    browse.press("Save", {"Last name": "", "city": f"{CANARY}2"}, status=422)
    browse("/profile/email")
    browse.press("Send", {"Email address": ADDRESS})
    browse("/requests/new/correction")
    browse.press("Send", {"details": CANARY})
    browse("/desk/search", method="POST", data={"asked": ADDRESS}, status=400)
    browse("/desk", status=403)
    browse("/")
    browse.press("Sign out")
    worker.answer_waiting(clock.now)
    printed = capsys.readouterr().err
    told = [json.loads(line) for line in printed.splitlines()]
    assert {line["event"] for line in told} == {"auth.answered", "page.broken", "page.refused"}
    assert CANARY not in printed.lower()
    for secret in (ALICE_PASSWORD, people.alice.email, "Okonkwo", *browse.cookies().values()):
        assert secret not in printed
    for line in told:
        assert re.fullmatch(r"[0-9a-f]{16}|[0-9a-f]{32}", line["request_id"]), line
        assert line["timestamp"].endswith("Z")
        assert "unlisted" not in line
    assert [line["endpoint"] for line in told if line["request_id"] == PROXYS] == ["none"], "the proxy's number"
    assert [(line["endpoint"], line["status"]) for line in told if line["event"] == "auth.answered"] == [
        ("signin.sign_in", 422),
        ("signin.sign_in", 400),
        ("signin.sign_out", 303),
    ]
