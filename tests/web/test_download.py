"""The download as a browser and an operator see it: who gets it, what is told, and that nothing stays behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import time_machine
from flask import Flask
from sqlalchemy import insert, select, text

from config import Config
from portal.extensions import Base, db, glance
from portal.models import Member, Message, Trail
from tests.browse import Browse
from tests.conftest import free_port
from tests.databases import writes
from tests.people import ALICE, ALICE_PASSWORD, BOB, NOW, People
from tests.settings import environment

ROOT = Path(__file__).parents[2]
ZIP, JSON = "/held/download?format=zip", "/held/download?format=json"


def take(browse: Browse, path: str) -> bytes:
    """The bytes of a download."""
    with browse.client.open(path, base_url=browse.base) as answer:
        assert answer.status_code == 200, path
        return bytes(answer.get_data())


def told() -> tuple[list[str], list[str]]:
    """The acts on the trail, and the names of the mails."""
    db.session.rollback()
    acts = db.session.scalars(select(Trail.act).order_by(Trail.id))
    names = db.session.scalars(select(Message.name).order_by(Message.created_at))
    return list(acts), [name for name in names if name != "new_sign_in"]


def test_a_recent_member_takes_everything_along(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    for path, file, mimetype in (
        (ZIP, "your-data.zip", "application/zip"),
        (JSON + "&theme=dark&member=2", "your-data.json", "application/json"),
    ):
        with browse.client.open(path, base_url=browse.base, headers={"User-Agent": "Firefox on Linux"}) as answer:
            assert answer.status_code == 200
            assert answer.mimetype == mimetype
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{file}"'
            assert "Content-Length" not in answer.headers, "it is written while it is sent"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body = answer.get_data()
        if file.endswith("zip"):
            body = zipfile.ZipFile(BytesIO(body)).read("data.json")
        values = {item["value"] for item in json.loads(body)["items"] if isinstance(item["value"], str)}
        assert {ALICE["email"], ALICE["city"], ALICE["interests"]} <= values
        assert not {BOB["email"], BOB["city"]} & values
    assert told() == (["downloaded"] * 2, ["data_downloaded"] * 2)
    mail = db.session.scalars(select(Message).where(Message.name == "data_downloaded").order_by(Message.title)).first()
    assert mail is not None
    assert (mail.to_address, mail.subject_id) == (ALICE["email"], people.alice.id)
    assert "Firefox on Linux" in mail.text


def test_nobody_takes_it_along_unseen(browse: Browse, people: People) -> None:
    """A database that does not take the record of a download: then there is no download."""
    browse.sign_in(people.alice)
    take(browse, JSON)
    with writes():
        db.session.execute(text("CREATE UNIQUE INDEX once ON trail (subject_id)"))
    try:
        for path in (ZIP, JSON):
            page = browse(path, status=503)
            assert str(ALICE["city"]) not in page.said
    finally:
        with writes():
            db.session.execute(text("DROP INDEX once"))
    assert told() == (["downloaded"], ["data_downloaded"])


def test_without_the_password_lately_it_is_asked_for(
    browse: Browse, people: People, clock: time_machine.Traveller
) -> None:
    browse.sign_in(people.alice)
    clock.shift(timedelta(minutes=6))
    for path in (ZIP, JSON):
        page = browse(path, status=303)
        assert page.location == "/sign-in/again?next=" + path.replace("=", "%3D")
    assert told() == ([], [])
    browse.follow()
    browse.press("Confirm", {"Password": ALICE_PASSWORD})
    assert browse.page.location == "/held?take=json", "a file would leave the browser on the form"
    assert browse.follow().soup.select(f'.notice a[href="{JSON}"]')
    take(browse, JSON)
    assert told() == (["downloaded"], ["data_downloaded"])


def test_other_formats_are_refused_in_a_sentence(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    for query in ("", "?format=", "?format=pdf", "?format=ZIP", "?other=1"):
        assert "zip and json" in browse(f"/held/download{query}", status=400).said
    browse("/held/download?format=zip", method="HEAD")
    assert told() == ([], [])


def test_ten_a_day_an_account(browse: Browse, people: People, clock: time_machine.Traveller) -> None:
    browse.sign_in(people.alice)
    for _ in range(10):
        take(browse, JSON)
    page = browse(JSON, status=429)
    assert "wait 24 hours" in page.said
    assert int(page.headers["Retry-After"]) == 24 * 3600
    browse.sign_in(people.bob)
    take(browse, JSON)
    clock.shift(timedelta(days=1))
    browse.sign_in(people.alice)
    take(browse, JSON)
    assert told()[0].count("downloaded") == 12


def test_the_schema_is_there_for_anyone(browse: Browse) -> None:
    page = browse("/schemas/member-data-1.json", as_=None)
    assert page.headers["Content-Type"] == "application/schema+json"
    assert "Set-Cookie" not in page.headers
    assert json.loads(page.body) == json.loads((ROOT / "docs" / "member-data-1.json").read_text(encoding="utf-8"))


def test_all_that_is_read_is_of_one_moment(app: Flask, people: People) -> None:
    """What another connection commits between two questions is not seen; a write is not held up meanwhile."""
    city = select(Member.__table__.c.city).where(Member.__table__.c.id == people.alice.id)
    db.session.rollback()
    with glance(consistent=True):
        before = db.session.execute(city).scalar_one()
        with db.engine.connect() as other:
            other.execute(text("UPDATE member SET city = 'Lund'"))
            other.commit()
        assert db.session.execute(city).scalar_one() == before == "Uppsala"
    assert db.session.execute(city).scalar_one() == "Lund"
    db.session.rollback()


# A real server --------------------------------------------------------------------------------------------

ROWS = 10_000


def fill_up(people: People, rows: int) -> None:
    """Alice with many rows, in the tables that grow by themselves."""
    trail = [
        {"subject_id": people.alice.id, "act": "changed", "field": f"city{n:0>20}", "door": "page", "at": NOW}
        for n in range(rows)
    ]
    with writes():
        db.session.execute(insert(Trail), trail)


@contextmanager
def server(config: Config, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The portal in a process of its own, with a folder for temporary files of its own too."""
    port = free_port()
    (folder / "tmp").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder / "tmp"),
        **environment(config.database_url, PORTAL_URL=f"http://127.0.0.1:{port}", JOURNAL_DIR=str(config.journal_dir)),
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while not answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait(30)


def answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def opened(browse: Browse, port: int) -> http.client.HTTPResponse:
    """The answer to a download, of which nothing has been read yet."""
    cookies = "; ".join(f"{name}={value}" for name, value in browse.cookies().items())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", ZIP, headers={"Cookie": cookies})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return answer


def everything_in(*folders: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".db", ".db-wal", ".db-shm") and path.name != "log"
    }


def peak(process: subprocess.Popen[bytes]) -> float:
    """The most memory that the process ever held, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(found) / 1024


def test_a_server_that_dies_in_the_middle_leaves_no_file(
    browse: Browse, people: People, config: Config, tmp_path: Path
) -> None:
    """T21: nothing is ever stored, not even for a moment; and 10,000 rows stay under 200 MB."""
    fill_up(people, ROWS)
    browse.sign_in(people.alice)
    with server(config, tmp_path) as (process, port):
        before = everything_in(tmp_path, ROOT / "instance")
        whole = opened(browse, port).read()
        assert peak(process) < 200
        slow = opened(browse, port)
        assert slow.read(1000)[:4] == b"PK\3\4"
        assert everything_in(tmp_path, ROOT / "instance") == before, "while it is sent"
        held_open = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir() if each.is_symlink()]
        strange = [each for each in held_open if each.startswith("/") and "(deleted)" in each]
        assert strange == [], "a file without a name"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert everything_in(tmp_path, ROOT / "instance") == before
    with zipfile.ZipFile(BytesIO(whole)) as bundle:
        assert len(json.loads(bundle.read("data.json"))["items"]) > ROWS * 5
    db.session.rollback()
    kept = [row for table in Base.metadata.sorted_tables for row in db.session.execute(select(table))]
    assert not [row for row in kept if any(isinstance(each, bytes) and each.startswith(b"PK") for each in row)]
