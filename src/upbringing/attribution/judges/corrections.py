"""Which contrasts and levels human labels correct, and what stands where they cannot.

Source: statistics-and-measures 5.2, procedure P4, steps 2 to 4. Departures: labels of one run never speak for another
run of the recipe; where some runs of a contrast have none, the correction rests on the others, three at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from upbringing.attribution.contrasts.estimates import Estimate, estimate, is_same
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import ENOUGH_UNITS, Design
from upbringing.attribution.evidence.pivot import Pivot, Term, pivot, tabled
from upbringing.attribution.judges.calibration import Calibration
from upbringing.attribution.judges.corrected import MIN_LABELS, Corrected, corrected_contrast
from upbringing.attribution.judges.error_gap import ASSUMED_GAP
from upbringing.attribution.judges.gaps import Gap, errors_by_checkpoint, gap_of
from upbringing.attribution.judges.labelled import Answers, LabelledAnswer, Labels, labelled_answers
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference, normal_quantile
from upbringing.attribution.statistics.rogan_gladen import Known, Level, corrected_level
from upbringing.attribution.words.judge_sentences import SHARE_UNCHECKED
from upbringing.attribution.words.sentences import (
    COUNTS_MORE,
    FEW_LABELLED_RUNS,
    FEW_LABELS,
    NO_LABELS,
    NOT_A_MEAN,
    RATERS_DIFFER,
    SHARE_AS_JUDGED,
    UNEVEN,
    UNSHOWN,
)

RULE = "rule"
LANGUAGE_MODEL = "llm"
JUDGES_THAT_ERR = (RULE, LANGUAGE_MODEL)  # of which it is said where nothing calibrates them
NEED_NO_LABELS = ("oracle", "human")  # exact judges, checks of a world's state among them, and people themselves


@dataclass(frozen=True)
class Uncorrected:
    """Labels of this judge exist and do not correct a contrast. ``gap``: how far its errors differ, where known.

    ``is_tested``: enough labels on every cell of the contrast show how it errs, so that unevenness could be seen.
    """

    reason: str
    gap: Gap | None = None
    is_tested: bool = False

    @property
    def is_uneven(self) -> bool:
        """Whether the judge is shown to err differently on different checkpoints."""
        return self.gap is not None and self.gap.is_uneven


@dataclass(frozen=True)
class Corrections:
    """Answers what labels make of a contrast or a level. Remembers how far each judge's errors differ.

    ``error_gap``: how far a rule's errors are taken to differ between checkpoints where no labels show it.
    """

    evidence: Evidence
    design: Design
    calibration: Calibration
    labels: Labels
    error_gap: float = ASSUMED_GAP
    _gaps: dict[tuple[str, str], Gap | None] = field(default_factory=dict)

    def contrast(self, terms: Sequence[Term]) -> Corrected | Uncorrected | None:
        """Return the contrast corrected, or why labels that exist do not correct it.

        ``None`` where its judge needs no labels, has none at all, or the contrast compares two judges.
        """
        judges = {term.source.judge for term in terms}
        if len(judges) != 1 or not self._has_labels(next(iter(judges))):
            return None
        found = pivot(self.evidence, self.design, terms)
        if is_same(found):
            return None
        source = terms[0].source
        if (reason := self._forbids(source)) is not None:
            return Uncorrected(reason)
        labelled = self._labelled_units(found)
        enough = len(labelled) == len(found.units.units) or (
            found.units.estimand != "artefact" and len(labelled) >= ENOUGH_UNITS
        )
        own = _of_units(found, labelled) if enough else None
        corrected = None if own is None else corrected_contrast(self.evidence, own, self._answers_of(own))
        few = _few_runs(found, labelled) if own is None else FEW_LABELS.format(minimum=MIN_LABELS)
        gap = self._gap(source)
        return corrected or Uncorrected(few, gap, gap is not None and self._is_every_cell_labelled(found))

    def is_uncalibrated(self, source: Source) -> bool:
        """Return whether a judge that can err carries the scores, and people labelled no answer of its."""
        errs = self.evidence.judge_kind(source.judge) in JUDGES_THAT_ERR
        return errs and not self.calibration.labelled(source.judge)

    def assumed_gap(
        self, found: Estimate, terms: Sequence[Term], correction: Corrected | Uncorrected | None
    ) -> float | None:
        """Return how far a rule's errors are taken to differ; ``None`` where nothing has to be assumed.

        Of a rule that reads answers into outcomes, where no labels show its errors on every cell. A rule that only
        scores (a right option, an exact match) is what defines its measure; and that two judges differ is no claim
        about checkpoints.
        """
        known, source = 0.0, terms[0].source
        if len({term.source.judge for term in terms}) > 1:
            return None
        if self.evidence.judge_kind(source.judge) != RULE or not self.evidence.is_bounded(source.measure):
            return None
        if isinstance(correction, Uncorrected) and not (correction.is_tested or correction.is_uneven):
            known = 0.0 if correction.gap is None else correction.gap.largest
        elif correction is not None:
            return None
        blocks = [self.evidence.block(name, source) for name in found.checkpoints]
        reads = any(block is not None and self.evidence.scores.outcomes[block].any() for block in blocks)
        return (max(self.error_gap, known) or None) if reads else None

    def no_ratio(self, terms: Sequence[Term]) -> str | None:
        """Return why ratios and shares of effects are not read off verdicts: labels correct these, or do not show them.

        ``terms``: of a contrast of all cells whose effects are compared, under one source.
        """
        correction = self.contrast(terms)
        if isinstance(correction, Corrected):
            return SHARE_AS_JUDGED
        if (reason := self.undecided(terms[0].source, correction)) is not None:
            return reason
        found = estimate(self.evidence, self.design, terms)
        return None if self.assumed_gap(found, terms, correction) is None else SHARE_UNCHECKED

    def undecided(self, source: Source, correction: Corrected | Uncorrected | None) -> str | None:
        """Return why its judge lets no claim be decided, whatever the rows hold; ``None`` where it does.

        ``correction``: what ``contrast`` makes of the claim's terms.
        """
        by_model = self.evidence.judge_kind(source.judge) == LANGUAGE_MODEL
        if by_model and self.is_uncalibrated(source):
            return NO_LABELS.format(judge=source.judge)
        if isinstance(correction, Uncorrected) and (correction.is_uneven or (by_model and not correction.is_tested)):
            return (UNEVEN if correction.is_uneven else UNSHOWN).format(reason=correction.reason)
        return None

    def level(self, cell: str, source: Source, inference: Inference | None) -> tuple[Level | None, int]:
        """Return a cell's rate corrected, ``None`` unless labels tell of every checkpoint, and their number."""
        names = self.design.cells[cell].checkpoints
        counts = [self.num_labels(name, source) for name in names]
        known = inference is not None and self._has_labels(source.judge) and self._forbids(source) is None
        if inference is None or not known or min(counts, default=0) < MIN_LABELS:
            return None, 0
        errors = errors_by_checkpoint({name: self._answers(name, source) for name in names})
        values = [self.evidence.values(name, source) for name in names]
        pairs = [
            (float(np.nanmean(own.value)), errors[name])
            for name, own in zip(names, values, strict=True)
            if own is not None and name in errors
        ]
        if len(pairs) < len(names):
            return None, 0
        spread = inference.standard_error or (inference.half_width or 0.0) / normal_quantile(CONFIDENCE)
        return corrected_level(Known(inference.estimate, spread**2), inference.df, pairs), sum(counts)

    def num_labels(self, checkpoint: str, source: Source) -> int:
        """Return how many labelled answers a checkpoint has under one source."""
        return len(self._answers(checkpoint, source))

    def _has_labels(self, judge: str) -> bool:
        return self.evidence.judge_kind(judge) not in NEED_NO_LABELS and bool(self.calibration.labelled(judge))

    def _forbids(self, source: Source) -> str | None:
        if not self.calibration.are_raters_agreed:
            return RATERS_DIFFER
        if not self.evidence.is_share(source.measure):
            return NOT_A_MEAN
        return COUNTS_MORE if source.measure in self.labels.counts_more else None

    def _answers(self, checkpoint: str, source: Source) -> list[LabelledAnswer]:
        found = self.labels.of(self.evidence.facts, checkpoint, source)
        return [answer for given in found.values() for answer in given]

    def _labelled_units(self, found: Pivot) -> list[int]:
        """Return the units of which every checkpoint has enough labels."""
        return [
            row
            for row, unit in enumerate(found.units.units)
            if all(
                self.num_labels(name, term.source) >= MIN_LABELS
                for term, names in zip(found.terms, unit.checkpoints, strict=True)
                for name in names
            )
        ]

    def _is_every_cell_labelled(self, found: Pivot) -> bool:
        """Return whether some checkpoint of every cell has enough labels."""
        return all(
            any(
                self.num_labels(name, term.source) >= MIN_LABELS
                for unit in found.units.units
                for name in unit.checkpoints[place]
            )
            for place, term in enumerate(found.terms)
        )

    def _answers_of(self, found: Pivot) -> dict[tuple[int, int, int], Answers]:
        return {
            (row, place, number): self.labels.of(self.evidence.facts, name, term.source)
            for row, unit in enumerate(found.units.units)
            for place, (term, names) in enumerate(zip(found.terms, unit.checkpoints, strict=True))
            for number, name in enumerate(names)
        }

    def _gap(self, source: Source) -> Gap | None:
        key = (source.measure, source.judge)
        if key not in self._gaps:
            self._gaps[key] = gap_of(self.labels.by_checkpoint(*key))
        return self._gaps[key]


def corrections_of(
    rows: pa.Table, evidence: Evidence, design: Design, calibration: Calibration, error_gap: float | None = None
) -> Corrections:
    """Return what the labels of ``calibration`` correct in ``rows``. ``error_gap``: absent = the default."""
    labels = labelled_answers(rows, calibration.labels, evidence.facts)
    return Corrections(evidence, design, calibration, labels, ASSUMED_GAP if error_gap is None else error_gap)


def _few_runs(found: Pivot, labelled: Sequence[int]) -> str:
    if found.units.estimand == "artefact":
        return FEW_LABELS.format(minimum=MIN_LABELS)
    return FEW_LABELLED_RUNS.format(
        num=len(labelled), total=len(found.units.units), minimum=MIN_LABELS, needed=ENOUGH_UNITS
    )


def _of_units(found: Pivot, kept: Sequence[int]) -> Pivot:
    """Return the contrast of some of its units."""
    if len(kept) == len(found.units.units):
        return found
    chosen = tuple(found.units.units[row] for row in kept)
    places = range(len(found.terms))
    seeds = max(len({name for unit in chosen for name in unit.checkpoints[place]}) for place in places)
    roots = len(chosen) if found.units.num_roots == len(found.units.units) else found.units.num_roots
    units = replace(found.units, units=chosen, num_seeds=seeds, num_roots=roots)
    return tabled(found.terms, units, tuple(found.found[row] for row in kept))
