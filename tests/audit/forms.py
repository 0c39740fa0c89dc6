"""Every form of every page, filled in by hypothesis as nobody, as a member and at the desk, very often.

    python -m tests.audit.forms --examples 100000

Runs tests/web/test_every_form.py, which the suite runs with forty posts a visitor.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=3_000, help="of three visitors together")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    asked = parser.parse_args()
    command = [
        sys.executable, "-m", "pytest", "tests/web/test_every_form.py", "-q", "-rP", "-p", "no:cacheprovider",
        "--timeout", "0", "--show-capture", "stdout", "--database", asked.database,
    ]  # fmt: skip
    environ = os.environ | {"POSTS": str(math.ceil(asked.examples / 3))}
    sys.exit(subprocess.run(command, env=environ).returncode)


if __name__ == "__main__":
    main()
