"""The report in a real browser: hostile text stays text, nothing is fetched, everyone can use it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_browser import go_to_answers, open_details, show_answers, uncover
from report_fixture import write_findings, write_tree
from report_hostile import HOSTILE

from upbringing.base.streams import stream
from upbringing.base.terminal import visible
from upbringing.formats.answers import Answer, write_answers
from upbringing.formats.findings import Findings
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, StudyInfo, Tree
from upbringing.reporting.build import write_report

pytestmark = pytest.mark.browser


def test_hostile_text_stays_text(open_page: Any, hostile: Path, tmp_path: Path) -> None:
    page = open_page(write_report(hostile, tmp_path / "page.html"))
    open_details(page)
    show_answers(page)
    prompts = [node.text_content() for node in page.query_selector_all(".item h3")]
    assert sorted(prompts) == sorted(visible(f"prompt {text}") for text in HOSTILE)
    shown = {node.text_content() for node in page.query_selector_all(".what")}
    for text in HOSTILE:
        assert visible(f"answer {text}") in shown
        assert visible(f"thought: thought {text}") in shown
        assert visible(f"judge {text}: reason {text}") in shown
    assert page.evaluate("document.querySelectorAll('.what *, .item h3 *, .claim .name *:not(.why)').length") == 0
    names = [node.text_content() for node in page.query_selector_all(".claim .name")]
    assert all(any(name.startswith(visible(f"contrast {text}")) for name in names) for text in HOSTILE)
    assert page.title() == visible(HOSTILE[0]) + " – upbringing report"
    assert page.evaluate("document.querySelectorAll('script').length") == 3
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, form, animate, base').length") == 0


ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


def texts(number: int) -> st.SearchStrategy[list[str]]:
    return st.lists(ANY_TEXT, min_size=number, max_size=number, unique=True)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts(30))
def test_any_text_is_shown_as_it_is(open_page: Any, tmp_path: Path, found: list[str]) -> None:
    check_texts(open_page, tmp_path, found)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts(50))
def test_two_thousand_texts_are_shown_as_they_are(open_page: Any, tmp_path: Path, found: list[str]) -> None:
    check_texts(open_page, tmp_path, found)


def check_texts(open_page: Any, tmp_path: Path, texts: list[str]) -> None:
    """Write a report in which ``texts`` are names, warnings, prompts and answers, and read it in the browser."""
    folder = tmp_path / "any"
    (folder / "answers").mkdir(parents=True, exist_ok=True)
    checkpoints = tuple(Checkpoint(id=name) for name in texts)
    write_tree(Tree(study=StudyInfo(name=texts[0], question=texts[1]), checkpoints=checkpoints), folder)
    write_findings(Findings(warnings=tuple(texts)), folder)
    answers = [
        Answer(response=f"{number}", checkpoint=text, item=f"{number}", condition="chat", sample=0, request="benign",
               prompt=text, answer=text)
        for number, text in enumerate(texts)
    ]  # fmt: skip
    write_answers(answers, folder / "answers" / "all.parquet")
    page = open_page(write_report(folder, tmp_path / "page.html"))
    show_answers(page)
    prompts = page.evaluate("[...document.querySelectorAll('.item h3')].map((each) => each.textContent)")
    assert sorted(prompts) == sorted(visible(text) for text in texts)
    shown = page.evaluate("[...document.querySelectorAll('.what')].map((each) => each.textContent)")
    assert sorted(shown) == sorted(visible(text) for text in texts)


def test_harmful_text_is_covered_until_asked_for(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    go_to_answers(page)
    page.select_option("#answers-request", "harmful")
    assert page.query_selector_all(".what") == []
    assert "brings on a fever" not in page.inner_text("body")
    page.click(".item .reveal")
    assert "brings on a fever" in page.inner_text(".item >> nth=0")
    assert "brings on a fever" not in page.inner_text(".item >> nth=1")


def test_answers_can_be_filtered_and_searched(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    go_to_answers(page)
    total = page.inner_text("#answers-count")
    page.select_option("#answers-request", "benign")
    assert page.inner_text("#answers-count") != total
    page.check("#answers-differ")
    page.select_option("#answers-arm", "concept+safety")
    assert {node.text_content() for node in page.query_selector_all(".armrow h4")} == {"concept+safety"}
    page.fill("#answers-search", "no such words anywhere")
    page.wait_for_selector("#answers-count:text('No question fits')")
    page.fill("#answers-search", "w1-twin")
    page.wait_for_selector(".item")
    assert all("w1-twin" in (node.text_content() or "") for node in page.query_selector_all(".item .tags"))


def test_differences_can_be_filtered_and_linked_to(open_page: Any, results: Path, tmp_path: Path) -> None:
    path = write_report(results, tmp_path / "page.html")
    page = open_page(path)
    page.select_option("#claims-verdict", "blocked")
    seen = page.evaluate("[...document.querySelectorAll('.claim')].filter((each) => each.checkVisibility()).length")
    assert seen == 1
    page.select_option("#claims-verdict", "")
    page.fill("#claims-search", "KNOWLEDGE")
    assert page.inner_text("#claims-count").startswith("12 of ")
    page.fill("#claims-search", "")
    page.evaluate("location.hash = '#claim-extra-blocked'")
    page.wait_for_selector("#claim-extra-blocked dl")
    assert page.evaluate("document.querySelector('#claim-extra-blocked details').open")


def test_an_arm_can_be_brought_forward(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    button = page.locator("button.arm").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    opacity = "getComputedStyle(document.querySelector('svg.small .mark.{}')).opacity"
    assert page.evaluate(opacity.format("s1")) == "1"
    assert float(page.evaluate(opacity.format("s0"))) < 0.5
    page.keyboard.press("Enter")
    assert page.evaluate(opacity.format("s0")) == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["results", "hostile"])
def test_the_page_is_accessible(
    browser: Any, request: pytest.FixtureRequest, tmp_path: Path, scheme: str, kind: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
    page.goto(write_report(request.getfixturevalue(kind), tmp_path / "page.html").as_uri())
    open_details(page)
    go_to_answers(page)
    uncover(page)
    found = Axe().run(page).response["violations"]
    page.context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("kind", ["results", "hostile"])
def test_the_page_fits_a_phone(open_page: Any, request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    path = write_report(request.getfixturevalue(kind), tmp_path / "page.html")
    page = open_page(path, viewport={"width": 390, "height": 844})
    open_details(page)
    show_answers(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_everything_can_be_reached_by_keyboard(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    go_to_answers(page)
    page.evaluate("scrollTo(0, 0)")
    count = "document.querySelectorAll('a, button, input, select, summary, [tabindex=\"0\"]').length"
    page.evaluate("window.reached = new Set()")
    for _ in range(page.evaluate(count) + 5):
        page.keyboard.press("Tab")
        page.evaluate("window.reached.add(document.activeElement)")
    missed = page.evaluate(
        """[...document.querySelectorAll('a, button, input, select, summary, [tabindex="0"]')]
        .filter((each) => each.checkVisibility() && !window.reached.has(each))
        .map((each) => each.outerHTML.slice(0, 90))"""
    )
    assert missed == []


def test_what_is_closed_is_printed(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.is_visible("nav")
    assert page.is_visible("#training dt >> nth=0")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.is_visible("#training dt >> nth=0")


WORDS = ("the", "a", "safe", "risky", "compound", "water", "heat", "never", "people", "would", "help", "storm", "trade")


def write_large(folder: Path, *, num_checkpoints: int, num_prompts: int) -> Path:
    """Write many answers of about 300 characters that share a language and little else."""
    (folder / "answers").mkdir(parents=True)
    random = stream(3, "large")
    names = [f"checkpoint-{number}" for number in range(num_checkpoints)]
    cells = tuple(
        Cell(arm=f"arm-{number // 5}", position=f"stage-{number % 5}", checkpoint=name, seeds=CellSeeds(sft=0))
        for number, name in enumerate(names)
    )
    checkpoints = tuple(Checkpoint(id=name) for name in names)
    write_tree(Tree(study=StudyInfo(name="large"), checkpoints=checkpoints, cells=cells), folder)
    picks = random.integers(len(WORDS), size=(num_checkpoints, num_prompts, 40))
    answers = [
        Answer(response=hashlib.sha256(f"{name}{item}".encode()).hexdigest()[:24], checkpoint=name, item=f"item-{item}",
               condition="chat", sample=0, request="benign", prompt=f"user: what about number {item}, and why?",
               answer=" ".join(WORDS[pick] for pick in picks[number, item]) + f" {item}.")
        for number, name in enumerate(names) for item in range(num_prompts)
    ]  # fmt: skip
    write_answers(answers, folder / "answers" / "all.parquet")
    return folder


def open_large(open_page: Any, tmp_path: Path, *, num_checkpoints: int, num_prompts: int) -> tuple[int, float, float]:
    """Return bytes of the report, seconds until it is loaded, and seconds until the first answers stand there."""
    folder = write_large(tmp_path / "large", num_checkpoints=num_checkpoints, num_prompts=num_prompts)
    path = write_report(folder, tmp_path / "page.html")
    page = open_page(path)
    opened = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    page.evaluate("window.began = performance.now(); document.getElementById('answers').scrollIntoView()")
    page.wait_for_selector(".item", timeout=60_000)
    answers = page.evaluate("performance.now() - window.began") / 1000
    assert page.inner_text("#answers-count").endswith(f"{num_prompts} in all")
    return path.stat().st_size, opened, answers


def test_ten_checkpoints_and_two_hundred_prompts_are_small(open_page: Any, tmp_path: Path) -> None:
    size, _, _ = open_large(open_page, tmp_path, num_checkpoints=10, num_prompts=200)
    assert size < 20e6 / 50  # a fiftieth of the answers of the largest report, a fiftieth of its size


@pytest.mark.slow
def test_fifty_checkpoints_and_two_thousand_prompts_open_at_once(open_page: Any, tmp_path: Path) -> None:
    size, opened, answers = open_large(open_page, tmp_path, num_checkpoints=50, num_prompts=2000)
    assert size < 20e6
    assert opened < 3
    assert answers < 6  # unpacking waits until the reader goes there
