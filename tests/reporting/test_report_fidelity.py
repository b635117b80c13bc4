"""Edited weights against retrained cells: drawn where they are, and grey where they are not to be cited."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_browser import open_details
from report_fixture import write_findings, write_tree

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.validity.fidelity import Fidelity, Pair, fidelity_numbers
from upbringing.base.streams import stream
from upbringing.formats.findings import Findings
from upbringing.formats.tree import Cell, Checkpoint, MeasureInfo, StudyInfo, Tree
from upbringing.reporting.build import write_report
from upbringing.reporting.exports.folder import export_results
from upbringing.reporting.fidelity import fidelity_of
from upbringing.reporting.inputs import Inputs, read_inputs

EFFECTS = (-0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4)
WEAKER = (-0.6, -0.4, -0.3, 0.05, 0.2, 0.3, 0.5, 0.6)  # one of another sign, in the same order
UNRELATED = (0.3, -0.4, 0.4, -0.1, 0.2, -0.3, 0.1, -0.2)


def line(edits: Sequence[float], retrained: Sequence[float], measure: str = "harm", **left_out: str) -> dict[str, Any]:
    """A line of the table as attribution writes it."""
    pairs = tuple(
        Pair(f"e{place}@edit", f"r{place}@sft", "main@sft", one, other)
        for place, (one, other) in enumerate(zip(edits, retrained, strict=True))
    )
    numbers = fidelity_numbers(pairs, stream(0, "test")) if len(pairs) >= 8 else {}
    return Fidelity(Source(measure, "chat", "none", "ood"), pairs, numbers, left_out).row


def study(folder: Path, *lines: Any) -> Inputs:
    tree = Tree(
        study=StudyInfo(name="edits", primary=("harm",)),
        checkpoints=(Checkpoint(id="c"),),
        cells=(Cell(arm="main", position="sft", checkpoint="c"),),
        measures=(MeasureInfo(id="other"), MeasureInfo(id="harm", direction="lower-is-safer", label="Attack success")),
    )
    folder.mkdir(exist_ok=True)
    write_tree(tree, folder)
    write_findings(Findings(tables={"fidelity": list(lines)}), folder)
    return read_inputs(folder)


def test_pairs_stand_at_their_numbers_and_a_perfect_edit_on_the_line(tmp_path: Path) -> None:
    (view,) = fidelity_of(study(tmp_path, line(EFFECTS, EFFECTS))).views
    chart = str(view.figure.chart)
    marks = re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)" r="5" class="mark s0"', chart)
    assert (marks[0], marks[-1], len(marks)) == (("70.0", "378.0"), ("440.0", "42.0"), 8)
    assert '<line x1="70.0" y1="378.0" x2="440.0" y2="42.0" class="bandedge"/>' in chart  # a perfect prediction
    assert '<line x1="70.0" y1="378.0" x2="440.0" y2="42.0" class="path s0"/>' in chart  # which is the best fit here
    assert "hole" not in chart
    assert not view.is_greyed
    assert "e0@edit for r0@sft: predicted −0.40, retrained −0.40" in chart


def test_faithful_edits_are_told_with_every_number(tmp_path: Path) -> None:
    row = line(EFFECTS, WEAKER)
    part = fidelity_of(study(tmp_path, row))
    (view,), (numbers,) = part.views, part.rows
    assert str(view.figure.chart).count('class="hole"') == 1  # the edit that predicts the other sign
    assert numbers.label == "Attack success, split ood"
    assert numbers.cells[0] == "8"
    assert numbers.cells[1] == f"0.88 [{row['sign_agreement_low']:.2f}, {row['sign_agreement_high']:.2f}]"
    assert numbers.cells[2].startswith("+1.00 [")
    assert numbers.cells[3] == f"+{row['slope']:.2f} [+{row['slope_low']:.2f}, +{row['slope_high']:.2f}]"
    assert numbers.cells[5] == f"{row['rmse']:.2f} [{row['rmse_low']:.2f}, {row['rmse_high']:.2f}]"
    assert numbers.cells[6] == "yes, as support"
    assert view.sentence.startswith("Edits predict retrained branches here: Spearman is +1.00")
    assert view.figure.rows[0].cells == ("r0@sft", "main@sft", "−0.40", "−0.60", "+0.20")


def test_edits_that_predict_badly_are_grey(tmp_path: Path) -> None:
    row = line(EFFECTS, UNRELATED)
    assert row["status"] == "unfaithful"
    part = fidelity_of(study(tmp_path, row))
    chart = str(part.views[0].figure.chart)
    assert chart.count('class="mark sx"') == 8
    assert " s0" not in chart
    assert part.views[0].is_greyed
    assert "Greyed out: Spearman is" in part.views[0].sentence
    assert "0.8 is needed" in part.views[0].sentence
    assert part.rows[0].cells[-1] == "no: they predict badly"


def test_edits_that_do_not_vary_have_no_numbers_and_are_grey(tmp_path: Path) -> None:
    part = fidelity_of(study(tmp_path, line([0.1] * 8, EFFECTS)))
    assert part.rows[0].cells[2:5] == ("not defined",) * 3
    assert 'class="path' not in str(part.views[0].figure.chart)
    assert "Spearman is not defined over 8 retrained cells" in part.views[0].sentence


def test_few_cells_are_drawn_in_grey_without_any_number(tmp_path: Path) -> None:
    row = line(EFFECTS[:3], EFFECTS[:3], **{"e9@edit": "r9@sft was left out of this run"})
    part = fidelity_of(study(tmp_path, row))
    assert str(part.views[0].figure.chart).count('class="mark sx"') == 3
    assert part.rows[0].cells == ("3", "–", "–", "–", "–", "–", "no: too few cells")
    assert "3 retrained cells of the 8 that are needed" in part.views[0].sentence
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "r9@sft was left out of this run" in page
    assert 'href="#edits"' in page


def test_cells_without_any_pair_are_a_table_without_a_picture(tmp_path: Path) -> None:
    (view,) = fidelity_of(study(tmp_path, line((), (), **{"e0@edit": "nothing"}))).views
    assert view.figure.chart == ""
    assert view.left_out[0].label == "e0@edit"
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="edits"' in page
    assert 'class="chart fidelity"' not in page


def test_the_primary_measure_comes_first(tmp_path: Path) -> None:
    inputs = study(tmp_path, line(EFFECTS, EFFECTS, "other"), line(EFFECTS, WEAKER))
    assert [row.label for row in fidelity_of(inputs).rows] == ["Attack success, split ood", "other, split ood"]


def test_other_proxies_are_told_from_edited_weights(tmp_path: Path) -> None:
    emulated = {**line(EFFECTS, UNRELATED), "proxy": "emulate_tuning"}
    found = fidelity_of(study(tmp_path, emulated, {**line(EFFECTS, EFFECTS), "proxy": "edit_weights"}))
    assert [row.label for row in found.rows] == [
        "Attack success, split ood", "Attack success, split ood, emulated tuning",
    ]  # fmt: skip
    assert found.views[1].figure.title.endswith("emulated tuning: emulations against retrained cells")
    assert "Claims on emulated tuning are not to be cited here" in found.views[1].sentence


def test_without_edited_weights_there_is_no_such_part(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="edits"' not in page
    assert 'href="#edits"' not in page


def test_lines_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    whole = line(EFFECTS, EFFECTS)
    odd = {**whole, "pairs": [None, {"cell": "x", "estimate": "high", "retrained": 0.1}, *whole["pairs"][:1]]}
    found = fidelity_of(study(tmp_path, "text", {"measure": "harm"}, {**whole, "status": ["odd"]}, odd))
    assert len(found.views) == 1
    assert [row.label for row in found.views[0].figure.rows] == ["e0@edit"]


def test_the_picture_and_its_pairs_are_exported(tmp_path: Path) -> None:
    study(tmp_path / "results", line(EFFECTS, WEAKER))
    export_results(tmp_path / "results", tmp_path / "out")
    with (tmp_path / "out" / "tables" / "fidelity-pairs.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(each["retrained"]) for each in lines] == list(WEAKER)
    assert [float(each["predicted"]) for each in lines] == list(EFFECTS)
    (figure,) = (tmp_path / "out" / "figures").glob("attack-success-split-ood-edits-*.svg")
    assert "what is predicted" in "".join(ElementTree.fromstring(figure.read_text(encoding="utf-8")).itertext())


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    row = line(EFFECTS, WEAKER, **{hostile: hostile})
    row["pairs"][0] |= {"cell": hostile, "stands_for": hostile, "edited_from": hostile}
    study(tmp_path, row)
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;img src=x" in page
    assert hostile not in page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_part_is_accessible_and_fits_a_phone(browser: Any, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    study(tmp_path, line(EFFECTS, WEAKER), line(EFFECTS, UNRELATED, "other"), line(EFFECTS[:2], EFFECTS[:2], "third"))
    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(write_report(tmp_path, tmp_path / "page.html").as_uri())
    open_details(page)
    found = Axe().run(page, context="#edits").response["violations"]
    width = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []
    assert width <= 390
