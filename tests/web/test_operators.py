"""What operators and programs ask: numbers, readiness, where to report a weakness; and who is told nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic
from sqlalchemy import text

from portal import clock as portal_clock
from portal import journal
from portal.cli import worker
from portal.domain import measures, requests, signin
from portal.extensions import db
from portal.journal import Erasure, Step
from portal.vocabulary import Door
from tests.browse import Browse
from tests.conftest import Runner
from tests.databases import writes
from tests.people import ALICE, BOB, NOW, People

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"}
LABELS = {"endpoint", "method", "status", "kind", "end", "journal", "le"}
FROM_OUTSIDE: list[dict[str, str]] = [
    {"REMOTE_ADDR": "192.0.2.7"},
    {"REMOTE_ADDR": "::ffff:192.0.2.7"},
    {"REMOTE_ADDR": ""},
    {"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
    {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    {"HTTP_FORWARDED": "for=127.0.0.1"},
    {"HTTP_X_REAL_IP": "127.0.0.1"},
]
DOCS = Path(__file__).parents[2] / "docs"


def told(client: FlaskClient) -> dict[str, float]:
    """Each sample with its labels, as in `portal_outbox_messages/receipt`."""
    answer = client.get("/metrics", headers=OPENMETRICS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    found: dict[str, float] = {}
    for family in openmetrics(answer.text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample
            found["/".join([sample.name, *sample.labels.values()])] = sample.value
    return found


def test_the_numbers_say_what_is_going_on(
    app: Flask, browse: Browse, people: People, clock: time_machine.Traveller, run: Runner
) -> None:
    client = browse.app.test_client()
    quiet = told(client)
    assert quiet["portal_database_up"] == 1
    assert "portal_worker_seen_timestamp_seconds" not in quiet
    assert "portal_subject_requests_next_due_timestamp_seconds" not in quiet

    with writes():
        requests.file(people.bob, "access", details="", operation_id="one", via=Door.PAGE, now=NOW)
        signin.note_failure("nobody@example.org", network="192.0.2.0/24", now=NOW)
        journal.note(people.bob.subject.unsubscribe_reference, "magazine", "no", door="link", at=NOW)
    browse("/sign-in", as_=None)
    browse.press("Sign in", {"Email address": people.bob.email, "Password": "wrong-wrong"}, status=422)
    browse("/nothing", status=404)
    last = NOW - timedelta(days=1)
    for seconds in (20, 31, 5):
        last = worker.live(last)
        clock.shift(timedelta(seconds=seconds))
    measures.count_mail({"sent": 7, "retried": 1, "dead": 0, "cancelled": 0, "deferred": 0}, now=NOW)
    measures.count_mail({"sent": 5, "retried": 0, "dead": 2, "cancelled": 0, "deferred": 0}, now=NOW)
    found = told(client)
    assert found["portal_outbox_messages/receipt"] == 1
    assert found["portal_outbox_oldest_due_seconds/receipt"] == 56
    assert found["portal_subject_requests_open/access"] == 1
    assert found["portal_subject_requests_overdue"] == 0
    over = datetime(2027, 1, 4, 5, tzinfo=UTC)  # the 30th day is the third, to its end at the society's seat
    assert found["portal_subject_requests_next_due_timestamp_seconds"] == over.timestamp()
    assert found["portal_worker_seen_timestamp_seconds"] == (NOW + timedelta(seconds=51)).timestamp()
    assert {end: found[f"portal_messages_total/{end}"] for end in ("sent", "retried", "dead")} == {
        "sent": 12,
        "retried": 1,
        "dead": 2,
    }
    assert found["portal_gate_closed"] == 0
    assert found["portal_journal_lag_bytes/opt-outs"] > 100
    assert found["portal_sign_in_failures_last_hour"] == 2
    assert found["portal_http_requests_total/signin.sign_in/POST/4xx"] == 1
    assert found["portal_http_requests_total/none/GET/4xx"] == 1
    assert found["portal_http_request_duration_seconds_count/signin.sign_in"] == 2

    clock.shift(timedelta(days=31))
    journal.note_erasure(Erasure("b" * 32, NOW, Step.DONE, people.bob.id, ()))
    later = told(client)
    assert later["portal_subject_requests_overdue"] == 1
    assert later["portal_gate_closed"] == 1
    assert later["portal_journal_lag_bytes/erasures"] > found["portal_journal_lag_bytes/erasures"]
    assert later["portal_sign_in_failures_last_hour"] == 0
    assert "portal_worker_seen_timestamp_seconds" in later
    page = client.get("/metrics").text
    assert {family.name for family in classic(page)} >= {"portal_http_requests", "portal_messages"}
    for word in (*map(str, (*ALICE.values(), *BOB.values())), "nobody@example.org"):
        assert len(word) < 5 or word not in page
    names = {name.partition("/")[0] for name in (found | later)}
    names = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    listed = (DOCS / "deploy" / "README.md").read_text(encoding="utf-8")
    missing = sorted(name for name in names if f"`{name}" not in listed)
    assert not missing, "tell operators of them"


def test_limits_that_are_hit_are_counted(browse: Browse, people: People) -> None:
    client = browse.app.test_client()
    for number in range(6):
        browse("/forgot-password", as_=None)
        browse.press("Send", {"Email address": "carol@example.org"}, status=303 if number < 5 else 429)
    assert told(client)["portal_limits_hit_total/signin.forgot_password"] == 1


def test_a_database_that_is_away_is_a_number(app: Flask, client: FlaskClient, people: People) -> None:
    with writes():
        db.session.execute(text("ALTER TABLE message RENAME TO message_away"))
    try:
        found = told(client)
    finally:
        with writes():
            db.session.execute(text("ALTER TABLE message_away RENAME TO message"))
    assert found["portal_database_up"] == 0
    assert [name for name in found if name.startswith("portal_") and "_http_" not in name] == ["portal_database_up"]


@pytest.mark.parametrize("settings", [{}, {"TRUSTED_PROXIES": "1"}], ids=["bare", "behind a proxy"])
def test_what_comes_from_outside_is_told_nothing(client: FlaskClient, people: People) -> None:
    for outside in FROM_OUTSIDE:
        hidden = client.get("/metrics", environ_overrides=outside)
        assert (hidden.status_code, "portal_" in hidden.text) == (404, False), outside
        ready = client.get("/readyz", environ_overrides=outside)
        assert (ready.status_code, ready.get_json()) == (200, {"status": "ok"}), outside
        assert client.get("/healthz", environ_overrides=outside).get_json() == {"status": "ok"}
        foreign = client.get("/healthz", headers={"Host": "127.0.0.1:8000"}, environ_overrides=outside)
        assert foreign.status_code == 400, "the names of this machine are for this machine"


def test_this_machine_is_asked_by_its_own_names(client: FlaskClient, people: People) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000", "127.1.2.3"):
            answer = client.get(path, headers={"Host": host})
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False), (path, host)
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::1", ""):
            assert client.get(path, headers={"Host": host}).status_code == 400, (path, host)
    assert client.get("/sign-in", headers={"Host": "127.0.0.1:8000"}).status_code == 400


# Weaknesses, passwords ------------------------------------------------------------------------------------

HTTPS = {"PORTAL_URL": "https://privacy.example.org"}


def lines(client: FlaskClient) -> dict[str, str]:
    answer = client.get("/.well-known/security.txt", base_url="https://privacy.example.org")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    fields = [line.split(": ", 1) for line in answer.text.splitlines()]
    assert len({name for name, _ in fields}) == len(fields)
    return dict(fields)


@pytest.mark.parametrize("settings", [HTTPS | {"DPO_CONTACT": "Data protection officer, dpo@example.org."}])
def test_security_txt_is_always_good_for_months(client: FlaskClient, clock: time_machine.Traveller) -> None:
    assert lines(client) == {
        "Contact": "mailto:dpo@example.org",
        "Expires": "2027-05-30T23:59:59Z",
        "Preferred-Languages": "en",
        "Canonical": "https://privacy.example.org/.well-known/security.txt",
        "Policy": "https://privacy.example.org/report-a-weakness",
    }
    for _ in range(12):
        clock.shift(timedelta(days=31))
        ends = date.fromisoformat(lines(client)["Expires"][:10])
        assert timedelta(days=100) < ends - portal_clock.now().date() < timedelta(days=365)


@pytest.mark.parametrize(
    "settings", [HTTPS | {"SECURITY_CONTACT": "https://example.org/report", "SECURITY_EXPIRES": "2027-06-30"}]
)
def test_an_expiry_that_was_set_is_kept_and_warned_of(client: FlaskClient, clock: time_machine.Traveller) -> None:
    assert lines(client)["Contact"] == "https://example.org/report"
    warned = []
    for day in ("2026-06-29", "2027-05-31", "2027-06-01", "2027-06-30", "2027-07-01"):
        clock.move_to(f"{day}T12:00:00+00:00")
        assert lines(client)["Expires"] == "2027-06-30T23:59:59Z"
        told = client.get("/readyz", base_url="https://privacy.example.org").get_json()["warnings"]
        warned.append(next((each for each in told if "SECURITY_EXPIRES" in each), ""))
    assert [each.removeprefix("SECURITY_EXPIRES ")[:12] for each in warned] == [
        "is more than",
        "",
        "is less than",
        "is less than",
        "has passed: ",
    ]


def test_well_known_places(browse: Browse, people: People) -> None:
    assert browse("/security.txt", status=303, as_=None).location == "/.well-known/security.txt"
    assert browse("/.well-known/change-password", status=303).location == "/security"
    browse("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", status=404)
    page = browse("/report-a-weakness")
    assert page.soup.find("a", href="mailto:privacy@portal.example.org") is not None


def test_signing_out_clears_what_the_browser_kept(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    browse("/")
    assert browse.press("Sign out").headers["Clear-Site-Data"] == '"cache", "storage"'
