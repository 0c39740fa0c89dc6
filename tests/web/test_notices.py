"""The pages of the notice: every version at its address, what differs, and one's own word on it (P31, P16, P2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.clock import society_date
from portal.domain import notices
from portal.extensions import db
from portal.models import ChoiceRow
from portal.vocabulary import Door
from tests.browse import Browse
from tests.databases import writes
from tests.people import NOW, People

DAY = timedelta(days=1)
ONE = "# Our notice\n\nWe keep your requests for two years.\n\nWe answer within 30 days.\n"
TWO = ONE.replace("30 days", "a month") + "\n<script>alert(1)</script> [odd](javascript:alert(1))\n"
THREE = TWO.replace("for two years", "for one year")

pytestmark = pytest.mark.usefixtures("clock")


def publish(text: str, change: str, days: int) -> None:
    """So many days ago, or to come into force in so many days."""
    with writes():
        now = NOW + min(days, 0) * DAY
        notices.publish(text, change=change, effective_on=society_date(NOW + days * DAY), now=now)


def test_each_version_stays_at_its_address_with_its_date_first(browse: Browse, people: People) -> None:
    """P31: the date of the last change on top; what is to come, and what was, say so."""
    page = browse("/notice", as_=None)
    assert "has not published its notice here yet" in page.said
    assert browse("/notice/1/changes", status=404)
    publish(ONE, "wording", -30)
    publish(TWO, "new-processing", -10)
    publish(THREE, "wording", 5)
    page = browse("/notice")
    assert page.said.startswith("Privacy notice Last modified 24 November 2026. Version 2.")
    assert "The notice changes on 9 December 2026 Only the wording changed." in page.said
    assert "We do something new with your data, or somebody new receives it. See what changed" in page.said
    assert "We answer within a month." in page.said
    assert page.soup.main
    assert not page.soup.main.find_all("script")
    assert "Last modified 4 November 2026. Version 1. An earlier version What applies now" in browse("/notice/1").said
    page = browse("/notice/3")
    assert "Last modified 4 December 2026, in force from 9 December 2026. Version 3. Not in force yet" in page.said
    for path in ("/notice/4", "/notice/0", "/notice/4/changes", "/notice/2/changes?from=9", "/notice/2/changes?from=x"):
        browse(path, status=404)
    browse.sign_in(people.alice)
    assert "The privacy notice changes on 9 December 2026" in browse("/").said
    assert not browse.page.has_button("Yes, I agree")


def test_what_differs_between_any_two_versions(browse: Browse, people: People) -> None:
    """P31: marked in words and as elements, not by colour alone; whichever of the two was named first."""
    publish(ONE, "wording", -30)
    publish(TWO, "new-processing", -20)
    publish(THREE, "wording", -10)
    page = browse("/notice/2/changes", as_=None)
    assert page.heading == "What changed from version 1 to version 2"
    assert [each.get_text() for each in page.soup.select(".differs del, .differs ins")] == [
        "taken out: 30 days.;",
        "added: a month.;",
        "added: <script>alert(1)</script> [odd](javascript:alert(1));",
    ]
    assert [each.get_text() for each in page.soup.select(".differs .what")] == ["Changed", "Added"]
    assert "2 paragraphs stay as they are" in page.said
    links = [each["href"] for each in page.soup.select("main a") if "from=" in each["href"]]
    assert links == ["/notice/2/changes?from=3"]
    for path in ("/notice/3/changes?from=1", "/notice/1/changes?from=3"):
        page = browse(path)
        assert page.heading == "What changed from version 1 to version 3"
        assert "Version 2: We do something new" in page.said
        assert "Version 3: Only the wording changed." in page.said
    assert "This is the first version." in browse("/notice/1/changes").said
    assert "Every word is the same." in browse("/notice/2/changes?from=2").said


def test_without_a_yes_the_earlier_version_goes_on_applying_visibly(browse: Browse, people: People) -> None:
    """P31: asked on the overview and the notice; no is as easy as yes; both are kept, shown and changed at any time."""
    publish(ONE, "wording", -30)
    publish(THREE, "reduced-right", -10)
    assert "Version 2." in browse("/notice", as_=None).said
    browse.sign_in(people.bob)
    browse.sign_in(people.alice)
    asks = "A new privacy notice asks for your yes or no"
    for path in ("/", "/held", "/notice", "/notice/2"):
        assert asks in browse(path).said, path
    assert "Last modified 4 November 2026. Version 1." in browse("/notice").said
    assert "not said yet whether you agree to version 2. Version 1 applies to you." in browse("/choices").said

    page = browse("/notice/answer")
    assert page.heading == "Do you agree to version 2?"
    buttons = page.soup.select(".answers-two button")
    assert [each.get_text() for each in buttons] == ["Yes, I agree", "No, I do not agree"]
    assert buttons[0]["class"] == buttons[1]["class"]
    assert "Changed We keep your requests for taken out: two years. ; added: one year. ;" in page.said
    old = page
    browse.press("No, I do not agree")
    assert "Saved. You can change your answer here at any time." in browse.follow().said
    goes_on = "It still applies, because you have not agreed to version 2."
    for path in ("/", "/held", "/notice"):
        assert goes_on in browse(path).said, path
    assert "Version 2 of the privacy notice: No" in browse("/held/your-choices").said
    assert asks in browse("/", as_=people.bob).said, "his word is his own"

    browse("/notice/answer", as_=people.alice)
    browse.press("Yes, I agree")
    browse.follow()
    assert "Version 2." in browse("/notice").said
    assert goes_on not in browse("/").said
    assert "You have agreed to version 2. Version 2 applies to you." in browse("/choices").said
    db.session.rollback()
    rows = db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)).all()
    assert [(row.subject_id, row.value, row.door, row.notice_version) for row in rows] == [
        (people.alice.id, "no", Door.PAGE, 1),
        (people.alice.id, "yes", Door.PAGE, 1),
    ]
    shown = " ".join(old.said.split())
    question, _, meaning = rows[0].wording.partition(" No: ")
    assert question in shown
    assert meaning in shown

    publish(THREE.replace("a month", "two months"), "reduced-right", 3)
    browse.open[browse.who] = old
    browse.press("No, I do not agree")
    assert "Another version was published since you opened this page." in browse.follow().said
    assert browse.page.heading == "Do you agree to version 3?"
    browse.post("/notice/answer", {"answer": "perhaps"}, status=422, button="Yes, I agree")
    assert "Press Yes or No. Nothing was saved." in browse.page.said
    assert len(db.session.scalars(select(ChoiceRow)).all()) == 2


def test_who_has_nothing_to_answer(browse: Browse, people: People) -> None:
    publish(ONE, "wording", -30)
    browse.sign_in(people.alice)
    assert browse("/notice/answer").heading == "Nothing to agree to"
    browse.sign_in(people.dana)
    browse("/notice/answer", status=403)
    assert browse("/notice/answer", as_=None, status=303).location == "/sign-in?next=/notice/answer"
