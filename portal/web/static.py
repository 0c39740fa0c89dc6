"""The static files: read once, the style sheet squeezed, each with the address under which it may be kept for ever."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from mimetypes import guess_type
from pathlib import Path

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue

# Our own, as `rcssmin` takes the blank out of `.a :is(b)`, which then means something else.
_GAP = r"(?:\s|/\*.*?\*/)"  # what stands between words for readers alone
_SQUEEZE = re.compile(rf'("[^"]*")|{_GAP}*([{{}};,>]){_GAP}*|(?<=:){_GAP}+|({_GAP}+)', re.DOTALL)


def init_app(app: Flask) -> None:
    """Fingerprint the files, for addresses and proofs, and answer for them from memory."""
    folder = Path(app.static_folder or "")
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: served(path) for name, path in paths.items()}
    digests = {name: hashlib.sha256(content) for name, content in files.items()}
    marks = app.extensions["portal.static"] = {name: digest.hexdigest()[:12] for name, digest in digests.items()}
    # By which a browser sees that a script is the one that the page was made for (SRI).
    proofs = {name: f"sha256-{b64encode(digest.digest()).decode()}" for name, digest in digests.items()}
    app.jinja_env.globals["integrity"] = proofs.__getitem__
    # Built by hand: the page that refuses a foreign host has no map of addresses to ask.
    addresses = {name: f"{app.static_url_path}/{name}?v={mark}" for name, mark in marks.items()}
    app.jinja_env.globals["static_url"] = addresses.__getitem__

    def file(filename: str) -> ResponseReturnValue:
        """`/static/<filename>`: the file, or 304 to whoever has it."""
        if filename not in files:
            abort(404)
        answer = Response(files[filename], mimetype=guess_type(filename)[0])
        answer.set_etag(marks[filename])
        answer.cache_control.no_cache = True  # but for whoever names the fingerprint: `headers.keep`
        return answer.make_conditional(request)

    app.view_functions["static"] = file


def served(path: Path) -> bytes:
    """A static file as it goes out."""
    if path.suffix == ".css":
        return squeezed(path.read_text(encoding="utf-8")).encode()
    return path.read_bytes()


def squeezed(style: str) -> str:
    """A style sheet that says the same without comments, indentation and blanks that part nothing."""
    return _SQUEEZE.sub(lambda found: found[1] or found[2] or (" " if found[3] else ""), style).strip()
