"""The addresses of the portal: people, mail programs and bookmarks rely on them, so none changes unseen."""

from __future__ import annotations

import pytest
from flask import Flask

from portal import create_app
from tests.settings import config_for

URLS = {
    "/": "overview.start GET",
    "/.well-known/change-password": "security.change_password GET",
    "/activate": "signin.activate GET POST",
    "/choices": "choices.page GET POST",
    "/choices/undo/<int(max=2147483647):after>": "choices.undo POST",
    "/cookies": "notices.cookies GET",
    "/desk": "desk.queue GET",
    "/desk/requests/<reference>": "desk.request_page GET",
    "/forgot-password": "signin.forgot_password GET POST",
    "/healthz": "health.up GET",
    "/link-sent": "signin.link_sent GET",
    "/notice": "notices.current GET",
    "/notice/<int(max=2147483647):version>": "notices.one GET",
    "/profile": "members.profile GET",
    "/profile/edit": "members.edit GET POST",
    "/profile/email": "members.email GET POST",
    "/profile/email/cancel/<token>": "members.cancel_email GET POST",
    "/profile/email/confirm/<token>": "members.confirm_email GET POST",
    "/readyz": "health.ready GET",
    "/requests": "requests.mine GET",
    "/requests/<reference>": "requests.one GET",
    "/requests/<reference>/withdraw": "requests.withdraw POST",
    "/requests/new": "requests.new GET",
    "/requests/new/<kind>": "requests.file GET POST",
    "/security": "security.page GET",
    "/security/end/<uuid:sign_in_id>": "security.end_one GET POST",
    "/security/everywhere": "security.end_everywhere GET POST",
    "/security/password": "security.password GET POST",
    "/set-password/<token>": "signin.set_password GET POST",
    "/sign-in": "signin.sign_in GET POST",
    "/sign-in/again": "signin.sign_in_again GET POST",
    "/sign-out": "signin.sign_out POST",
    "/static/<path:filename>": "static GET",
    "/unsubscribe": "unsubscribe.lost_link GET POST",
    "/unsubscribe/<token>": "unsubscribe.by_link GET POST",
    "/unsubscribe/link-sent": "unsubscribe.link_sent GET",
}
ONLY_IN_DEVELOPMENT = {
    "/dev/components": "dev.components GET",
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
