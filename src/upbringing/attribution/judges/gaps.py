"""How far a judge's errors differ between checkpoints, in the values of one measure, and the effect that could make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.judges.labelled import LabelledAnswer
from upbringing.attribution.statistics.multiplicity import holm
from upbringing.attribution.statistics.rates import Stratum, homogeneity, rate
from upbringing.attribution.statistics.rogan_gladen import Errors, known

UNEVEN_LEVEL = 0.05
MIN_CASES = 5  # of one kind on a checkpoint, from which its error rate is more than chance
HALF = 0.5  # a value above counts as yes: raters who disagree evenly say neither


@dataclass(frozen=True)
class Gap:
    """The largest difference of a judge's sensitivity, or specificity, between labelled checkpoints.

    ``p``: of the test that both are the same everywhere, corrected for being two; ``None`` = not tested.
    """

    largest: float
    p: float | None

    @property
    def is_uneven(self) -> bool:
        """Whether the judge is shown to err differently on different checkpoints."""
        return self.p is not None and self.p < UNEVEN_LEVEL

    def reach(self, weights: Sequence[float]) -> float:
        """Return the largest effect that errors so different make of nothing, whatever the true rate.

        Of a difference it is ``rate x gap of sensitivity + (1 - rate) x gap of specificity``, at most the larger gap.
        """
        return self.largest * sum(weight for weight in weights if weight > 0)


def strata(answers: Sequence[LabelledAnswer], *, positive: bool) -> list[Stratum]:
    """Return hits and misses of the judge among answers that people call ``positive`` (else negative), by weight."""
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0, 0])
    for answer in answers:
        own = counts[answer.weight]
        own[0] += 1
        human, judged = answer.human[0], answer.judged[0] > HALF
        if human != HALF and (human > HALF) == positive:
            own[1 if judged == positive else 2] += 1
    return [Stratum(weight, *own) for weight, own in sorted(counts.items())]


def errors_by_checkpoint(answers: Mapping[str, Sequence[LabelledAnswer]]) -> dict[str, Errors]:
    """Return the judge's errors on each checkpoint on which people called some answers positive and some negative."""
    found = {}
    for checkpoint, own in answers.items():
        sides = [known(rate(strata(own, positive=positive))) for positive in (True, False)]
        if sides[0] is not None and sides[1] is not None:
            found[checkpoint] = Errors(sides[0], sides[1])
    return found


def gap_of(answers: Mapping[str, Sequence[LabelledAnswer]]) -> Gap | None:
    """Return how far the errors differ; ``None`` where fewer than two checkpoints tell of the same kind of error."""
    gaps, tests = [], []
    for positive in (True, False):
        groups = [strata(own, positive=positive) for _, own in sorted(answers.items())]
        rates = [found for group in groups if (found := rate(group)).num >= MIN_CASES]
        shares = [found.share for found in rates if found.share is not None]
        if len(shares) > 1:
            gaps.append(max(shares) - min(shares))
        test = homogeneity(groups)
        if test.p is not None:
            tests.append(test.p)
    if not gaps:
        return None
    return Gap(max(gaps), float(holm(np.array(tests)).min()) if tests else None)
