"""The report as an instrument, in a real browser: filtering, sorting, links, details of marks, facts on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_hostile import HOSTILE

from upbringing.base.terminal import visible
from upbringing.reporting.build import write_report

pytestmark = pytest.mark.browser


def test_all_filters_work_on_the_list_and_on_the_table(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    page.click("#contrasts summary")
    seen = "[...document.querySelectorAll('{}')].filter((each) => !each.hidden).length"
    total = page.evaluate(seen.format(".claim"))
    for control, option in (("measure", "Knowledge"), ("level", "L2"), ("role", "exploratory")):
        before = page.evaluate(seen.format(".claim"))
        page.select_option(f"#claims-{control}", option)
        left = page.evaluate(seen.format(".claim"))
        assert 0 < left <= before
        assert page.evaluate(seen.format("#contrasts tbody tr")) == left
        assert page.inner_text("#claims-count") == f"{left} of {total} differences"
    cells = page.evaluate(
        "[...document.querySelectorAll('#contrasts tbody tr:not([hidden])')].map((row) => row.cells[8].textContent)"
    )
    assert set(cells) == {"L2"}


def test_a_heading_sorts_and_turns_round(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    page.click("#contrasts summary")
    button = page.locator("#contrasts thead button", has_text="difference")
    texts = "[...document.querySelectorAll('#contrasts tbody tr')].map((row) => row.cells[2].textContent)"

    def numbers() -> list[float | None]:
        return [None if text == "–" else float(text.replace("−", "-")) for text in page.evaluate(texts)]

    before = numbers()
    button.focus()
    page.keyboard.press("Enter")
    up = numbers()
    known = [number for number in up if number is not None]
    assert known == sorted(known)
    assert up[len(known) :] == [None] * (len(up) - len(known))  # what has no number comes last
    assert sorted(known) == sorted(number for number in before if number is not None)
    assert page.get_attribute("#contrasts th[aria-sort]", "aria-sort") == "ascending"
    page.keyboard.press("Enter")
    down = numbers()
    assert [number for number in down if number is not None] == known[::-1]
    assert down[len(known) :] == up[len(known) :]
    assert page.get_attribute("#contrasts th[aria-sort]", "aria-sort") == "descending"
    page.locator("#contrasts thead button", has_text="verdict").click()
    assert page.evaluate("document.querySelectorAll('#contrasts th[aria-sort]').length") == 1


def test_a_link_leads_to_a_claim_even_if_a_filter_hides_it(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    page.fill("#claims-search", "nothing is called so")
    page.evaluate("location.hash = '#claim-extra-negligible'")
    page.wait_for_selector("#claim-extra-negligible dl")
    assert page.input_value("#claims-search") == ""
    page.wait_for_selector("#claim-extra-negligible .sentence:text('by less than the margin')")


def test_a_number_leads_down_to_its_checkpoint(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    assert not page.is_visible("text=concept-safety-sft-0")  # hidden until asked for
    page.evaluate("location.hash = '#claim-0'")
    page.click("#claim-0 dd a >> text=concept-safety-sft-0")
    page.wait_for_selector("tr:target:visible")
    assert (page.text_content("tr:target th") or "").startswith("concept-safety-sft-0")


def test_marks_tell_their_numbers_to_pointer_and_arrow_keys(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    mark = page.locator("#upbringing svg.small [data-detail]").first
    mark.scroll_into_view_if_needed()
    mark.hover()
    assert page.text_content(".tip") == mark.get_attribute("data-detail")
    page.keyboard.press("Escape")
    assert not page.is_visible(".tip")
    plot = page.locator("#upbringing .multiples .plot").first
    plot.focus()
    details = plot.locator("[data-detail]").evaluate_all("(marks) => marks.map((each) => each.dataset.detail)")
    assert len(details) > 3
    told = []
    for _ in range(len(details) + 1):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".tip:visible")
        told.append(page.text_content(".tip"))
    assert told == [*details, details[0]]
    page.keyboard.press("ArrowLeft")
    assert page.text_content(".tip") == details[-1]
    page.keyboard.press("Tab")
    assert not page.is_visible(".tip")


def test_hostile_details_are_told_as_text(open_page: Any, hostile: Path, tmp_path: Path) -> None:
    page = open_page(write_report(hostile, tmp_path / "page.html"))
    plot = page.locator("#upbringing .plot").first
    plot.focus()
    told = set()
    for _ in range(len(HOSTILE)):
        page.keyboard.press("ArrowRight")
        told.add(page.text_content(".tip"))
        assert page.evaluate("document.querySelectorAll('.tip *').length") == 0
    assert len(told) == len(HOSTILE)
    assert any("<img src=x onerror=alert(1)>" in (text or "") for text in told)


def test_facts_of_exploratory_claims_are_text_and_printed(open_page: Any, hostile: Path, tmp_path: Path) -> None:
    page = open_page(write_report(hostile, tmp_path / "page.html"))
    count = "document.querySelectorAll('#differences .more .claim dl, #differences .whole .claim dl').length"
    assert page.evaluate(count) == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(count) == len(HOSTILE) - 3
    assert page.evaluate("document.querySelectorAll('.claim dd *:not(a)').length") == 0
    texts = page.evaluate("[...document.querySelectorAll('.claim .sentence')].map((each) => each.textContent)")
    assert sorted(texts) == sorted(visible(f"sentence {text}") for text in HOSTILE)
