"""The WSGI application: `flask --app wsgi …` and any WSGI server start here."""

from config import from_environment
from portal import create_app

app = create_app(from_environment())
