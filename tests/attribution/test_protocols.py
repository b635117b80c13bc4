"""Claim protocols: every branch of the logic on hand-made claims, and planted truth on simulated studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scipy import stats
from simulated_protocols import SFT_CARRIES_IT, simulated

from upbringing.attribution.attribute import attribute
from upbringing.attribution.protocols.protocols import conclusions_of
from upbringing.attribution.statistics.adjusted_intervals import adjusted_intervals
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.findings import Claim, Conclusion, Corrected, Spread, Units
from upbringing.formats.parts import contrast_name
from upbringing.formats.protocols import PARTS, ROLE_WORDS, missing_roles, protocol_contrasts
from upbringing.formats.tree import Protocol, StudyInfo

ROLES = tuple(ROLE_WORDS)
ALIKE: Mapping[str, Any] = {"verdict": "equivalent", "estimate": 0.0, "low": -0.03, "high": 0.03, "dominance": "yes"}
CHANGED: Mapping[str, Any] = {"verdict": "changed", "estimate": 0.5, "low": 0.4, "high": 0.6, "p_adjusted": 0.001}
OPEN: Mapping[str, Any] = {"verdict": "inconclusive", "estimate": 0.05, "low": -0.1, "high": 0.2, "p_adjusted": 0.5}
SUPPORTING = {"CA0": CHANGED, "CA1": ALIKE, "CA2": ALIKE, "CA3": CHANGED, "CA4": ALIKE, "CA5": ALIKE, "CA6": ALIKE}


def concluded(
    answers: Mapping[str, Mapping[str, Any]],
    *,
    roles: tuple[str, ...] = ROLES,
    second: Mapping[str, Mapping[str, Any]] | None = None,
) -> Conclusion:
    """The conclusion from one claim per contrast with the fields of its part. ``second``: of a second measure."""
    cells = {role: f"{role}@end" for role in roles}
    measures = {"harm": answers, **({} if second is None else {"trust": second})}
    study = StudyInfo(name="hand-made", primary=tuple(measures), protocol=Protocol(kind="sft_or_rl", cells=cells))
    claims = [
        Claim(
            id=f"{contrast_name(part, way)}/{measure}",
            kind=part.kind,
            measure=measure,
            contrast=contrast_name(part, way),
            role="primary",
            margin=0.1,
            df=20.0,
            estimand="recipe",
            units=Units(roots=5, seeds=5),
            **said[part.name],
        )
        for measure, said in measures.items()
        for part in PARTS
        for way in part.asked(cells)
    ]
    (found,) = conclusions_of(study, claims, {})
    return found


def test_supported_needs_the_first_four_parts() -> None:
    found = concluded(SUPPORTING)
    assert found.verdict == "supported"
    assert [found.parts[name].verdict for name in ("CA0", "CA1", "CA2", "CA3")] == ["supported"] * 4
    assert [found.parts[name].verdict for name in ("CA4", "CA5", "CA6")] == ["refuted"] * 3
    assert found.qualifiers == ()
    assert found.sentence.startswith("Supported, about the recipe")


@pytest.mark.parametrize("part", ["CA0", "CA1", "CA2", "CA3"])
def test_one_open_part_leaves_the_claim_open(part: str) -> None:
    found = concluded({**SUPPORTING, part: OPEN})
    assert found.verdict == "not-decided"
    assert found.parts[part].verdict == "not-decided"
    assert f"{part} (" in found.sentence


@pytest.mark.parametrize("part", ["CA0", "CA1", "CA2", "CA3"])
def test_a_claim_that_cannot_be_read_decides_nothing(part: str) -> None:
    torn = {"verdict": "not-measurable", "blocked_by": ("gate failed: knowledge",)}
    found = concluded({**SUPPORTING, part: torn})
    assert found.verdict == "not-decided"
    assert found.parts[part].measures["harm"].reason == "gate failed: knowledge"


def test_a_change_beyond_the_margin_refutes_whatever_the_rest_says() -> None:
    found = concluded({**dict.fromkeys(SUPPORTING, OPEN), "CA1": CHANGED})
    assert found.verdict == "refuted"
    assert found.sentence == f"Refuted, about the recipe: harm: {words.BEYOND}."


def test_a_change_that_may_lie_within_the_margin_refutes_nothing() -> None:
    close = {**CHANGED, "estimate": 0.15, "low": 0.09, "high": 0.21}
    assert concluded({**SUPPORTING, "CA1": close}).verdict == "not-decided"


def test_one_of_several_measures_must_survive_the_correction_of_holm() -> None:
    just = {**CHANGED, "estimate": 0.20, "low": 0.105, "high": 0.295}  # beyond the margin only uncorrected
    assert concluded({**SUPPORTING, "CA1": just}).verdict == "refuted"
    found = concluded({**SUPPORTING, "CA1": just}, second=SUPPORTING)
    assert found.verdict == "not-decided"
    low = found.parts["CA1"].measures["harm"].low
    half = 0.095 * stats.t.ppf(1 - 0.025 / 2, 20) / stats.t.ppf(0.975, 20)
    assert low == pytest.approx(0.20 - half, abs=1e-9)


def test_similarity_is_an_intersection_over_the_measures() -> None:
    assert concluded(SUPPORTING, second=SUPPORTING).verdict == "supported"
    assert concluded(SUPPORTING, second={**SUPPORTING, "CA1": OPEN}).verdict == "not-decided"


def test_the_opposite_of_dominance_refutes_only_an_effect_that_is_told_from_zero() -> None:
    opposite = {**ALIKE, "verdict": "negligible", "dominance": "no", "p_adjusted": 0.01}
    found = concluded({**SUPPORTING, "CA2": opposite})
    assert found.verdict == "refuted"
    assert words.NOT_DOMINATED in found.sentence
    assert concluded({**SUPPORTING, "CA2": {**opposite, "p_adjusted": 0.06}}).verdict == "not-decided"


@pytest.mark.parametrize("dominance", ["yes", "no"])
def test_what_blocks_a_claim_blocks_its_dominance_too(dominance: str) -> None:
    """A judge whose errors nothing shows tells neither that RL does little nor that it does much."""
    reason = "no human labels show how the judge errs"
    blocked = {**OPEN, "dominance": dominance, "p_adjusted": 0.001, "blocked_by": (reason,)}
    found = concluded({**SUPPORTING, "CA2": blocked})
    assert (found.verdict, found.parts["CA2"].verdict) == ("not-decided", "not-decided")
    assert found.parts["CA2"].measures["harm"].reason == reason


def test_alike_means_nothing_where_no_control_moved_the_measure() -> None:
    found = concluded({**SUPPORTING, "CA0": ALIKE})
    assert (found.verdict, found.parts["CA0"].verdict) == ("not-decided", "refuted")
    assert found.parts["CA1"].verdict == "not-decided"
    assert words.NO_CONTROL in found.parts["CA1"].sentence


def test_data_that_are_not_needed_do_not_refute_but_do_not_support() -> None:
    found = concluded({**SUPPORTING, "CA3": ALIKE})
    assert (found.verdict, found.parts["CA3"].verdict) == ("not-decided", "refuted")


def test_a_measure_that_neither_rl_nor_sft_moves_is_set_aside() -> None:
    """SFT that leaves over-refusal where it was, with RL and without, can still drive willingness."""
    still = {**SUPPORTING, "CA2": {**ALIKE, "dominance": "undecided"}, "CA3": ALIKE}
    found = concluded(SUPPORTING, second=still)
    assert found.verdict == "supported"
    for part in ("CA2", "CA3"):
        answer = found.parts[part].measures["trust"]
        assert (answer.set_aside, answer.reason) == (True, words.STILL)
        assert not found.parts[part].measures["harm"].set_aside
        assert f"trust: {words.STILL}" in found.parts[part].sentence
    assert concluded({**SUPPORTING, "CA3": OPEN}, second=still).parts["CA3"].verdict == "not-decided"


@pytest.mark.parametrize("rl", [OPEN, CHANGED])
def test_a_measure_that_rl_moves_or_may_move_is_not_set_aside(rl: Mapping[str, Any]) -> None:
    found = concluded(SUPPORTING, second={**SUPPORTING, "CA1": rl, "CA3": ALIKE})
    assert found.verdict == ("refuted" if rl is CHANGED else "not-decided")
    assert found.parts["CA3"].verdict == "refuted"
    assert not found.parts["CA3"].measures["trust"].set_aside


def test_where_every_measure_is_still_the_data_of_sft_are_not_needed() -> None:
    found = concluded({**SUPPORTING, "CA3": ALIKE}, second={**SUPPORTING, "CA3": ALIKE})
    assert (found.verdict, found.parts["CA3"].verdict) == ("not-decided", "refuted")


def test_one_checkpoint_in_both_cells_is_no_similarity() -> None:
    same = {"verdict": "equivalent", "estimate": 0.0}
    found = concluded({**SUPPORTING, "CA1": same})
    assert found.verdict == "not-decided"
    assert words.ONE_CHECKPOINT in found.parts["CA1"].sentence


def test_the_qualifiers() -> None:
    found = concluded({**SUPPORTING, "CA4": CHANGED, "CA5": CHANGED, "CA6": CHANGED})
    assert found.verdict == "supported"
    assert [qualifier.partition(":")[0] for qualifier in found.qualifiers] == [
        "SFT-as-conduit",
        "RL redundant, not irrelevant",
        "Pretraining and SFT together",
    ]
    opposed = {**CHANGED, "estimate": -0.5, "low": -0.6, "high": -0.4}
    assert concluded({**SUPPORTING, "CA4": opposed}).qualifiers == (words.AGAINST.format(measures="harm"),)


@pytest.mark.parametrize("role", ["sft", "sft_rl", "placebo_sft_rl", "other_teacher", "other_pretraining_sft"])
def test_a_missing_arm_leaves_its_parts_open_and_is_named(role: str) -> None:
    roles = tuple(each for each in ROLES if each != role)
    found = concluded(SUPPORTING, roles=roles)
    lacking = missing_roles(Protocol(kind="sft_or_rl", cells={each: f"{each}@end" for each in roles}))
    assert lacking
    for name, part in found.parts.items():
        assert part.missing == lacking.get(name, ())
        assert (role in part.sentence) == (name in lacking)
        if name in lacking:
            assert part.verdict == "not-decided"
    decides = {"CA0", "CA1", "CA2", "CA3"} & set(lacking)
    assert found.verdict == ("not-decided" if decides else "supported")


def test_every_missing_control_is_named_by_the_way_that_lacks_fewest() -> None:
    cells = {"sft": "a@sft", "sft_rl": "a@rl", "placebo_sft": "p@sft"}
    assert missing_roles(Protocol(kind="sft_or_rl", cells=cells)) == {
        "CA0": ("positive_control_erodes",),
        "CA3": ("placebo_sft_rl",),
        "CA4": ("placebo_sft_rl",),
        "CA5": ("other_teacher",),
        "CA6": ("other_pretraining_sft", "other_pretraining_placebo_sft"),
    }


def test_weights_of_every_contrast_sum_to_zero_and_stand_on_declared_cells() -> None:
    cells = {role: f"{role}@end" for role in ROLES}
    specs = protocol_contrasts(Protocol(kind="sft_or_rl", cells=cells), ("harm",), {"harm": 0.1})
    assert len({spec.name for spec in specs}) == len(specs) == 9
    for spec in specs:
        assert sum(spec.weights.values()) == 0
        assert set(spec.weights) <= set(cells.values())
        assert (spec.role, spec.margin) == ("primary", 0.1)
    (against,) = [spec.model_extra["against"] for spec in specs if spec.model_extra]
    assert against == {"sft@end": 1.0, "placebo_sft@end": -1.0}


def test_where_labels_correct_a_claim_its_corrected_number_is_beyond_the_margin_or_not() -> None:
    number = {"estimate": 0.12, "low": 0.04, "high": 0.20, "df": 20.0, "verdict": "changed"}
    corrected = Corrected(method="m", power=1.0, labels=60, seeds=5, **number)
    found = concluded({**SUPPORTING, "CA1": {**CHANGED, "corrected": corrected}})  # as judged it is far beyond
    assert found.verdict == "not-decided"
    part = found.parts["CA1"].measures["harm"]
    assert (part.low, part.high) == pytest.approx((0.04, 0.20))


def test_one_question_alone_keeps_its_interval_though_few_runs_vary() -> None:
    spread = Spread(items=0.0004, runs=0.0002, residual=0.0001, items_df=99.0, runs_df=2.0)
    claim = Claim(
        id="c", kind="branch", measure="m", contrast="c", margin=0.1, estimate=0.3, low=0.2, high=0.4, df=9.0,
        spread=spread,
    )  # fmt: skip
    (alone,), (one_of_two,) = adjusted_intervals([claim], num_asked=1), adjusted_intervals([claim], num_asked=2)
    assert (alone.low, alone.high) == pytest.approx((0.2, 0.4))
    assert one_of_two.low is not None
    plain = 0.3 - 0.1 * stats.t.ppf(1 - 0.0125, 9) / stats.t.ppf(0.975, 9)
    assert one_of_two.low < plain


def test_adjusted_intervals_by_hand() -> None:
    def claim(estimate: float, half: float, **fields: Any) -> Claim:
        low, high = estimate - half, estimate + half
        return Claim(id="c", kind="branch", measure="m", contrast="c", estimate=estimate, low=low, high=high, **fields)

    clear, close = claim(0.5, 0.1, margin=0.1), claim(-0.25, 0.1, margin=0.1)
    first, second = adjusted_intervals([close, clear], num_asked=3)
    z95 = stats.norm.ppf(0.975)
    # the clearer one comes first and gets 1 - .05/3, the other 1 - .05/2
    assert second.low == pytest.approx(0.5 - 0.1 * stats.norm.ppf(1 - 0.025 / 3) / z95, abs=1e-9)
    assert first.high == pytest.approx(-0.25 + 0.1 * stats.norm.ppf(1 - 0.025 / 2) / z95, abs=1e-9)
    assert (first.is_beyond, second.is_beyond) == (True, True)
    wide = claim(0.5, 0.4, margin=0.1, bounds={"low": 0.2, "high": 0.8})  # half of the width is unscored answers
    (found,) = adjusted_intervals([wide], num_asked=2)
    assert found.low == pytest.approx(0.2 - 0.1 * stats.norm.ppf(1 - 0.0125) / z95, abs=1e-9)
    assert not found.is_beyond
    assert not adjusted_intervals([claim(0.5, 0.1)], num_asked=1)[0].is_beyond


def test_a_study_without_a_protocol_concludes_nothing() -> None:
    assert conclusions_of(StudyInfo(name="plain"), (), {}) == ()
    assert conclusions_of(StudyInfo(name="new", protocol=Protocol(kind="of_tomorrow")), (), {}) == ()


def conclusion(seed: int, measures: Mapping[str, Mapping[str, float]], **settings: Any) -> Conclusion:
    (found,) = attribute(*simulated(seed, measures, **settings), other_estimators=False).conclusions
    return found


def test_a_planted_study_in_which_sft_carries_it_is_supported() -> None:
    found = [conclusion(seed, {"harm": SFT_CARRIES_IT, "trust": SFT_CARRIES_IT}) for seed in range(20)]
    verdicts = [each.verdict for each in found]
    assert "refuted" not in verdicts
    assert verdicts.count("supported") >= 17
    assert all(found[0].parts[name].missing for name in ("CA5", "CA6"))
    assert words.SAME_TEACHER in found[0].qualifiers


def test_a_planted_effect_of_rl_is_refuted_on_the_measure_that_has_it() -> None:
    moved = {**SFT_CARRIES_IT, "sft_rl": 0.0}
    for seed in range(20):
        found = conclusion(seed, {"harm": SFT_CARRIES_IT, "trust": moved})
        assert found.verdict == "refuted"
        assert found.parts["CA1"].measures["trust"].verdict == "refuted"
        assert found.parts["CA1"].measures["harm"].verdict == "supported"


def test_where_nothing_moves_anything_nothing_is_concluded() -> None:
    still = dict.fromkeys(SFT_CARRIES_IT, 0.5)
    found = [conclusion(seed, {"harm": still, "trust": still}) for seed in range(40)]
    assert {each.verdict for each in found} == {"not-decided"}
    assert all(each.parts["CA0"].verdict != "supported" or each.parts["CA3"].verdict != "supported" for each in found)


def test_false_refutations_stay_rare_where_rl_does_nothing() -> None:
    noisy = [conclusion(seed, {"harm": SFT_CARRIES_IT}, drift=0.5, num_items=60) for seed in range(60)]
    assert sum(each.verdict == "refuted" for each in noisy) <= 3  # 5 % of 60


def test_missing_arms_few_seeds_and_missing_margins_are_said() -> None:
    some = {role: SFT_CARRIES_IT[role] for role in ("sft", "sft_rl", "placebo_sft")}
    found = conclusion(0, {"harm": some})
    assert found.verdict == "not-decided"
    assert "positive_control_erodes" in found.sentence
    assert "placebo_sft_rl" in found.sentence
    few = conclusion(0, {"harm": SFT_CARRIES_IT}, num_seeds=2)
    assert words.FEW_RUNS in few.qualifiers
    without = conclusion(0, {"harm": SFT_CARRIES_IT}, margin=None)
    assert without.parts["CA1"].measures["harm"].reason == words.NO_MARGIN
    assert without.verdict == "not-decided"


def test_the_order_of_rows_changes_no_conclusion() -> None:
    rows, tree = simulated(3, {"harm": SFT_CARRIES_IT})
    shuffled = rows.take(list(reversed(range(rows.num_rows))))
    assert attribute(rows, tree).conclusions == attribute(shuffled, tree).conclusions
