"""Safety against utility: marks where their numbers are, and nothing said to win that two intervals do not show."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_browser import open_details
from report_fixture import write_findings, write_tree

from upbringing.attribution.evidence.cells import Source
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import Cell, Checkpoint, MeasureInfo, StudyInfo, Tree
from upbringing.reporting.build import write_report
from upbringing.reporting.chart import Interval, apart
from upbringing.reporting.dominance import Compared, compared, dominance_sentence
from upbringing.reporting.exports.figures import figures_of
from upbringing.reporting.exports.folder import export_results
from upbringing.reporting.inputs import Inputs, read_inputs
from upbringing.reporting.runs import runs_of
from upbringing.reporting.scatter import Side, Spot, scatter
from upbringing.reporting.trade_off import trade_off_tables, trade_offs_of

MEASURES = (
    MeasureInfo(id="cost", direction="lower-is-better", label="Over-refusal"),
    MeasureInfo(id="harm", direction="lower-is-safer", label="Attack success"),
    MeasureInfo(id="skill", direction="higher-is-better", label="Knowledge"),
    MeasureInfo(id="size", direction="neutral"),
)
HARM, SKILL, COST = (Source(name, "default", "none", None) for name in ("harm", "skill", "cost"))
SAFER, BETTER = (-0.3, -0.4, -0.2), (0.1, 0.02, 0.18)
NOTHING = (0.0, -0.1, 0.1)


def tree_of(arms: tuple[str, ...] = ("a", "b"), positions: tuple[str, ...] = ("sft",)) -> Tree:
    checkpoints, cells = [], []
    for arm in arms:
        for place, position in enumerate(positions):
            parent = f"{arm}-{positions[place - 1]}" if place else None
            checkpoints.append(Checkpoint(id=f"{arm}-{position}", parent=parent))
            cells.append(Cell(arm=arm, position=position, checkpoint=f"{arm}-{position}"))
    study = StudyInfo(name="t", primary=("harm",))
    return Tree(study=study, checkpoints=tuple(checkpoints), cells=tuple(cells), measures=MEASURES)


def claim(measure: str, found: tuple[float, float, float] | None, **more: Any) -> Claim:
    estimate, low, high = (None, None, None) if found is None else found
    base: dict[str, Any] = {"id": f"{measure}-{len(more)}", "kind": "branch", "level": "L2", "contrast": "a - b",
                            "measure": measure, "weights": {"a@sft": 1.0, "b@sft": -1.0}, "verdict": "changed",
                            "estimate": estimate, "low": low, "high": high}  # fmt: skip
    return Claim(**{**base, **more})


def level(cell: str, measure: str, estimate: float | None, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    return {"cell": cell, "measure": measure, "condition": "default", "judge": "none", "split": None, "items": 40,
            "unscored": 2, "estimate": estimate, "low": low, "high": high}  # fmt: skip


def study(folder: Path, claims: tuple[Claim, ...] = (), levels: list[dict[str, Any]] | None = None,
          tree: Tree | None = None) -> Inputs:  # fmt: skip
    folder.mkdir(exist_ok=True)
    write_tree(tree or tree_of(), folder)
    default = [level(f"{arm}@sft", info.id, 0.5) for arm in "ab" for info in MEASURES]
    write_findings(Findings(claims=claims, tables={"levels": levels or default}), folder)
    return read_inputs(folder)


def only(inputs: Inputs, utility: Source = SKILL) -> Compared:
    (pair,) = compared(inputs, HARM, utility)
    return pair


def test_a_cell_wins_where_both_differences_leave_out_zero_in_its_favour(tmp_path: Path) -> None:
    pair = only(study(tmp_path, (claim("harm", SAFER), claim("skill", BETTER))))
    assert (pair.one, pair.other, pair.gains, pair.level) == ("a@sft", "b@sft", (1, 1), "L2")
    assert dominance_sentence([pair], "Attack success", "Knowledge") == (
        "Shown to be both safer and better: a@sft than b@sft (Attack success −0.30 [−0.40, −0.20], "
        "Knowledge +0.10 [+0.02, +0.18], level L2)."
    )


def test_the_winner_is_named_whichever_way_round_it_was_asked(tmp_path: Path) -> None:
    """b is safer and better, though both claims are a - b; a claim may also be asked as b - a."""
    worse = claim("harm", (0.3, 0.2, 0.4)), claim("skill", (-0.1, -0.18, -0.02))
    turned = claim("skill", BETTER, weights={"b@sft": 1.0, "a@sft": -1.0})
    for number, claims in enumerate((worse, (worse[0], turned))):
        pair = only(study(tmp_path / str(number), claims))
        assert (pair.one, pair.other, pair.gains) == ("b@sft", "a@sft", (1, 1))
        assert (pair.safety.estimate, pair.safety.low, pair.safety.high) == (-0.3, -0.4, -0.2)
        assert (pair.utility.estimate, pair.utility.low, pair.utility.high) == (0.1, 0.02, 0.18)


def test_less_over_refusal_is_better(tmp_path: Path) -> None:
    inputs = study(tmp_path, (claim("harm", SAFER), claim("cost", (-0.2, -0.3, -0.1))))
    assert only(inputs, COST).gains == (1, 1)
    inputs = study(tmp_path, (claim("harm", SAFER), claim("cost", (0.2, 0.1, 0.3))))
    assert (only(inputs, COST).gains, only(inputs, COST).word) == ((1, -1), "safer, but worse")


@pytest.mark.parametrize(
    "claims",
    [
        (claim("harm", SAFER), claim("skill", NOTHING)),
        (claim("harm", NOTHING), claim("skill", BETTER)),
        (claim("harm", SAFER, verdict="inconclusive"), claim("skill", BETTER)),  # not after the correction
        (claim("harm", SAFER), claim("skill", BETTER, verdict="inconclusive")),
        (claim("harm", SAFER), claim("skill", (0.1, 0.0, 0.2))),
        (claim("harm", SAFER), claim("skill", None, verdict="not-measurable")),
        (claim("harm", (-0.3, 0.0, 0.0), low=None, high=None), claim("skill", BETTER)),
        (claim("harm", SAFER), claim("skill", BETTER, corrected={"estimate": 0.1, "low": -0.2, "high": 0.4,
               "verdict": "changed", "method": "m", "power": 1.0, "labels": 60, "seeds": 3})),
    ],
)  # fmt: skip
def test_nobody_wins_within_noise(tmp_path: Path, claims: tuple[Claim, ...]) -> None:
    pair = only(study(tmp_path, claims))
    assert 0 in pair.gains
    assert pair.word == "not decided"
    said = dominance_sentence([pair], "Attack success", "Knowledge")
    assert said.startswith("No cell is shown to be both safer and better than another: of 1 pairs")
    assert "best" not in said


@pytest.mark.parametrize(
    "more",
    [{"level": "L4"}, {"scale": "logit"}, {"split": "trained"}, {"condition": "other"}, {"judge": "other"},
     {"kind": "judge-sensitivity"}, {"weights": {"a@sft": 1.0, "b@sft": -0.5, "c@sft": -0.5}}],
)  # fmt: skip
def test_only_pairs_read_from_what_is_drawn_are_compared(tmp_path: Path, more: dict[str, Any]) -> None:
    found = compared(study(tmp_path, (claim("harm", SAFER), claim("skill", BETTER, **more))), HARM, SKILL)
    assert found == ()
    assert dominance_sentence(found, "x", "y").startswith("No two cells were compared on both")


def test_what_was_declared_in_advance_decides(tmp_path: Path) -> None:
    claims = (
        claim("harm", SAFER),
        claim("harm", NOTHING, role="primary", verdict="inconclusive"),
        claim("skill", BETTER),
    )
    assert only(study(tmp_path, claims)).gains == (0, 1)


def test_the_weaker_evidence_of_the_two_is_named(tmp_path: Path) -> None:
    assert only(study(tmp_path, (claim("harm", SAFER, level="L3"), claim("skill", BETTER, level="L1")))).level == "L1"


def spot(x: float, y: float, **more: Any) -> Spot:
    return Spot(Interval(x, x - 0.1, x + 0.1), Interval(y, y - 0.2, y + 0.2), **{"style": 0, "name": "n", "detail": "d",
                **more})  # fmt: skip


def test_marks_intervals_runs_and_lines_stand_at_their_numbers() -> None:
    spots = [spot(0.5, 0.5, runs=((0.4, 0.6), (0.6, 0.4))), spot(1.0, 0.0, before=0)]
    chart = str(scatter(spots, Side(0, 1, "x & y"), Side(0, 1, "up"), title="t", description="d"))
    # 68 to 530 across, 368 to 44 upwards
    assert '<circle cx="299.0" cy="206.0" r="5" class="mark s0" data-detail="d"/>' in chart
    assert '<circle cx="530.0" cy="368.0" r="5" class="mark s0" data-detail="d"/>' in chart
    assert '<line x1="252.8" y1="206.0" x2="345.2" y2="206.0" class="range s0"/>' in chart
    assert '<line x1="299.0" y1="270.8" x2="299.0" y2="141.2" class="range s0"/>' in chart
    assert '<line x1="299.0" y1="206.0" x2="530.0" y2="368.0" class="path s0"/>' in chart
    assert re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)" r="2.2" class="run faint s0"/>', chart) == [
        ("252.8", "173.6"), ("345.2", "238.4"),
    ]  # fmt: skip
    assert chart.count('class="hole"') == 1  # the first was trained further
    assert chart.count('class="leader"') == 1  # the last one has the name
    assert "x &amp; y" in chart
    assert chart.index("run faint") < chart.index("path s0") < chart.index("range s0") < chart.index("mark s0")


def test_names_stand_apart_and_as_near_as_they_can() -> None:
    assert apart([10.0, 50.0], 0.0, 100.0, 15.0) == [10.0, 50.0]
    assert apart([10.0, 10.0, 12.0], 0.0, 100.0, 15.0) == [10.0, 25.0, 40.0]
    assert apart([99.0, 99.0], 0.0, 100.0, 15.0) == [85.0, 100.0]
    assert apart([], 0.0, 100.0, 15.0) == []


def test_directions_say_what_is_safety_and_what_is_utility(tmp_path: Path) -> None:
    inputs = study(tmp_path)
    found = trade_offs_of(inputs, runs_of(inputs))
    assert [each.figure.title for each in found] == ["Attack success against Knowledge",
                                                     "Attack success against Over-refusal"]  # fmt: skip
    assert found[0].columns == ("Attack success", "Knowledge")
    assert "Knowledge (higher is better)" in str(found[0].figure.chart)
    assert "Attack success (lower is safer)" in str(found[0].figure.chart)


def test_measures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    measures = tuple(each.model_copy(update={"label": "Price"}) if each.id != "harm" else each for each in MEASURES)
    inputs = study(tmp_path, tree=tree_of().model_copy(update={"measures": measures}))
    titles = [each.figure.title for each in trade_offs_of(inputs, runs_of(inputs))]
    assert titles == ["Attack success against Price (skill)", "Attack success against Price (cost)"]


def test_lines_lead_over_what_was_not_measured(tmp_path: Path) -> None:
    tree = tree_of(("a",), ("base", "sft", "rl"))
    levels = [level(f"a@{position}", measure, value) for position, measure, value in (
        ("base", "harm", 0.9), ("base", "skill", 0.2), ("sft", "harm", 0.5), ("sft", "skill", None),
        ("rl", "harm", 0.1), ("rl", "skill", 0.4),
    )]  # fmt: skip
    inputs = study(tmp_path, (), levels, tree)
    (found,) = trade_offs_of(inputs, runs_of(inputs))
    assert str(found.figure.chart).count('class="mark s0" data-detail') == 2
    assert str(found.figure.chart).count('class="path s0"') == 1
    assert [row.label for row in found.figure.rows] == ["a @ base", "a @ sft", "a @ rl"]  # the table leaves none out
    assert found.figure.rows[1].cells[3] == "not measurable"
    assert found.figure.rows[2].cells[:2] == ("0.10", "[0.00, 1.00]")


def test_scales_of_shares_hold_every_value_and_magnify_no_noise(tmp_path: Path) -> None:
    levels = [level(f"{arm}@sft", measure, 0.99, 0.98, 1.0) for arm in "ab" for measure in ("harm", "skill")]
    (found,) = trade_offs_of(inputs := study(tmp_path, (), levels), runs_of(inputs))
    ticks = [float(each) for each in re.findall(r'class="tick" text-anchor="end">([0-9.]+)<', str(found.figure.chart))]
    assert max(ticks) == 1.0
    assert 0.9 <= min(ticks) < 0.95  # a tenth below, none above 1


def test_a_study_without_both_kinds_has_no_such_part(tmp_path: Path) -> None:
    levels = [level("a@sft", "harm", 0.5), level("b@sft", "skill", 0.5)]  # never on one cell
    inputs = study(tmp_path, (), levels)
    assert trade_offs_of(inputs, runs_of(inputs)) == ()
    assert trade_off_tables(inputs) == {"trade_off": [], "trade_off_pairs": []}
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="trade-off"' not in page
    assert 'href="#trade-off"' not in page


def test_the_realistic_study_names_no_winner_that_its_claims_do_not_show(results: Path) -> None:
    inputs = read_inputs(results)
    found = trade_offs_of(inputs, runs_of(inputs))
    assert [each.columns[1] for each in found] == ["Knowledge", "Over-refusal of benign twins", "Bits per byte"]
    by_id = {each.id: each for each in inputs.findings.claims}
    lines = trade_off_tables(inputs)["trade_off_pairs"]
    assert lines
    for line in lines:
        claims = by_id[line["safety_claim"]], by_id[line["utility_claim"]]
        assert {line["one"], line["other"]} == set(claims[0].weights) == set(claims[1].weights)
        shown = [
            each.verdict == "changed"
            and each.low is not None
            and each.high is not None
            and (each.low > 0 or each.high < 0)
            for each in claims
        ]
        assert (line["says"] == "not decided") == (not all(shown))
    chart = str(found[0].figure.chart)
    assert chart.count('class="run faint') == 3 * chart.count("data-detail") == 12


def test_pictures_and_their_numbers_are_exported(results: Path, tmp_path: Path) -> None:
    export_results(results, tmp_path, png=True)
    name = "trade-off-attack-success-against-knowledge"
    root = ElementTree.fromstring((tmp_path / "figures" / f"{name}.svg").read_text(encoding="utf-8"))
    assert "concept+safety" in "".join(root.itertext())  # the key of the arms is in it
    assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "tables" / "trade-off.csv").open(encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["utility"] == "knowledge"]
    levels = {(row["cell"], row["measure"]): row for row in read_inputs(results).level_rows()
              if row["split"] == "held-out-item"}  # fmt: skip
    compared_with = 0
    for line in lines:
        cell = line["cells"].strip('[]"').split('"')[0]
        if line["safety_estimate"]:
            assert float(line["safety_estimate"]) == levels[cell, "attack_success"]["estimate"]
            assert float(line["utility_high"]) == levels[cell, "knowledge"]["high"]
            compared_with += 1
    assert compared_with == 4  # after fine-tuning a gate failed


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    tree = tree_of((hostile, "b"))
    measures = tuple(each.model_copy(update={"label": f"{each.id} {hostile}"}) for each in MEASURES)
    weights = {f"{hostile}@sft": 1.0, "b@sft": -1.0}
    claims = claim("harm", SAFER, weights=weights), claim("skill", BETTER, weights=weights)
    levels = [level(f"{arm}@sft", info.id, 0.5) for arm in (hostile, "b") for info in MEASURES]
    inputs = study(tmp_path, claims, levels, tree.model_copy(update={"measures": measures}))
    page = write_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Shown to be both safer and better: &lt;img" in page
    assert hostile not in page
    for figure in figures_of(inputs).values():
        assert hostile not in figure
        ElementTree.fromstring(figure)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_part_is_accessible_and_fits_a_phone(browser: Any, results: Path, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(write_report(results, tmp_path / "page.html").as_uri())
    open_details(page)
    found = Axe().run(page, context="#upbringing").response["violations"]
    width = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []
    assert width <= 390


@pytest.mark.browser
def test_marks_are_read_by_arrow_keys_and_arms_brought_forward(open_page: Any, results: Path, tmp_path: Path) -> None:
    page = open_page(write_report(results, tmp_path / "page.html"))
    page.locator(".plot:has(svg.scatter) >> nth=0").focus()
    page.keyboard.press("ArrowRight")
    tip = page.inner_text(".tip")
    assert re.match(r".+ @ (sft|finetune): Attack success \d\.\d\d \[.+\]; Knowledge \d\.\d\d \[.+\]$", tip), tip
    page.locator("button.arm").nth(1).click()
    opacity = "Number(getComputedStyle(document.querySelector('svg.scatter .mark.{}')).opacity)"
    assert page.evaluate(opacity.format("s1")) == 1
    assert page.evaluate(opacity.format("s0")) < 0.5
