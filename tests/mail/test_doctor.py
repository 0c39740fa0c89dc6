"""The doctor: silent where all is well, and plain where a large provider would object; and what a signature proves."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from sqlalchemy import func, select

from portal.domain import samples
from portal.extensions import db
from portal.mail import doctor, messages
from portal.mail.delivery import deliver
from portal.models import Message, Subject
from portal.models.message import MailKind

from .conftest import START, MakePortal, member, put, stored
from .relay import Relay, free_port
from .test_transport import NAMED, OTHER, Authority

pytestmark = pytest.mark.opens_smtp

WELL = {
    "MAIL_DEFAULT_SENDER": "IMAPS <privacy@example.org>",
    "STAFF_EMAILS": "desk@example.org",
    "UNSUBSCRIBE_MAILBOX": "stop@example.org",
}


def examined(app: Flask, *more: str) -> tuple[int, list[str], str]:
    db.session.rollback()
    done = app.test_cli_runner().invoke(args=["mail", "doctor", *more], catch_exceptions=False)
    return done.exit_code, done.stdout.splitlines(), done.stderr


def test_all_is_well_with_every_message(
    make_portal: MakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Relay().serving(starttls=authority.server(NAMED)) as relay:
        app = make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), MAIL_USE_TLS="1", **WELL)
        code, objections, words = examined(app, "--write", str(tmp_path / "eml"))
        assert (code, objections) == (0, [])
        assert relay.received == []
    for known in ("SPF", "DKIM", "DMARC", "privacy@example.org and stop@example.org reaches"):
        assert known in words
    assert {each.stem for each in (tmp_path / "eml").iterdir()} == {*samples.SAMPLES, *samples.BESIDE}
    assert db.session.execute(select(func.count()).select_from(Message).join(Subject, full=True)).scalar_one() == 0


def test_samples_are_of_every_message() -> None:
    ours = {name for name in vars(messages) if not name.startswith("_") and callable(getattr(messages, name))}
    ours = {name for name in ours if getattr(messages, name).__module__ == messages.__name__ and name.islower()}
    assert {sample.partition("-")[0] for sample in samples.SAMPLES} == ours


def test_what_it_objects_to(make_portal: MakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Relay().serving(starttls=authority.server(OTHER)) as relay:
        make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), MAIL_USE_TLS="1", **WELL)
        (line,) = doctor.of_line()
        assert "certificate is not good for MAIL_SERVER" in line
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(free_port()), **WELL)
    assert ["cannot be reached" in each for each in doctor.of_line()] == [True]
    make_portal(
        PORTAL_URL="http://127.0.0.1:8000",
        PRIVACY_CONTACT="",
        STAFF_EMAILS="",
        SOCIETY_POSTAL_ADDRESS="",
        MAIL_DEFAULT_SENDER="noreply@elsewhere.example",
    )
    found = " ".join(doctor.of_settings())
    for name in ("STAFF_EMAILS", "PRIVACY_CONTACT", "UNSUBSCRIBE_MAILBOX", "SOCIETY_POSTAL_ADDRESS", "MAIL_SERVER"):
        assert f"{name} is not set" in found
    for words in ("PORTAL_URL does not begin", "two houses", "nobody reads answers"):
        assert words in found


FAULTS: dict[str, tuple[MailKind, Callable[[Message], object], str]] = {
    "size": (MailKind.RECEIPT, lambda row: setattr(row, "html", row.html + "<p>word</p>" * 10_000), "bytes"),
    "title": (MailKind.RECEIPT, lambda row: setattr(row, "title", "BUY NOW"), "shouts"),
    "host": (MailKind.RECEIPT, lambda row: setattr(row, "message_id", "<1@localhost>"), "Message-ID"),
    "words": (
        MailKind.RECEIPT,
        lambda row: setattr(row, "text", row.text + "Vexing"),
        "only its text part says: Vexing",
    ),
    "page": (
        MailKind.RECEIPT,
        lambda row: setattr(row, "html", row.html + "Vexing"),
        "only its HTML part says: Vexing",
    ),
    "http": (MailKind.RECEIPT, lambda row: setattr(row, "text", row.text + "http://a.example/"), "begin with https"),
    "house": (MailKind.RECEIPT, lambda row: setattr(row, "text", row.text + "https://a.example/"), "another house"),
    "picture": (MailKind.RECEIPT, lambda row: setattr(row, "html", row.html + "<img src=x>"), "fetches something"),
    "one part": (MailKind.RECEIPT, lambda row: setattr(row, "html", ""), "both a text and an HTML part"),
    "address": (MailKind.RECEIPT, lambda row: setattr(row, "to_address", "a b@example.org"), "cannot be written"),
    "no link": (MailKind.BROADCAST, lambda row: setattr(row, "text", "Springfield P O Box 1"), "no unsubscribe link"),
    "no post": (MailKind.BROADCAST, lambda row: setattr(row, "html", row.html.replace("Springfield", "")), "postal"),
    "no https": (
        MailKind.BROADCAST,
        lambda row: setattr(row, "unsubscribe_url", row.unsubscribe_url.replace("https", "http")),
        "one https link",
    ),
}


def test_each_fault_of_a_message_is_named(make_portal: MakePortal) -> None:
    make_portal(**WELL)
    ident = member()
    for name, (kind, spoil, words) in FAULTS.items():
        row = stored(put(kind, subject_id=ident))
        assert list(doctor.of_message(row)) == [], name
        spoil(row)
        assert [each for each in doctor.of_message(row) if words in each], name


# What the relay signs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MailKind.BROADCAST, MailKind.RECEIPT])
def test_a_signature_survives_the_way_and_covers_the_unsubscribe_headers(
    make_portal: MakePortal, relay: Relay, kind: MailKind
) -> None:
    """The bytes that a real server received, signed as a relay does, folded anew on the way, read by the old parser."""
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), **WELL)
    put(kind, subject_id=member(), first_name="Zoë Łukasiewicz " * 9)
    assert deliver(now=lambda: START).sent == 1
    (received,) = relay.received
    old = message_from_bytes(received.content)
    assert not old.defects
    both = ("List-Unsubscribe", "List-Unsubscribe-Post")
    assert [name in old for name in both] == [kind is MailKind.BROADCAST] * 2
    assert "=?" not in str(old["List-Unsubscribe"] or "")

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    names = [name.lower().encode() for name in dict.fromkeys(old.keys())]
    signature = dkim.sign(
        received.content, b"s1", b"example.org", private, canonicalize=(b"relaxed", b"relaxed"), include_headers=names
    )
    signed = signature + received.content
    header = signature.replace(b"\r\n", b"").replace(b" ", b"").lower()
    assert (b"list-unsubscribe:list-unsubscribe-post" in header) == (kind is MailKind.BROADCAST)

    def verified(content: bytes) -> bool:
        good: bool = dkim.verify(content, dnsfunc=lambda *_, **__: record)
        return good

    assert verified(signed)
    assert verified(signed.replace(b"List-Unsubscribe: <", b"list-unsubscribe:\r\n  <"))  # folded anew on its way
    assert not verified(signed.replace(b"Date:", b"Date: 1"))
    if kind is MailKind.BROADCAST:
        assert not verified(signed.replace(b"unsubscribe%20", b"unsubscribe%21"))
        assert not verified(signed.replace(b"=One-Click", b"=Two-Clicks"))
