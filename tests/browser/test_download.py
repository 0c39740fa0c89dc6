"""A member downloads everything by the button, and finds in the files what stands on the page (P26, P27)."""

from __future__ import annotations

import json
import zipfile

from bs4 import BeautifulSoup
from playwright.sync_api import Page

from tests.browser.live import Live
from tests.browser.steps import give, sees
from tests.people import ALICE


def test_download_by_the_button(live: Live, page: Page) -> None:
    person = live.somebody()
    page.goto("/held")
    give(page, person)
    sees(page, "What we hold about you")
    shown = page.locator("main").inner_text()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download everything (zip)", exact=True).click()
    assert waiting.value.suggested_filename == "your-data.zip"
    with zipfile.ZipFile(waiting.value.path()) as bundle:
        assert bundle.testzip() is None
        data = json.loads(bundle.read("data.json"))
        report = BeautifulSoup(bundle.read("your-data.html"), "html.parser")
    values = {item["name"]: item["value"] for item in data["items"] if item["name"].startswith("member.")}
    assert {values[f"member.{name}"] for name in ("email", "city", "job_title")} == {
        person.email,
        ALICE["city"],
        ALICE["job_title"],
    }
    spoken = {dt.get_text(): str(dd.get_text()) for dt, dd in pairs(report)}
    labels = ("First name", "Last name", "Birth date", "Email address", "Country", "City", "Phone", "Member since")
    for label in labels:
        assert spoken[label] in shown, f"{label}: {spoken[label]} is in the file and not on the page"
    assert "data was downloaded" in live.mail(person.email, title="downloaded")["Subject"]
    page.locator("main").get_by_text("What changed").first.wait_for()
    reads_on_paper(page)


def reads_on_paper(page: Page) -> None:
    """Every detail is printed, no way to other pages is, and nothing is wider than A4 between its margins."""
    page.set_viewport_size({"width": 658, "height": 940})  # 174 mm at 96 dots an inch
    tables = page.locator("details table.answers")
    assert tables.count() >= 3
    assert not any(each.is_visible() for each in tables.all()), "closed on the screen"
    page.emulate_media(media="print")
    assert all(each.is_visible() for each in tables.all())
    assert not any(each.is_visible() for each in page.locator("nav, .actions, .change").all())
    assert page.evaluate("document.documentElement.scrollWidth") <= 658


def pairs(report: BeautifulSoup) -> list[tuple[BeautifulSoup, BeautifulSoup]]:
    """Label and value of each single value in the page of the download."""
    found = report.select("#who-you-are .values div, section .values div")
    return [(each.dt, each.dd) for each in found if each.dt is not None and each.dd is not None]  # type: ignore[misc]
