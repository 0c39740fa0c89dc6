"""Who asks from this machine itself, past every proxy: an operator's program, a probe, a person with a terminal.

`/metrics` is for them alone, and `/readyz` tells them more. They name the machine, not the portal, so the check of
the host lets their own names for it through; a name that somebody else's page could bear stays refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DIRECT = "portal.direct"
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")
PATHS = ("/healthz", "/readyz", "/metrics")


class Direct:
    """Around everything, the counting of proxies too: it sees who has really connected."""

    def __init__(self, app: WSGIApplication, host: str) -> None:
        self.app = app
        self.host = host

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        direct = _is_loopback(environ.get("REMOTE_ADDR", "")) and not any(name in environ for name in FORWARDED)
        environ[DIRECT] = direct
        if direct and environ.get("PATH_INFO") in PATHS and _names_the_machine(environ.get("HTTP_HOST", "")):
            environ["HTTP_HOST"] = self.host
        return self.app(environ, start_response)


def init_app(app: Flask) -> None:
    """Wrap the application; after ProxyFix, so that it stands around it."""
    app.wsgi_app = Direct(app.wsgi_app, app.config["PORTAL_HOST"])  # type: ignore[method-assign]


def is_direct() -> bool:
    """Whether this request came from this machine, through no proxy that says so."""
    return bool(request.environ.get(DIRECT))


def _names_the_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
