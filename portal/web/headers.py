"""The headers of every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, request

from portal.extensions import settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # "no-referrer" would break the form token's check over https
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
}
TWO_YEARS = "max-age=63072000; includeSubDomains"


class Guarded:
    """Around the application: no answer leaves without the headers, whoever made it. One that has its own keeps it."""

    def __init__(self, app: WSGIApplication, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = list(headers.items())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            own = {name for name, _ in headers}
            return start_response(status, [*headers, *(each for each in self.headers if each[0] not in own)], *more)

        return self.app(environ, start)


def init_app(app: Flask) -> None:
    """Set the headers."""
    with app.app_context():
        secure = {"Strict-Transport-Security": TWO_YEARS} if settings().secure else {}
    app.wsgi_app = Guarded(app.wsgi_app, HEADERS | secure)  # type: ignore[method-assign]
    app.after_request(keep)


def keep(response: Response) -> Response:
    """Pages are never stored; a static file asked for by its fingerprint may be kept for ever.

    By the fingerprint of another version, as while a new one is started, what is answered is not what was asked for.
    """
    if request.endpoint == "static" and _is_by_fingerprint() and response.status_code < 400:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _is_by_fingerprint() -> bool:
    marks: dict[str, str] = current_app.extensions["portal.static"]
    return request.args.get("v", "") == marks.get((request.view_args or {}).get("filename", ""))
