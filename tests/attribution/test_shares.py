"""Shares: Fieller by hand and against a grid, the gate, both scales, coverage at a planted 70/30 split."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from simulated_designs import HIGH, LOW, MEASURE, planted

from upbringing.attribution.attribute import attribute
from upbringing.attribution.contrasts.cell_tables import CellTables, cell_tables, in_log_odds
from upbringing.attribution.contrasts.estimates import over_units
from upbringing.attribution.contrasts.fieller import ratio
from upbringing.attribution.effects.shares import blanked
from upbringing.attribution.evidence.cells import Source, evidence_of
from upbringing.attribution.evidence.design import Units, design_of
from upbringing.attribution.statistics.crossed import combined_components, components
from upbringing.attribution.words.sentences import (
    NO_LOG_ODDS,
    NO_SPREAD,
    SHARE_AS_JUDGED,
    SMALL_TOTAL,
    TOTAL_NOT_FOUND,
    TOTAL_WITHIN_MARGIN,
)
from upbringing.formats.findings import Claim
from upbringing.formats.tree import ContrastSpec

METHODS = {False: "crossed prompts x seeds", True: "seed means"}
SPLIT = {"main@base": 0.2, "main@sft": 0.62, "main@rl": 0.8}


def tables(values: np.ndarray, estimand: str = "recipe") -> CellTables:
    units = Units(units=(), estimand=estimand, conditional_on=(), num_seeds=values.shape[1], num_roots=values.shape[1])
    seen = ~np.isnan(values).any(axis=0)
    cells = tuple("xyz"[: len(values)])
    return CellTables(cells, units, np.where(seen, values, np.nan), values[:, seen].mean(axis=1), None, None)


def test_fieller_by_hand() -> None:
    """With one prompt the test is the paired t over seeds, for which Fieller's set is a quadratic's roots."""
    top, bottom = np.array([2.0, 3.0, 2.5, 3.5]), np.array([4.0, 5.0, 6.0, 5.0])
    found = ratio(tables(np.stack([top, bottom])[:, :, None]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    square = stats.t.ppf(0.975, 3) ** 2 / 4
    a = 25.0 - square * np.var(bottom, ddof=1)
    b = 2.75 * 5.0 - square * np.cov(top, bottom)[0, 1]
    c = 2.75**2 - square * np.var(top, ddof=1)
    half = math.sqrt(b**2 - a * c)
    assert found.value == pytest.approx(0.55)
    assert (found.low, found.high) == pytest.approx(((b - half) / a, (b + half) / a), abs=1e-9)


@pytest.mark.parametrize(
    ("missing", "estimand", "nested"),
    [(0.0, "recipe", False), (0.1, "recipe", False), (0.1, "artefact", False), (0.0, "recipe", True)],
)
def test_fieller_is_the_inverted_test(missing: float, estimand: str, nested: bool) -> None:
    random = np.random.default_rng(3)
    values = np.array([0.2, 0.5, 0.9])[:, None, None] + random.normal(0, 0.3, (3, 5, 40))
    values += random.normal(0, 0.1, (3, 5, 1))
    values[:, random.random((5, 40)) < missing] = np.nan
    if nested:
        values[:, np.arange(40) % 5 != np.arange(5)[:, None]] = np.nan
    made = tables(values, estimand)
    part, whole = np.array([-1.0, 1.0, 0.0]), np.array([-1.0, 0.0, 1.0])
    found = ratio(made, part, whole)
    grid = np.linspace(-1, 2, 1501)
    kept = []
    for share in grid:
        each = over_units(made.units, made.contrast(part - share * whole))
        assert each.method == {"artefact": "prompt clusters"}.get(estimand, METHODS[nested])
        assert each.low is not None
        assert each.high is not None
        if each.low <= 0 <= each.high:
            kept.append(share)
    assert found.low == pytest.approx(min(kept), abs=2.1e-3)
    assert found.high == pytest.approx(max(kept), abs=2.1e-3)
    assert min(kept) < found.value < max(kept)
    for edge in (found.low, found.high):
        each = over_units(made.units, made.contrast(part - edge * whole))
        assert min(abs(each.low), abs(each.high)) == pytest.approx(0, abs=1e-9)


def test_mean_squares_of_sums_are_quadratic_forms() -> None:
    random = np.random.default_rng(5)
    first, second = random.normal(size=(2, 4, 12))
    first[1, 3] = second[1, 3] = np.nan
    made = combined_components(first, second)
    for one, other in ((1.0, -0.3), (0.2, 4.0), (0.0, 1.0)):
        expected, found = components(one * first + other * second), made.at(one, other)
        for name in ("mean", "items", "seeds", "residual", "df"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-9)


def test_an_unbounded_set_is_no_share() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (2, 5, 30))
    found = ratio(tables(values), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert (found.value, found.low, found.high) == (None, None, None)
    none = ratio(tables(np.ones((2, 5, 30))), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert none.value is None


def test_without_spread_there_is_no_interval() -> None:
    """A part that is the whole itself: its share is 1, and no test says how far from it."""
    values = np.random.default_rng(0).normal(5, 1, (1, 5, 30))
    found = ratio(tables(values), np.array([1.0]), np.array([1.0]))
    assert (found.value, found.low, found.high) == (1.0, None, None)


def claims(seed: int, rates: dict[str, float], **more: object) -> dict[str, Claim]:
    findings = attribute(*planted(seed, rates, **more))
    return {claim.contrast.partition(": ")[2]: claim for claim in findings.claims}


@pytest.mark.parametrize(("deviation", "error"), [(LOW, 0.05), (HIGH, 0.075)])
def test_a_planted_split_is_covered(deviation: float, error: float) -> None:
    found = [claims(seed, SPLIT, deviation=deviation)["base -> sft"] for seed in range(100)]
    shares = np.array([claim.share for claim in found], dtype=float)
    covered = sum(claim.share_low <= 0.7 <= claim.share_high for claim in found)
    assert covered >= 89  # 95 % of 100 is 95; two and a half Monte Carlo errors are 6
    assert abs(shares.mean() - 0.7) <= 0.02
    assert np.sqrt(((shares - 0.7) ** 2).mean()) <= error * 1.15  # the error of an RMSE of 100 studies is 7 %
    assert all("share undefined" not in claim.statement for claim in found)


def test_no_total_no_share() -> None:
    same = dict.fromkeys(SPLIT, 0.5)
    found = [claims(seed, same)["base -> sft"] for seed in range(100)]
    shown = [claim for claim in found if claim.share is not None]
    assert len(shown) <= 10  # nominal 5 %
    hidden = [claim for claim in found if claim.share is None]
    assert {claim.share_reason for claim in hidden} == {TOTAL_NOT_FOUND}
    assert all(f"share undefined: {TOTAL_NOT_FOUND}" in claim.statement for claim in hidden)
    assert all(claim.share_low is None and claim.share_high is None for claim in hidden)


def test_a_total_within_the_margin_has_no_shares() -> None:
    small = {"main@base": 0.4, "main@sft": 0.45, "main@rl": 0.5}
    found = claims(1, small, margin=0.3, num_items=400, num_seeds=8)["base -> sft"]
    assert found.share is None
    assert found.share_reason == TOTAL_WITHIN_MARGIN.format(margin="0.3")


def test_near_the_limit_only_log_odds_have_shares() -> None:
    found = claims(0, {"main@base": 0.01, "main@sft": 0.5, "main@rl": 0.9}, num_items=400)["base -> sft"]
    assert found.share is None
    assert found.share_reason is not None
    assert "below 0.03 or above 0.97" in found.share_reason
    assert found.other_scale["share"] is not None
    assert found.other_scale["share_low"] < found.other_scale["share"] < found.other_scale["share_high"]


def test_shares_are_never_clipped() -> None:
    """D5: the last stage takes half of it back, so the first did more than all of what is left."""
    found = claims(0, {"main@base": 0.2, "main@sft": 0.8, "main@finetune": 0.5})
    gained, lost = found["base -> sft"], found["sft -> finetune"]
    assert gained.share is not None
    assert lost.share is not None
    assert gained.share > 1
    assert lost.share < 0
    assert lost.share_high < 0
    assert gained.share + lost.share == pytest.approx(1, abs=1e-12)
    assert f"share {lost.share:.2f} [" in lost.statement


def test_scale_sensitivity_is_flagged_where_the_ranking_flips() -> None:
    """D6: additive in log-odds with a ceiling. In rates the first stage did more, in log-odds the second."""
    flips = claims(0, {"main@base": 0.3, "main@sft": 0.7, "main@rl": 0.97}, num_items=400, num_seeds=8)
    assert {claim.scale_sensitive for claim in flips.values()} == {True}
    assert all("scale-sensitive yes" in claim.statement for claim in flips.values())
    keeps = claims(0, {"main@base": 0.3, "main@sft": 0.7, "main@rl": 0.8}, num_items=400, num_seeds=8)
    assert {claim.scale_sensitive for claim in keeps.values()} == {False}


def test_log_odds_by_hand() -> None:
    values = np.zeros((2, 1, 4))
    values[0, 0, 0] = values[1, 0, :3] = 1.0
    moved = in_log_odds(tables(values, "artefact"))
    assert moved is not None
    assert moved.means == pytest.approx([-math.log(3), math.log(3)])
    assert np.nanmean(moved.values[0]) == pytest.approx(-math.log(3))
    assert moved.values[0, 0, 0] - moved.values[0, 0, 1] == pytest.approx(1 / (0.25 * 0.75))
    assert in_log_odds(tables(np.zeros((2, 1, 4)), "artefact")) is None


def test_unscored_answers_widen_a_share() -> None:
    rows, tree = planted(2, SPLIT)
    plain = attribute(rows, tree).claims[0]
    lost = rows.to_pydict()
    lost["value"] = [None if number % 50 == 0 else each for number, each in enumerate(lost["value"])]
    lost["status"] = ["unscored" if each is None else "scored" for each in lost["value"]]
    claim = attribute(rows.from_pydict(lost), tree).claims[0]
    assert claim.share is not None
    assert plain.share is not None
    assert claim.share_high - claim.share_low > plain.share_high - plain.share_low


def test_one_seed_has_a_share_of_these_checkpoints() -> None:
    found = claims(0, SPLIT, num_seeds=1)["base -> sft"]
    assert found.estimand == "artefact"
    assert found.share_low < found.share < found.share_high


def test_a_declared_share_in_log_odds() -> None:
    spec = ContrastSpec(
        name="first",
        measure=MEASURE,
        weights={"main@sft": 1.0, "main@base": -1.0},
        share_of={"main@rl": 1.0, "main@base": -1.0},
        scale="logit",
    )
    claim = attribute(*planted(0, SPLIT, contrasts=(spec,))).claims[0]
    assert claim.scale == "logit"
    assert claim.share is not None
    assert claim.share_total == pytest.approx(2.8, abs=0.5)  # logit 0.8 - logit 0.2
    assert claim.other_scale["scale"] == "natural"
    assert claim.other_scale["share"] == pytest.approx(0.7, abs=0.1)


def test_a_small_total_is_warned_of() -> None:
    findings = attribute(*planted(0, {"main@base": 0.3, "main@sft": 0.5, "main@rl": 0.6}, num_items=400))
    assert SMALL_TOTAL.format(num=2, limit=0.5) in findings.warnings
    assert not any("below 0.5" in warning for warning in attribute(*planted(0, SPLIT)).warnings)


def test_rates_of_nothing_have_no_share() -> None:
    rows, tree = planted(0, SPLIT, num_items=20)
    columns = rows.to_pydict()
    columns["value"] = [float(name.startswith("main@rl")) for name in columns["checkpoint"]]
    claim = attribute(rows.from_pydict(columns), tree).claims[0]
    assert (claim.share, claim.share_reason) == (None, NO_SPREAD)
    assert claim.other_scale["share_reason"] == NO_LOG_ODDS


def test_cells_share_their_prompts() -> None:
    rows, tree = planted(0, SPLIT, num_items=10, num_seeds=3)
    columns = rows.to_pydict()
    keep = [
        not (name == "main@sft-1" and item == "q3")
        for name, item in zip(columns["checkpoint"], columns["item"], strict=True)
    ]
    evidence = evidence_of(rows.filter(keep), tree)
    made = cell_tables(evidence, design_of(tree), tuple(SPLIT), Source(MEASURE, "default", "none"))
    assert made is not None
    assert np.isnan(made.values).sum() == 3
    assert made.values[0][~np.isnan(made.values[0])].mean() == pytest.approx(made.means[0])


def test_a_corrected_claim_has_no_share_of_verdicts_as_judged() -> None:
    fields = {
        "share": 0.7,
        "share_low": 0.6,
        "share_high": 0.8,
        "share_reason": None,
        "share_of": {"a@sft": 1.0},
        "pattern": "overdetermined",
        "other_scale": {"scale": "logit", "estimate": 1.0, "share": 0.5},
    }
    found = blanked(fields)
    assert (found["share"], found["share_low"], found["pattern"]) == (None, None, None)
    assert found["share_reason"] == SHARE_AS_JUDGED
    assert found["other_scale"] == {"scale": "logit", "estimate": 1.0}
    assert blanked({"share_of": {}, "share_reason": None, "other_scale": {}})["share_reason"] is None
