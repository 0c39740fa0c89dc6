"""Who may open a page: every view says so, and whoever is not let in by a mark stays outside.

`@access(MEMBER)` views are handed the `member`, or the `member_id` alone; no member's number ever stands in a
member's address.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from inspect import signature
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Request, abort, current_app, g, redirect, request, session, url_for
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user
from limits import parse

from portal import clock
from portal.domain import signin
from portal.domain.signin import Visit
from portal.extensions import SAFE_METHODS, db, glance, limiter, login_manager, settings, transaction
from portal.models import SignIn
from portal.tokens import canonical_address, keyed_digest

SEVERAL = frozenset({"fields"})  # controls of which more than one may be ticked
PASSWORDS_AGAIN = parse("10 per 5 minutes")
View = TypeVar("View", bound=Callable[..., Any])


class Access(StrEnum):
    """The doors. ACCOUNT: whoever is signed in, the desk too. RECENT: the password was given within five minutes."""

    PUBLIC = "public"
    ACCOUNT = "account"
    MEMBER = "member"
    RECENT = "recent"
    DESK = "desk"


PUBLIC, ACCOUNT, MEMBER, RECENT, DESK = Access


class Mark(NamedTuple):
    """What a view says of itself: who may read it, who may send to it, and whether it may know its visitor.

    `light`: it reads `g.visit`, a plain row, and has no use for `g.sign_in` and the member that can be written to.
    """

    read: Access
    send: Access
    anonymous: bool
    light: bool = False

    def for_method(self, method: str) -> Access:
        return self.read if method in SAFE_METHODS else self.send


class AccessError(Exception):
    """A view that does not say who may open it; the portal does not start."""


def access(read: Access, *, post: Access | None = None, anonymous: bool = False) -> Callable[[View], View]:
    """Mark a view. `post`: who may send to it, if that is fewer. `anonymous`: cookies are neither read nor set.

    A MEMBER view names what it is handed: the `member`, or only the `member_id`.
    """

    def mark(view: View) -> View:
        light = read is PUBLIC or (read is MEMBER and "member" not in signature(view).parameters)
        view.access = Mark(read, post or read, anonymous, light)  # type: ignore[attr-defined]
        return view

    return mark


def init_app(app: Flask) -> None:
    """Set the guard before every request."""
    app.before_request(guard)
    login_manager.user_loader(_by_session)
    login_manager.request_loader(_by_keep_cookie)


def check(app: Flask) -> None:
    """Raise AccessError for every route whose view has no mark."""
    bare = [rule.rule for rule in app.url_map.iter_rules() if _mark(app, rule.endpoint) is None]
    if bare:
        raise AccessError(f"these pages do not say who may open them, write @access(…): {', '.join(bare)}")


def guard() -> ResponseReturnValue | None:
    """Let the visitor in, send to the sign-in, or refuse. Runs before every view, also where there is none."""
    asked = request_ctx.request  # itself: each look through the proxy costs
    mark = _mark(current_app, asked.endpoint)
    if asked.path == "/desk" or asked.path.startswith("/desk/"):
        mark = mark or Mark(DESK, DESK, False)
    _refuse_nul(asked)
    if asked.endpoint == "static" or (mark is not None and mark.anonymous):
        return None
    _refuse_what_no_page_sends(asked)
    _refuse_other_sites(asked)
    mark = mark or Mark(PUBLIC, PUBLIC, False, light=True)
    level = mark.for_method(asked.method)
    if level is PUBLIC and asked.method not in SAFE_METHODS:
        _glance_at_visitor()
        return None
    g.light = mark.light
    if current_user.is_authenticated:
        found = current_user._get_current_object()
        g.sign_in, g.visit = (found, signin.visit_of(found)) if isinstance(found, SignIn) else (None, found)
        g.seen = (g.visit.id, g.visit.seen_at)
        _limit_passwords(g.visit)
    return None if level is PUBLIC else _admit(level, mark)


def _refuse_nul(asked: Request) -> None:
    """No database keeps a NUL in a text, and nobody types one."""
    named = asked.args.values() if asked.query_string else ()
    typed = asked.form.values() if asked.method not in SAFE_METHODS else ()
    if any("\0" in text for text in (asked.path, *named, *typed)):
        abort(400)


def _refuse_what_no_page_sends(asked: Request) -> None:
    """A file, as no page takes any; a field sent twice, of which two readers may take different ones (ASVS V15.3.7)."""
    if not asked.query_string and not asked.want_form_data_parsed:
        return  # nothing was sent, as with most pages
    sent = (*asked.args.lists(), *asked.form.lists())
    if asked.files or any(len(values) > 1 and name not in SEVERAL for name, values in sent):
        abort(400)


def _refuse_other_sites(asked: Request) -> None:
    """What a browser itself calls sent from elsewhere is refused, also with a form token (security, threat T14)."""
    if asked.method not in SAFE_METHODS and asked.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        abort(400, "The form was sent from another site, so we did not accept it. Nothing was changed.")


def _glance_at_visitor() -> None:
    """For the frame of an answer to a form that anyone may send; the view begins without a transaction."""
    with glance():
        g.visit = signin.visit(session.get("_user_id", ""), now=clock.now())


def _admit(level: Access, mark: Mark) -> ResponseReturnValue | None:
    visit: Visit | None = g.visit
    if visit is None:
        return redirect(url_for("signin.sign_in", next=_here()), 303)
    if DESK in (level, mark.read):
        stopped = _admit_to_desk(g.sign_in)
        if stopped is not None:
            return stopped
    elif mark.read is not ACCOUNT:
        if visit.member_id is None:
            abort(403, "This sign-in belongs to the desk and has no member record.")
        assert request.view_args is not None
        request.view_args |= {"member_id": visit.member_id} if mark.light else {"member": g.sign_in.account.member}
    if level is RECENT and not signin.is_recent(g.sign_in, now=clock.now()):
        if request.method in SAFE_METHODS:
            return redirect(url_for("signin.sign_in_again", next=_here()), 303)
        g.unconfirmed = True  # the form asks for the password; without it nothing is committed
    return None


def _admit_to_desk(sign_in: SignIn) -> ResponseReturnValue | None:
    """Staff, with their second factor: whoever has set one up gives it, also where it is not required."""
    account = sign_in.account
    if not account.staff:
        abort(403, "This page is for the society's staff.")
    if account.second_since is None:
        required = settings().desk_requires_second_factor
        return redirect(url_for("second_factor.set_up", next=_here()), 303) if required else None
    return redirect(url_for("second_factor.give", next=_here()), 303) if sign_in.second_at is None else None


def confirm(password: str) -> bool:
    """The password given again inside a form: makes the sign-in recent. False if it is wrong."""
    now = clock.now()
    if signin.confirm_again(g.sign_in, password, now=now):
        g.unconfirmed = False
        return True
    address, where = g.sign_in.account.address, network()
    afterwards(lambda: signin.note_failure(address, network=where, now=now))
    return False


def is_recent() -> bool:
    """Whether this visitor need not give the password again."""
    return g.sign_in is not None and signin.is_recent(g.sign_in, now=clock.now())


def remember_session(sign_in: SignIn) -> None:
    """Put a fresh sign-in into the session cookie: its random token and nothing else."""
    session.clear()
    login_user(sign_in)
    session.pop("_id", None)  # a hash of address and browser, which we do not use
    session.pop("_fresh", None)
    g.sign_in = sign_in


def afterwards(write: Callable[[], None]) -> None:
    """Have something written after this request's transaction has ended, also if the request was refused."""
    g.setdefault("afterwards", []).append(write)


def next_path(otherwise: str) -> str:
    """Where to go after signing in: a path of ours from `next`, or `otherwise`. Never another host."""
    target = request.values.get("next", "")
    odd = any(ord(letter) < 33 or letter == "\\" for letter in target)
    ours = target.startswith("/") and not target.startswith("//")
    return target if ours and not odd and len(target) <= 500 else otherwise


def network() -> str:
    """The visitor's network, not the exact address: /24, or /64 for IPv6. What is stored with a sign-in."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)


def browser() -> str:
    """The visitor's browser in words, as in "Firefox on Windows"; never the whole user agent."""
    agent = request.user_agent.string
    name = next((name for mark, name in BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return f"{name} on {system}" if system else name


def by_network() -> str:
    """A limit's name for the visitor's network."""
    return keyed_digest(network(), purpose="limits")


def by_address() -> str:
    """A limit's name for the address typed, whether we know it or not."""
    return keyed_digest(_typed_address(), purpose="limits")


def no_address() -> bool:
    """Whether what was typed is nobody's address: all such would be one, and use up one another's limit."""
    return not _typed_address()


def _typed_address() -> str:
    return canonical_address(request.form.get("email", ""))  # another way to write it is no new address


def _limit_passwords(visit: Visit) -> None:
    """Guesses at the password or a code by somebody signed in: ten in five minutes an account, counted before all."""
    if request.method not in SAFE_METHODS and not {"password", "code"}.isdisjoint(request.form):
        account = keyed_digest(str(visit.account_id), purpose="limits")
        db.session.rollback()  # a limit is counted in a transaction of its own
        if not limiter.limiter.hit(PASSWORDS_AGAIN, "password-again", account):
            abort(429)


links_by_network = limiter.shared_limit("20 per hour", scope="links-network", key_func=by_network, methods=["POST"])
links_by_address = limiter.shared_limit(
    "5 per day", scope="links-address", key_func=by_address, methods=["POST"], exempt_when=no_address
)


def _by_session(token: str) -> SignIn | Visit | None:
    now = clock.now()
    return signin.visit(token, now=now) if g.get("light") else signin.find(token, now=now)


def _by_keep_cookie(_request: object) -> SignIn | None:
    """A returning visitor: the kept sign-in opens a session of its own, in its own short transaction."""
    token = request.cookies.get(current_app.config["KEEP_COOKIE_NAME"])
    if not token:
        return None
    db.session.rollback()
    now = clock.now()
    with transaction():
        opened = signin.reopen(token, browser=browser(), network=network(), now=now)
        fresh = opened.token if opened else ""
    if not opened:
        return None
    session.clear()
    session["_user_id"] = fresh
    return signin.find(fresh, now=now)


def _here() -> str:
    """The page that was asked for; for a form that was sent, the page it stands on, or the start."""
    if request.method in SAFE_METHODS:
        return request.full_path.rstrip("?")
    return request.path if request.url_rule is None or "GET" in (request.url_rule.methods or ()) else "/"


def _mark(app: Flask, endpoint: str | None) -> Mark | None:
    if endpoint == "static":
        return Mark(PUBLIC, PUBLIC, True)
    return getattr(app.view_functions.get(endpoint or ""), "access", None)
