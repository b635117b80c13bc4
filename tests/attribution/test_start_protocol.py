"""The protocol of starts in between: by hand, on planted optima, and on curves that have none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from scipy import stats
from simulated_protocols import simulated

from upbringing.attribution.attribute import attribute
from upbringing.attribution.protocols import start_evidence
from upbringing.attribution.protocols.protocols import conclusions_of
from upbringing.formats.findings import Claim, Conclusion, Units
from upbringing.formats.start_protocol import start_contrast_name, start_contrasts
from upbringing.formats.tree import Protocol, StudyInfo, Tree

CELLS = {"first": "from_0@end", "last": "never@end", "20 %": "from_20@end", "60 %": "from_60@end"}
PROTOCOL = Protocol(kind="interior_optimum", cells=CELLS)
STUDY = StudyInfo(name="hand-made", primary=("harm",), margins={"harm": 0.1}, protocol=PROTOCOL)
LOWER = {"harm": "lower-is-safer"}


def concluded(
    effects: Mapping[tuple[str, str], float | None],
    *,
    half: float = 0.05,
    directions: Mapping[str, str] = LOWER,
    bounds: Mapping[str, float] | None = None,
    blocked_by: tuple[str, ...] = (),
) -> Conclusion:
    """The conclusion from effects (start - end) with intervals of the same width, 20 degrees of freedom."""
    claims = [
        Claim(
            id=f"{start}-{end}",
            kind="branch",
            measure="harm",
            contrast=start_contrast_name(start, end),
            role="primary",
            family="interior_optimum",
            margin=0.1,
            df=20.0,
            estimate=effect,
            low=None if effect is None else effect - half,
            high=None if effect is None else effect + half,
            bounds={} if bounds is None else {name: (effect or 0.0) + by for name, by in bounds.items()},
            verdict="not-measurable" if effect is None else "inconclusive" if blocked_by else "changed",
            blocked_by=("gate failed: knowledge",) if effect is None else blocked_by,
            estimand="recipe",
            units=Units(roots=5, seeds=5),
        )
        for (start, end), effect in effects.items()
    ]
    (found,) = conclusions_of(STUDY, claims, directions)
    return found


def effects(at_20: tuple[float, float], at_60: tuple[float, float]) -> dict[tuple[str, str], float | None]:
    return {
        ("20 %", "first"): at_20[0],
        ("20 %", "last"): at_20[1],
        ("60 %", "first"): at_60[0],
        ("60 %", "last"): at_60[1],
    }


def test_every_start_is_compared_with_both_ends_on_every_primary_measure() -> None:
    specs = start_contrasts(PROTOCOL, ("harm", "trust"), {"harm": 0.1})
    assert len(specs) == 2 * 2 * 2
    assert specs[0].weights == {"from_20@end": 1.0, "from_0@end": -1.0}
    assert {spec.family for spec in specs} == {"interior_optimum"}


def test_a_start_that_beats_both_ends_is_named() -> None:
    found = concluded(effects((-0.2, -0.3), (0.1, -0.2)))
    assert found.verdict == "supported"
    assert [part.verdict for part in found.parts.values()] == ["supported", "refuted"]
    assert "20 % beats both" in found.sentence
    assert "60 %" not in found.sentence


def test_beating_one_end_is_not_enough() -> None:
    found = concluded(effects((-0.3, -0.04), (-0.3, -0.04)))
    assert found.verdict == "refuted"  # no start at all is worse by .04, and by no more than the margin
    wide = concluded(effects((-0.3, -0.1), (-0.3, -0.1)), half=0.12)
    assert wide.verdict == "not-decided"
    assert "No best start is named" in wide.sentence


def test_the_larger_p_value_counts_and_holm_corrects_it() -> None:
    error = 0.05 / stats.t.ppf(0.975, 20)
    just = error * stats.t.ppf(1 - 0.04, 20)  # one-sided p = .04
    assert concluded(effects((-0.5, -just), (0.5, 0.5))).parts["20 %"].verdict != "supported"  # .08 after Holm
    surely = error * stats.t.ppf(1 - 0.02, 20)
    assert concluded(effects((-0.5, -surely), (0.5, 0.5))).parts["20 %"].verdict == "supported"


def test_higher_may_be_better_and_no_direction_decides_nothing() -> None:
    better = effects((0.2, 0.3), (0.2, 0.3))
    assert concluded(better, directions={"harm": "higher-is-safer"}).verdict == "supported"
    assert concluded(better).verdict == "refuted"
    open_ = concluded(better, directions={"harm": "neutral"})
    assert open_.verdict == "not-decided"
    assert start_evidence.NO_DIRECTION in open_.sentence


def test_answers_that_could_not_be_scored_count_against_both_conclusions() -> None:
    assert concluded(effects((-0.1, -0.1), (0.3, 0.3))).parts["20 %"].verdict == "supported"
    unsure = concluded(effects((-0.1, -0.1), (0.3, 0.3)), bounds={"low": -0.2, "high": 0.04}, half=0.25)
    assert unsure.parts["20 %"].verdict == "not-decided"


def test_a_reason_that_leaves_several_starts_open_is_said_once() -> None:
    found = concluded({**effects((-0.2, -0.2), (-0.2, -0.2)), ("20 %", "last"): None, ("60 %", "last"): None})
    assert found.sentence.count("gate failed: knowledge") == 1
    assert "20 %, 60 %" in found.sentence


def test_a_claim_that_cannot_be_read_leaves_its_start_open() -> None:
    found = concluded({**effects((-0.2, -0.2), (0.3, 0.3)), ("20 %", "last"): None})
    assert found.parts["20 %"].measures["harm"].reason == "gate failed: knowledge"
    assert found.verdict == "not-decided"


def test_claims_that_something_blocks_name_no_best_start_and_refute_none() -> None:
    for planted in (effects((-0.2, -0.3), (0.1, -0.2)), effects((-0.3, -0.04), (-0.3, -0.04))):
        assert concluded(planted).verdict != "not-decided"
        found = concluded(planted, blocked_by=("no human labels",))
        assert found.verdict == "not-decided"
        assert "no human labels" in found.sentence


def with_starts(tree: Tree) -> Tree:
    return tree.model_copy(
        update={"study": tree.study.model_copy(update={"protocol": Protocol(kind="interior_optimum", cells=CELLS)})}
    )


def simulated_conclusion(seed: int, logits: Mapping[str, float]) -> Conclusion:
    table, tree = simulated(seed, {"safe": logits}, num_items=150)
    (found,) = attribute(table, with_starts(tree), other_estimators=False).conclusions
    return found


def test_a_planted_optimum_in_between_is_found_and_a_slope_is_none() -> None:
    peak = simulated_conclusion(1, {"from_0": 0.0, "from_20": 2.0, "from_60": 0.0, "never": 0.0})
    assert peak.verdict == "supported"
    assert peak.parts["20 %"].verdict == "supported"
    slope = simulated_conclusion(1, {"from_0": 2.0, "from_20": 1.0, "from_60": 0.0, "never": -1.0})
    assert slope.verdict == "refuted"


@pytest.mark.slow
def test_a_flat_curve_is_seldom_called_an_optimum() -> None:
    flat = {"from_0": 0.5, "from_20": 0.5, "from_60": 0.5, "never": 0.5}
    wrong = sum(simulated_conclusion(seed, flat).verdict == "supported" for seed in range(200))
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)
