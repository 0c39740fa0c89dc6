"""Leaf: secrets that leave the house in links, cookies and hashes. One derived key for each purpose.

Two sorts. A *secret* is random and stored only as its hash (sign-ins, password links). A *signed* token carries
its own content and proves that we made it (unsubscribe links, which must work for ever and without a row of
their own).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import idna
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import current_app
from itsdangerous import BadSignature, Signer

REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that look alike
EVERYTHING = "all"
LONGEST_ADDRESS = 254
KEEP_LINK = "keep"  # takes an erasure back, without signing in
CONFIRM_LINK = "confirm"  # says that it was they whose letter or call staff wrote down
WORKS_LINK = "works"  # shows that mail to an address arrives again
STATUS_LINK = "status"  # shows where a request stands, without signing in


def new_secret() -> str:
    """256 random bits for a cookie or a link; store only its `digest`."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored of a secret: enough to recognise it, useless to whoever reads the database."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def closed(stored: str) -> str:
    """What is stored of a secret that has ended for good: no secret has a digest that begins so."""
    return "x" + stored[1:]


def new_reference() -> str:
    """A reference that can be read out on the telephone, as `IM-7K3F-92QD`."""
    letters = [secrets.choice(REFERENCE_LETTERS) for _ in range(8)]
    return f"IM-{''.join(letters[:4])}-{''.join(letters[4:])}"


def purpose_key(purpose: str) -> bytes:
    """A key of its own for one purpose, derived from SECRET_KEY."""
    return _purpose_key(current_app.config["SECRET_KEY"], purpose)


def _purpose_key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"portal/{purpose}".encode(), "sha256")


def keyed_digest(text: str, *, purpose: str) -> str:
    """A short-lived stand-in for something personal, as in the name of a limit."""
    return hmac.new(purpose_key(purpose), text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:32]


def seal(text: str, *, purpose: str) -> str:
    """A text that only we can read, encrypted with the newest key of its purpose (Fernet)."""
    return _sealer(purpose).encrypt(text.encode()).decode()


def unseal(sealed: str, *, purpose: str) -> str:
    """What was sealed, under the newest key or an older one. Raises ValueError for anything else."""
    try:
        return _sealer(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise ValueError("not sealed by us") from error


def _sealer(purpose: str) -> MultiFernet:
    config = current_app.config
    keys = [config["SECRET_KEY"], *config["SECRET_KEY_FALLBACKS"]]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_purpose_key(key, purpose))) for key in keys])


# Addresses ------------------------------------------------------------------------------------------------


def canonical_address(address: str) -> str:
    """The form in which two addresses are compared: trimmed, NFKC, lower case, the domain as IDNA.

    Dots and plus signs stay: what they mean is the provider's affair (OWASP Email Validation). What is too long
    for an address is nobody's: an empty text, found without work.
    """
    if len(address) > LONGEST_ADDRESS:
        return ""
    text = unicodedata.normalize("NFKC", address).strip().lower()
    if len(text) > LONGEST_ADDRESS:  # one letter may stand for eighteen
        return ""
    local, at, domain = text.rpartition("@")
    compared = f"{local}{at}{_ascii_domain(domain)}"
    return compared if len(compared) <= LONGEST_ADDRESS else ""


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain


def number_to_hash(member_number: str) -> str:
    """A member number as `suppression_hash` takes it: never mistaken for an address."""
    return f"member:{member_number}"


def suppression_hash(text: str) -> str:
    """The keyed hash under which an address or a member number is remembered, with the newest key."""
    return _suppression_hash(text, *current_app.config["SUPPRESSION_KEYS"][0])


def suppression_hashes(text: str) -> list[str]:
    """The same under every key that was ever in use, newest first: look-ups try them all."""
    return [_suppression_hash(text, *pair) for pair in current_app.config["SUPPRESSION_KEYS"]]


def _suppression_hash(text: str, ident: str, key: str) -> str:
    message = b"suppress/v1" + text.encode("utf-8", "surrogatepass")
    return f"v1.{ident}." + hmac.digest(key.encode(), message, "sha256").hex()


# Unsubscribe links ----------------------------------------------------------------------------------------


class UnsubscribeToken(NamedTuple):
    """What an unsubscribe link says: whose (a reference, not an identity) and which topic it stops."""

    reference: bytes
    topic: str


def sign_unsubscribe(reference: bytes, topic: str = EVERYTHING) -> str:
    """A link's token. It never expires and holds no address, name or number (RFC 8058 §3.1)."""
    return unsubscribe_signer(topic)(reference)


def unsubscribe_signer(topic: str = EVERYTHING) -> Callable[[bytes], str]:
    """What makes a token of a reference, for one topic: the key is looked up once for a long list."""
    ident, _ = current_app.config["UNSUBSCRIBE_KEYS"][0]
    signer = _unsubscribe_signer(ident)

    def sign(reference: bytes) -> str:
        payload = base64.urlsafe_b64encode(reference).decode().rstrip("=")
        return signer.sign(f"{payload}.{topic}.{ident}".encode()).decode()

    return sign


def read_unsubscribe(token: str) -> UnsubscribeToken | None:
    """The content of a token that we made; None for any other text. The signature is checked first."""
    parts = token.split(".")
    if len(parts) != 4 or not token.isascii():
        return None
    signer = _unsubscribe_signer(parts[2])
    try:
        signer.unsign(token)
        return UnsubscribeToken(base64.urlsafe_b64decode(parts[0] + "=="), parts[1])
    except (BadSignature, ValueError):
        return None


def _unsubscribe_signer(ident: str) -> Signer:
    """The host is part of the salt: a link from a test portal does nothing on the real one.

    What `Signer` would derive for each signature (`key_derivation="hmac"`) is derived once, for a million of them.
    """
    keys = dict(current_app.config["UNSUBSCRIBE_KEYS"])
    secret = keys[ident].encode() if ident in keys else secrets.token_bytes(32)
    salt = f"portal/unsubscribe/{current_app.config['PORTAL_HOST']}"
    derived = hmac.digest(secret, salt.encode(), "sha256")
    return Signer(derived, salt=salt, key_derivation="none", digest_method=hashlib.sha256)


# Links to one request -------------------------------------------------------------------------------------


def sign_reference(reference: str, *, purpose: str) -> str:
    """The token of a link about one request: KEEP_LINK, CONFIRM_LINK or STATUS_LINK. It holds the reference alone.

    Also of WORKS_LINK: about one silenced address, by the number of its row.
    """
    return _reference_signer(purpose).sign(reference).decode()


def read_reference(token: str, *, purpose: str) -> str | None:
    """The reference in a token that we made for this purpose; None for any other text.

    A token does not end by itself: what it may do depends on where the request stands.
    """
    if not token.isascii():
        return None
    try:
        return _reference_signer(purpose).unsign(token).decode()
    except BadSignature:
        return None


def _reference_signer(purpose: str) -> Signer:
    """Older secrets are still accepted; the host is part of the salt, as with unsubscribe links."""
    newest: str = current_app.config["SECRET_KEY"]
    older: list[str] = current_app.config.get("SECRET_KEY_FALLBACKS") or []
    return Signer(
        [_purpose_key(secret, f"link/{purpose}") for secret in (*reversed(older), newest)],
        salt=f"portal/{purpose}/{current_app.config['PORTAL_HOST']}",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
