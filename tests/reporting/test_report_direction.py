"""Refusal directions in the report: every contrast a line, what was decided in words, each number at its claim."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from report_browser import open_details
from report_fixture import write_findings, write_tree

from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import Cell, Checkpoint, MeasureInfo, StudyInfo, Tree
from upbringing.reporting.build import write_report
from upbringing.reporting.direction import directions_of
from upbringing.reporting.exports.folder import export_results
from upbringing.reporting.inputs import Inputs, read_inputs

HOSTILE = "<img src=x onerror=alert(1)>"


def line(contrast: str, verdict: str, **more: Any) -> dict[str, Any]:
    """A line of the table as attribution writes it."""
    base = {"contrast": contrast, "kind": "path", "level": "L1", "role": "exploratory", "measure": "length",
            "weights": {}, "verdict": verdict, "p": 0.01, "reason": "", "growth": 1.5, "growth_low": 1.3,
            "growth_high": 1.7, "removed": 0.6, "removed_low": 0.4, "removed_high": 0.8, "brought": None,
            "brought_low": None, "brought_high": None, "claims": {"growth": "claim-0", "removed": "claim-1"},
            "assays": [], "sentence": f"{contrast}: what was found."}  # fmt: skip
    return {**base, **more}


def study(folder: Path, *lines: Any) -> Inputs:
    claims = tuple(
        Claim(id=f"claim-{number}", kind="path", measure="length", contrast=f"c{number}", estimate=0.1, low=0.0,
              high=0.2)
        for number in range(2)
    )  # fmt: skip
    tree = Tree(
        study=StudyInfo(name="t"),
        checkpoints=(Checkpoint(id="c"),),
        cells=(Cell(arm="main", position="sft", checkpoint="c"),),
        measures=(MeasureInfo(id="length", unit="spreads"),),
    )
    folder.mkdir(exist_ok=True)
    write_tree(tree, folder)
    write_findings(Findings(claims=claims, tables={"direction": list(lines)}), folder)
    return read_inputs(folder)


def test_every_contrast_is_a_line_with_its_numbers_at_their_claims(tmp_path: Path) -> None:
    (found,) = directions_of(study(tmp_path, line("a", "supported")))
    assert found.verdict == "grew with it"
    assert found.parts == (("+1.50 [+1.30, +1.70]", "claim-0"), ("+0.60 [+0.40, +0.80]", "claim-1"), ("–", ""))
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'href="#claim-1">+0.60 [+0.40, +0.80]</a>' in page
    assert 'id="claim-1"' in page
    assert 'href="#direction"' in page


def test_what_is_open_stands_in_the_table_and_not_in_words(tmp_path: Path) -> None:
    lines = [line("open", "not-decided"), line("void", "void"), line("no", "refuted"), line("yes", "supported"),
             line("asked", "not-decided", role="primary")]  # fmt: skip
    found = directions_of(study(tmp_path, *lines))
    assert [each.contrast for each in found] == ["asked", "yes", "no", "open", "void"]
    assert [each.contrast for each in found if each.is_named] == ["asked", "yes", "no"]
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<p>yes: what was found.</p>" in page
    assert "open: what was found." not in page
    assert "void: nothing moved it" in page


def test_several_ways_to_steer_are_told_apart(tmp_path: Path) -> None:
    lines = [line("a", "supported", steering=name) for name in ("middle", "last")]
    assert [each.contrast for each in directions_of(study(tmp_path, *lines))] == ["a (middle)", "a (last)"]


def test_without_directions_there_is_no_such_part(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="direction"' not in page
    assert 'href="#direction"' not in page


def test_broken_and_hostile_lines_do_no_harm(tmp_path: Path) -> None:
    hostile = line(HOSTILE, "supported", sentence=HOSTILE, level=HOSTILE, growth=HOSTILE, claims=[HOSTILE])
    found = directions_of(study(tmp_path, HOSTILE, {"contrast": "x"}, line("x", HOSTILE), hostile))
    assert len(found) == 1
    assert found[0].parts[0] == ("–", "")
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


def test_the_table_is_exported(tmp_path: Path) -> None:
    study(tmp_path / "results", line("a", "supported"))
    export_results(tmp_path / "results", tmp_path / "out")
    with (tmp_path / "out" / "tables" / "direction.csv").open(encoding="utf-8") as file:
        (found,) = csv.DictReader(file)
    assert (found["verdict"], float(found["growth_low"]), found["brought"]) == ("supported", 1.3, "")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_part_is_accessible_and_fits_a_phone(browser: Any, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    study(tmp_path, line("a", "supported"), line("b", "void"))
    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(write_report(tmp_path, tmp_path / "page.html").as_uri())
    open_details(page)
    found = Axe().run(page, context="#direction").response["violations"]
    width = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []
    assert width <= 390
