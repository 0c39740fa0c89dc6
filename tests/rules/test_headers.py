"""The headers of every answer, pinned: pages, refusals, static files, mail programs' and operators' answers."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest
from flask import Flask

from portal.tokens import sign_unsubscribe
from tests.browse import Browse
from tests.people import People

PINNED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NEVER = ("Server", "X-Powered-By", "X-RateLimit-Limit", "Access-Control-Allow-Origin")
HTTPS = {"PORTAL_URL": "https://privacy.example.org"}


def looks(app: Flask, people: People) -> list[tuple[str, str, int]]:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference)
    return [
        ("GET", "/", 200),
        ("GET", "/sign-in", 200),
        ("GET", "/profile", 303),
        ("GET", "/nothing", 404),
        ("GET", "/desk", 303),
        ("PUT", "/profile", 405),
        ("OPTIONS", "/notice", 200),
        ("HEAD", "/cookies", 200),
        ("POST", "/sign-in", 400),
        ("POST", f"/unsubscribe/{token}", 200),
        ("GET", f"/unsubscribe/{token}", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/.well-known/security.txt", 200),
        ("GET", "/static/portal.css", 200),
        ("GET", f"/static/portal.css?v={app.extensions['portal.static']['portal.css']}", 200),
        ("GET", "/static/nothing.css", 404),
    ]


@pytest.mark.parametrize("settings", [{}, HTTPS], ids=["http", "https"])
def test_every_answer_has_them(app: Flask, browse: Browse, people: People, settings: dict[str, str]) -> None:
    for method, path, status in looks(app, people):
        with browse.client.open(path, method=method, base_url=browse.base) as answer:
            assert answer.status_code == status, path
            assert {name: answer.headers.get(name) for name in PINNED} == PINNED, path
            assert not [name for name in NEVER if name in answer.headers], path
            strict = answer.headers.get("Strict-Transport-Security")
            assert strict == ("max-age=63072000; includeSubDomains" if settings else None), path
            if not path.startswith("/static/"):
                assert answer.headers["Cache-Control"] == "no-store", path


def test_only_a_fingerprint_is_kept_for_ever(app: Flask, browse: Browse) -> None:
    mark = app.extensions["portal.static"]["portal.css"]
    kept = {}
    for query in (f"?v={mark}", "", "?v=other"):
        with browse.client.get(f"/static/portal.css{query}") as answer:
            kept[query] = answer.headers.get("Cache-Control", "")
    assert kept[f"?v={mark}"] == "public, max-age=31536000, immutable"
    assert kept["?v=other"] == "no-cache", "while a new version starts, an old one answers for it"
    assert kept[""] == "no-cache"
    with browse.client.get("/static/portal.css", headers={"If-None-Match": f'"{mark}"'}) as answer:
        assert (answer.status_code, answer.data) == (304, b"")


def test_the_script_is_the_one_that_the_page_was_made_for(browse: Browse) -> None:
    """Subresource integrity: the digest on the page is that of what its address answers."""
    script = browse("/").soup.select_one("script")
    assert script is not None
    with browse.client.get(str(script["src"])) as answer:
        digest = b64encode(sha256(answer.get_data()).digest()).decode()
    assert script["integrity"] == f"sha256-{digest}"


def test_a_refusal_of_method_names_what_is_allowed(browse: Browse) -> None:
    page = browse("/notice", method="DELETE", status=405)
    assert set(page.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_unsubscribe_pages_are_kept_out_of_indexes(browse: Browse, people: People) -> None:
    page = browse(f"/unsubscribe/{sign_unsubscribe(people.alice.subject.unsubscribe_reference)}")
    assert page.soup.find("meta", attrs={"name": "robots", "content": "noindex"})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:80", "localhost@evil.example", "127.0.0.1", "LOCALHOSTX"],
)
def test_a_foreign_host_is_refused(browse: Browse, host: str) -> None:
    for path in ("/", "/sign-in", "/forgot-password", "/nothing", "/.well-known/security.txt"):
        answer = browse.client.get(path, headers={"Host": host})
        assert answer.status_code == 400, path
        assert "evil" not in answer.text
        assert answer.headers.get("Content-Security-Policy") == PINNED["Content-Security-Policy"]


def test_a_forwarded_host_is_not_believed(browse: Browse, people: People) -> None:
    page = browse(
        "/profile", status=303, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    )
    assert page.headers["Location"].startswith("/sign-in")
