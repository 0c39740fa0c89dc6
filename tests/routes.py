"""Test bed: an address for every route of the portal, leading to something of Alice's that exists (tests/rows.py)."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from portal.extensions import db
from portal.models import ChoiceRow, DataSubjectRequest, SignIn
from portal.tokens import CONFIRM_LINK, KEEP_LINK, STATUS_LINK, WORKS_LINK, sign_reference, sign_unsubscribe
from tests.people import People

OF_EVERYBODY = {
    "filename": "portal.css",
    "version": "1",
    "kind": "question",
    "group": "what-changed",
    "holding": "hotels",
    "event": "SYM-26",
    "number": "1",
}


def of_alice(people: People) -> dict[str, dict[str, str]]:
    """What stands in the addresses, by endpoint, and under "" in all others; after `fill`."""
    assert people.alice.account is not None
    account = people.alice.account.id
    reference = db.session.scalars(select(DataSubjectRequest.reference)).one()
    sign_in = db.session.scalars(select(SignIn.id).where(SignIn.account_id == account, SignIn.kind == "kept")).one()
    row = db.session.scalars(select(ChoiceRow.id).where(ChoiceRow.subject_id == people.alice.id)).first()
    tokens = {
        "asks.confirm": "ask",
        "bounces.works": sign_reference("1", purpose=WORKS_LINK),
        "letters.confirm": sign_reference(reference, purpose=CONFIRM_LINK),
        "members.cancel_email": "cancel",
        "members.confirm_email": "confirm",
        "requests.keep": sign_reference(reference, purpose=KEEP_LINK),
        "signin.set_password": "link",
        "status.page": sign_reference(reference, purpose=STATUS_LINK),
        "unsubscribe.by_link": sign_unsubscribe(people.alice.subject.unsubscribe_reference),
    }
    db.session.rollback()
    usual = OF_EVERYBODY | {"reference": reference, "sign_in_id": str(sign_in), "after": str(row)}
    return {"": usual, "history.one": usual | {"number": str(row)}} | {
        endpoint: usual | {"token": token} for endpoint, token in tokens.items()
    }


def routes(app: Flask, things: dict[str, dict[str, str]], method: str) -> list[tuple[Rule, str]]:
    """Every route that takes a method, with its address."""
    found = []
    for rule in sorted(app.url_map.iter_rules(), key=lambda each: each.rule):
        if method in (rule.methods or ()):
            values = things.get(rule.endpoint, things[""])
            _, path = rule.build({name: values[name] for name in rule.arguments}) or ("", "")
            found.append((rule, path.partition("?")[0]))
    return found
