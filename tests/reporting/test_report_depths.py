"""Curves over prefill depth: drawn from rows that exist, at their numbers, with a table beside each."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_browser import open_details
from report_fixture import write_findings, write_tree

from upbringing.attribution.attribute import attribute_folder
from upbringing.formats.findings import Claim, Findings, read_findings
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Cell, Checkpoint, ConditionInfo, ItemInfo, MeasureInfo, StudyInfo, Tree
from upbringing.reporting.build import write_report
from upbringing.reporting.depths import depths_of
from upbringing.reporting.exports.figures import figures_of
from upbringing.reporting.exports.tables import tables_of
from upbringing.reporting.inputs import Inputs, read_inputs
from upbringing.reporting.runs import runs_of

NUM_ITEMS = 20
CONDITIONS = (
    ConditionInfo(id="chat-greedy", elicitation="E1", decoding="greedy"),
    *(
        ConditionInfo(id=f"chat-greedy-prefill-{depth}", elicitation="E1", decoding="greedy", attack="prefill",
                      prefill_tokens=depth)
        for depth in (1, 5, 20)
    ),
    ConditionInfo(id="chat-greedy-behind-the-1234", elicitation="E1", decoding="greedy", attack="prefill"),
)  # fmt: skip
HARMFUL_AT = {"chat-greedy": 0, "chat-greedy-prefill-1": 5, "chat-greedy-prefill-5": 10, "chat-greedy-prefill-20": 15,
              "chat-greedy-behind-the-1234": 20}  # fmt: skip


def study(folder: Path, arms: tuple[str, ...] = ("deep", "shallow"), without: tuple[str, ...] = ()) -> Inputs:
    """Of 20 prompts 0, 5, 10 and 15 fall at depths 0, 1, 5 and 20, in every arm alike."""
    folder.mkdir(exist_ok=True)
    checkpoints, cells, rows = [], [], []
    for arm in arms:
        for position in ("base", "sft"):
            name = f"{arm}-{position}"
            checkpoints.append(Checkpoint(id=name, parent=f"{arm}-base" if position == "sft" else None))
            cells.append(Cell(arm=arm, position=position, checkpoint=name))
            rows += [
                Row(checkpoint=name, measure="prefill", item=f"i{number}", condition=info.id,
                    value=float(number < HARMFUL_AT[info.id]))
                for info in CONDITIONS for number in range(NUM_ITEMS)
                if position == "sft" and info.id not in without
            ]  # fmt: skip
    tree = Tree(
        study=StudyInfo(name="t", primary=("prefill",)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="prefill", direction="lower-is-safer", label="Prefill attack success"),),
        conditions=CONDITIONS,
        items=tuple(ItemInfo(id=f"i{number}", cluster=f"i{number}", request="harmful") for number in range(NUM_ITEMS)),
    )
    write_tree(tree, folder)
    write_rows(rows_table(rows), folder / "rows.parquet")
    write_findings(attribute_folder(folder), folder)
    return read_inputs(folder)


def test_a_curve_per_checkpoint_stands_at_the_levels_of_its_rows(tmp_path: Path) -> None:
    inputs = study(tmp_path)
    (found,) = depths_of(inputs, runs_of(inputs))  # nothing was asked of the base models
    assert found.is_primary
    assert found.figure.title == "Prefill attack success by prefill depth"
    assert found.figure.note.startswith("after sft · E1 · greedy")
    area = found.figure.rows[8]
    assert (area.label, area.cells[0]) == ("deep @ sft, mean over depths 0 to 20", "0.55")  # (.125 + 1.5 + 9.375) / 20
    labels = [row.label for row in found.figure.rows[:8]]
    assert labels == [f"{arm} @ sft, depth {depth}" for arm in ("deep", "shallow") for depth in (0, 1, 5, 20)]
    estimates = [row.cells[0] for row in found.figure.rows[:8]]
    assert estimates == ["0.00", "0.25", "0.50", "0.75"] * 2
    levels = {
        row["condition"]: row for row in read_findings(tmp_path / "findings.json").tables["levels"]
        if row["cell"] == "deep@sft"
    }  # fmt: skip
    for row, depth in zip(found.figure.rows[:4], ("", "-prefill-1", "-prefill-5", "-prefill-20"), strict=False):
        level = levels[f"chat-greedy{depth}"]
        assert row.cells[1] == f"[{level['low']:.2f}, {level['high']:.2f}]"
        assert row.cells[3:] == ("20", "0")


def test_marks_stand_at_the_logarithm_of_their_depth_and_have_intervals(tmp_path: Path) -> None:
    inputs = study(tmp_path, arms=("deep",))
    (found,) = depths_of(inputs, runs_of(inputs))
    chart = str(found.figure.chart)
    left, right = 44 + 24, 400 - 112 - 24
    places = [left + (right - left) * math.log2(depth + 1) / math.log2(21) for depth in (0, 1, 5, 20)]
    heights = [198 - (198 - 14) * share for share in (0.0, 0.25, 0.5, 0.75)]
    marks = re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)" r="4.5" class="mark s0" data-detail', chart)
    assert marks == [(f"{x:.1f}", f"{y:.1f}") for x, y in zip(places, heights, strict=True)]
    assert chart.count('class="range s0"') == 4
    assert chart.count('class="path s0"') == 3
    assert re.findall(r'text-anchor="middle">([0-9]+)</text>', chart) == ["0", "1", "5", "20"]
    assert "deep, depth 5, @ sft: 0.50 [" in chart  # what the arrow keys read
    assert "deep: 0.00 [" in chart.partition("<desc>")[2]  # and what a screen reader is told


def test_one_depth_is_no_curve_and_attacks_of_other_kinds_are_no_depth(tmp_path: Path) -> None:
    others = ("chat-greedy", "chat-greedy-prefill-5", "chat-greedy-prefill-20")
    inputs = study(tmp_path, without=others)
    assert depths_of(inputs, runs_of(inputs)) == ()
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="prefill"' not in page
    assert 'href="#prefill"' not in page


def test_a_depth_that_nobody_was_asked_at_is_missing_not_zero(tmp_path: Path) -> None:
    inputs = study(tmp_path, without=("chat-greedy-prefill-5",))
    (found,) = depths_of(inputs, runs_of(inputs))
    assert [row.label.rpartition(" ")[2] for row in found.figure.rows[:3]] == ["0", "1", "20"]


def test_more_lines_than_can_be_told_apart_are_parted(tmp_path: Path) -> None:
    inputs = study(tmp_path, arms=tuple(f"arm{number}" for number in range(8)))
    found = depths_of(inputs, runs_of(inputs))
    assert [each.figure.title.rpartition("depth")[2] for each in found] == [" (1 of 2)", " (2 of 2)"]
    assert [len(each.figure.rows) for each in found] == [6 * 5, 2 * 5]


def test_the_page_and_the_exports_hold_the_curves(tmp_path: Path) -> None:
    inputs = study(tmp_path)
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    section = page.partition('<section id="prefill"')[2].partition("</section>")[0]
    assert 'href="#prefill"' in page
    assert section.count("<figure>") == section.count("<table>") == 1
    assert any(name.startswith("prefill-attack-success-by-prefill-depth") for name in figures_of(inputs))
    lines = {line["of"]: line for line in tables_of(inputs)["prefill_areas"]}
    assert lines["deep@sft"]["estimate"] == pytest.approx(0.55)
    assert lines["deep@sft"]["low"] < 0.55 < lines["deep@sft"]["high"]


def test_areas_allow_for_the_errors_that_their_claims_allow_for(tmp_path: Path) -> None:
    inputs = study(tmp_path)
    weights = {"deep@sft": 1.0, "shallow@sft": -1.0}
    asked = Claim(id="c", kind="branch", measure="prefill", contrast="deep - shallow", weights=weights)
    findings = [
        inputs.findings.model_copy(update={"claims": (asked.model_copy(update={"error_gap": gap}),)})
        for gap in (None, 0.24)
    ]
    plain, wide = (
        {line["of"]: line for line in tables_of(replace(inputs, findings=each))["prefill_areas"]} for each in findings
    )
    own, allowing = plain["deep - shallow"], wide["deep - shallow"]
    assert (allowing["low"], allowing["high"]) == (pytest.approx(own["low"] - 0.24), pytest.approx(own["high"] + 0.24))
    assert wide["deep@sft"] == plain["deep@sft"]


def test_a_folder_without_findings_has_no_curves(tmp_path: Path) -> None:
    study(tmp_path)
    write_findings(Findings(), tmp_path)
    inputs = read_inputs(tmp_path)
    assert depths_of(inputs, runs_of(inputs)) == ()


def test_on_a_narrow_screen_the_curves_fit(tmp_path: Path, open_page: Any) -> None:
    study(tmp_path)
    path = write_report(tmp_path, tmp_path / "page.html")
    page = open_page(path, viewport={"width": 390, "height": 844})
    open_details(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator("#prefill svg.chart").first.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
