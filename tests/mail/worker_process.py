"""A mail worker in a process of its own, for the tests that need two of them or must kill one.

The environment is its configuration; it delivers what is due at the time in argument one and prints what it did.
With `-` as that time it reads one after the other: for each a child begins at once, whose number is printed, and
`ended` when it has ended, however that was.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

from config import from_environment
from portal import create_app
from portal.mail.delivery import deliver

if __name__ == "__main__":
    app = create_app(from_environment(root=Path(sys.argv[2])))
    print("ready", flush=True)
    if sys.argv[1] != "-":
        at = datetime.fromisoformat(sys.argv[1])
        with app.app_context():
            sys.stdin.readline()
            print(deliver(now=lambda: at).sent)
        sys.exit()
    for line in sys.stdin:
        moment = datetime.fromisoformat(line.strip())
        child = os.fork()
        if not child:
            with app.app_context():
                deliver(now=partial(datetime.fromtimestamp, moment.timestamp(), moment.tzinfo))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
