"""Steps in a report that several browser tests take."""

from __future__ import annotations

from typing import Any


def go_to_answers(page: Any) -> None:
    """Go to the answers and wait until the first stand there."""
    page.evaluate("document.getElementById('answers').scrollIntoView()")
    page.wait_for_selector(".item")


def show_answers(page: Any) -> None:
    """Go to the answers and uncover all of them."""
    go_to_answers(page)
    while page.is_visible("#answers-more"):
        page.click("#answers-more")
    uncover(page)


def uncover(page: Any) -> None:
    while (button := page.query_selector(".reveal")) is not None:
        button.click()


def open_details(page: Any) -> None:
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
