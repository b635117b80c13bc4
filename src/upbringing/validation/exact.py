"""Checks without chance: published values, hand-computed verdicts, labels that may not be missing, equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.units import ONE_PRETRAINING
from upbringing.attribution.statistics.equivalence import equivalence_radius, four_way_verdict
from upbringing.attribution.statistics.inference import t_inference, t_quantile
from upbringing.attribution.statistics.levels import wilson
from upbringing.attribution.statistics.multiplicity import benjamini_hochberg, holm
from upbringing.attribution.statistics.pairs import mcnemar_mid_p
from upbringing.attribution.words.sentences import ONE_ROOT, ONE_SEED
from upbringing.base.streams import stream
from upbringing.formats.findings import Findings
from upbringing.validation.drawing import draw
from upbringing.validation.exact_effects import aliases_are_refused, effects_are_exact
from upbringing.validation.exact_fidelity import (
    each_proxy_is_calibrated_apart,
    faithful_edits_pass,
    few_edits_are_uncalibrated,
    unfaithful_edits_are_greyed,
)
from upbringing.validation.exact_looks import (
    added_seeds_are_flagged,
    looks_hold_what_they_promise,
    looks_take_prompts_and_no_seeds,
)
from upbringing.validation.exact_outside import (
    overstated_seeds_are_no_recipe,
    unasked_prompts_are_said,
    what_depends_on_the_answer_is_not_decided,
    what_lacks_is_not_measured,
)
from upbringing.validation.exact_power import published_powers_match, sizes_are_the_smallest
from upbringing.validation.exact_teachers import one_teacher_is_not_separable, two_teachers_are_separable
from upbringing.validation.gates import Result
from upbringing.validation.planted import EFFECTIVE, FAILED_RUNS, HIDING, NULL, ONE_CAUSE, SCENARIOS, SHARED_ROOT
from upbringing.validation.process import MEDIUM, SMALL, Array, Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import rows_of, tree_of

TOLERANCE = 1e-9
FORBIDDEN = ("similar", "same as", "no effect", "no difference", "overlap")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that holds or does not. ``run`` returns how many of how many cases held."""

    id: str
    claim: str
    run: Callable[[], tuple[int, int]]
    note: str = ""


def read_check(check: Check) -> Result:
    """Return whether all cases of a check hold."""
    held, num = check.run()
    return Result(
        id=check.id,
        claim=check.claim,
        scenario="-",
        setting=f"{num} cases",
        route="exact",
        bound="all",
        status="pass" if held == num and num > 0 else "FAIL",
        replicates=num,
        value=held / num if num else None,
        note=check.note,
    )


def findings_of(scenario: Scenario, design: Design, seed: int = 0, margin: float | None = 0.10) -> Findings:
    """Return what ``attribute`` finds in one study of a scenario."""
    drawn = draw(scenario, design, stream(seed, "validation", "exact", scenario.id, design.label))
    return attribute(rows_of(drawn), tree_of(scenario, design, margin), other_estimators=False)


def _count(cases: Iterable[bool]) -> tuple[int, int]:
    found = list(cases)
    return sum(found), len(found)


def verdicts_by_hand() -> tuple[int, int]:
    """Return how many of eight verdicts are those that were worked out by hand.

    With 30 degrees of freedom t is 2.042 for 95% and 1.697 for 90%: an estimate of 0.07 with a standard error of 0.04
    has the intervals -0.012 to 0.152 and 0.002 to 0.138.
    """
    cases = (
        (0.30, 0.05, 0.10, "changed", 0.385),
        (-0.30, 0.05, 0.10, "changed", 0.385),
        (0.30, 0.05, None, "changed", 0.385),
        (0.15, 0.01, 0.10, "changed", 0.167),
        (0.00, 0.01, 0.10, "equivalent", 0.017),
        (0.04, 0.01, 0.10, "negligible", 0.057),
        (0.00, 0.20, 0.10, "inconclusive", 0.339),
        (0.07, 0.04, 0.10, "inconclusive", 0.138),
    )
    return _count(_is_verdict(*case) for case in cases)


def _is_verdict(estimate: float, error: float, margin: float | None, verdict: str, radius: float) -> bool:
    found = t_inference(estimate, error, 30.0, "by hand")
    told = four_way_verdict(found, margin, significant=found.p is not None and found.p <= 0.05)
    reached = equivalence_radius(found)
    return told == verdict and reached is not None and abs(reached - radius) < 1e-3


def small_study_is_undecided() -> tuple[int, int]:
    """Return how many null studies of 50 prompts are inconclusive at a margin of 0.05."""
    design = Design(num_items=50, num_seeds=3)
    return _count(findings_of(NULL, design, seed, 0.05).claims[0].verdict == "inconclusive" for seed in range(20))


def alike_is_never_said_lightly() -> tuple[int, int]:
    """Return how many sentences say that two things are alike only where the verdict is that they are."""
    return _count(
        not any(word in claim.sentence for word in FORBIDDEN)
        and (("alike" in claim.sentence) == (claim.verdict == "equivalent"))
        for scenario in SCENARIOS
        for design in (SMALL, MEDIUM)
        for claim in findings_of(scenario, design).claims
    )


def quantities_match() -> tuple[int, int]:
    """Return how many numbers agree with scipy or with their definition to 1e-9."""
    cases = [abs(t_quantile(df, 0.95) - stats.t.ppf(0.975, df)) for df in (1, 2, 4, 9.5, 30, 400)]
    for count, num in ((0, 20), (3, 17), (12, 40), (40, 40)):
        expected = stats.binomtest(count, num).proportion_ci(0.95, method="wilson")
        cases += [abs(np.subtract(wilson(count / num, num), (expected.low, expected.high))).max()]
    for rose, fell in ((3, 10), (0, 6), (7, 7), (25, 12)):
        exact = stats.binomtest(min(rose, fell), rose + fell, 0.5).pvalue
        # the doubled tail counts the observed table twice: mid-p counts it once, and at rose = fell the tails overlap
        point = stats.binom.pmf(min(rose, fell), rose + fell, 0.5)
        cases.append(abs(mcnemar_mid_p(rose, fell) - (1 - point / 2 if rose == fell else exact - point)))
    p_values = np.array([0.001, 0.2, 0.012, 0.04, 0.9, 0.012])
    cases.append(float(abs(benjamini_hochberg(p_values) - stats.false_discovery_control(p_values)).max()))
    cases.append(float(abs(holm(p_values) - _holm_by_definition(p_values)).max()))
    return _count(bool(case < TOLERANCE) for case in cases)


def _holm_by_definition(p_values: Array) -> Array:
    """Return Holm's p-values as the largest Bonferroni p-value over the hypotheses that are at least as extreme."""
    num = len(p_values)
    found = []
    for p in p_values:
        steps = [min(1.0, (num - (p_values < other).sum()) * other) for other in p_values if other <= p]
        found.append(max(steps))
    return np.array(found)


def one_seed_is_about_checkpoints() -> tuple[int, int]:
    """Return how many studies with one run of each cell say so, and claim nothing of a recipe."""
    design = replace(MEDIUM, num_seeds=1)
    found = [findings_of(scenario, design) for scenario in SCENARIOS]
    return _count(
        ONE_SEED in each.warnings
        and all(claim.estimand == "artefact" for claim in each.claims)
        and all(line["estimand"] == "artefact" for line in each.tables["levels"])
        for each in found
    )


def one_root_is_no_recipe() -> tuple[int, int]:
    """Return how many studies on one pretraining run claim nothing but what holds given it, whatever branches off."""
    found = [findings_of(SHARED_ROOT, Design(num_items=100, num_seeds=1, num_branches=num)) for num in (3, 5, 10)]
    return _count(
        ONE_ROOT in each.warnings
        and all(
            claim.estimand == "recipe-given-start" and ONE_PRETRAINING in claim.conditional_on for claim in each.claims
        )
        for each in found
    )


def claims_are_qualified() -> tuple[int, int]:
    """Return how many claims state level, estimand, seeds, prompts, judge and either an interval or a reason."""
    return _count(
        claim.level in ("L1", "L2", "L3", "L4")
        and bool(claim.estimand)
        and claim.units.seeds > 0
        and (claim.units.clusters > 0 or bool(claim.blocked_by))
        and claim.judge is not None
        and claim.verdict is not None
        and ((claim.low is not None) == (claim.verdict not in ("not-measurable", "blocked")))
        and ("depends" not in claim.sentence or claim.level != "L1")
        for scenario in SCENARIOS
        for claim in findings_of(scenario, SMALL).claims
    )


def bytes_are_equal() -> tuple[int, int]:
    """Return how many studies give the same findings, byte by byte, from their rows in any order, twice."""
    cases = []
    for number, scenario in enumerate((NULL, EFFECTIVE, ONE_CAUSE, HIDING, SHARED_ROOT)):
        design = Design(num_items=50, num_seeds=3, num_branches=2 if scenario is SHARED_ROOT else 1)
        rows = rows_of(draw(scenario, design, stream(0, "validation", "bytes", number)))
        tree = tree_of(scenario, design, 0.10)
        order = stream(0, "validation", "order", number).permutation(rows.num_rows)
        first = attribute(rows, tree).model_dump_json()
        cases += [attribute(each, tree).model_dump_json() == first for each in (rows, rows.take(order))]
    return _count(cases)


def nothing_is_dropped() -> tuple[int, int]:
    """Return how many studies count every answer that could not be judged, and give no number where a run is lost."""
    cases = []
    for seed in range(10):
        scenario = replace(NULL, unscored=0.1)
        drawn = draw(scenario, SMALL, stream(seed, "validation", "dropped"))
        findings = attribute(rows_of(drawn), tree_of(scenario, SMALL, 0.10), other_estimators=False)
        cases.append(findings.claims[0].unscored == int(np.isnan(drawn.value).sum()))
        lost = draw(FAILED_RUNS, MEDIUM, stream(seed, "validation", "lost"))
        claim = attribute(rows_of(lost), tree_of(FAILED_RUNS, MEDIUM, 0.10)).claims[0]
        cases.append(not lost.lost.any() or (claim.verdict == "not-measurable" and claim.estimate is None))
    return _count(cases)


CHECKS = (
    Check(id="I5", claim="with one pretraining run nothing is claimed of the recipe", run=one_root_is_no_recipe),
    Check(id="I9", claim="verdict and equivalence radius are those computed by hand", run=verdicts_by_hand),
    Check(id="I9", claim="50 prompts are inconclusive at a margin of 0.05", run=small_study_is_undecided),
    Check(id="I10", claim="'alike' is said exactly where equivalence was shown", run=alike_is_never_said_lightly),
    Check(
        id="I11",
        claim="mid-p, Wilson, Holm, BH and t quantiles agree with scipy or their definition to 1e-9",
        run=quantities_match,
        note="statsmodels is compared in the tests",
    ),
    Check(id="I14", claim="detectable effects are the published ones", run=published_powers_match),
    Check(
        id="I14",
        claim="prompts and seeds for a margin are the fewest that decide it; floors are what seeds leave",
        run=sizes_are_the_smallest,
    ),
    Check(id="I15", claim="runs beyond those registered are flagged, and no others", run=added_seeds_are_flagged),
    Check(
        id="I15",
        claim="a look at more prompts is taken, one after seeds were added is refused",
        run=looks_take_prompts_and_no_seeds,
    ),
    Check(
        id="I15",
        claim="each of ten looks has the interval of the sequence tuned at the first, over requests",
        run=looks_hold_what_they_promise,
    ),
    Check(id="I16", claim="one seed works and is about these checkpoints only", run=one_seed_is_about_checkpoints),
    Check(id="A1", claim="every claim states level, estimand, seeds, prompts and judge", run=claims_are_qualified),
    Check(
        id="A2",
        claim="effects of 2^3 tables: Shapley values sum to the total, null player 0, symmetry, to 1e-12",
        run=effects_are_exact,
    ),
    Check(id="A8", claim="half fraction: aliases are listed, aliased effects refused", run=aliases_are_refused),
    Check(
        id="A9",
        claim="edited weights that do 0.7 of what retraining does: faithful over 8 cells, evidence L4",
        run=faithful_edits_pass,
    ),
    Check(
        id="A9",
        claim="edited weights that do something else: greyed out, in no share",
        run=unfaithful_edits_are_greyed,
    ),
    Check(id="A9", claim="7 retrained cells: uncalibrated, in no share", run=few_edits_are_uncalibrated),
    Check(
        id="A9",
        claim="edited weights and emulated tuning in one study: each is faithful or greyed out by its own cells",
        run=each_proxy_is_calibrated_apart,
    ),
    Check(
        id="A10",
        claim="one teacher only: SFT and its teacher are said not to be separable, RL after it too",
        run=one_teacher_is_not_separable,
    ),
    Check(id="A10", claim="an arm with another teacher's answers: separable", run=two_teachers_are_separable),
    Check(id="O4", claim="cells without common prompts, or rows, are not measurable", run=what_lacks_is_not_measured),
    Check(
        id="O4",
        claim="null stages of which half the harmful answers of one cell have no score stay undecided",
        run=what_depends_on_the_answer_is_not_decided,
    ),
    Check(
        id="O4",
        claim="copies of one run, and a cell that lost all runs but one, tell nothing of the recipe",
        run=overstated_seeds_are_no_recipe,
    ),
    Check(id="O4", claim="prompts that a cell was not asked are said, and no others", run=unasked_prompts_are_said),
    Check(id="W5", claim="equal rows in any order give equal bytes", run=bytes_are_equal),
    Check(id="W5", claim="what was not judged is counted, what was lost is not measurable", run=nothing_is_dropped),
)
