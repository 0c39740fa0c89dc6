"""data.json: every value with its six answers, as docs/member-data-1.json describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from functools import lru_cache

from portal.datamap.export.copy import Answers, Copy, answers
from portal.purposes import PURPOSES


def written(copy: Copy) -> Iterator[str]:
    """The file, one item a line."""
    made_at = copy.snapshot.now.astimezone(UTC).isoformat(timespec="seconds")
    yield f'{{"schema": {_json(copy.schema)},\n"made_at": {_json(made_at)},\n"items": ['
    comma = ""
    for item in copy.items:
        value = item.value
        told = "null" if value is None else _text(value) if isinstance(value, str) else _json(value)
        yield f'{comma}\n{{"name": "{item.name}", "value": {told}, {_answered(answers(item))}}}'
        comma = ","
    yield "\n]}\n"


@lru_cache(maxsize=1000)
def _answered(given: Answers) -> str:
    purposes, basis, source, recipients, stored, until = given
    told = {
        "purposes": [PURPOSES[code].name for code in purposes],
        "basis": basis,
        "source": source,
        "recipients": recipients,
        "stored": stored,
        "until": until,
    }
    return _json(told)[1:-1]


_json = json.JSONEncoder(ensure_ascii=False).encode
_text = json.encoder.encode_basestring
