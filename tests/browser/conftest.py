"""Test bed: a portal that runs, and Chromium to look at it. Both are started once for this folder.

    def test_sign_in(live: Live, page: Page) -> None:
        sign_in(page, live.somebody())

Every window fails its test on an error in the console, a refused script or style (the page's own policy), an
error in a script, or a request to another host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from portal import clock
from portal.domain import notices
from tests import databases
from tests.browser.live import Live, running
from tests.conftest import MailServer, free_port, missing

CHROMIUM = "/usr/bin/chromium"
# Playwright's own list of features is replaced by this one, as the last counts. Without the first two Chromium loads
# two pages of its own beside each window of ours, which costs more than most of our tests.
WITHOUT = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "PaintHolding",
    "ThirdPartyStoragePartitioning", "DestroyProfileOnBrowserClose", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "MediaRouter", "LensOverlay", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
FLAGS = (
    f"--disable-features={','.join(WITHOUT)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
STATUS_LINE = "Failed to load resource: the server responded with a status of 4"  # Chromium's own, for a 404 or a 422
expect.set_options(timeout=20_000)  # ms; a slow machine is no failure

NOTICE = """# What we do with your data

Plain words, and **one** [link](https://example.org/policy).

| What | Why |
| --- | --- |
| Name | To know you |

- one
- two

## Longwordslongwordslongwordslongwordslongwordslongwords
"""


class OpenBrowser(Protocol):
    """Opens a window with cookies of its own; `options` are those of a browser context."""

    def __call__(self, **options: Any) -> Page: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The portal, its worker and a mail server that takes everything."""
    smtp = MailServer("127.0.0.1", free_port())
    controller = Controller(smtp, hostname=smtp.host, port=smtp.port)
    controller.start()
    try:
        with running(tmp_path_factory.mktemp("live"), smtp, free_port()) as portal:
            yield portal
    finally:
        controller.stop()


@pytest.fixture(scope="package")
def published(live: Live) -> None:
    """A privacy notice in two versions."""
    now = clock.now()
    with live.app.app_context(), databases.writes():
        for text, change in ((NOTICE, "wording"), (NOTICE.replace("- two", "- three"), "new-processing")):
            notices.publish(text, change=change, effective_on=clock.society_date(now), now=now - timedelta(days=9))


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One Chromium; each test has windows of its own."""
    if not os.access(CHROMIUM, os.X_OK):
        missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_browser(live: Live, chromium: Browser) -> Iterator[OpenBrowser]:
    """Windows of this test: `open_browser(java_script_enabled=False)`."""
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(base_url=live.url, locale="en-GB", reduced_motion="reduce", **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        watch(context, live.url, faults.append)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture(autouse=True)
def unhurried(live: Live) -> None:
    """However fast the machine, no test is told that this address has tried too often."""
    live.forget_limits()


@pytest.fixture
def page(open_browser: OpenBrowser) -> Page:
    """One window."""
    return open_browser()


def watch(context: BrowserContext, url: str, complain: Callable[[str], None]) -> None:
    """Tell of everything in this context's windows that no page of ours may do."""

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(STATUS_LINE):
            complain(f"console on {message.location.get('url')}: {message.text}")

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(url).netloc:
            complain(f"a request to {request.url}")

    context.on("console", said)
    context.on("weberror", lambda error: complain(f"a script failed: {error.error}"))
    context.on("request", asked)
