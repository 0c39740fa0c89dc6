"""Verb on keys: see that none was dropped with which the database remembers whom nobody may mail."""

from __future__ import annotations

from sqlalchemy import and_, select

from portal.extensions import db
from portal.models import FormerAddress, Suppression
from portal.tokens import suppression_hashes


def missing() -> str:
    """The id of a key that SUPPRESSION_KEYS lacks and under which an address is remembered; empty if there is none.

    Reads all of them: for a start, not for a page.
    """
    known = [hashed.removesuffix(hashed.split(".")[2]) for hashed in suppression_hashes("")]
    for column in (Suppression.keyed_hash, FormerAddress.keyed_hash):
        others = and_(*(~column.startswith(each, autoescape=True) for each in known))
        found = db.session.scalars(select(column).where(others).limit(1))
        if (stranger := found.first()) is not None:
            return stranger.split(".")[1] or "?"
    return ""
