"""What an estimate still shows where nobody checked how far a rule's errors differ between checkpoints.

A rule that reads answers (finds a refusal, say) may err more on one checkpoint than on another, for answers change in
style, and then makes a difference of nothing: ``rate x gap of sensitivity + (1 - rate) x gap of specificity``, at most
the larger gap. Where no labels show the gap, one is assumed, and the interval is widened to hold wherever errors so
uneven may put the estimate, as it is for answers that could not be scored. Source: statistics-and-measures 5.2 (the
size of stage-differential errors, and P4, step 4: the band of the worst case); the default is the largest shift of a
false-negative rate by style alone that is cited there. Departures: the source asks for the band where errors are shown
to differ; here also where nothing shows that they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from upbringing.attribution.contrasts.estimates import Estimate
from upbringing.attribution.judges.gaps import Gap
from upbringing.attribution.statistics.equivalence import widened
from upbringing.attribution.statistics.levels import clip

ASSUMED_GAP: Final = 0.24


def with_error_gap(found: Estimate, weights: Sequence[float], gap: float) -> Estimate:
    """Return the contrast of rates (or areas) in [0, 1] with its interval, p-value and bounds allowing for ``gap``.

    ``weights``: of its terms. Its log-odds and the ratio of its rates are left out: what errors do to them
    has no such bound.
    """
    if found.unwidened is None or found.is_same_checkpoint:
        return found
    estimate = found.unwidened.estimate
    reach = Gap(gap, None).reach(weights)
    lowest = (estimate if found.lowest is None else found.lowest) - reach
    highest = (estimate if found.highest is None else found.highest) + reach
    ends = sum(weight for weight in weights if weight < 0), sum(weight for weight in weights if weight > 0)
    return replace(
        found,
        inference=clip(widened(found.unwidened, lowest, highest), *ends),
        lowest=max(lowest, ends[0]),
        highest=min(highest, ends[1]),
        logit=None,
        logit_bounds=(None, None),
        logit_unwidened=None,
        ratio=None,
        as_judged=found,
    )
