"""Room of mail: words (`messages`), the outbox (`outbox`), the way out (`transport`, `delivery`)."""

from __future__ import annotations

from flask import Flask

from portal.mail.outbox import absolute
from portal.mail.transport import mail


def init_app(app: Flask) -> None:
    """Bind Flask-Mail to the application, and give templates the one way to write an absolute link."""
    mail.init_app(app)
    app.jinja_env.globals["absolute"] = absolute
