"""Drill: the invariants, asked after every fault: what the clients were told against what the portal holds.

I1 every acknowledged write is there · I2 every message is delivered, or says why not · I3 no more copies too many than
kills, each with the same Message-ID · I4 no mail of what was rolled back · I5 no broadcast a minute after an opt-out ·
I6 as many rows as the journal has operations · I7 every request has its row, reference, receipt and day · I8 nobody
erased is anywhere · I9 no fault without a reference, no answer that tells of the inside.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select

from portal import journal as opt_outs
from portal.extensions import Base, db
from portal.models import ChoiceRow, DataSubjectRequest, Member, Message, Trail
from portal.models.message import MailState
from portal.purposes import topic_choice
from tests.drills.acknowledged import ACKNOWLEDGED, Journal, Operation
from tests.drills.bed import CANARY, Portal
from tests.drills.clients import FLIPPED, AwayError, Browser, Load

A_MINUTE = 60.0
ENDS = (MailState.DEAD, MailState.CANCELLED)


@dataclass
class Verdict:
    """What was counted, and what is not as it should be."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, invariant: str, *found: str) -> None:
        self.wrong += [f"{invariant}: {each}" for each in found]


def judge(portal: Portal, journal: Journal, load: Load | None = None, *, kills: int = 0, dead: bool = False) -> Verdict:
    """Ask all nine. `kills`: how often a copy too many is excused; `dead`: whether messages may have been given up."""
    verdict = Verdict()
    operations = journal.operations()
    for operation in operations:
        verdict.counts[f"{operation.kind} {operation.outcome}"] += 1
    verdict.counts["acknowledged"] = sum(each.outcome == ACKNOWLEDGED for each in operations)
    by_kind: dict[str, dict[str, list[Operation]]] = defaultdict(lambda: defaultdict(list))
    for operation in operations:
        by_kind[operation.kind][operation.who].append(operation)
    portal.read(lambda: _profiles(by_kind["profile"], verdict))
    portal.read(lambda: _choices(by_kind["choices"], verdict))
    portal.read(lambda: _requests(by_kind["request"], verdict))
    portal.read(lambda: _opt_outs(portal, by_kind["opt-out"], verdict))
    portal.read(lambda: _mail(portal, verdict, kills=kills, dead=dead))
    _broadcasts(portal, by_kind["opt-out"], verdict)
    portal.read(lambda: _erased(portal, verdict))
    if load is not None:
        verdict.add("I9", *sorted(set(load.wrong)))
        _cookies(load, verdict)
        verdict.counts.update(
            {
                name: count
                for name, count in load.seen.items()
                if " 5" in name or "declined" in name or name == "no answer"
            }
        )
    log = portal.logged()
    if CANARY in log:
        verdict.add("I8", "a canary stands in a log")
    return verdict


# What members did -----------------------------------------------------------------------------------------


def _between(what: str, rows: int, operations: list[Operation], each: int = 1) -> list[str]:
    """I6: at least what was acknowledged, at most what was asked."""
    sure = sum(operation.outcome == ACKNOWLEDGED for operation in operations) * each
    if sure <= rows <= len(operations) * each:
        return []
    return [f"{rows} rows of {what} for {sure} acknowledged and {len(operations) * each} asked"]


def _may_stand(operations: list[Operation]) -> list[Operation]:
    """What may stand now: the last that was acknowledged, or one that came after it and was not answered."""
    last = max((at for at, each in enumerate(operations) if each.outcome == ACKNOWLEDGED), default=0)
    return operations[last:]


def _profiles(asked: dict[str, list[Operation]], verdict: Verdict) -> None:
    for who, operations in asked.items():
        stands = db.session.execute(select(Member.organization, Member.job_title).where(Member.id == UUID(who))).one()
        may, asked_for = {each.id for each in _may_stand(operations)}, {each.id for each in operations}
        if stands.organization != stands.job_title and {stands.organization, stands.job_title} & asked_for:
            verdict.add("I1", "half a profile was saved")
        elif stands.organization not in may and any(each.outcome == ACKNOWLEDGED for each in operations):
            verdict.add("I1", "an acknowledged profile is lost")
        for name in ("organization", "job_title"):
            query = select(func.count()).select_from(Trail).where(Trail.subject_id == UUID(who), Trail.field == name)
            verdict.add("I6", *_between(f"the trail ({name})", db.session.scalar(query) or 0, operations))


def _choices(asked: dict[str, list[Operation]], verdict: Verdict) -> None:
    for who, operations in asked.items():
        for code in FLIPPED:
            query = select(ChoiceRow.value).where(ChoiceRow.subject_id == UUID(who), ChoiceRow.code == code)
            values = list(db.session.scalars(query.order_by(ChoiceRow.id)))
            may = {each.more[code] for each in _may_stand(operations)}
            if any(each.outcome == ACKNOWLEDGED for each in operations) and (not values or values[-1] not in may):
                verdict.add("I1", "an acknowledged choice is lost")
            verdict.add("I6", *_between(f"choices ({code})", len(values), operations))


def _requests(asked: dict[str, list[Operation]], verdict: Verdict) -> None:
    for operation in (each for operations in asked.values() for each in operations):
        rows = db.session.scalars(select(DataSubjectRequest).where(DataSubjectRequest.details == operation.id)).all()
        if len(rows) > 1 or (operation.outcome == ACKNOWLEDGED and not rows):
            verdict.add("I1", f"{len(rows)} rows of a request that was {operation.outcome}")
        for row in rows:
            receipt = select(Message.id).where(
                Message.title.contains(row.reference), Message.to_address == operation.more["email"]
            )
            if not row.reference or row.promise_on is None or db.session.scalars(receipt).first() is None:
                verdict.add("I7", "a request without reference, day or receipt")


def _opt_outs(portal: Portal, asked: dict[str, list[Operation]], verdict: Verdict) -> None:
    with portal.app.app_context():
        lines = {
            (line.reference, line.code) for path in opt_outs.files() for line, _ in opt_outs.read(path, position=0)
        }
    for who, operations in asked.items():
        ident, topic = who.split(" ")
        code = topic_choice(topic)
        query = select(ChoiceRow.value).where(ChoiceRow.subject_id == UUID(ident), ChoiceRow.code == code)
        values = list(db.session.scalars(query))
        if any(each.outcome == ACKNOWLEDGED for each in operations):
            if values != ["off"]:
                verdict.add("I1", f"an acknowledged opt-out stands as {values}")
            if (UUID(ident).bytes, code) not in lines:
                verdict.add("I1", "an acknowledged opt-out is missing in the journal")
        elif len(values) > 1:
            verdict.add("I6", "an opt-out has two rows")


def _cookies(load: Load, verdict: Verdict) -> None:
    """Whoever was told that they are signed out, is."""
    verdict.counts["cookies tried again"] = len(load.ended_cookies)
    for cookies in load.ended_cookies:
        try:
            answer = Browser(load.port, "10.88.0.1", dict(cookies)).get("/profile")
        except AwayError:
            verdict.add("I1", "no answer to a cookie")
            return
        if answer.status != 303:
            verdict.add("I1", f"a cookie that was signed out is answered {answer.status}")


# Mail -----------------------------------------------------------------------------------------------------


def _mail(portal: Portal, verdict: Verdict, *, kills: int, dead: bool) -> None:
    rows = db.session.execute(
        select(Message.message_id, Message.state, Message.failure, Message.to_address, Message.name)
    ).all()
    copies = Counter(copy.message_id for copy in portal.copies)
    too_many = copies.total() - len(copies)
    verdict.counts["messages"] = len(rows)
    verdict.counts["copies too many"] = too_many
    for row in rows:
        if row.state == MailState.SENT and not copies[row.message_id]:
            verdict.add("I2", f"a message ({row.name}) says sent, and the relay has none")
        elif row.state in ENDS and not row.failure:
            verdict.add("I2", f"a message ({row.name}) has ended and does not say why")
        elif row.state == MailState.DEAD and not dead:
            verdict.add("I2", f"a message ({row.name}) was given up: {row.failure}")
        elif row.state not in (MailState.SENT, *ENDS):
            verdict.add("I2", f"a message ({row.name}) still waits")
    if too_many > kills:
        verdict.add("I3", f"{too_many} copies too many after {kills} kills")
    known = {row.message_id for row in rows}
    strange = [copy for copy in portal.copies if copy.message_id not in known and CANARY not in copy.to]
    if strange:
        verdict.add("I4", f"{len(strange)} copies of messages that were never committed")


def _broadcasts(portal: Portal, asked: dict[str, list[Operation]], verdict: Verdict) -> None:
    """I3 for broadcasts: one Message-ID a person and broadcast. I5: nothing a minute after the opt-out was told."""
    said_no = {
        each.more["email"]: each.at
        for operations in asked.values()
        for each in operations
        if each.outcome == ACKNOWLEDGED and each.more["topic"] == "events"
    }
    idents: dict[tuple[str, str], set[str]] = defaultdict(set)
    for copy in portal.copies:
        if not copy.title.startswith("Programme for"):
            continue
        verdict.counts["broadcast copies"] += 1
        late = copy.at - said_no.get(copy.to, copy.at)
        verdict.counts["copies after the opt-out, within a minute"] += 0 < late <= A_MINUTE
        if late > A_MINUTE:
            verdict.add("I5", f"a broadcast {late:.0f} s after the opt-out")
        idents[copy.to, copy.title.rpartition("#")[2]].add(copy.message_id)


# The erased -----------------------------------------------------------------------------------------------


def _erased(portal: Portal, verdict: Verdict) -> None:
    if not portal.erased:
        return
    done = db.session.scalars(
        select(DataSubjectRequest.carried_out_at).where(
            DataSubjectRequest.subject_id.in_([each.id for each in portal.erased])
        )
    ).all()
    verdict.counts["erasures carried out"] = sum(each is not None for each in done)
    if len(done) != len(portal.erased) or None in done:
        verdict.add("I8", f"{sum(each is None for each in done)} erasures were not carried out")
    places = [
        table.name
        for table in Base.metadata.sorted_tables
        if any(CANARY in str(row) for row in db.session.execute(table.select()))
    ]
    if places:
        verdict.add("I8", f"canaries stand in {', '.join(places)}")
    kept = [path.name for path in (portal.folder / "journal").glob("*") if CANARY.encode() in path.read_bytes()]
    if kept:
        verdict.add("I8", f"canaries stand in {', '.join(kept)}")
