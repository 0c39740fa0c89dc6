"""Test bed: w3m at a terminal, as somebody uses it who reads by line or by braille: no style, no script, keys alone.

with text_browser(folder) as w3m:
    w3m.open(url)
    w3m.type("Email address", "alice@example.org")
    w3m.press("Sign in")
    assert "Hello" in w3m.words()
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.browser.live import until
from tests.conftest import missing

LINES, COLUMNS = 400, 80  # so tall that no page is turned
OPTIONS = ("-cookie", "-o", "confirm_qq=0", "-o", "auto_image=0")
CLEAR, DRAW_ANEW, ENTER, NEXT, BEFORE, TOP, BOTTOM = "\x15", "\x0c", "\r", "\t", "\x1b\t", "g", "G"


@dataclass
class TextBrowser:
    """One w3m; each thing that a person does is a few keys."""

    keyboard: int
    folder: Path
    _saved: Iterator[int] = field(default_factory=count)

    def open(self, url: str) -> str:
        """Type an address; the page's words."""
        self._answer("U", "Goto URL", url)
        return self.words()

    def type(self, label: str, text: str) -> None:
        """Type into the first field after its label."""
        self._find(label)
        self._press(NEXT)
        self._answer(ENTER, "TEXT:|Password:", text)

    def pick(self, question: str, answer: str) -> None:
        """Pick an answer: the first of these words after its question; its circle stands before it."""
        self._find(question)
        self._find(answer, first=False)
        self._press(BEFORE, ENTER)

    def press(self, button: str) -> str:
        """Press the last button, or follow the last link, with these words; the words of the page it leads to."""
        self._press(BOTTOM)
        self._answer("?", "Backward", _literally(button))
        self._rest()
        self._press(ENTER)
        return self.words()

    def words(self) -> str:
        """Everything on the page in the order in which it is read, with single blanks."""
        self._rest()
        file = self.folder / f"page-{next(self._saved)}"
        self._answer("S", "Save buffer to", str(file))
        self._rest()
        until(file.exists, "the page as text")
        return " ".join(file.read_text(encoding="utf-8").split())

    def _find(self, words: str, *, first: bool = True) -> None:
        if first:
            self._press(TOP)
        self._answer("/", "Forward", _literally(words))
        self._rest()

    def _press(self, *keys: str) -> None:
        os.write(self.keyboard, "".join(keys).encode())

    def _answer(self, key: str, question: str, text: str) -> None:
        """Press a key that asks for something at the bottom of the screen, and type it."""
        self._press(key)
        drawn = ""

        def asks() -> bool:
            nonlocal drawn
            drawn += self._drawn()
            return re.search(question, drawn) is not None

        until(asks, f"the question {question}")
        self._press(CLEAR, text, ENTER)

    def _rest(self) -> None:
        """Wait until w3m has done what was asked: then it draws the whole screen anew."""
        self._drawn()

        def rests() -> bool:
            self._press(DRAW_ANEW)
            return "Viewing" in self._drawn(patience=1)

        until(rests, "w3m to rest")
        self._drawn()

    def _drawn(self, *, patience: float = 0.02) -> str:
        """What w3m draws until it pauses for so many seconds."""
        drawn = b""
        while select.select([self.keyboard], [], [], patience)[0]:
            drawn += os.read(self.keyboard, 1 << 16)
            patience = 0.02
        return drawn.decode(errors="replace")


def _literally(words: str) -> str:
    return re.sub(r"([\[\]().?*+^$])", r"\\\1", words)


@contextmanager
def text_browser(folder: Path) -> Iterator[TextBrowser]:
    """w3m with nothing remembered."""
    program = shutil.which("w3m")
    if program is None:
        missing("w3m")
    keyboard, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    blank = folder / "blank.html"
    blank.write_text("<title>Nothing yet</title><p>Nothing yet")
    process = subprocess.Popen(
        [program, *OPTIONS, str(blank)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        browser = TextBrowser(keyboard, folder)
        browser._rest()
        yield browser
    finally:
        process.terminate()
        process.wait()
        os.close(keyboard)
