"""Test bed: `browse`, the only way tests open pages. It looks at every page on the way, as house.md asks.

    browse.sign_in(people.alice)
    page = browse("/profile/edit")
    browse.press("Save", {"City": "Lund"})            # all other controls go along as they stood
    assert "City is now “Lund”" in browse.follow().said

A person who signs in has a browser of their own, with its own cookies; `as_=None` is a visitor who did not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import html5lib
from bs4 import BeautifulSoup, NavigableString, Tag
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import BadSignature
from werkzeug.test import TestResponse

from portal import authorities, clock
from portal.domain import signin
from portal.extensions import db, glance, transaction
from portal.models import Account, Member
from portal.web.headers import HEADERS
from tests import people

Person = Member | Account
Typed = Mapping[str, "str | bool | list[str]"]
HERE = "the person whose browser was used last"
WHATEVER = 0  # for a status that the page decides

PASSWORDS = {
    people.ALICE["email"]: people.ALICE_PASSWORD,
    people.BOB["email"]: people.BOB_PASSWORD,
    people.DANA_EMAIL: people.DANA_PASSWORD,
}
TELLING = ("email", "last_name", "address_line1", "postal_code", "organization", "education", "phone", "member_number")
SENTINELS = {person["email"]: tuple(str(person[name]) for name in TELLING) for person in (people.ALICE, people.BOB)} | {
    people.DANA_EMAIL: (people.DANA_EMAIL,)
}
WITHOUT_COOKIES = re.compile(r"/unsubscribe/[^/]*\.[^/]*")
AUTHORITIES = {authority.site for authority in authorities.AUTHORITIES.values()}
ELSEWHERE = {  # absolute links may lead to these, from /cookies alone
    "https://tools.google.com/dlpage/gaoptout",
    "https://optout.aboutads.info/",
    "https://www.youronlinechoices.eu/",
}
REFUSED_EARLY = (400, 413, 429, 503)  # before anybody asks, or can ask, who the visitor is
CHANGES_EACH_TIME = re.compile(rb'(?<=name="csrf_token" value=")[^"]+(?=")')
SEEN: set[tuple[str, int, bytes]] = set()
MARKUP = re.compile(rb"<[^>]*>|&[^\s;<&]*;?")
VALUES = re.compile(rb'="[^"<>&]*"| (?:checked|selected)(?=[ >])')
VALID: set[tuple[bytes, ...]] = set()
NOT_TYPED_IN = ("hidden", "submit", "button")
CONTROLS = ("input", "select", "textarea")


class Page:
    """One answer: its status, its headers and, where it is a page, what stands on it."""

    def __init__(self, path: str, response: TestResponse) -> None:
        self.path = path
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.get_data()

    @cached_property
    def soup(self) -> BeautifulSoup:
        """What stands on the page, read when a test first asks."""
        return BeautifulSoup(self.body.decode() if self.response.mimetype == "text/html" else "", "html.parser")

    @cached_property
    def tags(self) -> list[Tag]:
        """Every element in the order of the page. Asking these one by one takes a tenth of what `find_all` does."""
        return tags(self.soup)

    @property
    def location(self) -> str:
        """Where a redirect leads: path and query."""
        assert 300 < self.status < 400, f"{self.path} answered {self.status}, which leads nowhere: {self.said[:300]}"
        parts = urlsplit(urljoin(self.path, self.headers["Location"]))
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def text(self) -> str:
        """Everything that can be read, with single blanks."""
        return _words(self.soup.body or self.soup)

    @property
    def said(self) -> str:
        """The main part: what this page has to say, with single blanks."""
        return _words(self.soup.main or self.soup)

    @property
    def heading(self) -> str:
        return _words(self.soup.h1) if self.soup.h1 else ""

    @property
    def forms(self) -> list[Tag]:
        return [each for each in self.tags if each.name == "form"]

    def has_button(self, text: str) -> bool:
        """Whether a button with this text stands on the page."""
        return any(_button_text(each) == text for each in self.tags if each.name == "button")

    def controls(self, form: Tag | None = None) -> dict[str, str]:
        """What the controls of a form (the page's only one in main, or the given) hold, by name; one value each."""
        main = self.soup.main or self.soup
        if form is None:
            (form,) = main.find_all("form")
        return dict(filled(form))

    def beside(self, name: str) -> str:
        """The error that stands beside a control, empty if none does."""
        assert _one(self, id=name) is not None, f"{self.path} has no control {name}"
        found = _one(self, id=f"{name}-error")
        return _words(found).removeprefix("Error: ") if found else ""


class Browse:
    """Browsers, one a person, and the page that each has open."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.clients: dict[str, FlaskClient] = {}
        self.open: dict[str, Page] = {}
        self.typed: dict[str, set[str]] = {}
        self.addresses: dict[str, str] = {"": ""}
        self.who = ""

    # Opening ----------------------------------------------------------------------------------------------

    def __call__(
        self, path: str, *, status: int = 200, as_: Person | str | None = HERE, method: str = "GET", **more: Any
    ) -> Page:
        """Open a path. `as_`: as whom, None for somebody without a sign-in; by default as before."""
        self.turn_to(as_)
        return self._take(path, self.client.open(path, method=method, base_url=self.base, **more), status)

    def post(
        self,
        path: str,
        data: Typed | None = None,
        *,
        status: int = 303,
        as_: Person | str | None = HERE,
        button: str = "",
        **more: Any,
    ) -> Page:
        """Send the form of the open page that leads to a path, complete with its default values."""
        self.turn_to(as_)
        forms = [form for form in self.page.forms if form["action"] == path]
        if button:
            forms = [form for form in forms if any(_button_text(each) == button for each in tags(form, "button"))]
        assert forms, f"the page {self.page.path} has no form to {path}"
        pressed = next((each for each in tags(forms[0], "button") if _button_text(each) == button), None)
        return self._send(forms[0], pressed, data or {}, status, more)

    def press(self, button: str, data: Typed | None = None, *, status: int = 303, **more: Any) -> Page:
        """Press a button of the open page, after typing into its form; controls are named by label or by name."""
        buttons = [each for each in tags(self.page.soup, "button") if _button_text(each) == button]
        assert buttons, f"the page {self.page.path} has no button {button}: {self.page.said[:400]}"
        pressed = next((each for each in buttons if each.find_parent("main")), buttons[0])
        form = pressed.find_parent("form")
        assert form is not None
        return self._send(form, pressed, data or {}, status, more)

    def follow(self, *, status: int = 200) -> Page:
        """Go where the last answer leads."""
        return self(self.page.location, status=status)

    # People -----------------------------------------------------------------------------------------------

    def sign_in(self, person: Person, *, password: str = "", keep: bool = False) -> None:
        """Sign in, in this person's own browser: through the page if it matters how, otherwise by its verb alone."""
        address = str(person.email if isinstance(person, Member) else person.address)
        self.turn_to(person)
        if not password and not keep:
            self._enter(address)
            return
        self("/sign-in")
        typed = {"Email address": address, "Password": password or PASSWORDS[address]}
        self.press("Sign in", {**typed, "Keep me signed in": keep})

    def _enter(self, address: str) -> None:
        """What the page does once the password is proved: the rest of it is a good part of a test's time."""
        db.session.rollback()
        with transaction():
            account = signin.find_account(address)
            assert account is not None
            assert account.password_hash is not None
            proved = signin.Proved(account.id, account.password_hash)
            opened = signin.open_sign_in(
                proved, "", keep=False, browser="A browser", network="127.0.0.0/24", now=clock.now()
            )
            assert opened is not None
            token = opened.sign_in.token
        with self.client.session_transaction(base_url=self.base) as session:
            session.clear()
            session["_user_id"] = token

    def turn_to(self, person: Person | str | None) -> None:
        """Take another browser: a person's own, or that of a visitor without a sign-in."""
        if person == HERE:
            return
        self.who = "" if person is None else str(getattr(person, "id", person))
        if isinstance(person, Member | Account):
            self.addresses.setdefault(self.who, str(person.email if isinstance(person, Member) else person.address))
            db.session.rollback()

    @property
    def client(self) -> FlaskClient:
        if self.who not in self.clients:
            self.clients[self.who] = self.app.test_client()
        return self.clients[self.who]

    @property
    def page(self) -> Page:
        """The page that is open in this browser."""
        return self.open[self.who]

    @property
    def base(self) -> str:
        url: str = self.app.config["PORTAL_URL"]
        return url

    def cookies(self) -> dict[str, str]:
        """The cookies of this browser, by name."""
        host = urlsplit(self.base).hostname or ""
        found = {}
        for name in (self.app.config["SESSION_COOKIE_NAME"], self.app.config["KEEP_COOKIE_NAME"]):
            cookie = self.client.get_cookie(name, domain=host)
            if cookie is not None:
                found[name] = cookie.value
        return found

    def with_cookies(self, cookies: Mapping[str, str], name: str = "thief") -> None:
        """Take a fresh browser into which somebody has copied these cookies."""
        self.clients.pop(name, None)
        self.turn_to(name)
        for key, value in cookies.items():
            self.client.set_cookie(key, value, domain=urlsplit(self.base).hostname or "")

    def is_signed_in(self) -> bool:
        """Whether this browser's session cookie names a live sign-in."""
        token = session_of(self.app, self.cookies()).get("_user_id", "")
        db.session.rollback()
        with glance():
            return signin.find(token, now=clock.now()) is not None

    # What happens on the way ------------------------------------------------------------------------------

    def _send(self, form: Tag, pressed: Tag | None, data: Typed, status: int, more: dict[str, Any]) -> Page:
        pairs = fill(form, data)
        if pressed is not None and pressed.get("name"):
            pairs.append((str(pressed["name"]), str(pressed.get("value", ""))))
        told = self.typed.setdefault(self.who, set())
        told.update(text for _, text in pairs)
        body: dict[str, list[str]] = {}
        for name, text in pairs:
            body.setdefault(name, []).append(text)
        action = str(form["action"])
        usual = {"Sec-Fetch-Site": "same-origin", "Origin": self.base, "Referer": self.base + self.page.path}
        headers = usual | more.pop("headers", {})
        response = self.client.post(action, data=body, base_url=self.base, headers=headers, **more)
        return self._take(action, response, status)

    def _take(self, path: str, response: TestResponse, status: int) -> Page:
        page = self.open[self.who] = Page(path, response)
        if status != WHATEVER:
            assert page.status == status, f"{path} answered {page.status} instead of {status}: {page.said[:600]}"
        check_headers(page)
        if response.mimetype == "text/html" and not 300 < page.status < 400 and response.request.method != "HEAD":
            check(page)
            self._check_signed_in(page)
            self._check_strangers(page)
        return page

    def _check_signed_in(self, page: Page) -> None:
        path = urlsplit(page.path).path
        if page.status in REFUSED_EARLY or WITHOUT_COOKIES.fullmatch(path):
            return
        if self.is_signed_in():
            assert page.has_button("Sign out"), f"{page.path} ({page.status}): no button Sign out for who is signed in"

    def _check_strangers(self, page: Page) -> None:
        """Nobody else's data, except what this browser itself has typed; staff see people at the desk."""
        mine = self.addresses.get(self.who, "")
        if mine.endswith("@desk.example.org") and page.path.startswith("/desk"):
            return
        if page.path.startswith("/events/") and page.path.endswith("/roster"):  # who is on it chose to be seen
            return
        seen = html.unescape(page.body.decode()).lower()
        typed = {text.strip().lower() for text in self.typed.get(self.who, set())}
        for address, words in SENTINELS.items():
            if address == mine:
                continue
            for word in words:
                strange = word.lower() in seen and not any(word.lower() in text for text in typed)
                assert not strange, f"{page.path} shows somebody else's {word!r}"


# Forms ----------------------------------------------------------------------------------------------------


def filled(form: Tag) -> list[tuple[str, str]]:
    """What a browser sends if nothing is typed: every control as it stands, buttons left out."""
    pairs: list[tuple[str, str]] = []
    for control in tags(form, *CONTROLS):
        name, kind = str(control.get("name", "")), str(control.get("type", "text"))
        if not name or control.has_attr("disabled"):
            continue
        if control.name == "select":
            options = tags(control, "option")
            chosen = [each for each in options if each.has_attr("selected")] or options[:1]
            pairs += [(name, str(each.get("value", each.get_text()))) for each in chosen]
        elif control.name == "textarea":
            pairs.append((name, control.get_text().removeprefix("\n")))
        elif kind in ("checkbox", "radio"):
            pairs += [(name, str(control.get("value", "on")))] if control.has_attr("checked") else []
        elif kind not in ("submit", "button"):
            pairs.append((name, str(control.get("value", ""))))
    return pairs


def fill(form: Tag, data: Typed) -> list[tuple[str, str]]:
    """The form's default values with what was typed in their place."""
    pairs = filled(form)
    for key, typed in data.items():
        name, values = _typed(form, key, typed)
        pairs = [pair for pair in pairs if pair[0] != name] + [(name, each) for each in values]
    return pairs


def _typed(form: Tag, key: str, typed: str | bool | list[str]) -> tuple[str, list[str]]:
    controls = _named(form, key)
    assert controls, f"the form to {form['action']} has no control {key!r}"
    first = controls[0]
    name = str(first["name"])
    if isinstance(typed, bool):
        return name, [str(first.get("value", "on"))] if typed else []
    values = typed if isinstance(typed, list) else [typed]
    if first.name == "select":
        words = {_words(each): str(each.get("value", "")) for each in tags(first, "option")}
        return name, [words.get(each, each) for each in values]
    if first.get("type") in ("radio", "checkbox"):
        labels = _labels(form)
        words = {labels.get(str(each.get("id")), ""): str(each["value"]) for each in controls}
        return name, [words.get(each, each) for each in values]
    return name, values


def _named(form: Tag, key: str) -> list[Tag]:
    """The controls of a name, of a label, or under a legend."""
    controls = [each for each in tags(form, *CONTROLS) if each.get("name")]
    by_name = [each for each in controls if each["name"] == key]
    if by_name:
        return by_name
    for fieldset in tags(form, "fieldset"):
        if fieldset.get("role") == "radiogroup" and fieldset.legend and _words(fieldset.legend) == key:
            return [each for each in controls if each.find_parent("fieldset") is fieldset]
    labels = _labels(form)
    return [each for each in controls if labels.get(str(each.get("id"))) == key]


def _labels(form: Tag) -> dict[str, str]:
    """The words of each label, by the id of its control; of two, the first."""
    found = [each for each in reversed(tags(form, "label")) if each.get("for")]
    return {str(each["for"]): _words(each).removesuffix(" (optional)") for each in found}


def tags(within: Tag, *names: str) -> list[Tag]:
    """The elements within another, of these names if some are given."""
    return [each for each in within.descendants if isinstance(each, Tag) and (not names or each.name in names)]


def _button_text(button: Tag) -> str:
    """A button's visible words, without what is only read aloud."""
    return " ".join(
        "".join(
            text
            for text in button.descendants
            if isinstance(text, NavigableString)
            and not any("hidden" in (parent.get("class") or []) for parent in text.parents if parent is not button)
        ).split()
    )


def _one(page: Page, **by: str) -> Tag | None:
    found = page.soup.find(**by)  # type: ignore[arg-type]
    return found if isinstance(found, Tag) else None


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


# What is looked at ----------------------------------------------------------------------------------------


def check_headers(page: Page) -> None:
    """The pinned headers on every answer; nothing of a page is stored anywhere."""
    for name, value in HEADERS.items():
        assert page.headers.get(name) == value, f"{page.path}: header {name} is {page.headers.get(name)!r}"
    if not page.path.startswith("/static/"):
        assert page.headers.get("Cache-Control") == "no-store", f"{page.path}: Cache-Control"


def check(page: Page) -> None:
    """Every promise that a page makes by being one of ours; the same page, letter by letter, is asked once."""
    content = (page.path, page.status, CHANGES_EACH_TIME.sub(b"", page.body))
    if content in SEEN:
        return
    for look in LOOKS:
        look(page)
    SEEN.add(content)


def _is_html(page: Page) -> None:
    """Pages of the same elements and character references, whatever the words between them, are parsed once."""
    markup = tuple(MARKUP.findall(VALUES.sub(b"=", page.body)))
    if markup not in VALID:
        parser = html5lib.HTMLParser(strict=True)
        try:
            parser.parse(page.body.decode())
        except html5lib.html5parser.ParseError as error:
            raise AssertionError(f"{page.path} is not valid HTML: {parser.errors or error}") from error
        VALID.add(markup)
    assert page.soup.html is not None, page.path
    assert page.soup.html.get("lang") == "en", f"{page.path}: no language"


def _has_one_heading_and_title(page: Page) -> None:
    headings = [each for each in page.tags if each.name == "h1"]
    assert len(headings) == 1, f"{page.path} has {len(headings)} h1"
    heading = " ".join(headings[0].get_text().split())
    title = " ".join(page.soup.title.get_text().split()) if page.soup.title else ""
    before = "Error: " if page.soup.find(class_="error-summary") else ""
    assert title.startswith(before + heading), f"{page.path}: the title {title!r} begins not with {before + heading!r}"


def _has_unique_ids(page: Page) -> None:
    ids = [str(each["id"]) for each in page.tags if each.has_attr("id")]
    assert len(ids) == len(set(ids)), f"{page.path}: twice the id {sorted(i for i in ids if ids.count(i) > 1)}"
    for each in page.tags:
        missing = set(str(each.get("aria-describedby", "")).split()) - set(ids)
        assert not missing, f"{page.path}: aria-describedby names {missing}, which is not there"
        place = str(each.get("href", "")) if each.name == "a" else ""
        assert not place.startswith("#") or place == "#" or place[1:] in ids, f"{page.path}: {place} leads nowhere"


def _labels_every_control(page: Page) -> None:
    labelled = {name for name, words in _labels(page.soup).items() if words}
    for each in page.tags:
        if each.name in CONTROLS and each.get("type") not in NOT_TYPED_IN:
            named = each.get("id") in labelled or each.get("aria-label")
            assert named, f"{page.path}: the control {each.get('name')} has no label"
        assert each.name != "button" or _button_text(each), f"{page.path}: a button without words"


def _sums_errors_up(page: Page) -> None:
    """A form with errors: the summary comes first, leads to each field, and each field knows its error."""
    summary = _one(page, class_="error-summary")
    wrong = [each for each in page.tags if each.get("aria-invalid") == "true"]
    if summary is None:
        assert not wrong, f"{page.path}: fields with errors and no summary"
        return
    assert page.status == 422, f"{page.path}: a form with errors answers 422, not {page.status}"
    main = page.soup.main
    assert main is not None
    assert main.find(True) is summary, f"{page.path}: the error summary stands first in main"
    points = summary.find_all("li")
    assert points, f"{page.path}: an empty error summary"
    assert all(_words(each) for each in points), f"{page.path}: an error without words"
    for link in summary.find_all("a"):
        field = _one(page, id=str(link["href"])[1:])
        assert field is not None, f"{page.path}: {link['href']} leads to no field"
        group = field.find_parent("fieldset", role="radiogroup")
        marked = field if field.get("aria-invalid") else group
        assert marked is not None, f"{page.path}: {field.get('name')} is not marked as wrong"
        assert marked.get("aria-invalid") == "true", f"{page.path}: {field.get('name')} is not marked as wrong"
        said = [_one(page, id=name) for name in str(marked.get("aria-describedby", "")).split()]
        texts = [_words(each) for each in said if each is not None]
        assert any(_words(link) in text for text in texts), f"{page.path}: {field.get('name')} does not say its error"


def _runs_nothing_inline(page: Page) -> None:
    for tag in page.tags:
        bad = [name for name in tag.attrs if name == "style" or name.startswith("on")]
        assert not bad, f"{page.path}: <{tag.name}> has {bad}"
        assert tag.name != "style", f"{page.path}: a style element"
        if tag.name == "script":
            assert str(tag.get("src", "")).startswith("/static/"), f"{page.path}: a script of its own"


def _has_safe_forms(page: Page) -> None:
    anonymous = WITHOUT_COOKIES.fullmatch(urlsplit(page.path).path)
    for form in page.forms:
        action = str(form.get("action", ""))
        assert action.startswith("/"), f"{page.path}: a form with the action {action!r}"
        assert not action.startswith("//"), f"{page.path}: a form to another host"
        if str(form.get("method", "get")).lower() == "post" and not anonymous:
            inputs = tags(form, "input")
            tokens = [each for each in inputs if (each.get("name"), each.get("type")) == ("csrf_token", "hidden")]
            assert len(tokens) == 1, f"{page.path}: the form to {action} has {len(tokens)} form tokens"
            assert tokens[0].get("value"), f"{page.path}: the form to {action} has an empty form token"
        buttons = [each for each in tags(form, "button") if each.get("type") == "submit"]
        if len(buttons) > 1:
            assert "main" in (buttons[0].get("class") or []), f"{page.path}: the main button is not the first"


def _leads_nowhere_else(page: Page) -> None:
    leading = {"a": "href", "link": "href", "script": "src", "img": "src"}
    for each in page.tags:
        name = leading.get(each.name, "")
        target = str(each.get(name, "/"))
        if target.startswith(("/", "#", "mailto:", "?")) and not target.startswith("//"):
            continue
        allowed = target in AUTHORITIES or (page.path == "/cookies" and target in ELSEWHERE)
        assert allowed, f"{page.path} leads to {target}"


LOOKS = (
    _is_html,
    _has_one_heading_and_title,
    _has_unique_ids,
    _labels_every_control,
    _sums_errors_up,
    _runs_nothing_inline,
    _has_safe_forms,
    _leads_nowhere_else,
)


def session_of(app: Flask, cookies: Mapping[str, str]) -> dict[str, Any]:
    """What the session cookie says; empty if there is none or it is not ours."""
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    assert serializer is not None
    with suppress(BadSignature):
        content: dict[str, Any] = serializer.loads(cookies.get(app.config["SESSION_COOKIE_NAME"], ""))
        return content
    return {}
