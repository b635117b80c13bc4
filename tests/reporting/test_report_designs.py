"""Curves, crossings, power and shares: found where the design carries them, drawn where their numbers are."""

from __future__ import annotations

import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from report_fixture import write_findings, write_results

from upbringing.formats.findings import Claim, Findings, Units, read_findings
from upbringing.formats.tree import Cell, Checkpoint, StageInfo, StudyInfo, Tree
from upbringing.reporting.alike import alike_of
from upbringing.reporting.build import write_report
from upbringing.reporting.chart import Interval
from upbringing.reporting.curves import Point, Scale, Series, curves
from upbringing.reporting.designs import designs_of
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.factors import claims_about, number_of, plans_of
from upbringing.reporting.forest import ForestRow, forest, forest_axis
from upbringing.reporting.inputs import Inputs, read_inputs
from upbringing.reporting.power import power_of
from upbringing.reporting.runs import runs_of
from upbringing.reporting.shares import shares_of


def tree_of(settings: list[dict[str, str]], *, position: str = "sft", **more: Any) -> Tree:
    """A tree with a cell per setting of the factors; ``more``: further fields of cells, by the cell's number."""
    cells = [
        Cell(arm=f"arm{number}", position=position, **{"checkpoint": f"c{number}", "factors": factors,
             **more.get(f"cell{number}", {})})
        for number, factors in enumerate(settings)
    ]  # fmt: skip
    names = dict.fromkeys(cell.checkpoint for cell in cells)
    return Tree(study=StudyInfo(name="t"), checkpoints=tuple(Checkpoint(id=name) for name in names), cells=tuple(cells))


def test_a_factor_with_numbers_is_a_curve_per_setting_of_the_others() -> None:
    settings = [{"start": start, "decoding": decoding} for start, decoding in product(("60%", "0%", "20%"), ("a", "b"))]
    (plan,) = plans_of(tree_of(settings))
    assert (plan.factor, plan.position, plan.crossed, sorted(plan.lines)) == ("start", "sft", "", ["a", "b"])
    assert [(place.x, place.level, place.cell) for place in plan.lines["b"]] == [
        (0.0, "0%", "arm3@sft"), (0.2, "20%", "arm5@sft"), (0.6, "60%", "arm1@sft"),
    ]  # fmt: skip


def test_two_points_and_names_are_no_curve() -> None:
    assert plans_of(tree_of([{"dose": "0"}, {"dose": "1"}])) == ()
    assert plans_of(tree_of([{"data": name} for name in ("none", "half", "all")])) == ()
    assert plans_of(tree_of([{"dose": "0"}, {"dose": "0"}, {"dose": "1"}, {"dose": "2"}])) == ()  # one dose twice


def test_what_follows_from_a_factor_does_not_split_its_curve() -> None:
    settings = [{"start": start, "tokens": tokens} for start, tokens in (("0", "3M"), ("0.5", "2M"), ("1", "1M"))]
    plans = plans_of(tree_of(settings))
    assert [(plan.factor, list(plan.lines), len(plan.cells)) for plan in plans] == [
        ("start", [""], 3),
        ("tokens", [""], 3),
    ]


def test_starts_and_doses_of_stages_are_factors_too() -> None:
    tree = tree_of([{}, {}, {}])
    checkpoints = tuple(
        each.model_copy(update={"stages": (StageInfo(role="pretrain", kind="pretrain", start=0.3 * number),)})
        for number, each in enumerate(tree.checkpoints)
    )
    (plan,) = plans_of(tree.model_copy(update={"checkpoints": checkpoints}))
    assert (plan.factor, [place.x for place in plan.lines[""]]) == ("start of pretrain", [0.0, 0.3, 0.6])


def told(tree: Tree, *stages: tuple[float | None, float | None]) -> Tree:
    """Return ``tree`` with the start and dose that each checkpoint's pretraining turned out to have."""
    checkpoints = tuple(
        each.model_copy(update={"stages": (StageInfo(role="pretrain", kind="pretrain", start=start, dose=dose),)})
        for each, (start, dose) in zip(tree.checkpoints, stages, strict=True)
    )
    return tree.model_copy(update={"checkpoints": checkpoints})


def test_starts_of_one_dose_are_a_curve_beside_starts_that_cost_dose() -> None:
    """Doses that differ by a window are one; the start that is never has none; what cost dose stands on no curve."""
    tree = told(tree_of([{}] * 6), (None, 0.0), (0.0, 0.35), (0.2, 0.28), (0.6, 0.14), (0.2, 0.3501), (0.6, 0.3497))
    (plan,) = plans_of(tree)
    assert plan.factor == "start of pretrain"
    assert {name: [(place.x, place.cell) for place in found] for name, found in plan.lines.items()} == {
        "0.35 dose of pretrain": [(0.0, "arm1@sft"), (0.2, "arm4@sft"), (0.6, "arm5@sft")]
    }


def test_what_a_factor_turned_out_to_give_breaks_no_crossing_and_no_curve() -> None:
    known = {"a": (None, 0.0), "b": (0.0, 0.3)}
    combinations = ("ac", "ad", "bc", "bd")
    tree = told(tree_of(crossed(*combinations)), *(known[each[0]] for each in combinations))
    (plan,) = plans_of(tree)
    assert (plan.factor, plan.crossed, plan.setting, len(plan.cells)) == ("documents", "chat", "", 4)
    shares = {"0": (None, 0.0), "0.1": (0.0, 0.1), "0.3": (0.0, 0.3)}
    settings = [{"share": share, "chat": chat} for share in shares for chat in "cd"]
    plans = {
        plan.factor: plan for plan in plans_of(told(tree_of(settings), *(shares[each["share"]] for each in settings)))
    }
    assert sorted(plans["share"].lines) == ["c", "d"]
    assert all(len(line) == 3 for line in plans["share"].lines.values())


def crossed(*combinations: str) -> list[dict[str, str]]:
    return [{"documents": each[0], "chat": each[1]} for each in combinations]


def test_a_complete_two_by_two_is_a_crossing() -> None:
    (plan,) = plans_of(tree_of(crossed("ac", "ad", "bc", "bd")))
    assert (plan.factor, plan.crossed, list(plan.lines)) == ("documents", "chat", ["c", "d"])
    assert [(place.x, place.level, place.cell) for place in plan.lines["c"]] == [
        (0.0, "a", "arm0@sft"), (1.0, "b", "arm2@sft"),
    ]  # fmt: skip


def test_a_level_that_meets_only_one_of_the_others_is_no_part_of_a_crossing() -> None:
    (plan,) = plans_of(tree_of(crossed("ac", "ad", "bc", "bd", "ae")))
    assert plan.cells == {f"arm{number}@sft" for number in range(4)}


@pytest.mark.parametrize("combinations", [("ac", "ad", "bc"), ("ac", "ad", "bc", "bd", "bd"),
                                          ("ac", "ad", "bc", "bd", "ae", "be")])  # fmt: skip
def test_other_tables_are_no_crossing(combinations: tuple[str, ...]) -> None:
    assert plans_of(tree_of(crossed(*combinations))) == ()


def test_cells_that_are_still_one_checkpoint_and_copies_do_not_count() -> None:
    same = {"cell1": {"checkpoint": "c0"}}
    assert plans_of(tree_of(crossed("ac", "ad", "bc", "bd"), **same)) == ()
    copies = {"cell4": {"control": "copy"}}
    assert len(plans_of(tree_of(crossed("ac", "ad", "bc", "bd", "bd"), **copies))) == 1


@pytest.mark.parametrize(
    ("level", "number"),
    [("0.25", 0.25), ("20%", 0.2), ("2M", 2e6), ("-1.5", -1.5), ("3e2", 300.0), ("high", None), ("", None),
     ("nan", None), ("inf", None), ("50 %", None)],
)  # fmt: skip
def test_levels_are_numbers_or_names(level: str, number: float | None) -> None:
    assert number_of(level) == number


def claim(number: int, kind: str, weights: dict[str, float]) -> Claim:
    return Claim(id=f"claim-{number}", kind=kind, measure="m", contrast="x", weights=weights)


def test_a_picture_is_told_by_the_claims_that_compare_it_as_a_whole() -> None:
    (plan,) = plans_of(tree_of(crossed("ac", "ad", "bc", "bd")))
    whole = dict.fromkeys((f"arm{number}@sft" for number in range(4)), 0.5)
    claims = [claim(0, "interaction", whole), claim(1, "main-effect", whole),
              claim(2, "branch", {"arm0@sft": 1, "arm1@sft": -1})]  # fmt: skip
    assert [each.id for each in claims_about(plan, claims)] == ["claim-0"]
    (curve,) = plans_of(tree_of([{"dose": f"{number}"} for number in range(4)]))
    trend = claim(3, "linear-trend", {"arm0@sft": -1, "arm1@sft": 0.1, "arm3@sft": 0.9})
    assert [each.id for each in claims_about(curve, [*claims[2:], trend])] == ["claim-3"]


def test_points_stand_at_their_numbers() -> None:
    series = [Series("half", (Point(0.0, Interval(0.0, -0.1, 0.1), "one"), Point(1.0, Interval(1.0, 0.9, 1.1), "two")))]
    chart = str(curves(series, Scale(((0.0, "0"), (1.0, "1")), "dose"), (0.0, 1.0), title="t"))
    marks = re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)" r="4.5" class="mark s0" data-detail="(\w+)"', chart)
    assert marks == [("68.0", "198.0", "one"), ("264.0", "14.0", "two")]  # 400 - 112 - 24 and 250 - 52
    assert "half: 0.00 [−0.10, 0.10] at 0, 1.00 [0.90, 1.10] at 1." in chart


def test_names_of_lines_never_lie_on_one_another() -> None:
    series = [Series(f"line {number}", (Point(0, Interval(0.5, 0.4, 0.6), ""), Point(1, Interval(1, 1, 1), "")))
              for number in range(6)]  # fmt: skip
    chart = str(curves(series, Scale(((0.0, "a"), (1.0, "b")), "f"), (0.0, 1.0), title="t"))
    heights = [float(y) for y in re.findall(r'<text x="302.0" y="([0-9.]+)" class="label"', chart)]
    assert len(heights) == 6
    assert all(after - before >= 15 for before, after in pairwise(heights))


def test_the_demo_like_study_has_a_crossing_per_property_and_place(results: Path) -> None:
    inputs = read_inputs(results)
    found = designs_of(inputs, runs_of(inputs))
    titles = [(each.figure.title, each.figure.note.partition(" · ")[0], each.is_primary) for each in found]
    assert titles[0] == ("Attack success by pretraining and tuning", "after sft", True)
    assert [is_primary for *_, is_primary in titles] == sorted((each[2] for each in titles), reverse=True)
    assert not [title for title in titles if title[1] == "after pretrain"]
    declared = next(each for each in inputs.findings.claims if each.kind == "interaction")
    assert found[0].claims == ((declared.sentence, anchor_of(declared)),)
    assert [row.label for row in found[0].figure.rows] == [
        "pretraining concept, tuning safety", "pretraining shuffled, tuning safety",
        "pretraining concept, tuning answered", "pretraining shuffled, tuning answered",
    ]  # fmt: skip


def with_claims(results: Path, *claims: Claim) -> Inputs:
    write_findings(Findings(claims=claims), results)
    return read_inputs(results)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_results(tmp_path / "own", num_seeds=1)


def undecided(number: int, detectable: float, margin: float | None = 0.1, **more: Any) -> Claim:
    base: dict[str, Any] = {"id": f"claim-{number}", "kind": "branch", "measure": "knowledge", "contrast": f"c{number}",
                            "estimate": 0.05, "low": -0.1, "high": 0.2, "verdict": "inconclusive", "margin": margin,
                            "minimum_detectable": detectable, "units": Units(seeds=5, items=9)}  # fmt: skip
    return Claim(**{**base, **more})


def test_power_lists_the_undecided_and_how_much_more_they_would_have_needed(own: Path) -> None:
    inputs = with_claims(
        own, undecided(0, 0.2), undecided(1, 0.3), undecided(2, 0.15, role="primary"), undecided(3, 0.05),
        undecided(4, 0.5, verdict="equivalent"), undecided(5, 0.4, None),
        undecided(6, 0.4, estimate=None, verdict="blocked"),
    )  # fmt: skip
    power = power_of(inputs)
    assert [(line.anchor, line.more) for line in power.lines] == [
        ("claim-2", "about 2.2 ×"), ("claim-1", "about 9 ×"), ("claim-0", "about 4 ×"), ("claim-3", "enough"),
    ]  # fmt: skip
    assert (power.num_weak, power.num_drawn) == (3, 4)
    assert "Knowledge: c1: 0.300, margin 0.100." in str(power.chart)
    page = write_report(own, own / "page.html").read_text(encoding="utf-8")
    assert "3 of 4 undecided claims could not have found a change of their own margin." in page


def test_what_more_evidence_does_not_shrink_is_no_part_of_what_is_needed(own: Path) -> None:
    """(.2 - .06) / (.1 - .06) is 3.5, and 12 times the evidence is needed; where .24 is open none is enough."""
    wide = {"low": -0.01, "high": 0.11}
    inputs = with_claims(
        own, undecided(0, 0.2, bounds=wide), undecided(1, 0.3, bounds={"low": -0.19, "high": 0.29}, error_gap=0.24),
        undecided(2, 0.3, bounds={"low": -0.1, "high": 0.15}), undecided(3, 0.09, bounds=wide),
    )  # fmt: skip
    assert {line.anchor: line.more for line in power_of(inputs).lines} == {
        "claim-0": "about 12 ×", "claim-1": "people's labels of answers", "claim-2": "scores for all answers",
        "claim-3": "enough",
    }  # fmt: skip


def test_a_study_that_decided_everything_has_no_such_part(own: Path) -> None:
    with_claims(own, undecided(0, 0.2, verdict="changed"))
    page = write_report(own, own / "page.html").read_text(encoding="utf-8")
    assert 'id="power"' not in page
    assert 'href="#power"' not in page
    assert 'id="shares"' not in page


def test_shares_are_drawn_where_they_are_and_never_clipped(own: Path) -> None:
    parts = (
        undecided(0, 0.1, share=1.4, share_low=1.1, share_high=1.8, kind="shapley"),
        undecided(1, 0.1, share=-0.4, share_low=-0.8, share_high=-0.1, kind="shapley", scale_sensitive=True,
                  order_range={"low": -0.5, "high": 0.1}, pattern="needs-others"),
        undecided(2, 0.1, kind="shapley", share_reason="the total effect cannot be told from nothing"),
        undecided(3, 0.1),
    )  # fmt: skip
    shares = shares_of(with_claims(own, *parts))
    assert [(line.anchor, line.share, line.interval) for line in shares.lines] == [
        ("claim-0", "1.40", "[1.10, 1.80]"), ("claim-1", "−0.40", "[−0.80, −0.10]"), ("claim-2", "undefined", "–"),
    ]  # fmt: skip
    assert shares.lines[1].note == (
        "the ranking of the parts depends on the scale; effect −0.50 to +0.10 over all orders; needs others"
    )
    assert shares.lines[2].note == "the total effect cannot be told from nothing"
    axis = forest_axis(-0.8, 1.8)
    for value in (1.4, -0.4):
        assert f'<circle cx="{axis.at(value):.1f}"' in str(shares.chart)
    page = write_report(own, own / "page.html").read_text(encoding="utf-8")
    assert "Shares of a total effect" in page
    assert "undefined" in page


def test_a_forest_tells_its_rows_and_bands() -> None:
    rows = [
        ForestRow("one & two", Interval(0.5, 0.25, 0.75), "changed", "+0.50", 0.1),
        ForestRow("none", None, "blocked", "–"),
    ]
    chart = str(forest(rows, forest_axis(-1, 1), title="t", unit="share"))
    assert "one &amp; two: +0.50. none: –." in chart
    assert chart.count('class="band"') == 1
    assert "no number" in chart


def test_two_claims_never_share_a_place_in_the_page(own: Path) -> None:
    ids = ("a b", "a-b", "a/b", "claim-a-b", "ä", "ö", "", "12", "claim-12", "-12")
    anchors = [anchor_of(undecided(0, 0.1, id=name)) for name in ids]
    assert len({*anchors}) == len(ids)
    assert anchor_of(undecided(12, 0.1)) == "claim-12"
    assert all(re.fullmatch(r"claim-[A-Za-z0-9-]*", anchor) for anchor in anchors)
    assert read_findings(own / "findings.json").claims


def alike_claim(**more: Any) -> Claim:
    base: dict[str, Any] = {"kind": "branch", "role": "primary", "measure": "attack_success", "condition": "chat",
                            "split": "held-out-item", "judge": "world-oracle/1", "verdict": "equivalent",
                            "weights": {"shuffled+answered@sft": 1.0, "concept+answered@sft": -1.0}}  # fmt: skip
    return undecided(0, 0.05, **{**base, **more})


def test_claims_of_being_alike_show_both_levels_and_the_difference(results: Path) -> None:
    inputs = read_inputs(results)
    runs = runs_of(inputs)
    found = Interval(0.02, -0.03, 0.07, (0.01, 0.03))
    figure = alike_of(inputs, alike_claim(), found, runs)
    assert figure is not None
    assert [row.label for row in figure.rows] == ["shuffled+answered@sft", "concept+answered@sft", "difference, paired"]
    assert figure.rows[2].cells == ("+0.02", "[−0.03, +0.07]", "+0.01, +0.03", "–", "–")
    chart = str(figure.chart)
    assert chart.count('class="bar"') == 2
    # 300 pixels stand for -0.125 to 0.125: the estimate of 0.02 lies at 190 + 300 x 0.145 / 0.25
    assert '<rect x="359.0" y="91.0" width="10.0" height="10.0" rx="1" class="point v-equivalent"/>' in chart
    assert "margin 0.10" in chart


@pytest.mark.parametrize(
    "more", [{"role": "exploratory"}, {"verdict": "changed"}, {"scale": "logit"},
             {"weights": {"a@b": 1.0, "c@d": -1.0}},
             {"weights": {"shuffled+answered@sft": 1.0, "concept+answered@sft": -0.5, "concept+safety@sft": -0.5}}]
)  # fmt: skip
def test_other_claims_have_no_bars(results: Path, more: dict[str, Any]) -> None:
    inputs = read_inputs(results)
    assert alike_of(inputs, alike_claim(**more), Interval(0.02, -0.03, 0.07), runs_of(inputs)) is None
