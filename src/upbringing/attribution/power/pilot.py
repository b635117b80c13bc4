"""Variance components and power read off the rows of a study: a pilot for the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upbringing.attribution.claims.answered import EXPLORATORY, PRIMARY
from upbringing.attribution.claims.asked import Asked, asked_of
from upbringing.attribution.contrasts.estimates import estimate, mean_over
from upbringing.attribution.evidence.pivot import Found, Pivot, pivot
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.judges.calibration import Calibration, calibrate
from upbringing.attribution.judges.corrected import Corrected
from upbringing.attribution.judges.corrections import Corrections, corrections_of
from upbringing.attribution.judges.gaps import Gap
from upbringing.attribution.power.outlook import (
    RATIO_UNPLANNED,
    ContrastFacts,
    Outlook,
    largest_of,
    outlook,
    unknown_outlook,
)
from upbringing.attribution.power.sampling import SampleSize
from upbringing.attribution.statistics.inference import POWER
from upbringing.attribution.statistics.unpaired import UNPAIRED_RUNS
from upbringing.attribution.statistics.variance import VarianceComponents, estimated_components
from upbringing.attribution.validity.validity import Validity, validity_of
from upbringing.attribution.words.sentences import LEFT_OUT, NO_ROWS, NOT_MEASURED, UNPAIRED
from upbringing.base.errors import FormatError
from upbringing.formats.tree import Tree


@dataclass(frozen=True)
class Pilot:
    """What the rows say of a contrast's noise, and at what size; ``why`` says where they say nothing."""

    facts: ContrastFacts
    components: VarianceComponents | None = None
    size: SampleSize | None = None
    why: str | None = None


def pilot_outlooks(
    rows: pa.Table, tree: Tree, labels: pa.Table | None = None, *, power: float = POWER
) -> tuple[Outlook, ...]:
    """Return what every primary contrast of a measured study could find; every contrast where none is primary."""
    found = pilots(rows, tree, labels)
    chosen = [each for each in found if each.facts.role == PRIMARY] or found
    return tuple(
        unknown_outlook(each.facts, each.why or NOT_MEASURED)
        if each.components is None or each.size is None
        else outlook(each.facts, each.components, each.size, known="rows", power=power)
        for each in chosen
    )


def pilots(
    rows: pa.Table,
    tree: Tree,
    labels: pa.Table | None = None,
    wanted: Collection[tuple[str, str]] | None = None,
) -> tuple[Pilot, ...]:
    """Return the noise of every contrast, each read as its claim is: under its first condition, judge and split.

    What compares checkpoints with themselves is left out: it finds nothing and corrects nothing. ``labels``: of people,
    without which some judges decide nothing. ``wanted``: only these, each by contrast and measure.
    """
    asked = asked_of(rows, tree)
    validity = validity_of(asked.tree, asked.evidence, asked.design)
    calibration = Calibration() if labels is None else calibrate(rows, labels)
    gap = asked.tree.study.judge_error_gap
    corrections = corrections_of(rows, asked.evidence, asked.design, calibration, gap)
    identity = {name: cell.checkpoints for name, cell in asked.design.cells.items()}
    first: dict[tuple[str, str], Question] = {}
    for question in asked.questions:
        if not is_void(question.spec.weights, identity):
            first.setdefault((question.spec.name, question.spec.measure), question)
    primary = [question for question in first.values() if question.spec.role == PRIMARY]
    families = Counter(_family(question) for question in primary)
    measures = len({question.spec.measure for question in primary}) or 1
    found = []
    for name, question in first.items():
        if wanted is not None and name not in wanted:
            continue
        spec, ratio = question.spec, question.spec.ratio_margin
        facts = ContrastFacts(
            measure=spec.measure,
            contrast=spec.name,
            margin=spec.margin,
            no_margin=question.no_margin if ratio is None else RATIO_UNPLANNED.format(ratio),
            condition=question.source.condition,
            split=question.source.split,
            role=spec.role,
            num_tests=families[_family(question)] if spec.role == PRIMARY else 1,
            num_measures=measures if spec.role == PRIMARY else 1,
            largest=largest_of(spec.weights, is_share=asked.evidence.is_share(spec.measure)),
        )
        found.append(_pilot(question, facts, asked, validity, corrections))
    return tuple(found)


def is_void(weights: Mapping[str, float], identity: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether a contrast compares checkpoints with themselves. ``identity``: what fills each cell."""
    total: dict[tuple[str, ...], float] = {}
    for cell, weight in weights.items():
        filled = identity.get(cell, (cell,))
        total[filled] = total.get(filled, 0.0) + weight
    return all(abs(weight) < 1e-9 for weight in total.values())  # weights such as 1/3 are rounded


def _family(question: Question) -> str:
    return PRIMARY if question.spec.family == EXPLORATORY else question.spec.family


def _pilot(
    question: Question, facts: ContrastFacts, asked: Asked, validity: Validity, corrections: Corrections
) -> Pilot:
    reason = _unreadable(question, validity)
    if reason is not None:
        return Pilot(facts, why=reason)
    correction = corrections.contrast(question.terms)
    if (reason := corrections.undecided(question.source, correction)) is not None:
        return Pilot(facts, why=reason)
    found = pivot(asked.evidence, asked.design, question.terms)
    table = found.contrast()
    if not found.is_complete or np.isnan(table).all():
        return Pilot(facts, why=NOT_MEASURED)
    if not found.units.is_paired:
        return Pilot(facts, why=(UNPAIRED_RUNS if found.units.runs else UNPAIRED).format(contrast=facts.contrast))
    tables = run_tables(found)
    try:
        components = estimated_components(tables)
    except FormatError as error:
        return Pilot(facts, why=str(error))
    seen = ~np.isnan(table)
    num_seeds = int(seen.any(axis=1).sum())
    per_seed = seen.sum() / num_seeds if components.is_nested else seen.any(axis=0).sum()
    size = SampleSize(max(round(float(per_seed)), 2), num_seeds, tables.shape[1])
    facts = replace(
        _with_unscored(facts, found, table),
        unchecked=_unchecked(question, asked, corrections),
        is_corrected=isinstance(correction, Corrected),
    )
    return Pilot(facts, components, size)


def _unreadable(question: Question, validity: Validity) -> str | None:
    if question.left_out:
        return LEFT_OUT.format(arms=", ".join(question.left_out))
    if not question.terms:
        return NO_ROWS.format(measure=question.source.measure, condition=question.source.condition)
    reasons = validity.reasons((term.cell, term.source) for term in question.terms)
    return reasons[0].text if reasons else None


def _with_unscored(facts: ContrastFacts, found: Pivot, table: NDArray[np.float64]) -> ContrastFacts:
    """Return ``facts`` with how far the answers without a score may move the estimate, either way."""
    mean, (lowest, highest) = mean_over(found.units, table), found.bounds(lambda part: mean_over(found.units, part))
    if mean is None or lowest is None or highest is None:
        return facts
    return replace(facts, unscored=max(mean - lowest, highest - mean, 0.0))


def _unchecked(question: Question, asked: Asked, corrections: Corrections) -> float:
    """Return how far errors of a rule that no labels check may move the estimate, either way."""
    found = estimate(asked.evidence, asked.design, question.terms)
    gap = corrections.assumed_gap(found, question.terms, corrections.contrast(question.terms))
    return 0.0 if gap is None else Gap(gap, None).reach([term.weight for term in question.terms])


def run_tables(found: Pivot) -> NDArray[np.float64]:
    """Return the contrast per unit, run that branches off it, and cluster: (units, runs, clusters).

    One run per unit where the units' runs differ in number, because then nothing pairs them.
    """
    numbers = {len(part) for row in found.found for part in row}
    num = max(numbers)
    if numbers - {1, num} or any(max(len(part) for part in row) != num for row in found.found):
        return found.contrast()[:, None, :]
    tables = np.full((len(found.found), num, len(found.clusters)), 0.0)
    for unit, row in enumerate(found.found):
        for weight, part in zip(found.weights, row, strict=True):
            tables[unit] += weight * _lines(part, found, num)
    return tables


def _lines(part: Found, found: Pivot, num: int) -> NDArray[np.float64]:
    """Return the scores of a unit's runs, (runs, clusters); a run that all share stands in each of them."""
    lines = np.full((len(part), len(found.clusters)), np.nan)
    for line, values in zip(lines, part, strict=True):
        if values is not None:
            line[np.searchsorted(found.clusters, values.cluster)] = values.value
    return np.broadcast_to(lines, (num, len(found.clusters)))
