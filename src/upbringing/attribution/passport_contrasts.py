"""The steps of a passport that look at contrasts: a dose must move a measure, copies and placebos must not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.cells import Evidence
from upbringing.attribution.corrections import Corrections
from upbringing.attribution.design import ENOUGH_UNITS, Design
from upbringing.attribution.equivalence import is_equivalent
from upbringing.attribution.estimates import Estimate, estimate
from upbringing.attribution.far_tail import far_p, quantile
from upbringing.attribution.inference import CONFIDENCE, Inference
from upbringing.attribution.passport import Status, Step, not_shown
from upbringing.attribution.passport_runs import Runs
from upbringing.attribution.pivot import terms_of
from upbringing.attribution.validity import Validity
from upbringing.formats.tree import ContrastSpec, Tree

NULL_FAMILY = "null"
DOSE = "dose"  # a factor of this name was planted to move measures; any other may well do nothing
TREND_LEVEL = 0.01
MIN_LEVELS = 3
UNSEEN_SPREAD = "all runs score alike, so nothing shows how far runs differ"


@dataclass(frozen=True)
class Asked:
    """A study as the steps of a passport look at it. ``specs``: every contrast, declared or derived."""

    tree: Tree
    evidence: Evidence
    design: Design
    validity: Validity
    specs: Sequence[ContrastSpec]
    corrections: Corrections

    def margin(self, measure: str) -> float | None:
        """Return the margin declared for a measure."""
        return self.tree.study.margins.get(measure)

    def estimate(self, runs: Runs, weights: Mapping[str, float]) -> Estimate | None:
        """Return a contrast of the headline scores, unless a cell of it may not be read."""
        terms = terms_of(weights, runs.source)
        if not all(cell in self.design.cells for cell in weights):
            return None
        if self.validity.reasons((term.cell, term.source) for term in terms):
            return None
        found = estimate(self.evidence, self.design, terms)
        return found if found.inference is not None else None


def dose_step(study: Asked, runs: Runs) -> Step:
    """Return step 5: a trend over a factor with numbers for levels, two-sided because its direction is not declared.

    The tail keeps how badly few roots show their own spread. Prompts of a run or two per level are no sample of runs.
    """
    name, why = "trend over a dose", f"no factor has {MIN_LEVELS} numbers for levels"
    for factor, weights in _trends(study.design):
        found = study.estimate(runs, weights)
        if found is not None and (found.units.estimand == "artefact" or found.units.is_one_root):
            num = 1 if found.units.is_one_root else len(found.units.units)
            why = f"{num} of at least {ENOUGH_UNITS} independent runs of every level of {factor!r} may be read"
            why = UNSEEN_SPREAD if num >= ENOUGH_UNITS else why
            continue
        p = None if found is None else far_p(_of(found))
        if found is None or p is None:
            continue
        flat = is_equivalent(_of(found), study.margin(runs.measure)) and factor == DOSE
        status: Status = "passed" if p < TREND_LEVEL else "failed" if flat else "not shown"
        size = f"{_of(found).estimate:+.2f} from the least to the most of {factor!r}, p {p:.3g}"
        sentence = f"{runs.measure}: the {name} is {size}; p below {TREND_LEVEL} is needed."
        return Step(runs.measure, 5, name, status, sentence, p, None, None, TREND_LEVEL)
    return not_shown(runs.measure, 5, name, why)


def _trends(design: Design) -> Iterable[tuple[str, dict[str, float]]]:
    """Yield, last positions first, factors with numeric levels and the weights of slope times range."""
    places: dict[tuple[str, str, tuple[tuple[str, str], ...]], dict[str, float]] = {}
    for cell in design.cells.values():
        for factor, level in cell.factors:
            dose = _number(level)
            if dose is not None and cell.control != "copy":
                others = tuple(pair for pair in cell.factors if pair[0] != factor)
                places.setdefault((factor, cell.position, others), {})[cell.name] = dose
    for (factor, _, _), doses in reversed(places.items()):
        values = np.array(list(doses.values()))
        if len(set(doses.values())) >= MIN_LEVELS:
            centred = values - values.mean()
            slopes = centred * (values.max() - values.min()) / float(centred @ centred)
            yield factor, dict(zip(doses, slopes.tolist(), strict=True))


def _number(level: str) -> float | None:
    scale = 0.01 if level.endswith("%") else 1.0
    try:
        number = float(level.removesuffix("%")) * scale
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def null_steps(study: Asked, runs: Runs) -> Iterable[Step]:
    """Yield step 6: copies, and stages that were placebos, move the measure by less than its margin."""
    copies = [spec for spec in study.specs if spec.measure == runs.measure and _is_copy(spec)]
    placebos = [spec for spec in study.specs if spec.measure == runs.measure and _is_placebo(study.design, spec)]
    yield _unmoved(study, runs, "effect of a copy", copies, bars=True)
    if placebos:
        yield _unmoved(study, runs, "effect of a placebo stage", placebos, bars=False)


def _is_copy(spec: ContrastSpec) -> bool:
    return spec.kind == "copy" or spec.family == NULL_FAMILY


def _is_placebo(design: Design, spec: ContrastSpec) -> bool:
    after = [cell for cell, weight in spec.weights.items() if weight > 0]
    return spec.kind == "path" and any(
        dict(design.cells[cell].state).get(design.cells[cell].position) == "placebo"
        for cell in after
        if cell in design.cells
    )


def _unmoved(study: Asked, runs: Runs, name: str, specs: Sequence[ContrastSpec], *, bars: bool) -> Step:
    margin = next((spec.margin for spec in specs if spec.margin is not None), study.margin(runs.measure))
    found = [each for spec in specs if (each := study.estimate(runs, spec.weights)) is not None]
    if not found:
        return not_shown(runs.measure, 6, name, "there is none that may be read")
    worst = max(found, key=lambda each: abs(_of(each).estimate))
    if all(each.is_same_checkpoint for each in found):
        sentence = f"{runs.measure}: a copy is one and the same checkpoint, scored the same."
        return Step(runs.measure, 6, name, "passed", sentence, 0.0, None, None, margin)
    if margin is None:
        return not_shown(runs.measure, 6, name, "no margin was declared")
    moved = [each for each in found if _shows_noise(study.design, each) and _is_beyond(_of(each), margin, len(found))]
    alike = all(each.is_same_checkpoint or is_equivalent(_of(each), margin) for each in found)
    worst = moved[0] if moved else worst
    status: Status = "failed" if moved else "passed" if alike else "not shown"
    size = _of(worst)
    sentence = f"{runs.measure}: the largest {name} is {size.estimate:+.2f}; less than {margin:g} is needed ({status})."
    return Step(
        runs.measure, 6, name, status, sentence, size.estimate, size.low, size.high, margin, bars and bool(moved)
    )


def _shows_noise(design: Design, found: Estimate) -> bool:
    """Return whether a copy that moves is the measure's fault: of several runs, or of the same weights.

    A single run that was trained again differs by what its seed did.
    """
    if found.units.estimand != "artefact":
        return True
    weights = {design.checkpoints[name].weights_sha256 for name in found.checkpoints if name in design.checkpoints}
    return len(weights) == 1 and None not in weights


def _of(found: Estimate) -> Inference:
    assert found.inference is not None
    return found.inference


def _is_beyond(inference: Inference, margin: float, num: int) -> bool:
    """Return whether the effect surely exceeds the margin, all ``num`` of them together at 95 %."""
    if inference.standard_error is None or inference.df is None:
        return (
            inference.low is not None
            and inference.high is not None
            and (inference.low > margin or inference.high < -margin)
        )
    reach = quantile(1 - (1 - CONFIDENCE) / num, inference.df, inference.spread) * inference.standard_error
    return abs(inference.estimate) - reach > margin
