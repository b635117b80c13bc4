"""The fixed sentences of a report: one grammar for verdicts, one sentence per honest failure."""

from __future__ import annotations

from upbringing.formats.findings import Claim

ONE_SEED = "Only one seed was trained: every claim is about these checkpoints, none about the recipe."
FEW_SEEDS = "Fewer than three independent runs: claims are about these checkpoints, not about the recipe."
ONE_ROOT = "All seeds share one pretraining run: claims are conditional on it, and none is about the whole recipe."
NESTED = "Each seed has its own world: items are nested in worlds, so intervals rest on the seeds' means alone."
NO_MARGIN = "No margin was declared, so nothing can be called alike."
UNCALIBRATED = (
    "No human labels calibrate the judge {judge}: differences may be its errors wherever answers change in style."
)
NO_FINDINGS = "Nothing was measured on the cells of this contrast."


def verdict_sentence(claim: Claim, label: str) -> str:
    """Return the sentence of a claim. Below L2 nothing is said to depend on, or be caused by, anything."""
    where = f"{label}: {claim.contrast}"
    if claim.verdict in ("not-measurable", "blocked") or claim.estimate is None:
        why = claim.blocked_by[0] if claim.blocked_by else NO_FINDINGS
        return f"{where}: not measurable. {why}"
    interval = "" if claim.low is None or claim.high is None else f" [{claim.low:+.2f}, {claim.high:+.2f}]"
    size = f"{claim.estimate:+.2f}{interval}"
    if claim.verdict == "changed":
        word = _changed_word(claim)
        return f"{where}: {word} ({size})."
    if claim.verdict == "equivalent" and claim.low is None:
        return f"{where}: one and the same checkpoint, so no difference, as it must be."
    if claim.verdict == "equivalent":
        return f"{where}: alike within {claim.margin:g} ({size}; it would hold for any margin above {_radius(claim)})."
    if claim.verdict == "negligible":
        return f"{where}: changed, but by less than the margin of {claim.margin:g} ({size})."
    detectable = (
        "" if claim.minimum_detectable is None else f"; a change of {claim.minimum_detectable:.2f} would be found"
    )
    return f"{where}: not decided ({size}{detectable})."


def _changed_word(claim: Claim) -> str:
    rose = (claim.estimate or 0.0) > 0
    if claim.kind == "interaction":
        return "the effects depend on each other"
    if claim.level == "L1":
        return "rose during this stage" if rose else "fell during this stage"
    return "depends on this: it is higher" if rose else "depends on this: it is lower"


def _radius(claim: Claim) -> str:
    return "?" if claim.equivalence_radius is None else f"{claim.equivalence_radius:.2f}"
