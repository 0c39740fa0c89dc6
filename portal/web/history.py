"""Pages: what changed, when, by which door; and one answer in full, the proof of what was chosen (P26)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import disclosures, history
from portal.domain.choices import answer_words, question_words
from portal.domain.history import Entry, Sort
from portal.models import ChoiceRow
from portal.purposes import PERIODS
from portal.vocabulary import Door
from portal.web.access import MEMBER, access
from portal.web.filters import act_words

bp = Blueprint("history", __name__)

MANY = 25
PARTS: Mapping[Sort, str] = {
    Sort.CHOICES: "Your choices",
    Sort.RECORD: "Your record",
    Sort.LISTS: "Lists with your details",
    Sort.LOOKS: "Looks by our staff",
}


@dataclass(frozen=True)
class Line:
    """One row as a person reads it. `proof`: the number of an answer that opens in full, or 0."""

    at: datetime
    what: str
    by: str
    proof: int = 0


@bp.get("/history")
@access(MEMBER)
def page(member_id: UUID) -> ResponseReturnValue:
    """`/history`: everything, the newest first; `?kind=` shows a part of it, `?before=` goes on."""
    today = clock.society_date(clock.now())
    asked, before = request.args.get("kind", ""), request.args.get("before", "")
    if asked and asked not in [*Sort]:
        abort(404)
    try:
        found = history.page(member_id, limit=MANY, today=today, only=Sort(asked) if asked else None, before=before)
    except ValueError:
        abort(404)
    return render_template(
        "history/history.html",
        lines=[line(entry) for entry in found.entries],
        parts=PARTS,
        asked=asked,
        before=before,
        older=found.before,
        choices_stay=PERIODS["choices"].words,
        rest_stays=PERIODS["disclosures"].words,
    )


@bp.get("/history/<int(max=2147483647):number>")
@access(MEMBER)
def one(member_id: UUID, number: int) -> ResponseReturnValue:
    """`/history/<row>`: one answer with its wording, notice, door and time."""
    found = history.proof(member_id, number)
    if found is None:
        abort(404)
    row = found.row
    return render_template(
        "history/choice.html",
        row=row,
        event=found.event,
        question=question_words(row.code),
        answer=_answer(row),
        door=Door(row.door),
        shown=row.door == Door.PAGE,
        earlier=found.earlier,
        earlier_answer=_answer(found.earlier) if found.earlier else "",
        later=found.later,
        later_answer=_answer(found.later) if found.later else "",
    )


def line(entry: Entry) -> Line:
    """One row in plain words."""
    if entry.sort == Sort.CHOICES:
        where = f" ({entry.event})" if entry.event else ""
        said = f"{question_words(entry.what)}{where}: {answer_words(entry.what, entry.word)}"
        return Line(entry.at, said, Door(entry.door).words, proof=entry.id)
    if entry.sort == Sort.LISTS:
        said = disclosures.sentence(
            at=entry.at,
            recipient=entry.recipient,
            fields=entry.fields,
            audience=entry.audience,
            event=entry.event or "",
            reason=entry.reason,
            list_number=entry.list_number,
            recalled=entry.recalled,
            recalled_at=entry.recalled_at,
        )
        return Line(entry.at, said, "the society")
    said = act_words(entry.what, entry.word)
    return Line(entry.at, f"{said[:1].upper()}{said[1:]}", Door(entry.door).words)


def _answer(row: ChoiceRow) -> str:
    return answer_words(row.code, row.value)
