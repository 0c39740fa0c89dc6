"""Settings: production starts whole or not at all, and says everything that is missing at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from config import Config, ConfigError, from_environment
from tests.settings import KEYS

PRODUCTION = {
    "PORTAL_ENV": "production",
    "PORTAL_URL": "https://privacy.example.org",
    "DATABASE_URL": "postgresql://portal@db.example.org/portal",
    "JOURNAL_DIR": "/srv/portal/journal",
    "MAIL_SERVER": "relay.example.org",
    "MAIL_PORT": "587",
    "MAIL_USE_TLS": "1",
    "MAIL_DEFAULT_SENDER": "privacy@example.org",
    **KEYS,
}
NEEDED = ("PORTAL_URL", "JOURNAL_DIR", "MAIL_SERVER", "MAIL_DEFAULT_SENDER", *KEYS)

BAD_KEYS = [
    "",
    "x",
    "changeme",
    "secret",
    "dev",
    "password",
    "0" * 31,
    "uvR2mX8wQz4nJ7hK1tB6yG3dF9pL5sA",  # one character too few
    "0" * 64,
    "a" * 32,
    "ab" * 32,
    "abcdefghi" * 8,  # nine different characters
    "123456789" * 4,
    "changeme" * 4,
    "ChangeMeChangeMeChangeMeChangeMe-now-1",
    "this-is-a-secret-key-for-the-portal-1",
    "password-password-password-password-42",
    "development-key-0123456789-ABCDEFGHIJK",
    "django-insecure-k3w9x2v8q5z7m1n4b6p0t",
    "correct-horse-example-staple-battery-9",
    "keyboardcat-keyboardcat-keyboardcat-77",
    "default-flask-key-9f8e7d6c5b4a39281706",
]


def read(tmp_path: Path, *without: str, **changes: str) -> Config:
    environ = {name: value for name, value in (PRODUCTION | changes).items() if name not in without}
    return from_environment(environ, root=tmp_path)


def problems(tmp_path: Path, *without: str, **changes: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, *without, **changes)
    return str(raised.value)


# Production -----------------------------------------------------------------------------------------------


def test_production_starts_with_what_it_needs(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.secure
    assert config.host == "privacy.example.org"
    assert config.ratelimit_storage_uri == "database://"
    assert (config.desk_requires_second_factor, config.desk_requires_second_person) == (True, True)
    assert config.flask()["SESSION_COOKIE_NAME"] == "__Host-session"
    assert list(tmp_path.iterdir()) == [], "production writes nothing of its own accord"


def test_production_is_what_it_is_unless_something_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, "PORTAL_ENV").env == "production"
    assert "SECRET_KEY is missing" in problems(tmp_path, "PORTAL_ENV", "SECRET_KEY")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_each_missing_setting_is_named(tmp_path: Path, name: str, how: str) -> None:
    message = problems(tmp_path, name) if how == "absent" else problems(tmp_path, **{name: ""})
    assert f"  - {name} is missing" in message.splitlines()
    assert len(message.splitlines()) == 2, "and nothing else is"


def test_everything_that_is_missing_is_named_in_one_message(tmp_path: Path) -> None:
    message = problems(tmp_path, *NEEDED, FLASK_DEBUG="1", RATELIMIT_STORAGE_URI="memory://", MAIL_PORT="smtp")
    named = message.splitlines()[1:]
    assert [any(line.startswith(f"  - {name} is missing") for line in named) for name in NEEDED] == [True] * len(NEEDED)
    assert [word in message for word in ("FLASK_DEBUG", "memory://", "MAIL_PORT")] == [True] * 3


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_known_or_guessable_key_is_refused_wherever_a_key_stands(tmp_path: Path, key: str) -> None:
    assert "SECRET_KEY is " in problems(tmp_path, SECRET_KEY=key)
    assert "UNSUBSCRIBE_KEYS is " in problems(tmp_path, UNSUBSCRIBE_KEYS=f"{KEYS['UNSUBSCRIBE_KEYS']},u0:{key}")
    assert "SUPPRESSION_KEYS is " in problems(tmp_path, SUPPRESSION_KEYS=f"s9:{key}")
    if key:
        assert "SECRET_KEY_FALLBACKS is " in problems(tmp_path, SECRET_KEY_FALLBACKS=key)


def test_a_refusal_shows_no_key(tmp_path: Path) -> None:
    key = "kept-as-a-secret-Zr8Kd3Vw6NqLp9Tx4Mh"
    assert key not in problems(tmp_path, SECRET_KEY=key, UNSUBSCRIBE_KEYS=key, SUPPRESSION_KEYS=f"{key}:{key}")


def test_settings_are_not_shown_by_accident(tmp_path: Path) -> None:
    config = read(tmp_path, MAIL_PASSWORD="Tx4MhYb7Jc2G")
    for shown in (repr(config), str(config)):
        assert KEYS["SECRET_KEY"] not in shown
        assert "Tx4MhYb7Jc2G" not in shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://privacy.example.org", "must begin with https://"),
        ("privacy.example.org", "is not an address"),
        ("https://", "is not an address"),
        ("https:///x", "is not an address"),
        ("https://example.org/privacy", "is not an address"),
        ("ftp://privacy.example.org", "is not an address"),
        ("javascript:alert(1)", "is not an address"),
        ("https://[", "is not an address"),
    ],
)
def test_a_wrong_address_is_refused(tmp_path: Path, url: str, words: str) -> None:
    assert f"PORTAL_URL {words}" in problems(tmp_path, PORTAL_URL=url)


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", "on"])
def test_debug_is_refused(tmp_path: Path, value: str) -> None:
    assert "FLASK_DEBUG is on" in problems(tmp_path, FLASK_DEBUG=value)


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_debug_that_is_off_is_no_matter(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, FLASK_DEBUG=value).env == "production"


def test_mail_in_the_open_is_refused(tmp_path: Path) -> None:
    assert "MAIL_USE_TLS or MAIL_USE_SSL" in problems(tmp_path, "MAIL_USE_TLS")
    assert "exclude each other" in problems(tmp_path, MAIL_USE_SSL="1")
    assert read(tmp_path, "MAIL_USE_TLS", MAIL_USE_SSL="1").mail_use_ssl


def test_limits_in_memory_are_refused(tmp_path: Path) -> None:
    """Each process would count for itself, and a restart would forget."""
    assert "RATELIMIT_STORAGE_URI" in problems(tmp_path, RATELIMIT_STORAGE_URI="memory://")
    with pytest.raises(ConfigError, match="RATELIMIT_STORAGE_URI"):
        from_environment({"PORTAL_ENV": "development", "RATELIMIT_STORAGE_URI": "memory://"}, root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PORTAL_ENV": "staging"}, "PORTAL_ENV is 'staging'; it may be production"),
        ({"UNSUBSCRIBE_KEYS": KEYS["SECRET_KEY"]}, "UNSUBSCRIBE_KEYS is written id:key"),
        ({"UNSUBSCRIBE_KEYS": f"{KEYS['UNSUBSCRIBE_KEYS']},{KEYS['UNSUBSCRIBE_KEYS']}"}, "one id twice"),
        ({"SUPPRESSION_KEYS": "a.b:Bw5Xn8Hq3ZmTk6Rv9JpLd2Yc7FgSe4Ua"}, "SUPPRESSION_KEYS is written id:key"),
        ({"STAFF_EMAILS": "desk@example.org, desk"}, "STAFF_EMAILS: 'desk' is not an email address"),
        ({"MAIL_DEFAULT_SENDER": "privacy.example.org"}, "MAIL_DEFAULT_SENDER is not an email address"),
        ({"SECURITY_CONTACT": "the desk"}, "SECURITY_CONTACT is neither an email address nor a page"),
        ({"SECURITY_CONTACT": "http://example.org/report"}, "SECURITY_CONTACT is neither"),
        ({"SECURITY_EXPIRES": "30 June"}, "SECURITY_EXPIRES is not a date"),
        ({"PROMETHEUS_MULTIPROC_DIR": "/nowhere/at/all"}, "PROMETHEUS_MULTIPROC_DIR is not a folder"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES is not a number"),
        ({"MAIL_USE_TLS": "perhaps"}, "MAIL_USE_TLS is neither on nor off"),
        ({"DESK_REQUIRES_SECOND_PERSON": "maybe"}, "DESK_REQUIRES_SECOND_PERSON is neither on nor off"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    assert words in problems(tmp_path, **changes)


@pytest.mark.parametrize("url", ["sqlite:////srv/portal.db", "postgresql://portal@db.example.org/portal"])
def test_an_error_of_the_database_shows_nobodys_data(tmp_path: Path, url: str) -> None:
    options = read(tmp_path, DATABASE_URL=url).flask()["SQLALCHEMY_ENGINE_OPTIONS"]
    with create_engine("sqlite://", hide_parameters=options["hide_parameters"]).connect() as connection:
        with pytest.raises(OperationalError) as raised:
            connection.execute(text("SELECT :address FROM nowhere"), {"address": "ada@example.org"})
        assert "ada@example.org" not in str(raised.value)


@given(st.dictionaries(st.sampled_from(sorted(PRODUCTION)), st.text(max_size=50), min_size=1))
def test_no_environment_breaks_the_reader(changes: dict[str, str]) -> None:
    """It answers with settings or with ConfigError, never with another error."""
    try:
        config = read(Path("/nowhere"), **(changes | {"PORTAL_ENV": "production"}))
    except ConfigError:
        return
    assert config.secure
    assert len(config.secret_key) >= 32


# Databases and derived settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///instance/portal.db", "sqlite:///{root}/instance/portal.db"),
        ("sqlite:///data.db", "sqlite:///{root}/data.db"),
        ("sqlite:////srv/portal.db", "sqlite:////srv/portal.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgres://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
        ("postgresql://u:p@db/x?sslmode=verify-full", "postgresql+psycopg://u:p@db/x?sslmode=verify-full"),
        ("postgresql+psycopg://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
    ],
)
def test_a_database_is_found_from_anywhere(tmp_path: Path, written: str, meant: str) -> None:
    assert read(tmp_path, DATABASE_URL=written).database_url == meant.format(root=tmp_path)


def test_the_database_has_a_place_when_nothing_is_said(tmp_path: Path) -> None:
    usual = f"sqlite:///{tmp_path}/instance/portal.db"
    assert read(tmp_path, "DATABASE_URL").database_url == read(tmp_path, DATABASE_URL="").database_url == usual


def test_overdue_requests_are_told_to_the_staff_where_nobody_else_is_named(tmp_path: Path) -> None:
    config = read(tmp_path, STAFF_EMAILS="a@example.org, b@example.org,")
    assert config.escalation_emails == config.staff_emails == ("a@example.org", "b@example.org")
    chief = read(tmp_path, STAFF_EMAILS="a@example.org", ESCALATION_EMAILS="chief@example.org")
    assert chief.escalation_emails == ("chief@example.org",)


def test_a_slash_at_the_end_of_the_address_is_dropped(tmp_path: Path) -> None:
    assert read(tmp_path, PORTAL_URL="https://privacy.example.org/").url == "https://privacy.example.org"


def test_plain_http_has_plain_cookie_names(tmp_path: Path) -> None:
    """Browsers refuse `__Host-` and Secure cookies over http."""
    flask = from_environment({"PORTAL_ENV": "development", "PORT": "8123"}, root=tmp_path).flask()
    assert flask["PORTAL_URL"] == "http://127.0.0.1:8123"
    assert (flask["SESSION_COOKIE_NAME"], flask["SESSION_COOKIE_SECURE"]) == ("session", False)
    assert flask["SESSION_COOKIE_HTTPONLY"]


# Development ----------------------------------------------------------------------------------------------


def test_development_makes_keys_once_and_keeps_them(tmp_path: Path) -> None:
    first = from_environment({"PORTAL_ENV": "development"}, root=tmp_path)
    second = from_environment({"PORTAL_ENV": "development"}, root=tmp_path)
    keys = [first.secret_key, first.unsubscribe_keys[0][1], first.suppression_keys[0][1]]
    assert [second.secret_key, second.unsubscribe_keys[0][1], second.suppression_keys[0][1]] == keys
    assert len(set(keys)) == 3
    (kept,) = (tmp_path / "instance").iterdir()
    assert kept.stat().st_mode & 0o077 == 0, "nobody else may read them"


def test_two_portals_have_different_keys(tmp_path: Path) -> None:
    roots = (tmp_path / "one", tmp_path / "two")
    for root in roots:
        root.mkdir()
    one, two = (from_environment({"PORTAL_ENV": "development"}, root=root) for root in roots)
    assert one.secret_key != two.secret_key


def test_keys_that_are_given_are_taken(tmp_path: Path) -> None:
    config = from_environment({"PORTAL_ENV": "development", **KEYS}, root=tmp_path)
    assert config.secret_key == KEYS["SECRET_KEY"]
    assert not (tmp_path / "instance").exists()


def test_development_refuses_a_bad_key_as_well(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY is too short"):
        from_environment({"PORTAL_ENV": "development", "SECRET_KEY": "dev"}, root=tmp_path)


def test_processes_that_start_at_the_same_moment_agree_on_the_keys(tmp_path: Path) -> None:
    """The web server and the worker of `make run` find no keys and each makes some: the first to write wins."""
    program = (
        "import json, pathlib, sys, config\n"
        "sys.stdin.readline()\n"
        "made = config.from_environment({'PORTAL_ENV': 'development'}, root=pathlib.Path(sys.argv[1]))\n"
        "print(json.dumps([made.secret_key, made.unsubscribe_keys, made.suppression_keys]))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            cwd=Path(__file__).parents[1],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=30)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 6
    assert len(set(printed)) == 1
    assert len(json.loads(printed[0])[0]) >= 32
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["development-keys.json"]
