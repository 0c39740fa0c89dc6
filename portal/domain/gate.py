"""Verbs on the gate: may the portal serve, or does this database lack an erasure that the journals tell (rights §5.6)?

Pages, commands and the worker ask before they do anything. Only those that may write let the marks follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from uuid import UUID

from sqlalchemy import and_, exists, or_, select

from portal import journal
from portal.extensions import db
from portal.journal import Erasure, Step
from portal.models import ChoiceRow, DataSubjectRequest, JournalMark, RequestStep, Subject
from portal.models.request import BEGUN, ERASING, State

AT_ONCE = 500  # people asked for in one statement
CLOSED = "closed"  # a mark that is no file: some machine has found that its journals tell more than this database
FIRST_LINES = 200  # of a file without a mark, to see whether this database knows it


def closed() -> str:
    """Why the portal may not serve, in words for operators; empty when it may.

    One small query and a look at the sizes of the files when nothing is new. Raises OSError when a journal cannot
    be read, and what the database raises when it is away: neither is an answer.
    """
    sizes = _sizes()  # before the first query: what the files say by now, this database has been told before
    marks = _marks()
    return _lost(sizes, marks) or _behind(sizes, marks) or _elsewhere(marks)


def close_everywhere() -> None:
    """Once the journals here have told of an erasure that this database lacks, every machine stays closed.

    Others may have no file that tells of it. Only a replay opens again.
    """
    if _behind(_sizes(), _marks()) and db.session.get(JournalMark, CLOSED) is None:
        db.session.add(JournalMark(file=CLOSED, position=1))
        db.session.flush()


def forgotten(others: Iterable[Path]) -> list[Erasure]:
    """The erasures of the journals here and of `others` that this database does not know: one line a person."""
    return _missing(_sizes() | {path: path.stat().st_size for path in others}, {})


def remember() -> None:
    """Let the marks follow: up to the first erasure that is begun and not ended. Only while the gate is open."""
    sizes = _sizes()
    marks = _marks()
    for path in journal.erasure_files():
        size, position = sizes.get(path, 0), marks.get(path.name, 0)
        lines = [each for each in journal.read_erasures(path, position=position) if each[1] <= size]
        erased = _erased({line.subject for line, _ in lines})
        ended = _ended(sizes) if any(line.subject not in erased for line, _ in lines) else set()
        for line, behind in lines:
            if line.subject not in erased and (line.step is Step.DONE or line.id not in ended):
                break
            position = behind
        mark(path, position)
    db.session.flush()


def lag() -> dict[str, int]:
    """How many bytes of lines in the journals this database has not taken over, by sort. Raises OSError.

    What a full disk has left of a line, behind the last whole one, is nothing to take over.
    """
    marks = _marks()
    behind = dict.fromkeys((journal.OPT_OUTS, journal.ERASURES), 0)
    for sort, paths, read in (
        (journal.OPT_OUTS, journal.files(), journal.read),
        (journal.ERASURES, journal.erasure_files(), journal.read_erasures),
    ):
        for path in paths:
            position = marks.get(path.name, 0)
            behind[sort] += max((end for _, end in read(path, position=position)), default=position) - position
    return behind


def settle() -> None:
    """After a replay: this machine has its files, every file its mark, and a file that is gone has none.

    Raises OSError when a file cannot be made.
    """
    for sort in (journal.OPT_OUTS, journal.ERASURES):
        journal.own_file(sort)
    present = {path.name: path for path in (*journal.files(), *journal.erasure_files())}
    for known in db.session.scalars(select(JournalMark).order_by(JournalMark.file)):
        if known.file == CLOSED or (known.file not in present and journal.is_own(known.file)):
            db.session.delete(known)
    for path in present.values():
        if path.name.startswith(journal.ERASURES) or db.session.get(JournalMark, path.name) is None:
            mark(path, 0)
    db.session.flush()
    remember()


def mark(path: Path, position: int) -> None:
    """Note up to where this database knows a file."""
    known = db.session.get(JournalMark, path.name)
    if known is None:
        db.session.add(JournalMark(file=path.name, position=position))
    else:
        known.position = position


def _missing(sizes: dict[Path, int], marks: dict[str, int]) -> list[Erasure]:
    """The erasures after the marks that this database does not know, one line a person, in the order of the files.

    An erasure that was begun, and has no end in any file, counts if nothing here would finish it or give it up.
    """
    lines = [line for path, size in sizes.items() for line in _read(path, marks.get(path.name, 0), size)]
    erased = _erased({line.subject for line in lines})
    found = {line.subject: line for line in lines if line.step is Step.DONE and line.subject not in erased}
    begun = [line for line in lines if line.step is Step.INTENT and line.subject not in {*erased, *found}]
    if begun:
        ended = _ended(sizes)
        for line in begun:
            if line.id not in ended and not _is_left_to_the_worker(line):
                found.setdefault(line.subject, line)
    return list(found.values())


# Reading --------------------------------------------------------------------------------------------------


def _ended(sizes: dict[Path, int]) -> set[str]:
    """The erasures that have an end in any file."""
    return {line.id for path in sizes for line in _read(path, 0, sizes[path]) if line.step is not Step.INTENT}


def _sizes() -> dict[Path, int]:
    return {path: path.stat().st_size for path in (*journal.files(), *journal.erasure_files())}


def _marks() -> dict[str, int]:
    return {row.file: row.position for row in db.session.execute(select(JournalMark.file, JournalMark.position))}


def _read(path: Path, position: int, size: int) -> Iterator[Erasure]:
    """The erasures that stood in the file when its size was taken; none in a file of opt-outs."""
    if position < size and not path.name.startswith(journal.OPT_OUTS):
        for line, behind in journal.read_erasures(path, position=position):
            if behind > size:
                return
            yield line


def _erased(subjects: set[UUID]) -> set[UUID]:
    """Those whom this database knows as erased."""
    found: set[UUID] = set()
    left = iter(sorted(subjects))
    while some := list(islice(left, AT_ONCE)):
        found.update(db.session.scalars(select(Subject.id).where(Subject.id.in_(some), Subject.erased_at.is_not(None))))
    return found


# Why not --------------------------------------------------------------------------------------------------


def _lost(sizes: dict[Path, int], marks: dict[str, int]) -> str:
    """A journal that is not what it was: it may have told of erasures that nobody knows any more."""
    names = {path.name for path in sizes}
    gone = sorted(name for name in marks if name not in names and journal.is_own(name))
    if gone:
        return f"A journal of this machine is gone: {_short(gone[0])}."
    for path in journal.erasure_files():
        if sizes.get(path, 0) < marks.get(path.name, 0):
            return f"A journal of erasures is shorter than it was: {_short(path.name)}."
    if not names & marks.keys() and _remembers() and not _is_known(sizes):
        return "The folder of the journals holds none that this database knows."
    return ""


def _behind(sizes: dict[Path, int], marks: dict[str, int]) -> str:
    number = len(_missing(sizes, marks))
    if number == 0:
        return ""
    return f"The journals tell of {number} erasure{'s' if number > 1 else ''} that this database does not know."


def _elsewhere(marks: dict[str, int]) -> str:
    return "Another machine has a journal of erasures that this database does not know." if CLOSED in marks else ""


def _short(name: str) -> str:
    """The end of a file's name: its beginning names the machine, and pages for operators are open to all."""
    return f"…{name[-14:]}"


def _remembers() -> bool:
    """Whether the database holds anything that some journal must have told."""
    journalled = select(ChoiceRow.id).where(ChoiceRow.journal_id.is_not(None)).limit(1)
    erased = select(Subject.id).where(Subject.erased_at.is_not(None)).limit(1)
    return any(db.session.execute(query).first() is not None for query in (journalled, erased))


def _is_known(sizes: dict[Path, int]) -> bool:
    """Whether a file that has no mark yet begins with something that this database holds."""
    for path in sizes:
        if path.name.startswith(journal.OPT_OUTS):
            ids = [line.id for line, _ in islice(journal.read(path, position=0), FIRST_LINES)]
            query = select(ChoiceRow.id).where(ChoiceRow.journal_id.in_(ids)).limit(1)
            if db.session.execute(query).first() is not None:
                return True
        elif _erased({line.subject for line in islice(_read(path, 0, sizes[path]), FIRST_LINES)}):
            return True
    return False


def _is_left_to_the_worker(line: Erasure) -> bool:
    """Whether the worker finishes, or gives up, what was begun: this database knows of that very beginning.

    One that does not is older than the beginning: the erasure may have been done, and the farewell sent.
    """
    asked = DataSubjectRequest
    begun = exists().where(
        RequestStep.request_id == asked.id,
        RequestStep.step == BEGUN,
        RequestStep.at >= line.at,
        asked.closed_at.is_(None),
    )
    taken_back = and_(asked.state.in_((State.WITHDRAWN, State.REFUSED)), asked.closed_at >= line.at)
    request = exists().where(
        asked.subject_id == line.subject, asked.kind.in_(ERASING), asked.scope == "", or_(begun, taken_back)
    )
    done = exists().where(Subject.id == line.subject, Subject.erased_at.is_not(None))  # a moment ago
    return db.session.execute(select(or_(request, done))).scalar_one()
