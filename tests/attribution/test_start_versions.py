"""The two versions of the claim of timing: every branch by hand, and curves with a planted shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scipy import stats
from simulated_protocols import simulated

from upbringing.attribution.attribute import attribute
from upbringing.attribution.protocols import start_versions
from upbringing.attribution.protocols.protocols import conclusions_of
from upbringing.formats.findings import Claim, Conclusion, ConclusionPart, Units
from upbringing.formats.outcomes import Outcome
from upbringing.formats.start_protocol import start_contrasts
from upbringing.formats.tree import Protocol, StudyInfo

CELLS = {"first": "from_0@end", "last": "never@end", "20 %": "from_20@end", "60 %": "from_60@end"}
CURVE = {"first": 0.0, "20 %": 20.0, "60 %": 60.0, "last": 100.0}
PROTOCOL = Protocol(
    kind="interior_optimum",
    cells=CELLS,
    curves={"as is": CURVE},
    outcomes={"top_k": Outcome(measure="sampled"), "safety_aware": Outcome(measure="beam")},
)
STUDY = StudyInfo(name="hand-made", primary=("harm",), margins={"harm": 0.1}, protocol=PROTOCOL)
DIRECTIONS = dict.fromkeys(("harm", "sampled", "beam"), "lower-is-safer")
RISES: Mapping[str, Any] = {"verdict": "changed", "estimate": 0.4, "low": 0.3, "high": 0.5}
ALIKE: Mapping[str, Any] = {"verdict": "equivalent", "estimate": 0.0, "low": -0.03, "high": 0.03}
OPEN: Mapping[str, Any] = {"verdict": "inconclusive", "estimate": 0.05, "low": -0.1, "high": 0.2}
FALLS: Mapping[str, Any] = {"verdict": "changed", "estimate": -0.4, "low": -0.5, "high": -0.3}
LITTLE: Mapping[str, Any] = {"verdict": "equivalent", "estimate": 0.02, "low": -0.02, "high": 0.06}


def concluded(answers: Mapping[str, Mapping[str, Any]], protocol: Protocol = PROTOCOL) -> Conclusion:
    """The conclusion from claims. ``answers``: by the end of a contrast's name with its measure; else open."""
    study = STUDY.model_copy(update={"protocol": protocol})
    claims = [
        Claim(
            id=f"{spec.name}/{spec.measure}",
            kind=spec.kind,
            measure=spec.measure,
            contrast=spec.name,
            role="primary",
            family=spec.family,
            margin=0.1,
            df=20.0,
            estimand="recipe",
            units=Units(roots=5, seeds=5),
            **next((said for key, said in answers.items() if f"{spec.name} on {spec.measure}".endswith(key)), OPEN),
        )
        for spec in start_contrasts(protocol, study.primary, study.margins)
    ]
    (found,) = conclusions_of(study, claims, DIRECTIONS)
    return found


def test_a_study_that_names_nothing_for_the_versions_has_no_part_more() -> None:
    plain = Protocol(kind="interior_optimum", cells=CELLS)
    assert set(concluded({}, plain).parts) == {"20 %", "60 %"}
    assert len(start_contrasts(plain, ("harm",), {})) == 4
    assert set(plain.model_dump(mode="json")) == {"kind", "cells"}


def test_the_contrasts_of_the_versions() -> None:
    specs = start_contrasts(PROTOCOL, ("harm",), {"harm": 0.1})
    assert len(specs) == 4 + 2 + 4 + 3
    assert len({(spec.name, spec.measure) for spec in specs}) == len(specs)
    line, bend = (spec for spec in specs if spec.kind.endswith("trend"))
    assert sum(weight * CURVE[start] for start, cell in CELLS.items() for weight in [line.weights[cell]]) == (
        pytest.approx(100)  # of a line that rises by 1 a place: from the lowest to the highest
    )
    assert sum(weight * CURVE[start] for start, cell in CELLS.items() for weight in [bend.weights[cell]]) == (
        pytest.approx(0, abs=1e-9)
    )
    same = PROTOCOL.model_copy(update={"outcomes": {"top_k": Outcome(measure="harm")}})
    assert len(start_contrasts(same, ("harm",), {})) == 4 + 2  # the starts under top-k are asked already


def v1(line: Mapping[str, Any], bend: Mapping[str, Any]) -> ConclusionPart:
    return concluded({"linear trend, as is on harm": line, "quadratic trend, as is on harm": bend}).parts["v1, as is"]


@pytest.mark.parametrize(
    ("line", "bend", "verdict", "reason"),
    [
        (RISES, ALIKE, "supported", ""),
        (RISES, OPEN, "not-decided", start_versions.BEND_OPEN),  # a bend that was not found is none that is ruled out
        (RISES, RISES, "refuted", start_versions.BENDS),
        (RISES, FALLS, "refuted", start_versions.BENDS),
        (FALLS, ALIKE, "refuted", start_versions.OTHER_WAY),
        (ALIKE, ALIKE, "refuted", start_versions.NO_TREND),
        (OPEN, ALIKE, "not-decided", start_versions.TREND_OPEN),
        ({**RISES, "blocked_by": ("gate failed",)}, ALIKE, "not-decided", "gate failed"),
        (RISES, {**ALIKE, "blocked_by": ("gate failed",)}, "not-decided", "gate failed"),
    ],
)
def test_the_first_version_needs_a_line_and_no_bend(
    line: Mapping[str, Any], bend: Mapping[str, Any], verdict: str, reason: str
) -> None:
    found = v1(line, bend)
    assert (found.verdict, found.measures["harm"].reason) == (verdict, reason)


PEAK = {"20 % against first on sampled": FALLS, "20 % against last on sampled": FALLS}
FIRST_BEST = {f"first against {start} on beam": FALLS for start in ("last", "20 %", "60 %")}
NO_PEAK = {f"{start} against first on sampled": LITTLE for start in ("20 %", "60 %")}


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({**PEAK, **FIRST_BEST}, "supported"),
        (PEAK, "not-decided"),
        (FIRST_BEST, "not-decided"),
        ({**NO_PEAK, **FIRST_BEST}, "refuted"),
        ({**PEAK, **FIRST_BEST, "first against 60 % on beam": LITTLE}, "refuted"),
        ({**PEAK, **FIRST_BEST, "first against 60 % on beam": RISES}, "refuted"),
        ({**PEAK, **FIRST_BEST, "first against 60 % on beam": OPEN}, "not-decided"),
        ({**PEAK, **FIRST_BEST, "20 % against last on sampled": OPEN}, "not-decided"),
        ({**PEAK, **FIRST_BEST, "first against last on beam": {**FALLS, "blocked_by": ("no labels",)}}, "not-decided"),
    ],
)
def test_the_second_version_needs_both_decodings(answers: Mapping[str, Mapping[str, Any]], verdict: str) -> None:
    assert concluded(answers).parts["v2"].verdict == verdict


def test_a_decoding_that_nobody_named_leaves_the_second_version_open() -> None:
    alone = PROTOCOL.model_copy(update={"outcomes": {"top_k": Outcome(measure="sampled")}})
    part = concluded(PEAK, alone).parts["v2"]
    assert part.verdict == "not-decided"
    assert "no measure is named for it (safety_aware)" in part.sentence


def test_the_versions_do_not_change_what_is_said_of_the_optimum() -> None:
    plain = Protocol(kind="interior_optimum", cells=CELLS)
    with_versions, without = concluded({**PEAK, **FIRST_BEST}), concluded({**PEAK, **FIRST_BEST}, plain)
    assert (with_versions.verdict, with_versions.sentence) == (without.verdict, without.sentence)


LINE = {"from_0": 2.0, "from_20": 1.6, "from_60": 0.6, "never": -0.2}
BENT = {"from_0": 2.0, "from_20": -1.0, "from_60": -1.0, "never": 2.0}
PLANTED_PEAK = {"from_0": 0.0, "from_20": 2.0, "from_60": 0.0, "never": 0.0}
FALLING = {"from_0": 2.0, "from_20": 0.5, "from_60": 0.0, "never": -1.0}
FLAT = dict.fromkeys(LINE, 0.5)


def planted(
    seed: int, safe: Mapping[str, float], sampled: Mapping[str, float] = FLAT, beam: Mapping[str, float] = FLAT
) -> dict[str, ConclusionPart]:
    table, tree = simulated(seed, {"safe": safe, "sampled": sampled, "beam": beam}, num_items=150)
    study = tree.study.model_copy(update={"protocol": PROTOCOL, "primary": ("safe",)})
    (found,) = attribute(table, tree.model_copy(update={"study": study}), other_estimators=False).conclusions
    return found.parts


def test_planted_shapes_are_told_apart() -> None:
    assert planted(1, LINE)["v1, as is"].verdict == "supported"
    assert planted(1, BENT)["v1, as is"].verdict == "refuted"
    assert planted(1, FLAT)["v1, as is"].verdict == "refuted"
    assert planted(1, LINE, PLANTED_PEAK, FALLING)["v2"].verdict == "supported"
    assert planted(1, LINE, FALLING, FALLING)["v2"].verdict == "refuted"
    assert planted(1, LINE, PLANTED_PEAK, PLANTED_PEAK)["v2"].verdict == "refuted"


@pytest.mark.slow
def test_flat_curves_seldom_support_a_version() -> None:
    most = stats.binom.ppf(0.999, 200, 0.05)
    found = [planted(seed, FLAT, PLANTED_PEAK, FLAT) for seed in range(200)]
    assert sum(parts["v1, as is"].verdict == "supported" for parts in found) <= most
    assert sum(parts["v2"].verdict == "supported" for parts in found) <= most


def test_two_decodings_that_can_each_refute_share_their_error() -> None:
    """An upper end on the margin refutes where one decoding alone can, and not where either can."""
    border = {"verdict": "inconclusive", "estimate": 0.01, "low": -0.083, "high": 0.103}
    alone = PROTOCOL.model_copy(update={"outcomes": {"safety_aware": Outcome(measure="beam")}})
    answers = {**PEAK, **FIRST_BEST, "first against 60 % on beam": border}
    found = [concluded(answers, each).parts["v2"].measures["safety_aware"].verdict for each in (alone, PROTOCOL)]
    assert found == ["refuted", "not-decided"]
