"""What is drawn: axes, the tree, single runs and colours."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from upbringing.attribution.evidence.cells import Source
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, StudyInfo, Tree
from upbringing.reporting.build import asset
from upbringing.reporting.chart import Axis, strip_axis
from upbringing.reporting.inputs import read_inputs
from upbringing.reporting.lineage import lineage_of, positions_of
from upbringing.reporting.picture import Branch, Effect, Level, tree_picture
from upbringing.reporting.runs import runs_of
from upbringing.reporting.words import interval, plain, signed


def tree_of(paths: dict[str, list[str]], shared: dict[str, str], num_seeds: int = 2) -> Tree:
    """A tree of arms along positions; ``shared`` maps ``arm@position`` to another cell with the same checkpoint."""
    cells, checkpoints = [], {}
    for arm, positions in paths.items():
        for seed in range(num_seeds):
            parent = None
            for position in positions:
                name = f"{shared.get(f'{arm}@{position}', f'{arm}@{position}')}/{seed}"
                checkpoints.setdefault(name, Checkpoint(id=name, parent=parent))
                cells.append(Cell(arm=arm, position=position, checkpoint=name, seeds=CellSeeds(sft=seed)))
                parent = name
    return Tree(study=StudyInfo(name="tree"), checkpoints=tuple(checkpoints.values()), cells=tuple(cells))


@pytest.mark.parametrize(
    "pairs", [[(0, 1)], [(0, 1), (1, 2)], [(0, 1), (0, 1), (0, 1)], [(0, 2), (1, 1), (0, 1), (1, 2), (0, 2), (0, 2)]]
)
def test_what_brackets_say_covers_no_other_and_lies_inside(pairs: list[tuple[int, int]]) -> None:
    lineage = lineage_of(tree_of({"a": ["sft"], "b": ["sft"], "c": ["sft"]}, {}))
    branches = [
        Branch(upper, lower, Effect("=", "alike", f"{place}", "none")) for place, (upper, lower) in enumerate(pairs)
    ]
    chart = tree_picture(
        lineage, [Level(None)] * 3, [None] * 3, branches, stages=[("sft", "")], axis=(0.0, 1.0), title="tree"
    )
    plates = sorted(
        (float(y), float(height))
        for y, height in re.findall(r'<rect[^>]* y="([\d.]+)"[^>]*height="([\d.]+)"[^>]*class="plate"', chart)
    )
    assert len(plates) == len(pairs) == chart.count('class="branch')
    assert all(y + height <= below for (y, height), (below, _) in pairwise(plates))
    assert plates[-1][0] + plates[-1][1] <= float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', chart)[1])
    if len(pairs) == 1:  # between the first two cards
        assert plates[0][0] + plates[0][1] / 2 == pytest.approx(46 + 66 + 19 + 8.5)


def test_what_a_bracket_says_covers_nothing_that_a_step_says() -> None:
    lineage = lineage_of(tree_of({name: ["sft", "tuned"] for name in "abc"}, {}))
    steps = [
        None if node.parent is None else Effect("", "rose", "+0.85", "bad", "", "[0.6, 1.0]") for node in lineage.nodes
    ]
    first = [node.index for node in lineage.nodes if node.column == 0]
    branches = [
        Branch(first[0], first[1], Effect("", "fell", "", "good")),
        Branch(*first[::2], Effect("", "kept", "", "none")),
    ]
    stages = [("sft", ""), ("tuned", "")]
    chart = tree_picture(lineage, [Level(None)] * 6, steps, branches, stages=stages, axis=(0.0, 1.0), title="tree")
    plates = [float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.]+)"[^>]*class="plate"', chart)]
    said = [float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>(?: rose|\+0.85|\[0.6, 1.0\])<', chart)]
    assert len(plates) == 2
    assert len(said) == 9
    ascent, descent = 9.0, 2.0  # of 12 pixel type
    assert all(y + descent <= top or y - ascent >= top + 42 for top in plates for y in said)


def test_arms_that_share_a_prefix_are_one_node_up_to_there() -> None:
    tree = tree_of({"a": ["pretrain", "sft"], "b": ["pretrain", "sft"]}, {"b@pretrain": "a@pretrain"})
    lineage = lineage_of(tree)
    assert [(node.cells, node.column, node.row, node.parent) for node in lineage.nodes] == [
        (("a@pretrain", "b@pretrain"), 0, 0.5, None),
        (("a@sft",), 1, 0.0, 0),
        (("b@sft",), 1, 1.0, 0),
    ]
    assert lineage.num_rows == 2


def test_positions_follow_parents_and_not_the_order_of_the_file() -> None:
    paths = {"short": ["base", "sft"], "long": ["base", "midtrain", "sft", "rl"]}
    assert positions_of(tree_of(paths, {"long@base": "short@base"})) == ("base", "midtrain", "sft", "rl")


def test_arms_in_opposite_orders_are_still_drawn() -> None:
    lineage = lineage_of(tree_of({"a": ["base", "x", "y"], "b": ["base", "y", "x"]}, {"b@base": "a@base"}))
    assert {node.cells[0]: node.column for node in lineage.nodes} == {
        "a@base": 0, "a@x": 1, "a@y": 2, "b@y": 1, "b@x": 2,
    }  # fmt: skip


def test_single_runs_average_to_the_difference_that_is_claimed(results: Path) -> None:
    inputs = read_inputs(results)
    runs = runs_of(inputs)
    claims = [claim for claim in inputs.findings.claims if claim.estimate is not None and claim.units.seeds == 3]
    checked = 0
    for claim in claims:
        source = Source(claim.measure, claim.condition, claim.judge or "none", claim.split)
        values = runs.of_contrast(claim.weights, source)
        if values:
            assert len(values) == 3
            assert np.mean(values) == pytest.approx(claim.estimate, abs=1e-9)
            checked += 1
    assert checked > 20


def test_a_cell_that_nobody_knows_has_no_runs(results: Path) -> None:
    runs = runs_of(read_inputs(results))
    assert runs.of_contrast({"nobody@nowhere": 1.0}, Source("attack_success", "chat", "world-oracle/1")) == ()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.013, 0.013), (0.0, 1.0), (3.1, 97.0), (-1e-6, 1e-6)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 5
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert (0.0 in ticks) == (low <= 0 <= high)


def test_an_axis_keeps_what_lies_outside_at_its_end() -> None:
    axis = Axis(0, 1, 10, 110)
    assert (axis.at(-3), axis.at(0.5), axis.at(9)) == (10, 60, 110)
    assert strip_axis([None, -0.2, 0.1]).high == pytest.approx(0.216)


def test_numbers_are_written_one_way() -> None:
    assert (signed(-0.5), signed(0.5), signed(0.0), signed(-0.0001), signed(None)) == (
        "−0.50",
        "+0.50",
        "0.00",
        "0.00",
        "–",
    )
    assert (plain(-0.5, 1), interval(-0.1, 0.2), interval(None, 0.2)) == ("−0.5", "[−0.10, +0.20]", "")


SERIES = ("s0", "s1", "s2", "s3", "s4", "s5")
VISION = {  # Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
    "normal": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}  # fmt: skip


def palette(theme: str) -> dict[str, NDArray[np.float64]]:
    """Return the colours of a theme as linear RGB."""
    style = asset("style.css")
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    found = re.findall(r"--([a-z0-9]+): #([0-9a-f]{6})", blocks[0 if theme == "light" else 1])
    colours = {}
    for name, digits in found:
        channels = np.array([int(digits[place : place + 2], 16) for place in (0, 2, 4)]) / 255
        colours[name] = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return colours


def luminance(colour: NDArray[np.float64]) -> float:
    return float(colour @ np.array([0.2126, 0.7152, 0.0722]))


def lab(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = matrix @ np.clip(colour, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_stand_out_from_the_page(theme: str) -> None:
    colours = palette(theme)
    for ground in ("paper", "card"):
        for name in (*SERIES, "sx", "rule", "good", "bad", "warn", "ink", "soft", "link"):
            one, other = sorted((luminance(colours[name]), luminance(colours[ground])))
            assert (other + 0.05) / (one + 0.05) >= 3, (name, ground)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_series_differ_for_every_eye(theme: str, vision: str) -> None:
    colours = palette(theme)
    seen = {name: lab(VISION[vision] @ colours[name]) for name in SERIES}
    for one, other in combinations(SERIES, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= 10, (one, other)
