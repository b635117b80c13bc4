"""Effects of a factorial found in simulated studies: synergy, redundancy, order, fractions, and their words."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from simulated_designs import MEASURE, crossed, planted

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.sentences import NEEDS_OTHERS, OVERDETERMINED, verdict_sentence
from upbringing.base.errors import FormatError
from upbringing.formats.effects import coalitions
from upbringing.formats.effects.trends import LINEAR, QUADRATIC, trend
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import ContrastSpec, Gate


def on(*names: str) -> frozenset[str]:
    return frozenset(names)


SYNERGY = {on(): 0.3, on("a"): 0.3, on("b"): 0.3, on("a", "b"): 0.6}
REDUNDANCY = {on(): 0.2, on("a"): 0.7, on("b"): 0.7, on("a", "b"): 0.7}
ADDITIVE = {on(): 0.2, on("a"): 0.5, on("b"): 0.4, on("a", "b"): 0.7}


def study(seed: int, names: tuple[str, ...], rate_of: dict[frozenset[str], float], **more: float) -> Findings:
    rates, factors = crossed(names, rate_of)
    return attribute(*planted(seed, rates, factors=factors, **more))


def of_kind(findings: Findings, kind: str) -> list[Claim]:
    return [claim for claim in findings.claims if claim.kind == kind]


def test_synergy_is_an_interaction_that_is_found() -> None:
    found = [study(seed, ("a", "b"), SYNERGY) for seed in range(40)]
    interactions = [of_kind(each, "interaction")[0] for each in found]
    assert sum(claim.low > 0 for claim in interactions) >= 32
    needing = [claim for each in found for claim in of_kind(each, "necessity") if claim.pattern == "needs-others"]
    assert len(needing) >= 0.8 * 2 * len(found)
    assert all(NEEDS_OTHERS in claim.sentence for claim in needing)


def test_redundancy_is_overdetermined_and_never_no_effect() -> None:
    found = [study(seed, ("a", "b"), REDUNDANCY, margin=0.1) for seed in range(40)]
    necessities = [claim for each in found for claim in of_kind(each, "necessity")]
    flagged = [claim for claim in necessities if claim.pattern == "overdetermined"]
    assert len(flagged) >= 0.8 * len(necessities)
    assert {claim.verdict for claim in flagged} <= {"equivalent", "inconclusive", "negligible"}
    assert all(OVERDETERMINED in claim.sentence and OVERDETERMINED.rstrip(".") in claim.statement for claim in flagged)
    assert not any("no effect" in claim.statement for each in found for claim in each.claims)
    covered = [row["redundancy_low"] <= 1 <= row["redundancy_high"] for each in found for row in each.tables["indices"]]
    assert sum(covered) >= 34  # 95 % of 40 is 38; three Monte Carlo errors are 4


def test_what_may_not_be_read_beside_gives_no_pattern() -> None:
    rates, factors = crossed(("a", "b"), REDUNDANCY)
    rows, tree = planted(0, rates, factors=factors)
    gate = Gate(name="g", passed=False, value=0.0, threshold=1.0, sentence="Broken.", cells=("off+off@final",))
    findings = attribute(rows, tree.model_copy(update={"gates": (gate,)}))
    assert {claim.verdict for claim in of_kind(findings, "sufficiency")} == {"not-measurable"}
    assert [claim.pattern for claim in of_kind(findings, "necessity")] == [None, None]
    (main, _) = of_kind(findings, "main-effect")
    assert main.verdict == "not-measurable"
    assert findings.tables["indices"][0]["redundancy_reason"] == "gate failed: Broken."
    assert findings.tables["indices"][0]["non_additivity"] is None


def test_what_just_adds_up_has_no_pattern() -> None:
    found = [study(seed, ("a", "b"), ADDITIVE) for seed in range(20)]
    assert sum(claim.pattern is not None for each in found for claim in each.claims) <= 2
    rows = [row for each in found for row in each.tables["indices"]]
    assert sum(row["redundancy_low"] <= 0 <= row["redundancy_high"] for row in rows) >= 16
    assert all(row["non_additivity_low"] <= 0.15 for row in rows)


def test_non_additivity_of_pure_synergy() -> None:
    """v = 0, 0, 0, d: both main effects are d/2 and the interaction d, so the index is one half."""
    found = [study(seed, ("a", "b"), SYNERGY).tables["indices"][0] for seed in range(20)]
    assert np.mean([row["non_additivity"] for row in found]) == pytest.approx(0.5, abs=0.05)
    assert sum(row["non_additivity_low"] <= 0.5 <= row["non_additivity_high"] for row in found) >= 18


def test_a_null_player_is_rarely_found_and_shapley_values_cover() -> None:
    rate_of = {coalition: 0.2 + 0.3 * ("a" in coalition) + 0.2 * ("b" in coalition and "a" in coalition)
               for coalition in coalitions.coalitions(("a", "b", "c"))}  # fmt: skip
    truth = {"a": 0.4, "b": 0.1, "c": 0.0}
    covered, found_null = 0, 0
    for seed in range(40):
        claims = of_kind(study(seed, ("a", "b", "c"), rate_of, num_items=100), "shapley")
        assert sum(claim.estimate for claim in claims) == pytest.approx(claims[0].share_total, abs=1e-12)
        for claim, (name, value) in zip(claims, truth.items(), strict=True):
            assert claim.contrast.startswith(f"{name}, Shapley value")
            covered += claim.low <= value <= claim.high
        found_null += claims[2].verdict == "changed"
    assert covered >= 106  # 95 % of 120 is 114; three Monte Carlo errors are 7
    assert found_null <= 6


def test_the_order_range_holds_both_paths() -> None:
    findings = study(0, ("a", "b"), REDUNDANCY)
    claim = of_kind(findings, "main-effect")[0]
    paths = [each.estimate for each in (*of_kind(findings, "necessity"), *of_kind(findings, "sufficiency"))[::2]]
    assert claim.order_range is not None
    assert (claim.order_range.low, claim.order_range.high) == pytest.approx((min(paths), max(paths)))
    assert claim.order_range.is_wide is True
    assert "order-sensitive" in claim.statement
    additive = of_kind(study(0, ("a", "b"), ADDITIVE, num_items=400, num_seeds=8), "main-effect")[0]
    assert additive.order_range is not None
    assert additive.order_range.is_wide is False
    assert "over all orders" in additive.statement
    null = of_kind(study(0, ("a", "b"), dict.fromkeys(ADDITIVE, 0.5)), "main-effect")[0]
    assert null.order_range is not None
    assert null.order_range.is_wide is None


def test_an_order_that_was_trained_both_ways() -> None:
    """D7: the later of two stages wins. Each step's range holds what it did in both orders."""
    rates = {"main@base": 0.3, "main@a": 0.4, "main@b": 0.8, "swapped@base": 0.3, "swapped@b": 0.8, "swapped@a": 0.5}
    specs = [
        ContrastSpec(
            name=f"a in {arm}",
            measure=MEASURE,
            weights=weights,
            share_of={f"{arm}@{last}": 1.0, f"{arm}@base": -1.0},
            orders=({"main@a": 1.0, "main@base": -1.0}, {"swapped@a": 1.0, "swapped@b": -1.0}),
        )
        for arm, last, weights in (
            ("main", "b", {"main@a": 1.0, "main@base": -1.0}),
            ("swapped", "a", {"swapped@a": 1.0, "swapped@b": -1.0}),
        )
    ]
    claims = attribute(*planted(0, rates, contrasts=tuple(specs))).claims
    for claim in claims:
        assert claim.order_range is not None
        assert claim.order_range.is_wide
    assert (claims[0].order_range.low, claims[0].order_range.high) == pytest.approx(
        (claims[1].estimate, claims[0].estimate), abs=0.02
    )


def half_fraction() -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    rates, factors = {}, {}
    for signs in product((1, -1), repeat=4):
        if np.prod(signs) == 1:
            levels = ["on" if sign > 0 else "off" for sign in signs]
            arm = "+".join(levels)
            rates[f"{arm}@final"] = 0.3 + 0.3 * (signs[0] > 0)
            factors[arm] = dict(zip("abcd", levels, strict=True))
    return rates, factors


def test_a_fraction_lists_aliases_and_refuses_what_it_cannot_tell() -> None:
    rates, factors = half_fraction()
    findings = attribute(*planted(0, rates, factors=factors))
    assert ["a x b", "c x d"] in [row["effects"] for row in findings.tables["aliases"]]
    main = of_kind(findings, "main-effect")
    assert [claim.verdict for claim in main] == ["changed", *["inconclusive"] * 3]
    assert main[0].estimate == pytest.approx(0.3, abs=0.08)
    assert not of_kind(findings, "interaction")
    signs = {arm: 1.0 if (each["a"] == "on") == (each["b"] == "on") else -1.0 for arm, each in factors.items()}
    asked = ContrastSpec(
        name="a x b",
        kind="interaction",
        level="L3",
        measure=MEASURE,
        weights={f"{arm}@final": sign / 2 for arm, sign in signs.items()},
    )
    plain = [
        asked.model_copy(update={"name": kind, "kind": kind, "level": "L1"}) for kind in ("path", "branch", "mine")
    ]
    lower = asked.model_copy(update={"name": "lower", "level": "L2"})
    claims = attribute(*planted(0, rates, factors=factors, contrasts=(asked, lower, *plain), num_items=20)).claims
    assert len(claims) == 5
    for claim in claims:
        assert claim.verdict == "not-measurable"
        assert claim.estimate is None
        assert "cannot tell a x b and c x d apart" in claim.sentence


def test_two_of_four_cells_still_have_a_total() -> None:
    """A half of a 2 x 2 cannot tell its factors apart, but what both do together is no effect of either."""
    rates = {"on+on@final": 0.7, "off+off@final": 0.3}
    factors = {"on+on": {"a": "on", "b": "on"}, "off+off": {"a": "off", "b": "off"}}
    both = {"on+on@final": 1.0, "off+off@final": -1.0}
    specs = tuple(
        ContrastSpec(name=kind, kind=kind, level="L3", measure=MEASURE, weights=both)
        for kind in ("total-effect", "main-effect")
    )
    total, main = attribute(*planted(0, rates, factors=factors, contrasts=specs)).claims
    assert total.verdict == "changed"
    assert main.verdict == "not-measurable"
    assert "cannot tell a and b apart" in main.sentence


def test_trends_are_estimated_in_the_measures_unit() -> None:
    levels = {"0": 0.2, "20": 0.5, "60": 0.7, "100": 0.6}
    rates = {f"from-{level}@final": rate for level, rate in levels.items()}
    factors = {f"from-{level}": {"start": level} for level in levels}
    findings = attribute(*planted(0, rates, factors=factors, num_items=400, num_seeds=6))
    for kind, degree in (("linear-trend", LINEAR), ("quadratic-trend", QUADRATIC)):
        (claim,) = of_kind(findings, kind)
        truth = float(np.dot(trend([float(level) for level in levels], degree), list(levels.values())))
        assert claim.level == "L2"
        assert claim.low <= truth <= claim.high
    assert "rises with the level" in of_kind(findings, "linear-trend")[0].sentence
    assert "bends downwards" in of_kind(findings, "quadratic-trend")[0].sentence


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_nothing_derived_from_a_factorial_decides_undeclared(names: tuple[str, ...]) -> None:
    rates, factors = crossed(names, dict.fromkeys(coalitions.coalitions(names), 0.5))
    rows, tree = planted(0, rates, factors=factors, num_items=20, num_seeds=3)
    tree = tree.model_copy(update={"study": tree.study.model_copy(update={"primary": (MEASURE,)})})
    findings = attribute(rows, tree)
    assert {claim.role for claim in findings.claims} == {"exploratory"}
    assert len(findings.claims) <= (8 if len(names) == 2 else 32)


def test_below_l2_nothing_is_caused_whatever_its_kind() -> None:
    kinds = ("path", "shapley", "sufficiency", "total-effect", "generic-effect", "linear-trend", "necessity")
    for kind in kinds:
        for estimate in (0.3, -0.3):
            claim = Claim(
                id="x", kind=kind, measure="m", contrast="c", level="L1", verdict="changed", estimate=estimate
            )
            sentence = verdict_sentence(claim, "m").lower()
            assert "during this stage" in sentence
            assert not any(word in sentence for word in ("caus", "depend", "raises", "contributes"))


def test_weights_beside_a_contrast_are_checked() -> None:
    rates = {"main@base": 0.2, "main@sft": 0.5}
    weights = {"main@sft": 1.0, "main@base": -1.0}
    for beside, message in (
        ({"share_of": {"main@rl": 1.0, "main@base": -1.0}}, "share_of of the contrast 'x' names the cell 'main@rl'"),
        ({"counterpart": {"main@sft": 1.0}}, "must sum to 0"),
        ({"orders": ({"main@sft": 2.0, "main@base": -1.0},)}, "weights in orders"),
    ):
        spec = ContrastSpec(name="x", measure=MEASURE, weights=weights, **beside)
        with pytest.raises(FormatError, match=message):
            attribute(*planted(0, rates, contrasts=(spec,), num_items=10, num_seeds=1))


def test_what_is_not_asked_is_not_written() -> None:
    plain = ContrastSpec(name="x", measure=MEASURE, weights={"a@b": 1.0, "c@b": -1.0})
    assert not {"share_of", "counterpart", "orders"} & set(plain.model_dump(mode="json"))
    full = plain.model_copy(update={"share_of": {"a@b": 1.0, "c@b": -1.0}})
    assert ContrastSpec.model_validate_json(full.model_dump_json()) == full
