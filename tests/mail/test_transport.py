"""The line to the relay: encrypted and verified, or not used at all; and the mailbox that stands in for it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import flask_mail
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from portal.mail import transport
from portal.mail.delivery import Delivered, deliver
from portal.models.message import MailKind

from .conftest import START, MakePortal, member, put, stored
from .relay import Relay, free_port

pytestmark = pytest.mark.opens_smtp

NAMED = x509.SubjectAlternativeName([x509.DNSName("localhost")])
OTHER = x509.SubjectAlternativeName(
    [x509.DNSName("relay.example.net"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
)


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Throw-away authority")])
        self.bundle = folder / "authority.pem"
        own = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.bundle.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def server(
        self, names: x509.SubjectAlternativeName, *, itself: bool = False, ended: bool = False
    ) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for these names: signed by the authority, or by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
        signer = (subject, key) if itself else (self.name, self.key)
        made = self._sign(subject, key.public_key(), names, signer=signer, ended=ended)
        path = self.folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        *,
        signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
        ended: bool = False,
    ) -> x509.Certificate:
        name, own_key = signer or (self.name, self.key)
        today = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - dt.timedelta(days=9))
            .not_valid_after(today + dt.timedelta(days=-1 if ended else 1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(own_key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


def encrypted(relay: Relay, way: str) -> dict[str, str]:
    return {"MAIL_SERVER": "localhost", "MAIL_PORT": str(relay.port), f"MAIL_USE_{way}": "1"}


WAYS = pytest.mark.parametrize("way", ["TLS", "SSL"])


def serving(relay: Relay, way: str, context: ssl.SSLContext):  # type: ignore[no-untyped-def]
    return relay.serving(starttls=context) if way == "TLS" else relay.serving(implicit=context)


# TLS ------------------------------------------------------------------------------------------------------


@WAYS
def test_a_good_certificate_is_accepted_and_the_password_given(
    make_portal: MakePortal, authority: Authority, way: str
) -> None:
    with serving(Relay(), way, authority.server(NAMED)) as relay:
        words = {"MAIL_USERNAME": "portal", "MAIL_PASSWORD": "the relay's own word"} if way == "TLS" else {}
        make_portal(**encrypted(relay, way), **words)
        put()
        assert deliver(now=lambda: START) == Delivered(sent=1)
        (received,) = relay.received
        assert received.encrypted
        assert received.signed_in == ("portal" if words else "")


@WAYS
@pytest.mark.parametrize(
    "context",
    [
        lambda authority: authority.server(OTHER),
        lambda authority: authority.server(NAMED, itself=True),
        lambda authority: authority.server(NAMED, ended=True),
    ],
    ids=["other-host", "self-signed", "expired"],
)
def test_another_certificate_is_refused(
    make_portal: MakePortal, authority: Authority, way: str, context: Callable[[Authority], ssl.SSLContext]
) -> None:
    with serving(Relay(), way, context(authority)) as relay:
        make_portal(**encrypted(relay, way), MAIL_USERNAME="portal", MAIL_PASSWORD="the relay's own word")
        ident = put()
        with pytest.raises(ssl.SSLCertVerificationError), transport.mail.connect():
            pass
        assert deliver(now=lambda: START) == Delivered(deferred=1)
        assert relay.received == []
        assert stored(ident).attempts == 0


def test_a_relay_that_offers_no_tls_gets_nothing(make_portal: MakePortal, relay: Relay) -> None:
    """Somebody on the way who strips STARTTLS from the answer stops the mail, and reads none of it."""
    make_portal(**encrypted(relay, "TLS"))
    put()
    with pytest.raises(smtplib.SMTPNotSupportedError), transport.mail.connect():
        pass
    assert deliver(now=lambda: START) == Delivered(deferred=1)
    assert relay.received == []


def test_a_wrong_password_is_no_messages_fault(make_portal: MakePortal, authority: Authority) -> None:
    with Relay().serving(starttls=authority.server(NAMED)) as relay:
        make_portal(**encrypted(relay, "TLS"), MAIL_USERNAME="portal", MAIL_PASSWORD="another word")
        ident = put()
        assert deliver(now=lambda: START) == Delivered(deferred=1)
        assert stored(ident).attempts == 0


def test_plain_smtp_is_refused_in_production(portal: Flask, relay: Relay) -> None:
    """The settings refuse to load already; the line refuses too."""
    portal.extensions["portal.config"] = replace(portal.extensions["portal.config"], env="production")
    with pytest.raises(smtplib.SMTPNotSupportedError, match="development only"), transport.mail.connect():
        pass
    portal.extensions["portal.config"] = replace(portal.extensions["portal.config"], mail_server="")
    with pytest.raises(smtplib.SMTPNotSupportedError, match="MAIL_SERVER is missing"), transport.mail.connect():
        pass


def test_the_client_side_of_tls() -> None:
    context = transport.verified_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


# Flask-Mail's shell ---------------------------------------------------------------------------------------


def test_record_messages_records_and_still_sends(portal: Flask, relay: Relay) -> None:
    """Whether mail is sent depends on no testing flag, early or late."""
    assert portal.testing
    put()
    with transport.mail.record_messages() as recorded:
        deliver(now=lambda: START)
    assert [message.subject for message in recorded] == ["Hello Alice"]
    assert isinstance(recorded[0], flask_mail.Message)
    assert len(relay.received) == 1


def test_a_debugging_portal_prints_nothing(
    make_portal: MakePortal, relay: Relay, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port))
    app.debug = True
    app.config["MAIL_DEBUG"] = 1
    transport.mail.init_app(app)
    put()
    assert deliver(now=lambda: START).sent == 1
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("url", "hello"),
    [
        ("https://privacy.example.org", "privacy.example.org"),
        ("http://127.0.0.1:8000", "[127.0.0.1]"),
        ("http://[::1]:8000", "[IPv6:::1]"),
    ],
)
def test_the_greeting_names_the_portal(make_portal: MakePortal, relay: Relay, url: str, hello: str) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), PORTAL_URL=url)
    put()
    deliver(now=lambda: START)
    assert relay.received[0].hello == hello


@pytest.mark.parametrize(
    ("settings", "answers_to"),
    [
        ({"STAFF_EMAILS": "one@example.org, two@example.org"}, "one@example.org"),
        ({"STAFF_EMAILS": ""}, "privacy@example.org"),
        ({"STAFF_EMAILS": "", "PRIVACY_CONTACT": "Desk <desk@example.org>."}, "desk@example.org"),
        ({"STAFF_EMAILS": "", "PRIVACY_CONTACT": "The privacy desk, Springfield"}, None),
    ],
)
def test_where_answers_go(
    make_portal: MakePortal, relay: Relay, settings: dict[str, str], answers_to: str | None
) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), **settings)
    put(MailKind.RECEIPT, subject_id=member())
    deliver(now=lambda: START)
    assert relay.received[0].message["Reply-To"] == answers_to


def test_the_senders_own_name_is_kept(make_portal: MakePortal, relay: Relay) -> None:
    make_portal(
        MAIL_SERVER="localhost",
        MAIL_PORT=str(relay.port),
        MAIL_DEFAULT_SENDER='"Büro, Datenschutz" <datenschutz@example.org>',
    )
    put()
    deliver(now=lambda: START)
    (sender,) = relay.received[0].message["From"].addresses
    assert sender.addr_spec == "datenschutz@example.org"
    assert relay.received[0].mail_from == "datenschutz@example.org"


@pytest.mark.parametrize(
    "settings",
    [
        {"MAIL_DEFAULT_SENDER": "Privacy, desk <privacy@example.org>"},
        {"STAFF_EMAILS": "desk@"},
        {"UNSUBSCRIBE_MAILBOX": "stop"},
    ],
)
def test_a_wrong_address_in_the_settings_kills_no_message(
    make_portal: MakePortal, relay: Relay, settings: dict[str, str]
) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), **settings)
    put()
    assert deliver(now=lambda: START) == Delivered(deferred=1)


# The development mailbox ----------------------------------------------------------------------------------


def test_without_a_relay_messages_go_to_the_mailbox(make_portal: MakePortal, tmp_path: Path) -> None:
    make_portal(PORTAL_ENV="development", PORTAL_URL="http://127.0.0.1:8000")
    assert transport.mailbox_messages() == []
    early = put(now=START, first_name="Zoë <b>")
    row = stored(early)
    put(MailKind.BROADCAST, subject_id=member(), now=START + dt.timedelta(hours=1))
    assert deliver(now=lambda: START + dt.timedelta(days=1)) == Delivered(sent=2)

    newest, oldest = transport.mailbox_messages()
    assert (newest.at, oldest.at) == (START + dt.timedelta(hours=1), START)
    assert oldest.title == "Hello Zoë <b>"
    assert oldest.to == "alice@example.org"
    assert "Dear Zoë <b>," in oldest.text
    assert "Zoë &lt;b&gt;" in oldest.html
    assert ("Message-ID", row.message_id) in oldest.headers
    assert "http://127.0.0.1:8000/unsubscribe/" in dict(newest.headers)["List-Unsubscribe"]
    assert transport.mailbox_messages(limit=1) == [newest]
    assert transport.mailbox_message(newest.key) == newest

    (file,) = (path for path in (tmp_path / "instance/mailbox/new").iterdir() if path.name == oldest.key)
    assert file.read_bytes() == transport.Message(row).as_bytes()


@pytest.mark.parametrize("key", ["", ".", "..", "../../config.py", "new", "/etc/passwd", "x\x00"])
def test_a_key_is_never_a_path(make_portal: MakePortal, key: str) -> None:
    make_portal(PORTAL_ENV="development", PORTAL_URL="http://127.0.0.1:8000")
    assert transport.mailbox_message(key) is None
    put()
    deliver(now=lambda: START)
    assert transport.mailbox_message(key) is None


def test_a_broken_file_hides_no_other(make_portal: MakePortal, tmp_path: Path) -> None:
    make_portal(PORTAL_ENV="development", PORTAL_URL="http://127.0.0.1:8000")
    put()
    deliver(now=lambda: START)
    box = tmp_path / "instance/mailbox/new"
    (box / "broken").write_bytes(b"\xff\xfe\x00")
    (box / "undated").write_bytes(b"Subject: x\n\nhello")
    (box / "odd").write_bytes(b"Date: yesterday\nContent-Type: text/plain; charset=klingon\n\nhello")
    assert [message.title for message in transport.mailbox_messages()] == ["Hello Alice"]


def test_the_mailbox_names_no_port_it_could_not_reach(make_portal: MakePortal) -> None:
    """With a relay named, nothing falls back to the mailbox."""
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(free_port()))
    put()
    assert deliver(now=lambda: START) == Delivered(deferred=1)
    assert transport.mailbox_messages() == []


def test_no_mail_header_tells_the_machines_name(portal: Flask, relay: Relay) -> None:
    put()
    deliver(now=lambda: START)
    assert re.fullmatch(r"<[0-9a-f]{16}@privacy\.example\.org>", relay.received[0].message["Message-ID"])
