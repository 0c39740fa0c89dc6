"""Settings: read once from the environment, checked, frozen.

Every name is documented in docs/configuration.md. A default is safe in production and public; where there
is no such default there is none, and production refuses to start and says what is missing.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent
ENVIRONMENTS = ("production", "development", "testing")
SHORTEST_KEY = 32
KNOWN_KEYS = ("changeme", "secret", "password", "development", "insecure", "default", "example", "keyboard", "12345678")


class ConfigError(Exception):
    """The environment does not describe a portal that may start; the message names every problem."""


@dataclass(frozen=True, repr=False)
class Config:
    """One portal's settings. Secrets are never printed: this class has no repr of its values."""

    env: str
    url: str
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    unsubscribe_keys: tuple[tuple[str, str], ...]
    suppression_keys: tuple[tuple[str, str], ...]
    database_url: str
    journal_dir: Path
    mail_server: str
    mail_port: int
    mail_use_tls: bool
    mail_use_ssl: bool
    mail_username: str
    mail_password: str
    mail_default_sender: str
    mailbox_dir: Path
    staff_emails: tuple[str, ...]
    escalation_emails: tuple[str, ...]
    privacy_contact: str
    dpo_contact: str
    unsubscribe_mailbox: str
    ratelimit_storage_uri: str
    trusted_proxies: int
    security_contact: str
    security_expires: date | None
    prometheus_multiproc_dir: str
    society_name: str
    society_short_name: str
    society_postal_address: str
    society_phone: str
    desk_requires_second_factor: bool
    desk_requires_second_person: bool

    @property
    def secure(self) -> bool:
        """Whether the portal is reached over TLS: decides cookie prefixes and HSTS."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def flask(self) -> dict[str, Any]:
        """The same settings under the names that Flask and its extensions read."""
        prefix = "__Host-" if self.secure else ""
        return {
            "ENV_NAME": self.env,
            "TESTING": self.env == "testing",
            "SECRET_KEY": self.secret_key,
            "SECRET_KEY_FALLBACKS": list(self.secret_key_fallbacks),
            "SESSION_COOKIE_NAME": f"{prefix}session",
            "SESSION_COOKIE_SECURE": self.secure,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "KEEP_COOKIE_NAME": f"{prefix}keep",
            "TRUSTED_HOSTS": [self.host, *(["localhost"] if self.env == "development" else [])],
            "MAX_CONTENT_LENGTH": 256 * 1024,
            "MAX_FORM_PARTS": 200,
            "PREFERRED_URL_SCHEME": "https" if self.secure else "http",
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            "SQLALCHEMY_ENGINE_OPTIONS": self._engine_options(),
            "WTF_CSRF_TIME_LIMIT": None,
            "WTF_CSRF_SSL_STRICT": True,
            "RATELIMIT_STORAGE_URI": self.ratelimit_storage_uri,
            "RATELIMIT_HEADERS_ENABLED": False,
            "MAIL_SERVER": self.mail_server,
            "MAIL_PORT": self.mail_port,
            "MAIL_USE_TLS": self.mail_use_tls,
            "MAIL_USE_SSL": self.mail_use_ssl,
            "MAIL_USERNAME": self.mail_username or None,
            "MAIL_PASSWORD": self.mail_password or None,
            "MAIL_DEFAULT_SENDER": self.mail_default_sender,
            "MAIL_DEBUG": 0,
            "JOURNAL_DIR": str(self.journal_dir),
            "UNSUBSCRIBE_KEYS": self.unsubscribe_keys,
            "SUPPRESSION_KEYS": self.suppression_keys,
            "PORTAL_URL": self.url,
            "PORTAL_HOST": self.host,
        }

    def _engine_options(self) -> dict[str, Any]:
        hidden = {"hide_parameters": True}  # an error message is no place for people's data
        if self.database_url.startswith("sqlite"):
            return hidden | {"connect_args": {"timeout": 5}}
        return hidden | {
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": 5, "options": "-c statement_timeout=5000 -c lock_timeout=2000"},
        }


def from_environment(environ: Mapping[str, str] | None = None, *, root: Path = ROOT) -> Config:
    """Read and check the settings; raises ConfigError that names everything that is wrong."""
    return _Reader(os.environ if environ is None else environ, root).config()


class _Reader:
    """Reads one environment and collects problems, so that an operator mends them in one go."""

    def __init__(self, environ: Mapping[str, str], root: Path) -> None:
        self.environ = environ
        self.root = root
        self.problems: list[str] = []
        self.env = environ.get("PORTAL_ENV", "production")
        if self.env not in ENVIRONMENTS:
            self.problems.append(f"PORTAL_ENV is {self.env!r}; it may be {', '.join(ENVIRONMENTS)}")
        self.production = self.env not in ("development", "testing")

    def config(self) -> Config:
        made = {} if self.production else self._generated()
        environ = self.environ
        url = environ.get("PORTAL_URL", "" if self.production else f"http://127.0.0.1:{environ.get('PORT', '8000')}")
        self._check_url(url)
        if self.production and environ.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
            self.problems.append("FLASK_DEBUG is on: production never runs with the debugger")
        instance = self.root / "instance"
        staff = self._addresses("STAFF_EMAILS")
        config = Config(
            env=self.env,
            url=url.rstrip("/"),
            secret_key=self._key("SECRET_KEY", environ.get("SECRET_KEY") or made.get("SECRET_KEY", "")),
            secret_key_fallbacks=tuple(
                self._key("SECRET_KEY_FALLBACKS", key) for key in self._list("SECRET_KEY_FALLBACKS")
            ),
            unsubscribe_keys=self._keyring("UNSUBSCRIBE_KEYS", made),
            suppression_keys=self._keyring("SUPPRESSION_KEYS", made),
            database_url=self._database(environ.get("DATABASE_URL") or "sqlite:///instance/portal.db"),
            journal_dir=Path(self._needed("JOURNAL_DIR", str(instance / "journal"))),
            mail_server=self._needed("MAIL_SERVER", ""),
            mail_port=self._number("MAIL_PORT", 25),
            mail_use_tls=self._yes("MAIL_USE_TLS", False),
            mail_use_ssl=self._yes("MAIL_USE_SSL", False),
            mail_username=environ.get("MAIL_USERNAME", ""),
            mail_password=environ.get("MAIL_PASSWORD", ""),
            mail_default_sender=self._needed("MAIL_DEFAULT_SENDER", "privacy@portal.example.org"),
            mailbox_dir=instance / "mailbox",
            staff_emails=staff,
            escalation_emails=self._addresses("ESCALATION_EMAILS") or staff,
            privacy_contact=environ.get("PRIVACY_CONTACT", ""),
            dpo_contact=environ.get("DPO_CONTACT", ""),
            unsubscribe_mailbox=environ.get("UNSUBSCRIBE_MAILBOX", ""),
            ratelimit_storage_uri=environ.get("RATELIMIT_STORAGE_URI", "database://"),
            trusted_proxies=self._number("TRUSTED_PROXIES", 0),
            security_contact=self._contact("SECURITY_CONTACT"),
            security_expires=self._date("SECURITY_EXPIRES"),
            prometheus_multiproc_dir=self._folder("PROMETHEUS_MULTIPROC_DIR"),
            society_name=environ.get("SOCIETY_NAME", "International Microelectronics Assembly and Packaging Society"),
            society_short_name=environ.get("SOCIETY_SHORT_NAME", "IMAPS"),
            society_postal_address=environ.get("SOCIETY_POSTAL_ADDRESS", ""),
            society_phone=environ.get("SOCIETY_PHONE", ""),
            desk_requires_second_factor=self._yes("DESK_REQUIRES_SECOND_FACTOR", self.production),
            desk_requires_second_person=self._yes("DESK_REQUIRES_SECOND_PERSON", self.production),
        )
        self._check_mail(config)
        self._check_limits(config)
        if self.problems:
            raise ConfigError("The portal cannot start:\n" + "\n".join(f"  - {text}" for text in self.problems))
        return config

    def _generated(self) -> dict[str, str]:
        """Keys of a development portal: made once, kept beside its database."""
        path = self.root / "instance" / "development-keys.json"
        names = ("SECRET_KEY", "UNSUBSCRIBE_KEYS", "SUPPRESSION_KEYS")
        if all(self.environ.get(name) for name in names):
            return {}
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            fresh = {name: secrets.token_urlsafe(48) for name in names}
            scratch = path.with_suffix(f".{os.getpid()}")
            scratch.touch(mode=0o600)
            scratch.write_text(json.dumps(fresh), encoding="utf-8")
            with suppress(FileExistsError):  # another process was first: its keys are the keys
                os.link(scratch, path)
            scratch.unlink()
        keys: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return {"SECRET_KEY": keys["SECRET_KEY"]} | {name: f"1:{keys[name]}" for name in names[1:]}

    def _needed(self, name: str, otherwise: str) -> str:
        value = self.environ.get(name, "")
        if not value and self.production:
            self.problems.append(f"{name} is missing")
        return value or otherwise

    def _key(self, name: str, key: str) -> str:
        if not key:
            self.problems.append(f"{name} is missing")
        elif len(key) < SHORTEST_KEY:
            self.problems.append(f"{name} is too short: {SHORTEST_KEY} characters at least")
        elif any(known in key.lower() for known in KNOWN_KEYS) or len(set(key)) < 10:
            self.problems.append(f"{name} is a known or guessable value")
        return key

    def _keyring(self, name: str, made: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        keys: list[tuple[str, str]] = []
        for part in self._list(name) or [text for text in [made.get(name, "")] if text]:
            ident, colon, key = part.partition(":")
            if not colon or not ident.isalnum() or len(ident) > 8:
                self.problems.append(f"{name} is written id:key, with an id of up to 8 letters and digits")
            keys.append((ident, self._key(name, key)))
        if not keys:
            self.problems.append(f"{name} is missing")
        if len({ident for ident, _ in keys}) < len(keys):
            self.problems.append(f"{name} uses one id twice")
        return tuple(keys)

    def _list(self, name: str) -> list[str]:
        return [part.strip() for part in self.environ.get(name, "").split(",") if part.strip()]

    def _addresses(self, name: str) -> tuple[str, ...]:
        addresses = self._list(name)
        self.problems += [f"{name}: {text!r} is not an email address" for text in addresses if "@" not in text]
        return tuple(addresses)

    def _contact(self, name: str) -> str:
        """An address or a page, as RFC 9116 §2.5.3 has them: a URI."""
        text = self.environ.get(name, "").strip()
        if text and not re.fullmatch(r"(https://|mailto:)[!-~]+|[!-~]+@[!-~]+", text):
            self.problems.append(f"{name} is neither an email address nor a page that begins with https://")
        return text if ":" in text or not text else f"mailto:{text}"

    def _date(self, name: str) -> date | None:
        text = self.environ.get(name, "").strip()
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self.problems.append(f"{name} is not a date such as 2027-06-30")
            return None

    def _folder(self, name: str) -> str:
        text = self.environ.get(name, "")
        if "\0" in text or (text and not Path(text).is_dir()):
            self.problems.append(f"{name} is not a folder")
        return text

    def _number(self, name: str, otherwise: int) -> int:
        text = self.environ.get(name, "")
        if text and not text.isdecimal():
            self.problems.append(f"{name} is not a number")
            return otherwise
        return int(text) if text else otherwise

    def _yes(self, name: str, otherwise: bool) -> bool:
        text = self.environ.get(name, "").lower()
        if text in ("1", "yes", "true", "on"):
            return True
        if text in ("0", "no", "false", "off"):
            return False
        if text:
            self.problems.append(f"{name} is neither on nor off")
        return otherwise

    def _database(self, url: str) -> str:
        """A relative SQLite name counts from the repository root; psycopg 3 is the PostgreSQL driver."""
        for short in ("postgresql://", "postgres://"):
            if url.startswith(short):
                return "postgresql+psycopg://" + url.removeprefix(short)
        start = "sqlite:///"
        if url.startswith(start) and not url.startswith(("sqlite:////", "sqlite:///:memory:")):
            return start + str(self.root / url.removeprefix(start))
        return url

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("unreadable:")
        if not url:
            self.problems.append("PORTAL_URL is missing")
        elif parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            self.problems.append("PORTAL_URL is not an address such as https://privacy.example.org")
        elif self.production and parts.scheme != "https":
            self.problems.append("PORTAL_URL must begin with https:// in production")

    def _check_mail(self, config: Config) -> None:
        if "@" not in config.mail_default_sender and self.environ.get("MAIL_DEFAULT_SENDER"):
            self.problems.append("MAIL_DEFAULT_SENDER is not an email address")
        if self.production and config.mail_server and not (config.mail_use_tls or config.mail_use_ssl):
            self.problems.append("MAIL_USE_TLS or MAIL_USE_SSL must be on in production")
        if config.mail_use_tls and config.mail_use_ssl:
            self.problems.append("MAIL_USE_TLS and MAIL_USE_SSL exclude each other")

    def _check_limits(self, config: Config) -> None:
        if config.ratelimit_storage_uri.startswith("memory:") and self.env != "testing":
            self.problems.append("RATELIMIT_STORAGE_URI may be memory:// in tests only")
