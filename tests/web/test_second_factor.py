"""The second step of a sign-in: set up, asked for, each code once (security, threat T22; RFC 6238)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import func, select
from time_machine import Traveller

from config import Config
from portal import clock as portal_clock
from portal import create_app
from portal.domain import second_factor, signin
from portal.domain.errors import CodeRefused
from portal.extensions import db, transaction
from portal.models import Account, RecoveryCode, SignIn
from portal.tokens import unseal
from tests.browse import Browse
from tests.conftest import Runner
from tests.databases import writes
from tests.people import DANA_PASSWORD, People


def seed_on(browse: Browse) -> str:
    """What the page tells somebody without a camera."""
    codes = [each.get_text() for each in browse.page.soup.find_all("code")]
    return str(codes[0])


def codes_on(browse: Browse) -> list[str]:
    return [each.get_text() for each in browse.page.soup.find_all("code")][1:]


def code(seed: str) -> str:
    return str(pyotp.TOTP(seed).at(portal_clock.now()))


def set_up(browse: Browse, people: People) -> tuple[str, list[str]]:
    """Dana sets it up through the page."""
    browse.sign_in(people.dana)
    browse("/security/second-factor")
    seed, codes = seed_on(browse), codes_on(browse)
    browse.press("Save", {"Code": code(seed)})
    assert "second step is set up" in browse.follow().said
    return seed, codes


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_FACTOR": "true"}])
def test_the_desk_opens_only_with_the_second_step(browse: Browse, people: People, clock: Traveller) -> None:
    browse.sign_in(people.dana)
    assert browse("/desk", status=303).location == "/security/second-factor?next=/desk"
    browse.follow()
    seed = seed_on(browse)
    assert len(codes_on(browse)) == 10
    refused = browse.press("Save", {"Code": "000000"}, status=422)
    assert "wrong" in refused.beside("code")
    assert seed_on(browse) == seed
    browse.press("Save", {"Code": code(seed)})
    assert browse.page.location == "/desk"
    browse.follow()
    browse.press("Sign out")

    clock.shift(timedelta(minutes=5))
    browse.sign_in(people.dana)
    assert browse("/desk", status=303).location == "/sign-in/code?next=/desk"
    for path in ("/desk/requests/IM-2222-2222", "/desk/nothing"):
        browse(path, status=303)
    assert browse("/security/second-factor", status=303).location.startswith("/sign-in/code")
    browse("/sign-in/code?next=/desk")
    browse.press("Confirm", {"Code": code(seed)[:3] + " " + code(seed)[3:]})
    assert browse.page.location == "/desk"
    browse.follow()


def test_who_has_set_it_up_gives_it_also_where_it_is_not_required(browse: Browse, people: People) -> None:
    _seed, codes = set_up(browse, people)
    browse.press("Sign out")
    browse.sign_in(people.dana)
    assert browse("/desk", status=303).location == "/sign-in/code?next=/desk"
    browse.follow()
    browse.press("Confirm", {"Code": codes[3].lower().replace("-", " ")})
    browse("/desk")
    assert "recovery codes left: 9" in browse("/security").said


def test_each_code_counts_once(browse: Browse, people: People, clock: Traveller) -> None:
    seed, codes = set_up(browse, people)
    clock.shift(timedelta(minutes=5))
    now = code(seed)
    older = pyotp.TOTP(seed).at(portal_clock.now() - timedelta(seconds=30))
    for each in (now, codes[0]):
        browse.sign_in(people.dana)
        browse("/sign-in/code")
        browse.press("Confirm", {"Code": each})
        browse("/desk")
    for each in (now, older, codes[0], "", "x" * 300):
        browse.sign_in(people.dana)
        browse("/sign-in/code")
        browse.press("Confirm", {"Code": each}, status=422)
        browse("/desk", status=303)


@pytest.mark.parametrize("which", ["app", "paper"])
def test_one_code_sent_twice_at_the_same_time_counts_once(app: Flask, people: People, which: str) -> None:
    before = portal_clock.now() - timedelta(minutes=5)
    with writes():
        account = signin.find_account(people.dana.address)
        assert account is not None
        made = second_factor.offer(account)
        second_factor.set_up(_open(account), made, pyotp.TOTP(made.seed).at(before), now=before)
        ids = [_open(account).id for _ in range(2)]
    again = code(made.seed) if which == "app" else made.codes[4]

    def give(ident: object) -> bool:
        with app.app_context():
            try:
                with transaction():
                    second_factor.give(db.session.get_one(SignIn, ident), again, now=portal_clock.now())
            except CodeRefused:
                return False
            finally:
                db.session.remove()
        return True

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda ident: Context().run(give, ident), ids))
    assert sorted(answers) == [False, True]


def _open(account: Account) -> SignIn:
    assert account.password_hash is not None
    opened = signin.open_sign_in(
        signin.Proved(account.id, account.password_hash),
        "",
        keep=False,
        browser="A",
        network="",
        now=portal_clock.now(),
    )
    assert opened is not None
    return opened.sign_in


def test_setting_it_up_signs_out_everywhere_else(browse: Browse, people: People) -> None:
    browse.sign_in(people.dana)
    stolen = browse.cookies()
    browse.sign_in(people.dana)
    browse("/security/second-factor")
    browse.press("Save", {"Code": code(seed_on(browse))})
    browse.with_cookies(stolen)
    browse("/security", status=303)


def test_what_is_stored_opens_nothing(browse: Browse, people: People) -> None:
    seed, codes = set_up(browse, people)
    account = db.session.scalars(select(Account).where(Account.staff)).one()
    assert account.second_secret is not None
    assert seed not in account.second_secret
    assert unseal(account.second_secret, purpose=second_factor.PURPOSE) == seed
    stored = db.session.scalars(select(RecoveryCode.code_hash)).all()
    assert len(stored) == 10
    assert not set(codes) & set(stored)


def test_a_change_of_keys_keeps_it(people: People, config: Config) -> None:
    """A seed that was sealed under an older key still opens the desk, and so does a code on paper."""
    before = portal_clock.now() - timedelta(minutes=5)
    with writes():
        address = people.dana.address
        account = signin.find_account(address)
        assert account is not None
        made = second_factor.offer(account)
        second_factor.set_up(_open(account), made, pyotp.TOTP(made.seed).at(before), now=before)
    newer = replace(config, secret_key="k" * 40, secret_key_fallbacks=(config.secret_key,))
    with create_app(newer).app_context():
        for given in (code(made.seed), made.codes[0]):
            with writes():
                account = signin.find_account(address)
                assert account is not None
                second_factor.give(_open(account), given, now=portal_clock.now())
        db.session.remove()
        db.engine.dispose()
    with create_app(replace(config, secret_key="k" * 40)).app_context():  # the older key was dropped
        with writes():
            account = signin.find_account(address)
            assert account is not None
            with pytest.raises(CodeRefused, match="recovery codes"):
                second_factor.give(_open(account), code(made.seed), now=portal_clock.now())
            second_factor.give(_open(account), made.codes[1], now=portal_clock.now())
        db.session.remove()
        db.engine.dispose()


def test_a_form_made_for_somebody_else_is_refused(app: Flask, people: People) -> None:
    other = people.alice.account
    assert other is not None
    made = second_factor.offer(other)
    for sealed in (made.sealed, made.sealed[:-8], "", "x"):
        with pytest.raises(CodeRefused):
            second_factor.offered(people.dana, sealed)


def test_members_have_none(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    assert "Second step" not in browse("/security").said
    for path in ("/security/second-factor", "/sign-in/code"):
        browse(path, status=404)


def test_guesses_are_counted(browse: Browse, people: People) -> None:
    set_up(browse, people)
    browse.sign_in(people.dana)
    for _ in range(9):  # setting it up was the first
        browse("/sign-in/code")
        browse.press("Confirm", {"Code": "123456"}, status=422)
    browse("/sign-in/code")
    browse.press("Confirm", {"Code": "123456"}, status=429)


def test_an_operator_removes_it(browse: Browse, people: People, run: Runner) -> None:
    set_up(browse, people)
    assert run("desk", "forget-second-factor", people.dana.address).exit_code == 0
    assert run("desk", "forget-second-factor", people.dana.address).exit_code == 3
    browse("/security", status=303)
    browse.sign_in(people.dana, password=DANA_PASSWORD)
    browse("/desk")
    assert db.session.execute(select(func.count()).select_from(RecoveryCode)).scalar_one() == 0
