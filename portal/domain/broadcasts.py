"""Verbs on broadcasts: who of a list may be mailed, with the link that stops it (P5)."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from portal.extensions import db
from portal.models import Member, Subject
from portal.models.suppression import may_be_mailed
from portal.tokens import canonical_address


def allowed(topic: str) -> dict[bytes, bytes]:
    """Everybody who may get a topic at this moment: from `short_key(address)` to the reference of the person's link.

    Suppression, restriction, erasure and the topic itself are asked. Short digests instead of addresses: a
    million people fit into little memory.
    """
    query = (
        select(Member.email_key, Subject.unsubscribe_reference)
        .join(Subject, Subject.id == Member.id)
        .where(may_be_mailed(topic))
        .order_by(Member.id)
        .execution_options(yield_per=5000)
    )
    return {_digest(key): reference for key, reference in db.session.execute(query)}


def short_key(address: str) -> bytes:
    """The digest under which `allowed` knows an address, however it is written."""
    return _digest(canonical_address(address))


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
