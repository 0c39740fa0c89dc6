"""The headers of every answer, and the address under which a static file may be kept for ever."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

from flask import Flask, Response, current_app, request

from portal.extensions import settings

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


def init_app(app: Flask) -> None:
    """Set the headers, and fingerprint the static files once."""
    folder = Path(app.static_folder or "")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    digests = {name: hashlib.sha256(path.read_bytes()) for name, path in files.items()}
    app.extensions["portal.static"] = {name: digest.hexdigest()[:12] for name, digest in digests.items()}
    app.extensions["portal.integrity"] = {
        name: f"sha256-{b64encode(digest.digest()).decode()}" for name, digest in digests.items()
    }
    app.after_request(add)


def add(response: Response) -> Response:
    """Add the headers. Pages are never stored; a static file asked for by its fingerprint may be kept for ever."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if settings().secure:
        response.headers.setdefault("Strict-Transport-Security", TWO_YEARS)
    if request.endpoint == "static" and "v" in request.args and response.status_code < 400:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def static_url(name: str) -> str:
    """The address of a static file with its fingerprint; KeyError if there is no such file.

    Built by hand: the page that refuses a foreign host has no map of addresses to ask.
    """
    return f"{current_app.static_url_path}/{name}?v={current_app.extensions['portal.static'][name]}"


def integrity(name: str) -> str:
    """The digest by which a browser sees that a script is the one that this page was made for (SRI); else KeyError."""
    digest: str = current_app.extensions["portal.integrity"][name]
    return digest
