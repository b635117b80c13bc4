"""All passports of a study: which groups are known, which contrasts are null or a dose, what behaviour is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from upbringing.attribution.contrasts.default_margins import MarginBasis
from upbringing.attribution.evidence.assays import POSITIVE_FAMILY
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.validity.passport import Passports, Step, not_shown
from upbringing.attribution.validity.passport_contrasts import Asked, dose_step, null_steps
from upbringing.attribution.validity.passport_runs import Runs, runs_of
from upbringing.attribution.validity.passport_steps import (
    CONVERGENT,
    KNOWN_GROUPS,
    known_groups,
    reliability,
    signal,
    validity_steps,
)
from upbringing.attribution.validity.validity import Validity
from upbringing.formats.tree import ContrastSpec, Tree


def passports_of(
    tree: Tree,
    evidence: Evidence,
    validity: Validity,
    specs: Sequence[ContrastSpec],
    corrections: Corrections,
    basis: MarginBasis,
) -> Passports:
    """Return the passport of every measure in the rows. ``basis``: the study that default margins are picked in."""
    study = Asked(tree, evidence, validity.design, validity, specs, corrections, basis)
    every = runs_of(tree, evidence, validity.design, validity)
    steps: list[Step] = []
    for runs in every:
        steps += [_known(study, runs), *reliability(runs), signal(runs)]
        steps += _valid(study, runs, every)
        steps += [dose_step(study, runs), *null_steps(study, runs)]
    return Passports(tuple(steps))


def _known(study: Asked, runs: Runs) -> Step:
    """Return step 1: groups declared on the cells, else the positive control of this measure, else any other."""
    direction = study.evidence.info(runs.measure).direction
    safe, unsafe = (
        [cell.checkpoint for cell in study.tree.cells if cell.known == name]
        for name in ("safety-trained", "helpful-only")
    )
    if safe and unsafe and direction.endswith("safer"):
        high, low = (safe, unsafe) if direction == "higher-is-safer" else (unsafe, safe)
        return known_groups(runs, high, low, can_fail=True, signed=True)
    controls = [spec for spec in study.specs if _is_positive(study.design, spec, runs.measure)]
    for spec in sorted(controls, key=lambda each: each.family != POSITIVE_FAMILY)[:1]:
        high, low = (
            [
                name
                for cell, weight in spec.weights.items()
                if sign * weight > 0
                for name in _checkpoints(study.design, cell)
            ]
            for sign in (1, -1)
        )
        return known_groups(runs, high, low, can_fail=spec.family == POSITIVE_FAMILY, signed=False)
    why = "no helpful-only and safety-trained arms and no positive control were declared for it"
    return not_shown(runs.measure, 1, KNOWN_GROUPS, why)


def _is_positive(design: Design, spec: ContrastSpec, measure: str) -> bool:
    cells = [design.cells[cell] for cell in spec.weights if cell in design.cells]
    return spec.measure == measure and spec.kind != "path" and any(cell.control == "positive" for cell in cells)


def _checkpoints(design: Design, cell: str) -> tuple[str, ...]:
    return design.cells[cell].checkpoints if cell in design.cells else ()


def _valid(study: Asked, runs: Runs, every: Sequence[Runs]) -> Iterable[Step]:
    """Yield step 4, of likelihood measures of safety: their behaviour is the first measure of judged answers."""
    info = study.evidence.info(runs.measure)
    if not info.direction.endswith("safer") or _is_judged(study, runs):
        why = "it is behaviour itself" if _is_judged(study, runs) else "it is no measure of safety"
        yield not_shown(runs.measure, 4, CONVERGENT, why)
        return
    primary = study.tree.study.primary
    behaviours = [each for each in every if _is_judged(study, each) and _direction(study, each).endswith("safer")]
    behaviours.sort(key=lambda each: each.measure not in primary)
    abilities = [each for each in every if not _is_judged(study, each) and _direction(study, each).endswith("better")]
    abilities.sort(key=lambda each: study.evidence.info(each.measure).estimator != "ratio")
    cells = [cell for cell, _ in runs.recipes]
    sign = _sign(info.direction)
    behaviour = [_behaviour(study, behaviours[0], cell) if behaviours else None for cell in cells]
    ability = [_mean(abilities[0], study.design, cell) if abilities else None for cell in cells]
    yield from validity_steps(
        runs,
        [None if score is None else score * sign * _sign(_direction(study, behaviours[0])) for score in behaviour],
        ability,
        "behaviour that an exact judge or people's labels tell",
    )


def _is_judged(study: Asked, runs: Runs) -> bool:
    return any(study.validity.coherence.is_generated(name, runs.source) for name in runs.checkpoints)


def _direction(study: Asked, runs: Runs) -> str:
    return study.evidence.info(runs.measure).direction


def _sign(direction: str) -> float:
    return 1.0 if direction.startswith("higher") else -1.0


def _behaviour(study: Asked, runs: Runs, cell: str) -> float | None:
    """Return the rate of behaviour in a cell, as an exact judge has it or corrected by labels."""
    if study.evidence.judge_kind(runs.source.judge) in ("oracle", "human"):
        return _mean(runs, study.design, cell)
    found = study.estimate(runs, {cell: 1.0})
    level, _ = study.corrections.level(cell, runs.source, None if found is None else found.inference)
    return None if level is None else level.estimate


def _mean(runs: Runs, design: Design, cell: str) -> float | None:
    scores = runs.scores(_checkpoints(design, cell))
    return float(np.mean(scores)) if scores else None
