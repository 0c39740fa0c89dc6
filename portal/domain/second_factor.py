"""Verbs of the second factor: a code from an app, or one of ten recovery codes (RFC 6238, ASVS 6.5)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime

import pyotp
import segno
from pyotp.utils import strings_equal
from sqlalchemy import delete, func, select, update

from portal.domain import passwords, signin
from portal.domain.errors import CodeRefused
from portal.extensions import db, settings
from portal.mail import messages
from portal.models import Account, RecoveryCode, SignIn
from portal.tokens import REFERENCE_LETTERS, seal, unseal

PURPOSE = "second-factor"
SECONDS = 30  # a time step
DRIFT = 1  # time steps that the clock of a telephone may be wrong
RECOVERY_CODES = 10
RECOVERY_LETTERS = 12  # 58 random bits
KEYS_GONE = (
    "A key of the portal was dropped, so the codes of your app no longer count. Use one of your recovery codes, "
    "or have the second step set up anew."
)
WRONG = "This code is wrong, or was used before. Wait for the next one in your app, and check your phone's clock."


@dataclass(frozen=True)
class Offer:
    """What a person is offered before anything is set: a seed for the app and codes to keep on paper.

    `sealed` carries it through the form, unreadable to whoever has no key of ours; it counts for one account only.
    """

    seed: str
    codes: tuple[str, ...]
    address: str
    sealed: str

    @property
    def uri(self) -> str:
        """What the app reads (`otpauth://`)."""
        return pyotp.TOTP(self.seed).provisioning_uri(name=self.address, issuer_name=settings().society_short_name)

    @property
    def picture(self) -> str:
        """The same as a QR code, SVG without style or script."""
        return segno.make(self.uri, error="m").svg_inline(scale=5, border=2, dark="#000", light="#fff")


def offer(account: Account) -> Offer:
    """A fresh seed and fresh codes; nothing is stored."""
    codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
    return _offer(account, pyotp.random_base32(), codes)


def offered(account: Account, sealed: str) -> Offer:
    """The offer that a form carries. Raises CodeRefused for one that we did not make for this account."""
    try:
        told = json.loads(unseal(sealed, purpose=PURPOSE))
    except ValueError as error:
        raise CodeRefused("This page is too old. Begin again.") from error
    if told["account"] != str(account.id):
        raise CodeRefused("This page was made for another sign-in. Begin again.")
    return _offer(account, told["seed"], tuple(told["codes"]))


def set_up(sign_in: SignIn, made: Offer, code: str, *, now: datetime) -> None:
    """Begin to ask for the second factor, once a code of the app proves that the seed arrived. Raises CodeRefused."""
    account = sign_in.account
    step = _step_of(made.seed, code, now)
    if step is None:
        raise CodeRefused(WRONG)
    account.second_secret = seal(made.seed, purpose=PURPOSE)
    account.second_since = now
    account.second_step = step
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
    db.session.add_all(RecoveryCode(account_id=account.id, code_hash=_hash(account, each)) for each in made.codes)
    _end_others(sign_in)
    sign_in.second_at = now
    signin.renew(sign_in)
    messages.second_factor_on(account, now=now)


def give(sign_in: SignIn, code: str, *, now: datetime) -> None:
    """The code of this sign-in; each counts once, also when it is sent twice at the same time. Raises CodeRefused."""
    account = sign_in.account
    if not (_is_next(account, code, now) or _spend(account, code, now)):
        raise CodeRefused(WRONG if _seed(account) else KEYS_GONE)
    sign_in.second_at = now
    signin.renew(sign_in)


def forget(account: Account, *, now: datetime) -> None:
    """Ask for no second factor any more; every sign-in ends. For whoever lost both telephone and paper."""
    account.second_secret = account.second_since = None
    account.second_step = 0
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
    signin.end_all(account)
    db.session.flush()
    messages.second_factor_off(account, now=now)


def left(account: Account) -> int:
    """How many recovery codes are unused."""
    query = select(func.count()).where(RecoveryCode.account_id == account.id, RecoveryCode.used_at.is_(None))
    return db.session.execute(query).scalar_one()


def _offer(account: Account, seed: str, codes: tuple[str, ...]) -> Offer:
    told = json.dumps({"account": str(account.id), "seed": seed, "codes": codes})
    return Offer(seed, codes, account.address, seal(told, purpose=PURPOSE))


def _seed(account: Account) -> str:
    """What the app reckons with; empty where there is none, or where the key that sealed it was dropped."""
    try:
        return unseal(account.second_secret or "", purpose=PURPOSE)
    except ValueError:
        return ""


def _is_next(account: Account, code: str, now: datetime) -> bool:
    """Whether it is a code of the app for a later time step than any before; takes the step in the same statement."""
    seed = _seed(account)
    step = _step_of(seed, code, now) if seed else None
    if step is None:
        return False
    taken = (
        update(Account)
        .where(Account.id == account.id, Account.second_step < step)
        .values(second_step=step)
        .returning(Account.id)
    )
    return db.session.execute(taken).first() is not None


def _spend(account: Account, code: str, now: datetime) -> bool:
    if len(_plain(code)) != RECOVERY_LETTERS:
        return False  # a code of the app that is wrong costs no reckoning
    spent = (
        update(RecoveryCode)
        .where(
            RecoveryCode.account_id == account.id,
            RecoveryCode.code_hash == _hash(account, code),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.id)
    )
    if db.session.execute(spent).first() is None:
        return False
    messages.recovery_code_used(account, left=left(account), now=now)
    return True


def _step_of(seed: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to, the newest that fits; None for none near enough."""
    typed = "".join(code.split())
    totp = pyotp.TOTP(seed)
    here = int(now.timestamp()) // SECONDS
    fitting = [step for step in range(here - DRIFT, here + DRIFT + 1) if strings_equal(totp.generate_otp(step), typed)]
    return max(fitting, default=None)


def _recovery_code() -> str:
    """As in `7K3F-92QD-MXH4`."""
    return "-".join("".join(secrets.choice(REFERENCE_LETTERS) for _ in range(4)) for _ in range(3))


def _hash(account: Account, code: str) -> str:
    return passwords.stretched(_plain(code), salt=account.id.bytes)


def _plain(code: str) -> str:
    """A recovery code as it counts, however it was copied from the paper: small letters, blanks, lines left out."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _end_others(sign_in: SignIn) -> None:
    """Nobody stays signed in who came without the second factor."""
    others = (SignIn.account_id == sign_in.account_id, SignIn.id != sign_in.id)
    db.session.execute(delete(SignIn).where(*others))
