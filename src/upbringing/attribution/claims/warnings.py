"""The fixed sentences that apply to a study as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.attribution.claims.answered import Answered
from upbringing.attribution.claims.robustness import MAX_MODELS, disagrees
from upbringing.attribution.contrasts.estimates import ONE_PROMPT_GIVEN, ONE_WORLD_GIVEN, THESE_WORLDS
from upbringing.attribution.effects.shares import SMALL_TOTAL_EFFECT
from upbringing.attribution.evidence.assays import unasked_controls
from upbringing.attribution.evidence.cells import SHARE_UNITS, Evidence
from upbringing.attribution.evidence.design import ENOUGH_UNITS, LEVELS
from upbringing.attribution.evidence.lacking import lacking_prompts
from upbringing.attribution.evidence.lone_twins import lone_twins
from upbringing.attribution.evidence.units import units_of
from upbringing.attribution.judges.calibration import MIN_KAPPA, Calibration
from upbringing.attribution.statistics.unpaired import UNPAIRED_RUNS
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.sentences import (
    ALIKE_WORLDS,
    AMENDED,
    ARMS_LEFT_OUT,
    BEYOND_EVIDENCE,
    COHERENCE_ELSEWHERE,
    COHERENCE_OWN,
    COHERENCE_UNKNOWN,
    ESTIMATORS_DISAGREE,
    FEW_SEEDS,
    FEW_SHARED,
    FOREIGN_LABELS,
    INELIGIBLE,
    JUDGE_DEPENDENT,
    MODELS_ENOUGH,
    MODELS_LEFT_OUT,
    NESTED,
    NO_MARGIN,
    NO_SEEDS,
    NOT_REGISTERED,
    ONE_PROMPT,
    ONE_RATER,
    ONE_ROOT,
    ONE_SEED,
    ONE_WORLD,
    PARTLY_CALIBRATED,
    RATERS_DISAGREE,
    SMALL_TOTAL,
    TEACHER,
    UNCALIBRATED,
    UNDERPOWERED,
    UNEVEN_JUDGE,
    UNKNOWN_JUDGE,
    UNPAIRED,
)
from upbringing.attribution.words.undecided_words import is_beyond_evidence
from upbringing.formats.findings import Claim
from upbringing.formats.rows import NO_JUDGE
from upbringing.formats.tree import Tree

UNEVEN_LEVEL = 0.05
NO_SPLIT = "{num} items of {measure} have no split although others do: no claim and no level is about them."
UNRELATED = (
    "Nothing says how these {num} checkpoints came from each other, so no two are compared: add the columns parent, "
    "stage, arm and seed to the rows, or a tree.json (docs/formats.md)."
)
SEEDS_ADDED = (
    "A cell has {found} runs where {planned} were registered: runs that are added after others were seen make chance "
    "findings of nothing, and no interval here allows for it."
)
NOT_IN_LOG_ODDS = (
    "{num} claims that were declared in log-odds have none: they are in rates, to which their margin does not apply."
)


def study_warnings(
    tree: Tree,
    evidence: Evidence,
    validity: Validity,
    answers: Sequence[Answered],
    claims: Sequence[Claim],
    calibration: Calibration,
) -> tuple[str, ...]:
    """Return what a reader must know before any single claim, in a fixed order, each sentence once."""
    found = [
        *_of_arms(tree, answers),
        *_of_runs(tree, answers, claims, validity),
        *unasked_controls(claims, validity.design),
        *validity.design.copies.warnings(),
        *_of_registration(tree, claims, validity),
        *_of_teachers(claims),
        *_of_judges(evidence, claims, calibration),
        *_of_labels(calibration),
        *validity.passports.warnings(),
        *validity.fidelities.warnings(),
        *_of_scores(answers, claims, validity),
        *lone_twins(tree.items),
        *_of_estimators(claims),
    ]
    return tuple(dict.fromkeys(found))


def _of_arms(tree: Tree, answers: Sequence[Answered]) -> Iterable[str]:
    if tree.study.left_out:
        num = sum(bool(each.question.left_out) for each in answers)
        yield ARMS_LEFT_OUT.format(arms=", ".join(tree.study.left_out), num=num)
    if len(tree.checkpoints) > 1 and not answers and not any(each.parent for each in tree.checkpoints):
        yield UNRELATED.format(num=len(tree.checkpoints))


def _of_runs(tree: Tree, answers: Sequence[Answered], claims: Sequence[Claim], validity: Validity) -> Iterable[str]:
    units = [units_of(validity.design, (name,)) for name in validity.design.cells]
    most = max((len(each.units) for each in units), default=0)
    if any(each.is_one_root for each in units):
        yield ONE_ROOT
    elif most <= 1:
        yield ONE_SEED if _states_seeds(tree) else NO_SEEDS
    elif most < ENOUGH_UNITS:
        yield FEW_SEEDS
    few = sum(_rests_on_few_runs(claim) for claim in claims)
    if few and most >= ENOUGH_UNITS:
        yield FEW_SHARED.format(num=few, most=most)
    for each in answers:
        if each.found is not None and not each.found.units.is_paired:
            words = UNPAIRED_RUNS if each.found.units.runs else UNPAIRED
            yield words.format(contrast=each.question.spec.name)
    if any(each.found is not None and each.found.is_nested for each in answers):
        yield NESTED
    alike = sum(THESE_WORLDS in claim.conditional_on for claim in claims)
    if alike:
        yield ALIKE_WORLDS.format(num=alike)
    if any(ONE_WORLD_GIVEN in claim.conditional_on for claim in claims):
        yield ONE_WORLD
    single = sum(ONE_PROMPT_GIVEN in claim.conditional_on for claim in claims)
    if single:
        yield ONE_PROMPT.format(num=single)


def _states_seeds(tree: Tree) -> bool:
    """Return whether the tree says of any cell which seed of a training it is."""
    return any(getattr(cell.seeds, level) is not None for cell in tree.cells for level in LEVELS)


def _rests_on_few_runs(claim: Claim) -> bool:
    """Return whether a claim is about its checkpoints because too few of their runs belong together."""
    shared = min(claim.units.seeds, claim.units.roots or claim.units.seeds)
    return claim.estimand == "artefact" and 0 < shared < ENOUGH_UNITS


def _of_registration(tree: Tree, claims: Sequence[Claim], validity: Validity) -> Iterable[str]:
    if claims and not any(claim.margin is not None or claim.risk_ratio is not None for claim in claims):
        yield NO_MARGIN
    if tree.study.registered.before_first_row is False:
        yield NOT_REGISTERED
    if tree.study.registered.amendments:
        yield AMENDED
    planned = tree.study.registered.seeds
    most = max((len(cell.checkpoints) for cell in validity.design.cells.values()), default=0)
    if planned is not None and most > planned:
        yield SEEDS_ADDED.format(found=most, planned=planned)


def _of_teachers(claims: Sequence[Claim]) -> Iterable[str]:
    num = sum(claim.teacher_separable is False for claim in claims)
    if num:
        yield TEACHER.format(num=num)


def _of_judges(evidence: Evidence, claims: Sequence[Claim], calibration: Calibration) -> Iterable[str]:
    measured = frozenset(evidence.scores.columns.checkpoint.labels)
    for measure in evidence.scores.columns.measure.labels:
        for judge in evidence.judges(measure):
            kind = evidence.judge_kind(judge)
            if kind is None and judge != NO_JUDGE and not calibration.labelled(judge):
                yield UNKNOWN_JUDGE.format(judge=judge)
            if kind not in ("rule", "llm"):
                continue
            labelled = calibration.labelled(judge) & measured
            if not labelled:
                yield UNCALIBRATED.format(judge=judge)
            elif labelled < measured:
                yield PARTLY_CALIBRATED.format(judge=judge, num=len(labelled), total=len(measured))
    dependent = sum(claim.judge_robust is False for claim in claims)
    if dependent:
        yield JUDGE_DEPENDENT.format(num=dependent)


def _of_labels(calibration: Calibration) -> Iterable[str]:
    for test in calibration.uniformity:
        if test["p_adjusted"] is not None and test["p_adjusted"] < UNEVEN_LEVEL:
            yield UNEVEN_JUDGE.format(**{name: test[name] for name in ("judge", "side", "outcome", "rater")})
    if len(calibration.raters) == 1:
        yield ONE_RATER
    for pair in calibration.agreement:
        if pair["kappa"] is not None and pair["kappa"] < MIN_KAPPA:
            raters = " and ".join(pair["raters"])
            yield RATERS_DISAGREE.format(raters=raters, kappa=f"{pair['kappa']:.2f}", minimum=MIN_KAPPA)
    if calibration.num_foreign:
        yield FOREIGN_LABELS.format(num=calibration.num_foreign)


def _of_scores(answers: Sequence[Answered], claims: Sequence[Claim], validity: Validity) -> Iterable[str]:
    undecided = [claim for claim in claims if claim.verdict == "inconclusive" and not claim.blocked_by]
    hidden = [claim for claim in undecided if is_beyond_evidence(claim)]
    weak = sum(_is_weak(claim) for claim in undecided if claim not in hidden)
    if weak:
        yield UNDERPOWERED.format(num=weak)
    if hidden:
        yield BEYOND_EVIDENCE.format(num=len(hidden))
    without = sum(
        each.question.spec.scale == "logit" and claim.scale != "logit" and claim.low is not None
        for each, claim in zip(answers, claims, strict=True)
    )
    if without:
        yield NOT_IN_LOG_ODDS.format(num=without)
    small = sum(
        claim.share is not None
        and claim.unit in SHARE_UNITS
        and claim.scale == "natural"
        and claim.share_total is not None
        and abs(claim.share_total) < SMALL_TOTAL_EFFECT
        for claim in claims
    )
    if small:
        yield SMALL_TOTAL.format(num=small, limit=SMALL_TOTAL_EFFECT)
    yield from _of_coherence(answers, validity)
    evidence = validity.coherence.evidence
    for measure in evidence.scores.columns.measure.labels:
        if num := evidence.num_without_split(measure):
            yield NO_SPLIT.format(num=num, measure=measure)
    yield from lacking_prompts(evidence, validity.design)
    ineligible = max((each.found.num_ineligible for each in answers if each.found is not None), default=0)
    if ineligible:
        yield INELIGIBLE.format(num=ineligible)


def _is_weak(claim: Claim) -> bool:
    """Return whether the test would find a change of the claim's own margin in less than four studies of five."""
    if claim.margin is None or claim.minimum_detectable is None:
        return False
    return claim.minimum_detectable > claim.margin


def _of_estimators(claims: Sequence[Claim]) -> Iterable[str]:
    num = sum(any(disagrees(line) for line in claim.robustness) for claim in claims)
    if num:
        yield ESTIMATORS_DISAGREE.format(num=num)
    enough = MODELS_ENOUGH.format(num=MAX_MODELS)
    left = sum(any(line.reason == enough for line in claim.robustness) for claim in claims)
    if left:
        yield MODELS_LEFT_OUT.format(num=MAX_MODELS, left=left)


def _of_coherence(answers: Sequence[Answered], validity: Validity) -> Iterable[str]:
    """Yield, sorted, where coherence is not known, and where something else than benign twins stands in."""
    found: set[str] = set()
    for source, name in {
        (term.source, name)
        for each in answers
        for term in each.question.terms
        for name in validity.design.cells[term.cell].checkpoints
    }:
        if not validity.coherence.is_generated(name, source):
            continue
        known = validity.coherence.of(name, source)
        if known is None:
            found.add(COHERENCE_UNKNOWN.format(condition=source.condition))
        elif known.basis == "other-length":
            found.add(COHERENCE_ELSEWHERE.format(condition=source.condition, other=known.condition))
        elif known.basis == "own":
            found.add(COHERENCE_OWN.format(condition=source.condition, judge=source.judge))
    yield from sorted(found)
