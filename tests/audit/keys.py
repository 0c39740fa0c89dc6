"""The words that flask-unsign knows as keys of Flask applications, tried on cookies and links of ours.

    python -m tests.audit.keys

flask-unsign itself knows Flask's own signer alone (SHA-1), which ours is not; it is tried beside, and can read nothing.
The portal refuses to start with a short or a known key (tests/test_config.py): a word would have to be long to matter.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature

from portal import create_app, tokens
from portal.extensions import SIGNER
from tests.settings import config_for

SCANNERS = Path(".audit/scanners/bin")


def words() -> list[bytes]:
    """Every word of the list, once."""
    told = subprocess.run(
        [str(SCANNERS / "python"), "-c", 'import flask_unsign_wordlist as w; print(w.get("all"))'],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return list(dict.fromkeys(Path(told.strip()).read_bytes().splitlines()))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(config_for(f"sqlite:///{folder}/none.db", Path(folder)))
    with app.test_request_context():
        session["_user_id"] = tokens.new_secret()
        signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        cookie = signer.dumps(dict(session))
        link = tokens.sign_unsubscribe(b"0123456789abcdef")
        status = tokens.sign_reference("IM-2345-6789", purpose=tokens.STATUS_LINK)
    if not reads_with(app, app.config["SECRET_KEY"], cookie, "", ""):
        sys.exit("the right key opens nothing: this looks at something else than our cookie")
    known, found = words(), 0
    for word in known:
        text = word.decode("utf-8", "replace") or "x"
        found += reads_with(app, text, cookie, link, status)
    unsign = [str(SCANNERS / "flask-unsign"), "--unsign", "--no-literal-eval", "--cookie", cookie]
    told = subprocess.run(unsign, capture_output=True, text=True, timeout=900)
    print(f"{len(known)} words: {found} open a cookie or a link; flask-unsign: {told.stderr.strip()[-50:]}")
    sys.exit(1 if found or told.stdout.strip() else 0)


def reads_with(app: Flask, key: str, cookie: str, link: str, status: str) -> bool:
    """Whether one of them was signed with this key."""
    app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=[], UNSUBSCRIBE_KEYS=(("u1", key),))
    app.extensions.pop(SIGNER, None)  # made once for an application
    with app.app_context():
        if tokens.read_unsubscribe(link) or tokens.read_reference(status, purpose=tokens.STATUS_LINK):
            return True
        for interface in (app.session_interface, SecureCookieSessionInterface()):
            signer = interface.get_signing_serializer(app)  # type: ignore[attr-defined]
            try:
                signer.loads(cookie)
            except BadSignature:
                continue
            return True
    return False


if __name__ == "__main__":
    main()
