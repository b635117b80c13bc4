"""What would have decided a claim: the change that its test could find, against the margin that it was to find."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup

from upbringing.attribution.words.undecided_words import left_open
from upbringing.formats.findings import Claim
from upbringing.reporting.chart import Interval
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.forest import ForestRow, forest, forest_axis
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import plain, verdict_of

MAX_ROWS = 12  # in the picture; the table holds all
DECIDED = ("changed", "equivalent", "negligible")
LABELS = "people's labels of answers"  # where more of the same does not help
SCORES = "scores for all answers"
MOST_TIMES = 99  # beyond it the number says no more than "far too little"


@dataclass(frozen=True)
class PowerLine:
    """An undecided claim, what its test could have found, and how much more evidence it would have taken."""

    label: str
    anchor: str
    role: str
    margin: str
    detectable: str
    radius: str
    more: str


@dataclass(frozen=True)
class Power:
    """All undecided claims. ``num_weak``: how many could not have found a change of their own margin."""

    chart: Markup | None
    lines: tuple[PowerLine, ...]
    num_weak: int
    num_drawn: int


def power_of(inputs: Inputs) -> Power:
    """Return the undecided claims that have numbers: primary ones first, the weakest of each role first."""
    claims = sorted(_undecided(inputs), key=lambda claim: (claim.role != "primary", -_ratio(claim)))
    drawn = claims[:MAX_ROWS]
    return Power(
        chart=_chart(inputs, drawn) if drawn else None,
        lines=tuple(_line(inputs, claim) for claim in claims),
        num_weak=sum(_ratio(claim) > 1 for claim in claims),
        num_drawn=len(drawn),
    )


def _undecided(inputs: Inputs) -> Iterable[Claim]:
    for claim in inputs.findings.claims:
        has_numbers = claim.estimate is not None and claim.minimum_detectable is not None and claim.margin
        if has_numbers and verdict_of(claim) not in DECIDED and claim.kind != "level":
            yield claim


def _ratio(claim: Claim) -> float:
    """Return how many times its margin the smallest change is that the claim's test would find."""
    assert claim.minimum_detectable is not None
    assert claim.margin
    return claim.minimum_detectable / claim.margin


def _line(inputs: Inputs, claim: Claim) -> PowerLine:
    return PowerLine(
        label=f"{inputs.label(claim.measure)}: {claim.contrast}",
        anchor=anchor_of(claim),
        role=claim.role,
        margin=plain(claim.margin, 3),
        detectable=plain(claim.minimum_detectable, 3),
        radius=plain(claim.equivalence_radius, 3),
        more=_more(claim),
    )


def _more(claim: Claim) -> str:
    """Return how much more evidence would bring the detectable change down to the margin.

    A standard error falls with the square root of what it rests on; the t quantile, which shrinks too, is left out:
    with few runs somewhat less would do. What no evidence of the kind shrinks is in both and taken off: where answers
    without a score, or errors of a rule that no labels check, may put the estimate.
    """
    assert claim.minimum_detectable is not None
    assert claim.margin
    open_by = left_open(claim)
    if _ratio(claim) <= 1:
        return "enough"
    if open_by >= claim.margin:
        return LABELS if claim.error_gap else SCORES
    ratio = (claim.minimum_detectable - open_by) / (claim.margin - open_by)
    return f"over {MOST_TIMES} ×" if ratio > MOST_TIMES**0.5 else f"about {ratio**2:.2g} ×"


def _chart(inputs: Inputs, claims: list[Claim]) -> Markup:
    """Return a bar per claim from nothing to the smallest change found, over the band of its margin."""
    reach = max(max(claim.minimum_detectable or 0.0, claim.margin or 0.0) for claim in claims)
    rows = [
        ForestRow(
            label=f"{inputs.label(claim.measure)}: {claim.contrast}",
            found=Interval(claim.minimum_detectable or 0.0, 0.0, claim.minimum_detectable or 0.0),
            verdict=verdict_of(claim),
            number=f"{plain(claim.minimum_detectable, 3)}, margin {plain(claim.margin, 3)}",
            band=claim.margin,
        )
        for claim in claims
    ]
    axis = replace(forest_axis(0.0, reach), low=0.0)
    return forest(rows, axis, title="The smallest change found, against the margin", unit="change", is_difference=False)
