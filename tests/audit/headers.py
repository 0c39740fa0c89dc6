"""The MDN HTTP Observatory on the portal as it is deployed: docs/deploy/nginx.conf, TLS of a throw-away authority.

    python -m tests.audit.headers

Needs the ports 80 and 443 of this machine, and so root, for half a minute. Ends with 1 below A+ or 135 points.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal import clock
from portal.cli.serve import web_server
from tests import databases
from tests.browser.live import ROOT, until
from tests.conftest import free_port
from tests.settings import environment

OBSERVATORY = Path(".audit/observatory/node_modules/@mdn/mdn-http-observatory")
CONF = ROOT / "docs" / "deploy" / "nginx.conf"
HOST = "localhost"
WANTED = 135
MAIN = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{ client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fast;
uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; include {folder}/portal.conf; }}
"""


def certificate(folder: Path) -> Path:
    """A certificate for localhost and its key, in the folder; the path of the authority that signed it."""
    now, names = clock.now(), [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Audit", HOST)]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    made = []
    for name, key in zip(names, keys, strict=True):
        whole = x509.CertificateBuilder().subject_name(name).issuer_name(names[0]).public_key(key.public_key())
        whole = whole.serial_number(x509.random_serial_number())
        whole = whole.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=7))
        whole = whole.add_extension(x509.BasicConstraints(ca=name is names[0], path_length=None), critical=True)
        whole = whole.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        made.append(whole.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(keys[1].private_bytes(*form, plain))
    (folder / "fullchain.pem").write_bytes(made[1] + made[0])
    (folder / "authority.pem").write_bytes(made[0])
    return folder / "authority.pem"


@contextmanager
def deployed(folder: Path) -> Iterator[Path]:
    """The portal behind nginx on https://localhost; the path of the authority to believe."""
    authority, port = certificate(folder), free_port()
    address = f"sqlite:///{folder}/portal.db"
    databases.migrate(address, folder)
    conf = CONF.read_text().replace("privacy.example.org", HOST).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    conf = conf.replace("/etc/ssl/portal/", f"{folder}/").replace("/var/log/nginx/", f"{folder}/")
    (folder / "portal.conf").write_text(conf.replace("/opt/portal/current", str(ROOT)))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    settings = environment(
        address, PORTAL_ENV="production", PORTAL_URL=f"https://{HOST}", TRUSTED_PROXIES="1", MAIL_SERVER="localhost",
        MAIL_USE_TLS="on", MAIL_DEFAULT_SENDER="privacy@example.org", JOURNAL_DIR=str(folder / "journal"),
        PRIVACY_CONTACT="privacy@example.org", DPO_CONTACT="dpo@example.org",
    )  # fmt: skip
    commands = (
        [sys.executable, *web_server("wsgi:app", port=port, workers=1)],
        ["nginx", "-c", f"{folder}/nginx.conf"],
    )
    folder.chmod(0o755)
    with (folder / "log").open("wb") as log:
        children = [
            subprocess.Popen(each, cwd=ROOT, env={"PATH": os.environ["PATH"], **settings}, stdout=log, stderr=log)
            for each in commands
        ]
        try:
            until(lambda: answers(authority), f"https://{HOST}")
            yield authority
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(30)


def answers(authority: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with urllib.request.urlopen(f"https://{HOST}/healthz", timeout=5, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        time.sleep(0.2)
        return False


def scan(authority: Path) -> dict[str, Any]:
    """What the Observatory says: `scan` with grade and score, `tests` with what each of them gave."""
    preload = OBSERVATORY / "conf" / "hsts-preload.json"
    if not preload.exists():
        preload.write_text("[]")  # the list of Chromium, which the package would fetch
    told = subprocess.run(
        ["node", str(OBSERVATORY / "src" / "scan.js"), HOST], env=os.environ | {"NODE_EXTRA_CA_CERTS": str(authority)},
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    read: dict[str, Any] = json.loads(told)
    return read


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="portal-headers-") as folder, deployed(Path(folder)) as authority:
        told = scan(authority)
    graded = told["scan"]
    print(f"grade {graded['grade']}, score {graded['score']}, {graded['testsPassed']}/{graded['testsQuantity']} tests")
    for name, each in sorted(told["tests"].items()):
        print(f"  {name}: {each['result']} ({each['scoreModifier']:+})")
    sys.exit(0 if graded["grade"] == "A+" and graded["score"] >= WANTED else 1)


if __name__ == "__main__":
    main()
