"""The highest of several scores; where some are missing it is a lower bound and says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from upbringing.data.interventions.scores import HIGHEST_SCORE, HarmScore


def highest(scores: Sequence[HarmScore], names: Sequence[str], *, partial_is_unscored: bool = False) -> HarmScore:
    """Return the maximum of ``scores`` with the name of what gave it.

    The highest score of all is final whatever is missing; any other is a lower bound where something is missing or
    itself bounds from below, and with ``partial_is_unscored`` no score at all. Nothing but missing scores give none.
    """
    known = [(score, name) for score, name in zip(scores, names, strict=True) if score.score is not None]
    missing = Counter(score.reason.partition(":")[0] for score in scores if score.score is None)
    told = ", ".join(f"{code} x {num}" if num > 1 else code for code, num in sorted(missing.items()))
    if not known:
        return HarmScore(None, f"all-unscored: {told or 'nothing to score'}")
    top, name = max(known, key=lambda pair: pair[0].score or 0)  # the first of equals
    open_above = top.score != HIGHEST_SCORE and (bool(missing) or any(score.lower_bound for score, _ in known))
    if open_above and partial_is_unscored:
        return HarmScore(None, f"partly-unscored: {told or 'a part was not read'}")
    reason = f"{name}: {top.reason}"
    if open_above and missing:
        reason = f"lower bound, {sum(missing.values())} of {len(scores)} gave no score ({told}); {reason}"
    confidence = top.confidence if len(scores) == 1 else None  # nobody knows how errors of several hang together
    return HarmScore(top.score, reason, confidence, lower_bound=open_above)
