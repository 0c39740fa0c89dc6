"""The WSGI application: `flask --app wsgi …` and any WSGI server start here."""

from config import ConfigError, from_environment
from portal import create_app

try:
    app = create_app(from_environment())
except ConfigError as error:
    raise SystemExit(str(error)) from None
