"""Test bed: the settings of a portal under test, read and checked by the portal's own reader."""

from __future__ import annotations

from pathlib import Path

from config import Config, from_environment

KEYS = {
    "SECRET_KEY": "uvR2mX8wQz4nJ7hK1tB6yG3dF9pL5sAc",
    "UNSUBSCRIBE_KEYS": "u1:Hn3bT9qYw6Vr2ZkMj8Lx5CfPg7Ds4EaU",
    "SUPPRESSION_KEYS": "s1:Qe7Jc2Xn9RvBt5Wm3KyGf8Zh6LpDs4Ua",
}


def environment(url: str, **more: str) -> dict[str, str]:
    """The environment of a portal under test; `more` adds to it or takes its place."""
    return {
        "PORTAL_ENV": "testing",
        "PORTAL_URL": "http://localhost",
        "DATABASE_URL": url,
        "STAFF_EMAILS": "desk@example.org",
        **KEYS,
        **more,
    }


def config_for(url: str, folder: Path, **more: str) -> Config:
    """Settings with this database address; journals and mailbox live under `folder`/instance."""
    return from_environment(environment(url, **more), root=folder)
