"""The steps of a passport that look at contrasts: a dose must move a measure, copies and placebos must not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.contrasts.default_margins import MarginBasis, with_margin
from upbringing.attribution.contrasts.estimates import Estimate, estimate
from upbringing.attribution.contrasts.ratios import estimate_asked, said_of
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import ENOUGH_UNITS, Design
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.statistics.far_tail import far_p
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.validity.passport import Status, Step, not_shown
from upbringing.attribution.validity.passport_margins import UNDECLARED, Held
from upbringing.attribution.validity.passport_runs import Runs
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.margin_words import margin_of_spec
from upbringing.formats.tree import ContrastSpec, Tree

NULL_FAMILY = "null"
DOSE = "dose"  # a factor of this name was planted to move measures; any other may well do nothing
TREND_LEVEL = 0.01
MIN_LEVELS = 3
UNSEEN_SPREAD = "all runs score alike, so nothing shows how far runs differ"


@dataclass(frozen=True)
class Asked:
    """A study as the steps of a passport look at it. ``specs``: every contrast, declared or derived.

    ``basis``: the study that margins which nobody declared are picked in.
    """

    tree: Tree
    evidence: Evidence
    design: Design
    validity: Validity
    specs: Sequence[ContrastSpec]
    corrections: Corrections
    basis: MarginBasis

    def margin(self, measure: str) -> float | None:
        """Return the margin declared for a measure."""
        return self.tree.study.margins.get(measure)

    def estimate(self, runs: Runs, weights: Mapping[str, float]) -> Estimate | None:
        """Return a contrast of the headline scores, unless a cell of it may not be read."""
        if not self._may_be_read(runs, weights):
            return None
        found = estimate(self.evidence, self.design, terms_of(weights, runs.source))
        return found if found.inference is not None else None

    def held(self, runs: Runs, spec: ContrastSpec) -> Held | None:
        """Return the same with its margin: that of ``spec``, else the one that a claim would be held against."""
        if not self._may_be_read(runs, spec.weights):
            return None
        terms = terms_of(spec.weights, runs.source)
        question = with_margin(Question(spec, runs.source, terms), self.basis)
        found = estimate_asked(self.evidence, self.design, question.spec, terms)
        return Held(question.spec, found, self._lacks(question, found)) if found.inference is not None else None

    def _may_be_read(self, runs: Runs, weights: Mapping[str, float]) -> bool:
        is_made = all(cell in self.design.cells for cell in weights)
        return is_made and not self.validity.reasons((cell, runs.source) for cell in weights)

    def _lacks(self, question: Question, found: Estimate) -> str:
        """Return why nothing says what counts as alike: no margin, or no ratio to hold against one as in claims."""
        spec = question.spec
        if spec.ratio_margin is None:
            why = f", and {question.no_margin}" if question.no_margin else ""
            return f"{UNDECLARED}{why}" if spec.margin is None else ""
        said = said_of(spec, found)
        if said is None or said.reason:
            return "" if said is None else said.reason
        return self.corrections.no_ratio(question.terms) or ""


def dose_step(study: Asked, runs: Runs) -> Step:
    """Return step 5: a trend over a factor with numbers for levels, two-sided because its direction is not declared.

    The tail keeps how badly few roots show their own spread. Prompts of a run or two per level are no sample of runs.
    """
    name, why = "trend over a dose", f"no factor has {MIN_LEVELS} numbers for levels"
    for factor, weights in _trends(study.design):
        spec = ContrastSpec(name=name, weights=weights, measure=runs.measure, margin=study.margin(runs.measure))
        held = study.held(runs, spec)
        found = None if held is None else held.found
        if found is not None and (found.units.estimand == "artefact" or found.units.is_one_root):
            num = 1 if found.units.is_one_root else len(found.units.units)
            why = f"{num} of at least {ENOUGH_UNITS} independent runs of every level of {factor!r} may be read"
            why = UNSEEN_SPREAD if num >= ENOUGH_UNITS else why
            continue
        p = None if found is None else far_p(_of(found))
        if found is None or p is None:
            continue
        flat = factor == DOSE and held is not None and held.is_alike
        status: Status = "passed" if p < TREND_LEVEL else "failed" if flat else "not shown"
        size = f"{_of(found).estimate:+.2f} from the least to the most of {factor!r}, p {p:.3g}"
        by_default = status == "failed" and held is not None and held.spec.margin_default is not None
        flatness = f" It is within {margin_of_spec(held.spec)}." if by_default and held is not None else ""
        sentence = f"{runs.measure}: the {name} is {size}; p below {TREND_LEVEL} is needed.{flatness}"
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
    declared = {} if margin is None else {"margin": margin, "ratio_margin": None}
    found = [each for spec in specs if (each := study.held(runs, spec.model_copy(update=declared))) is not None]
    if not found:
        return not_shown(runs.measure, 6, name, "there is none that may be read")
    if all(each.found.is_same_checkpoint for each in found):
        sentence = f"{runs.measure}: a copy is one and the same checkpoint, scored the same."
        return Step(runs.measure, 6, name, "passed", sentence, 0.0, None, None, margin)
    held = [each for each in found if not each.why]
    if not held:
        return not_shown(runs.measure, 6, name, found[0].why)
    moved = [each for each in held if _shows_noise(study.design, each.found) and each.is_beyond(len(found))]
    worst = moved[0] if moved else max(held, key=lambda each: abs(each.inference.estimate))
    status: Status = "failed" if moved else "passed" if all(each.is_alike for each in found) else "not shown"
    size = worst.size
    sentence = f"{runs.measure}: the largest {name} is {size.words}; {worst.needed} is needed ({status})."
    return Step(
        runs.measure, 6, name, status, sentence, size.value, size.low, size.high, size.threshold, bars and bool(moved)
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
