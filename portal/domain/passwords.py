"""Verbs on passwords: prove one, judge a new one. Called by `signin`; knows no account and no database."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw
from zxcvbn import zxcvbn

from portal.domain.errors import PasswordRefused

SHORTEST = 15
LONGEST = 1024  # bytes
JUDGED = 24  # characters that zxcvbn looks at: its time grows steeply, up to 20 seconds for 72 chosen signs
LEFT_OVER = 8  # letters and digits beside the person's own words
CONTEXT_WORDS = ("imaps", "microelectronics", "packaging", "privacy", "portal", "member")

HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)  # OWASP Password Storage, Argon2id
_DUMMY = HASHER.hash("a password that no account has")
_TWO_AT_ONCE = threading.BoundedSemaphore(2)  # a flood of sign-ins must not take both cores
COMMON = frozenset((Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8").splitlines())


def matches(stored: str | None, password: str) -> bool:
    """Whether a password fits a stored hash. Without one the same work is done, and the answer is no."""
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        return False
    try:
        with _TWO_AT_ONCE:
            HASHER.verify(stored or _DUMMY, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return stored is not None


def stretched(code: str, *, salt: bytes) -> str:
    """A short random code, as it is stored: 64 hexadecimal digits that cost whoever has them much to try (ASVS 6.5.2).

    One salt for all codes of an account, so that one reckoning finds the code among them.
    """
    with _TWO_AT_ONCE:
        raw = hash_secret_raw(
            code.encode(), salt, time_cost=2, memory_cost=19456, parallelism=1, hash_len=32, type=Type.ID
        )
    return raw.hex()


def check(password: str, *, about: tuple[str, ...]) -> None:
    """Raise PasswordRefused for a password that is short, common or guessable. `about`: the person's own words."""
    if len(password) < SHORTEST:
        raise PasswordRefused(f"Use at least {SHORTEST} characters. Three or four words in a row are easy to remember.")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        raise PasswordRefused("This password is too long: 1,000 characters are enough.")
    parts = {part for text in (*about, *CONTEXT_WORDS) for part in (text, *re.split(r"\W+", text))}
    own = [part.lower() for part in parts if len(part) > 2]
    guess = zxcvbn(password[:JUDGED], user_inputs=own)
    if password.lower() in COMMON or guess["score"] < 3 or _is_made_of(password.lower(), own):
        raise PasswordRefused(
            "This password is easy to guess: it is common, repeats itself, or contains your name. "
            "Choose words that do not belong together."
        )


def _is_made_of(password: str, own: list[str]) -> bool:
    """Whether hardly anything is left of a password without the person's and the society's own words."""
    for word in sorted(own, key=len, reverse=True):
        password = password.replace(word, "")
    return sum(letter.isalnum() for letter in password) < LEFT_OVER
