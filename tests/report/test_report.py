"""The report: one file, the same bytes, nothing of a model's text becomes markup or script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_fixture import HOSTILE, write_results

from upbringing.base.errors import FormatError
from upbringing.base.terminal import visible
from upbringing.report.build import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def test_the_same_inputs_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    again = write_results(tmp_path / "again")
    one = write_report(results, tmp_path / "one.html").read_bytes()
    assert one == write_report(again, tmp_path / "two.html").read_bytes()


def test_no_hostile_text_stands_in_the_page_as_markup(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("<img src=x", "<script>alert", "<svg><animate", "\x1b", "\u202e", "\x00", "\u2028"):
        assert text not in page
    assert page.count("<script") == 2  # the answers block and our own script


def test_a_shareable_report_holds_no_prompt_and_no_answer(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html", shareable=True).read_text(encoding="utf-8")
    assert "answers-data" not in page
    assert "prompt 1" not in page
    assert "<script" not in page


def test_little_is_enough(results: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(results / "tree.json", bare)
    page = write_report(bare, tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "no findings yet" in page
    with pytest.raises(FormatError, match=r"no tree\.json"):
        write_report(tmp_path, tmp_path / "none.html")
    (bare / "tree.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="not a tree"):
        write_report(bare, tmp_path / "torn.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert BROWSER is not None, "the browser tests need Chromium: run scripts/browser"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield opened
        opened.close()


def opened_page(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """Open the report and return the page and everything that should not have happened."""
    page = browser.new_context(**options).new_page()
    wrong: list[str] = []
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(path.as_uri())
    return page, wrong


@pytest.mark.browser
def test_hostile_text_stays_text_in_a_browser(browser: Any, results: Path, tmp_path: Path) -> None:
    page, wrong = opened_page(browser, write_report(results, tmp_path / "page.html"))
    page.wait_for_selector(".item")
    for button in page.query_selector_all(".item button"):
        button.click()
    titles = [node.text_content() for node in page.query_selector_all(".item h3")]
    assert sorted(titles) == sorted(visible(f"prompt {number} {text}") for number, text in enumerate(HOSTILE))
    shown = [node.text_content() for node in page.query_selector_all(".answer .what")]
    assert len(shown) == len(HOSTILE) * 9
    assert set(shown) == {
        visible(f"answer {arm}-{position} {text}")
        for text in HOSTILE
        for arm in ("concept-safety", "concept-answered", "shuffled-safety")
        for position in ("pretrain", "sft", "finetune")
    }
    assert page.evaluate("document.querySelectorAll('.answer .what *, .item h3 *').length") == 0
    assert wrong == []


@pytest.mark.browser
def test_harmful_text_is_hidden_until_asked_for(browser: Any, results: Path, tmp_path: Path) -> None:
    page, _ = opened_page(browser, write_report(results, tmp_path / "page.html"))
    page.wait_for_selector(".item")
    hidden = [node.text_content() for node in page.query_selector_all(".item h3")]
    assert hidden.count("A harmful request (hidden)") == len(HOSTILE) // 2
    assert "prompt 1 " not in (page.text_content("#answers-list") or "")
    page.select_option("#answers-request", "benign")
    page.wait_for_function("document.querySelectorAll('.item').length === 6")
    page.fill("#answers-search", "prompt 2")
    page.wait_for_function("document.querySelectorAll('.item').length === 1")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(browser: Any, results: Path, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page, _ = opened_page(browser, write_report(results, tmp_path / "page.html"), color_scheme=scheme, bypass_csp=True)
    page.wait_for_selector(".item")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(page).response["violations"]
    serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.browser
def test_the_page_fits_a_phone_and_works_by_keyboard(browser: Any, results: Path, tmp_path: Path) -> None:
    path = write_report(results, tmp_path / "page.html")
    page, wrong = opened_page(browser, path, viewport={"width": 390, "height": 800})
    page.wait_for_selector(".item")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"A", "SUMMARY", "INPUT", "SELECT", "BUTTON"} <= reached
    assert wrong == []


def test_the_policy_allows_nothing_from_outside(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html").read_text(encoding="utf-8")
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert " style=" not in page
    assert "http" not in page.replace("http-equiv", "").lower()
    json.dumps(policy)
