"""Bytes of the report of 50 checkpoints x 2,000 prompts, and seconds until it can be used in Chromium.

Targets: under 20 MB; loaded within 3 s and the first answers within 6 s of going there (what the slow test asks too).
Every checkpoint says something else to every prompt: about 50 words whose frequencies fall like those of a language.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from alternating import light_machine
from attribute_ten_million_rows import tree_of

from upbringing.attribution.attribute import attribute_folder
from upbringing.base.streams import stream
from upbringing.formats.answers import Answer, write_answers
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Tree
from upbringing.reporting.build import write_report

MEGABYTE = 1_000_000
MAX_MEGABYTES, MAX_LOADING_SECONDS, MAX_ANSWERS_SECONDS = 20, 3, 6
NUM_WORDS, ANSWER_WORDS = 2000, 50
OUTCOMES = ("refuse", "harmful", "harmless")
MEASURE, CONDITION = "measure-0", "condition-0"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # containers offer none of the three


def vocabulary() -> list[str]:
    """Return made-up words of two to twelve letters."""
    random = stream(3, "report benchmark", "words")
    return ["".join(random.choice(list("etaoinshrdlu"), random.integers(2, 13))) for _ in range(NUM_WORDS)]


def answers_of(tree: Tree) -> Iterator[Answer]:
    """Yield an answer of every checkpoint to every item."""
    words, random = np.array(vocabulary()), stream(3, "report benchmark", "answers")
    frequencies = 1.0 / np.arange(1, NUM_WORDS + 1)  # Zipf's law
    frequencies /= frequencies.sum()
    for checkpoint in tree.checkpoints:
        picks = random.choice(NUM_WORDS, size=(len(tree.items), ANSWER_WORDS), p=frequencies)
        for number, item in enumerate(tree.items):
            yield Answer(
                response=hashlib.sha256(f"{checkpoint.id}/{item.id}".encode()).hexdigest()[:24],
                checkpoint=checkpoint.id,
                item=item.id,
                condition=CONDITION,
                sample=0,
                request="harmful",
                prompt=f"user: what about number {number}, and why?",
                answer=" ".join(words[picks[number]]),
            )


def row_of(answer: Answer) -> Row:
    """Return the judged row of an answer; the answer's hash decides the outcome."""
    outcome = OUTCOMES[int(answer.response[:4], 16) % len(OUTCOMES)]
    return Row(
        checkpoint=answer.checkpoint,
        measure=MEASURE,
        condition=CONDITION,
        item=answer.item,
        judge="rules/1",
        judge_kind="rule",
        outcome=outcome,
        value=float(outcome == "harmful"),
        response=answer.response,
    )


def write_results(folder: Path, num_prompts: int) -> tuple[int, float]:
    """Write rows, tree, answers and findings; return the number of answers and their deflated bits per character."""
    tree = tree_of(num_prompts)
    answers = list(answers_of(tree))
    (folder / "answers").mkdir()
    write_answers(answers, folder / "answers" / "all.parquet")
    write_rows(rows_table(row_of(answer) for answer in answers), folder / "rows.parquet")
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")
    findings = attribute_folder(folder)
    (folder / "findings.json").write_text(findings.model_dump_json(), encoding="utf-8")
    sample = "\n".join(answer.answer for answer in answers[:2000]).encode("ascii")
    return len(answers), 8 * len(zlib.compress(sample, 9)) / len(sample)


def browsed(page_file: Path) -> tuple[float, float]:
    """Return seconds until the page is loaded, and until the first answers stand there after going to them."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium on this machine: run scripts/browser")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
        page = opened.new_page()
        page.goto(page_file.as_uri())
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
        page.evaluate("window.began = performance.now(); document.getElementById('answers').scrollIntoView()")
        page.wait_for_selector(".item", timeout=60_000)
        answers = page.evaluate("performance.now() - window.began") / 1000
        opened.close()
    return loaded, answers


def verdict(value: float, limit: float) -> str:
    """Return the limit and whether ``value`` keeps it."""
    return f"target under {limit:g}: {'met' if value < limit else 'MISSED'}"


def main() -> None:
    """Print size and seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=2000)
    options = parser.parse_args()
    print(light_machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        number, bits = write_results(folder, options.prompts)
        began = time.perf_counter()
        path = write_report(folder, folder / "report.html")
        seconds = time.perf_counter() - began
        megabytes = path.stat().st_size / MEGABYTE
        print(f"report of {number:,} distinct answers of {ANSWER_WORDS} words ({bits:.2f} bits per character "
              f"deflated): {megabytes:.1f} MB; {verdict(megabytes, MAX_MEGABYTES)}; written in {seconds:.1f} s",
              flush=True)  # fmt: skip
        loaded, answers = browsed(path)
    print(f"loaded after {loaded:.2f} s; {verdict(loaded, MAX_LOADING_SECONDS)}; "
          f"first answers {answers:.2f} s after going there; {verdict(answers, MAX_ANSWERS_SECONDS)}")  # fmt: skip


if __name__ == "__main__":
    main()
