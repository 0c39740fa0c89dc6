"""The addresses of the portal: people, mail programs and bookmarks rely on them, so none changes unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from portal import create_app
from tests.settings import config_for

URLS = {
    "/": "overview.start GET",
    "/.well-known/change-password": "security.change_password GET",
    "/.well-known/security.txt": "weaknesses.security_txt GET",
    "/activate": "signin.activate GET POST",
    "/ask": "asks.ask GET POST",
    "/ask/<token>": "asks.confirm GET POST",
    "/ask/link-sent": "asks.link_sent GET",
    "/authorities": "asks.authorities GET",
    "/ask/status/<token>": "status.page GET",
    "/choices": "choices.page GET POST",
    "/choices/undo/<int(max=2147483647):after>": "choices.undo POST",
    "/cookies": "notices.cookies GET",
    "/desk": "desk.queue GET",
    "/desk/broadcasts": "broadcasts.several GET",
    "/desk/broadcasts/<int(max=2147483647):number>": "broadcasts.one GET",
    "/desk/broadcasts/<int(max=2147483647):number>/go-on": "broadcasts.go_on POST",
    "/desk/broadcasts/<int(max=2147483647):number>/pause": "broadcasts.pause POST",
    "/desk/broadcasts/<int(max=2147483647):number>/stop": "broadcasts.stop POST",
    "/desk/changes": "changes.page GET",
    "/desk/changes/<int(max=2147483647):number>": "changes.one GET",
    "/desk/changes/<int(max=2147483647):number>/carried": "changes.carried_one POST",
    "/desk/changes/carried": "changes.carried POST",
    "/desk/changes/file": "changes.file POST",
    "/desk/conflicts/<int(max=2147483647):number>": "changes.conflict GET",
    "/desk/conflicts/<int(max=2147483647):number>/keep": "changes.keep POST",
    "/desk/conflicts/<int(max=2147483647):number>/take": "changes.take POST",
    "/desk/disclosures": "disclosures.page GET POST",
    "/desk/disclosures/<int(max=2147483647):number>/later": "disclosures.later POST",
    "/desk/disclosures/<int(max=2147483647):number>/tell": "disclosures.tell POST",
    "/desk/lists": "lists.page GET",
    "/desk/lists/<number>": "lists.one GET",
    "/desk/lists/<number>/approve": "lists.approve POST",
    "/desk/lists/<number>/release": "lists.release_filed POST",
    "/desk/lists/look": "lists.look POST",
    "/desk/lists/release": "lists.release POST",
    "/desk/recalls": "lists.recalled GET",
    "/desk/recalls/<number>/done": "lists.told POST",
    "/desk/requests/<reference>": "handling.one GET",
    "/desk/requests/<reference>/answer": "handling.answer POST",
    "/desk/requests/<reference>/approve": "handling.approve POST",
    "/desk/requests/<reference>/close": "handling.close POST",
    "/desk/requests/<reference>/extend": "handling.extend POST",
    "/desk/requests/<reference>/go-on": "handling.go_on POST",
    "/desk/requests/<reference>/hand-out": "handling.hand_out POST",
    "/desk/requests/<reference>/hold": "handling.hold POST",
    "/desk/requests/<reference>/identity": "handling.identity POST",
    "/desk/requests/<reference>/lift": "handling.lift POST",
    "/desk/requests/<reference>/note": "handling.note POST",
    "/desk/requests/<reference>/refuse": "handling.refuse POST",
    "/desk/requests/<reference>/restrict": "handling.restrict POST",
    "/desk/requests/<reference>/sent": "handling.sent POST",
    "/desk/requests/<reference>/suspend": "handling.suspend POST",
    "/desk/requests/<reference>/take": "handling.take POST",
    "/desk/requests/<reference>/verified": "handling.verified POST",
    "/desk/requests/<reference>/withdrawn": "handling.withdrawn POST",
    "/desk/requests/<reference>/done/<holding>": "handling.done POST",
    "/desk/requests/new": "desk.new GET POST",
    "/desk/numbers": "desk.numbers GET",
    "/desk/search": "desk.search POST",
    "/desk/suspended": "desk.suspended GET",
    "/desk/suspended/<int(max=2147483647):number>/end": "desk.let_in POST",
    "/desk/suspended/<int(max=2147483647):number>/keep": "desk.keep_out POST",
    "/events": "events.mine GET",
    "/events/<event>": "events.one GET POST",
    "/events/<event>/undo/<int(max=2147483647):after>": "events.undo POST",
    "/events/<event>/roster": "lists.roster GET",
    "/forgot-password": "signin.forgot_password GET POST",
    "/held": "held.page GET",
    "/held/<group>": "held.rows GET",
    "/held/download": "download.download GET",
    "/healthz": "health.up GET",
    "/history": "history.page GET",
    "/history/<int(max=2147483647):number>": "history.one GET",
    "/link-sent": "signin.link_sent GET",
    "/metrics": "metrics.page GET",
    "/notice": "notices.current GET",
    "/notice/<int(max=2147483647):version>": "notices.one GET",
    "/notice/<int(max=2147483647):version>/changes": "notices.changes GET",
    "/notice/answer": "notices.answer GET POST",
    "/profile": "members.profile GET",
    "/profile/edit": "members.edit GET POST",
    "/profile/undo": "members.undo POST",
    "/profile/email": "members.email GET POST",
    "/profile/email/cancel/<token>": "members.cancel_email GET POST",
    "/profile/email/confirm/<token>": "members.confirm_email GET POST",
    "/profile/email/works": "bounces.send_check POST",
    "/profile/email/works/<token>": "bounces.works GET POST",
    "/readyz": "health.ready GET",
    "/report-a-weakness": "weaknesses.page GET",
    "/requests": "requests.mine GET",
    "/requests/<reference>": "requests.one GET",
    "/requests/<reference>/add": "requests.add POST",
    "/requests/<reference>/do-not-wait": "requests.do_not_wait GET POST",
    "/requests/<reference>/withdraw": "requests.withdraw POST",
    "/requests/confirm/<token>": "letters.confirm GET POST",
    "/requests/keep/<token>": "requests.keep GET POST",
    "/requests/new": "requests.new GET",
    "/requests/new/<kind>": "requests.file GET POST",
    "/schemas/member-data-1.json": "download.schema GET",
    "/security": "security.page GET",
    "/security.txt": "weaknesses.old_place GET",
    "/security/end/<uuid:sign_in_id>": "security.end_one GET POST",
    "/security/everywhere": "security.end_everywhere GET POST",
    "/security/password": "security.password GET POST",
    "/security/second-factor": "second_factor.set_up GET POST",
    "/set-password/<token>": "signin.set_password GET POST",
    "/sign-in": "signin.sign_in GET POST",
    "/sign-in/again": "signin.sign_in_again GET POST",
    "/sign-in/code": "second_factor.give GET POST",
    "/sign-out": "signin.sign_out POST",
    "/static/<path:filename>": "static GET",
    "/unsubscribe": "unsubscribe.lost_link GET POST",
    "/unsubscribe/<token>": "unsubscribe.by_link GET POST",
    "/unsubscribe/link-sent": "unsubscribe.link_sent GET",
}
ONLY_IN_DEVELOPMENT = {
    "/dev/components": "dev.components GET",
    "/dev/states.css": "dev.states GET",
    "/dev/mailbox": "dev.mailbox GET",
    "/dev/mailbox/<key>": "dev.message GET",
}
PRODUCTION = {
    "PORTAL_ENV": "production",
    "PORTAL_URL": "https://privacy.example.org",
    "MAIL_SERVER": "mail.example.org",
    "MAIL_USE_TLS": "1",
    "MAIL_DEFAULT_SENDER": "privacy@example.org",
    "JOURNAL_DIR": "/nonexistent/journal",
}


def urls(app: Flask) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        found.setdefault(f"{rule.rule} {rule.endpoint}", set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    return {name.split()[0]: " ".join([name.split()[1], *sorted(methods)]) for name, methods in found.items()}


def test_the_urls_are_pinned(app: Flask) -> None:
    assert urls(app) == URLS, "a page came, went or moved: write it into URLS, docs/ and the contract's table"


@pytest.mark.parametrize("env", ["development", "production"])
def test_pages_of_development_stay_there(config: object, tmp_path: object, database: str, env: str) -> None:
    more = PRODUCTION if env == "production" else {"PORTAL_ENV": env}
    app = create_app(config_for(database, tmp_path, **more))  # type: ignore[arg-type]
    assert urls(app) == (URLS | ONLY_IN_DEVELOPMENT if env == "development" else URLS)


def test_every_page_stands_in_the_docs() -> None:
    table = (Path(__file__).parents[2] / "docs" / "pages.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(/[^`]*)`", table))
    ours = {re.sub(r"<\w+(\(.*?\))?:(\w+)>", r"<\2>", url) for url in URLS | ONLY_IN_DEVELOPMENT}
    assert told == ours
