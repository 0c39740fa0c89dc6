"""`broadcasts send` and its sisters, as an operator types them (P5, P10)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from portal.domain import broadcasts
from portal.extensions import db
from portal.models import Broadcast, ChoiceRow, Member, Message
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.drills.broadcast import settle
from tests.people import NOW, People

WORDS = ("--topic", "events", "--subject", "100% {first_name}: {x}")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\ufeffDear {first_name} {last_name},\n50 % off {{ 7*7 }} %s\n", encoding="utf-8")
    return path


def count(model: type) -> int:
    found = db.session.execute(select(func.count()).select_from(model)).scalar_one()
    db.session.rollback()
    return int(found)


def test_dry_run_counts_and_shows_three(run: Runner, people: People, text: Path, tmp_path: Path) -> None:
    settle(3)
    with writes():
        db.session.execute(update(Member).where(Member.id == people.bob.id).values(first_name=""))
        row = ChoiceRow(subject_id=people.alice.id, code="topic_events", value="off", at=NOW, door="page", wording="")
        db.session.add(row)
    page = tmp_path / "page.html"
    page.write_text("<p>Dear {first_name}</p>", encoding="utf-8")
    result = run("broadcasts", "send", *WORDS, "--text", text, "--html", page, "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:3] == ["may get it 4", "left out 1", "without a first name 1"]
    assert result.stdout.count("\nTo: ") + result.stdout.startswith("To: ") == 3
    assert result.stdout.count("as HTML ---") == 3
    assert "50 % off {{ 7*7 }} %s" in result.stdout
    assert "{first_name}" not in result.stdout
    assert result.stdout.count("/unsubscribe/preview") == 6
    assert people.alice.email not in result.stdout
    assert (count(Broadcast), count(Message)) == (0, 0)


def test_send_list_and_hold(run: Runner, people: People, text: Path, smtp: MailServer) -> None:
    first, second = (run("broadcasts", "send", *WORDS, "--text", text) for _ in range(2))
    assert (first.exit_code, first.stdout, second.stdout) == (0, "1\n", "2\n")
    assert first.stderr.splitlines()[-1] == "queued 2"
    for command in ("pause", "stop"):
        assert run("broadcasts", command, 2).exit_code == 0
    assert run("broadcasts", "resume", 2).exit_code == 3
    assert run("broadcasts", "pause", 9).exit_code == 3
    assert run("mail", "deliver").stderr.splitlines() == ["sent 2", "retried 0", "dead 0", "cancelled 0", "deferred 0"]
    newest, oldest = (line.split("\t") for line in run("broadcasts", "list").stdout.splitlines()[1:])
    assert newest[:3] == ["2", "stopped", "events"]
    assert newest[4:] == ["2", "0", "0", "0", "2", "0", "100% {first_name}: {x}"]
    assert oldest[:3] == ["1", "ended", "events"]
    assert oldest[4:9] == ["2", "2", "0", "0", "0"]
    assert b"Subject: 100% Alice: {x}" in smtp.received[0].data + smtp.received[1].data


def test_nobody_may_be_mailed(run: Runner, people: People, text: Path) -> None:
    result = run("broadcasts", "send", "--topic", "recruiting", "--subject", "Jobs", "--text", text)
    assert (result.exit_code, result.stdout) == (0, "1\n")
    assert {"may get it 0", "left out 2", "queued 0"} <= set(result.stderr.splitlines())
    run("mail", "deliver")
    assert "\tended\t" in run("broadcasts", "list").stdout


@pytest.mark.parametrize(
    ("words", "content", "said"),
    [
        (WORDS, b"Gr\xfc\xdfe", "is not UTF-8"),
        (WORDS, b" \n\n", "is empty"),
        (("--topic", "events", "--subject", "News\r\nBcc: eve@example.net"), b"Hello", "has to be one line"),
        (("--topic", "events", "--subject", " "), b"Hello", "subject is empty"),
        (("--topic", "events", "--subject", "{unsubscribe_url}"), b"Hello", "cannot hold the unsubscribe link"),
        (("--topic", "gossip", "--subject", "News"), b"Hello", "gossip"),
        (("--topic", "events"), b"Hello", "--subject"),
    ],
)
def test_wrong_use(
    run: Runner, people: People, tmp_path: Path, words: tuple[str, ...], content: bytes, said: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    result = run("broadcasts", "send", *words, "--text", path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert run("broadcasts", "send", *WORDS, "--text", tmp_path / "none.txt").exit_code == 2
    assert count(Broadcast) == 0


def test_filled_in_batches_and_gone_on_with(
    run: Runner, people: People, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command dies between two batches: the worker queues the rest, nobody twice; none of it leaves before."""
    settle(25)
    real, batches = broadcasts.fill_some, iter([1, 2])

    def dying(number: int, **words: object) -> int:
        if next(batches, None) is None:
            raise KeyboardInterrupt
        return real(number, most=10, **words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(broadcasts, "fill_some", dying)
        result = run("broadcasts", "send", *WORDS, "--text", text)
    assert (result.exit_code, result.stdout) == (1, "1\n")
    assert count(Message) == 20
    with writes():
        assert broadcasts.tend(now=NOW)
        assert not broadcasts.tend(now=NOW)
        assert db.session.get_one(Broadcast, 1).people == 27
    assert count(Message) == 27
    subjects = db.session.scalars(select(Message.subject_id)).all()
    assert len(set(subjects)) == 27
