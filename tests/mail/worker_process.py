"""A mail worker in a process of its own, for the tests that need two of them or must kill one.

The environment is its configuration; it delivers what is due at the time in argument one and prints what it did.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from config import from_environment
from portal import create_app
from portal.mail.delivery import deliver

if __name__ == "__main__":
    at = datetime.fromisoformat(sys.argv[1])
    with create_app(from_environment(root=Path(sys.argv[2]))).app_context():
        print("ready", flush=True)
        sys.stdin.readline()
        print(deliver(now=lambda: at).sent)
