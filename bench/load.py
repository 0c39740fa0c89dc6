"""Bench: servers as we ship them, and clients that load them over loopback: `wrk` for pages, our own for posts."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from bench.bed import HOST, ROOT
from portal.cli.serve import web_server

CLIENTS = 16
PATIENCE = 30  # seconds for a server to come up, and for an answer
REPORT = """done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class BenchError(Exception):
    """An answer, or a stored state, that is not as it should be: the figures would be worth nothing."""


@dataclass(frozen=True)
class Burst:
    """One round of one target: how many answers a second, and how long they took, in milliseconds."""

    answers: int
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    process: subprocess.Popen[bytes]

    def memory(self) -> float:
        """The largest resident memory of one of its processes, in MB."""
        group = os.getpgid(self.process.pid)
        sizes = [0]
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(entry.name)) == group:
                    pages = int((entry / "statm").read_text(encoding="ascii").split()[1])
                    sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
            except (OSError, ValueError):
                continue  # it has ended meanwhile
        return max(sizes) / 1e6


@contextmanager
def server(target: str, environ: dict[str, str], folder: Path, *, path: str) -> Iterator[Server]:
    """The server that we ship, with one process, on a free port, once it answers `path`. It ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with (folder / f"{target.replace(':', '-')}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *web_server(target, port=port, workers=1)],
            cwd=ROOT, env=os.environ | environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            _wait_until_up(process, port, path)
            yield Server(port, process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if get(port, path)[0] < 400:
                return
        except OSError:
            time.sleep(0.1)
    raise BenchError("a server did not come up")


def get(port: int, path: str, cookie: str = "") -> tuple[int, str]:
    """One page: its status and text."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": HOST, "Cookie": cookie})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def pages(port: int, path: str, cookie: str, *, seconds: float, folder: Path) -> Burst:
    """Ask for one page again and again. Raises BenchError for any answer that is not 2xx or 3xx."""
    wrk = shutil.which("wrk")
    if wrk is None:
        ask = request("GET", path, cookie)
        return posts(port, lambda _client: ask, seconds=seconds)
    script = folder / "report.lua"
    script.write_text(REPORT, encoding="ascii")
    command = [wrk, "-t1", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", f"-s{script}"]
    command += ["-H", f"Host: {HOST}", *(["-H", f"Cookie: {cookie}"] if cookie else [])]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"],
        check=True, capture_output=True, text=True, timeout=seconds + PATIENCE,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    if told["refused"] or told["broken"] or not told["requests"]:
        raise BenchError(f"{path}: {told['refused']} answers of 400 and above, {told['broken']} broken connections")
    rate = told["requests"] / told["microseconds"] * 1e6
    return Burst(told["requests"], rate, told["p50"] / 1e3, told["p99"] / 1e3)


def request(method: str, path: str, cookie: str = "", body: str = "") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *([f"Cookie: {cookie}"] if cookie else [])]
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join([*lines, "", body]).encode()


def click(path: str, links: Iterator[str]) -> bytes | None:
    """The next press of a mail program's button (RFC 8058); None when each link was pressed."""
    link = next(links, None)
    return None if link is None else request("POST", path + link, body="List-Unsubscribe=One-Click")


def posts(port: int, following: Callable[[int], bytes | None], *, seconds: float) -> Burst:
    """A few clients over connections that stay open, each sending its next request as soon as it has its answer.

    `following` gives a client's next request, or None when it has no more. When the time is over, answers under
    way are waited for: every request that was sent has an answer. Raises BenchError as `pages` does.
    """
    selector = selectors.DefaultSelector()
    times: list[float] = []
    started = time.perf_counter()
    end = started + seconds
    for client in range(CLIENTS):
        wanted = following(client)
        if wanted is not None:
            line = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(wanted)
            selector.register(line, selectors.EVENT_READ, _Line(client, line, bytearray(), time.perf_counter()))
    try:
        while selector.get_map():
            ready = selector.select(PATIENCE)
            if not ready:
                raise BenchError("an answer did not come")
            for key, _ in ready:
                line_of: _Line = key.data
                if not line_of.has_answered():
                    continue
                now = time.perf_counter()
                times.append(now - line_of.since)
                wanted = following(line_of.client) if now < end else None
                if wanted is None:
                    selector.unregister(line_of.line)
                    line_of.line.close()
                    continue
                line_of.since = time.perf_counter()
                line_of.line.sendall(wanted)
    finally:
        for key in list((selector.get_map() or {}).values()):
            key.data.line.close()
        selector.close()
    took = time.perf_counter() - started
    times.sort()
    count = len(times)
    if not count:
        raise BenchError("there was nothing left to send")
    return Burst(count, count / took, times[count // 2] * 1e3, times[min(count - 1, count * 99 // 100)] * 1e3)


@dataclass
class _Line:
    """One client's connection and what has come of the answer."""

    client: int
    line: socket.socket
    held: bytearray
    since: float

    def has_answered(self) -> bool:
        part = self.line.recv(65536)
        if not part:
            raise BenchError("the server closed a connection without an answer")
        self.held += part
        head, blank, body = self.held.partition(b"\r\n\r\n")
        if not blank:
            return False
        if head[9:10] not in b"23":
            raise BenchError(f"an answer was {head[9:12].decode()}: {bytes(body[-600:]).decode(errors='replace')}")
        length = next(
            (int(value) for name, _, value in (each.partition(b":") for each in head.split(b"\r\n")[1:])
             if name.lower() == b"content-length"),
            0,
        )  # fmt: skip
        if len(body) < length:
            return False
        self.held.clear()
        return True
