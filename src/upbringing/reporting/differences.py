"""Differences: every claim with its interval against zero and its margin, grouped by measure, nothing recomputed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.statistics.adjusted_intervals import Together, simultaneous_intervals
from upbringing.attribution.statistics.multiplicity import EXPLORATORY_LEVEL, PRIMARY_LEVEL
from upbringing.attribution.words.undecided_words import sign_uncertain
from upbringing.base.fingerprint import fingerprint
from upbringing.formats.findings import Claim
from upbringing.reporting.alike import alike_of
from upbringing.reporting.chart import Axis, Interval, strip, strip_axis, strip_scale
from upbringing.reporting.claim_facts import Fact, about_of, facts_of, flips_text, p_text
from upbringing.reporting.deciding import correction_of, of_claim
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.provenance import checkpoint_anchors
from upbringing.reporting.robustness import disagreement_of, rows_of, title_of
from upbringing.reporting.runs import Runs
from upbringing.reporting.words import (
    DASH,
    EDITED,
    LEVEL_ORDER,
    LOG_ODDS,
    VERDICT_MARKS,
    VERDICT_WORDS,
    consequence,
    count,
    decimals,
    difference_in,
    interval,
    is_greyed,
    on_scale,
    plain,
    proxies_of,
    several,
    shown,
    signed,
    verdict_of,
)

ANCHOR_DIGEST = 8  # characters
Key = tuple[str, str, str | None, str]
"""Measure, condition, split, scale: what may stand on one axis."""


@dataclass(frozen=True)
class ClaimView:
    """One claim as the page shows it. ``words``: what a filter searches. ``correction``: by people's labels, if any.

    ``about``: what it is about, where that is less than the recipe.
    """

    anchor: str
    id: str
    contrast: str
    sentence: str
    verdict: str
    mark: str
    word: str
    consequence: str
    has_number: bool
    size: str
    interval: str
    correction: str
    level: str
    role: str
    flips: str
    brief: str
    about: str
    why: str
    margin: str
    detectable: str
    adjusted: str
    facts: tuple[Fact, ...]
    chart: Markup
    hero: Markup
    drawn: str
    alike: Figure | None
    robustness: tuple[TableRow, ...]
    robustness_title: str
    words: str
    is_greyed: bool


@dataclass(frozen=True)
class Group:
    """The claims on one measure, condition and split, on one scale. ``place``: the latter two, as far as needed."""

    title: str
    place: str
    note: str
    scale: Markup
    primary: tuple[ClaimView, ...]
    others: tuple[ClaimView, ...]

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """All claims, primary ones first."""
        return (*self.primary, *self.others)


def groups_of(inputs: Inputs, runs: Runs) -> tuple[Group, ...]:
    """Return all claims, primary measures first, stronger evidence before weaker."""
    found: dict[Key, list[Claim]] = {}
    for claim in inputs.findings.claims:
        if claim.kind != "level":
            found.setdefault((claim.measure, claim.condition, claim.split, claim.scale), []).append(claim)
    conditions = {key[0]: {other[1] for other in found if other[0] == key[0]} for key in found}
    ordered = sorted(found.items(), key=lambda each: _rank(inputs, each[0], each[1]))
    return tuple(_group(inputs, runs, claims, several=len(conditions[key[0]]) > 1) for key, claims in ordered)


def _rank(inputs: Inputs, key: Key, claims: Sequence[Claim]) -> tuple[object, ...]:
    order = [info.id for info in inputs.tree.measures]
    place = order.index(key[0]) if key[0] in order else len(order)
    is_primary = any(claim.role == "primary" for claim in claims)
    headlines = inputs.headline_splits(key[0])
    split = headlines.index(key[2]) if key[2] in headlines else len(headlines)
    return not is_primary, place, key[0], key[1], split, key[2] or "", key[3] != "natural"


def _group(inputs: Inputs, runs: Runs, claims: Sequence[Claim], *, several: bool) -> Group:
    first = claims[0]
    together = simultaneous_intervals(inputs.findings.claims)
    drawn = [(claim, interval_of(claim, runs, together.get(claim.id))) for claim in claims]
    values = [value for _, found in drawn if found is not None for value in found.values]
    margins = [claim.margin * 1.4 for claim in claims if claim.margin is not None]
    axis = strip_axis([*values, *margins])
    views = []
    for claim, found in drawn:
        alone = None if found is None else replace(found, together=None)  # beside its own levels, one claim is read
        alike = alike_of(inputs, claim, alone, runs)
        views.append(claim_view(inputs, claim, found, axis, alike, together.get(claim.id)))
    levels = {claim.id: LEVEL_ORDER.index(claim.level) for claim in claims}
    primary = [view for view in views if view.role == "primary"]
    others = sorted((view for view in views if view.role != "primary"), key=lambda view: levels[view.id], reverse=True)
    is_logit = first.scale == "logit"
    place = (first.condition if several else "", f"split {first.split}" if first.split else "")
    return Group(
        title=inputs.label(first.measure),
        place=", ".join(filter(None, (*place, LOG_ODDS * is_logit))),
        note=" · ".join(filter(None, (difference_in(first.unit, first.scale), *place, _margin_note(claims)))),
        scale=strip_scale(axis, LOG_ODDS if is_logit else first.unit),
        primary=tuple(primary),
        others=tuple(others),
    )


def _margin_note(claims: Sequence[Claim]) -> str:
    margins = sorted({claim.margin for claim in claims if claim.margin is not None})
    ratios = sorted({claim.risk_ratio.margin for claim in claims if claim.risk_ratio is not None})
    said = [f"±{margin:g}" for margin in margins] + [f"ratio of {ratio:g}" for ratio in ratios]
    return f"margin {', '.join(said)}" if said else "no margin declared"


def interval_of(claim: Claim, runs: Runs, together: Together | None = None) -> Interval | None:
    """Return the claim's interval with the difference in every single run; ``None`` without a number.

    Where people's labels corrected the claim, the corrected interval, with the judge's own beside it. ``together``: the
    one that holds together with those of its family.
    """
    source = Source(claim.measure, claim.condition, claim.judge or "none", claim.split)
    seeds = () if claim.scale == "logit" else runs.of_contrast(claim.weights, source)  # single runs: of rates
    found = of_claim(claim).drawn(seeds)
    return found if found is None or together is None else replace(found, together=(together.low, together.high))


def claim_view(
    inputs: Inputs,
    claim: Claim,
    found: Interval | None,
    axis: Axis,
    alike: Figure | None = None,
    together: Together | None = None,
) -> ClaimView:
    """Return ``claim`` as the page shows it, drawn on ``axis``; ``alike``: its two levels side by side, where apt.

    ``together``: its interval that holds together with those of its family.
    """
    verdict = verdict_of(claim)
    number = of_claim(claim)
    places = decimals(max((abs(value) for value in (number.low, number.high) if value is not None), default=1.0))
    title = f"{inputs.label(claim.measure)}: {claim.contrast}"
    return ClaimView(
        anchor=anchor_of(claim),
        id=claim.id,
        contrast=claim.contrast,
        sentence=claim.sentence or title,
        verdict=verdict,
        mark=VERDICT_MARKS[verdict],
        word=VERDICT_WORDS[verdict],
        consequence=consequence(claim, inputs.measure(claim.measure).direction) if _is_pair(claim) else "",
        has_number=number.estimate is not None,
        size=on_scale(claim, signed(number.estimate, places)),
        interval=interval(number.low, number.high, places),
        correction=correction_of(claim) if claim.corrected is not None else "",
        level=claim.level,
        role=claim.role,
        flips=flips_text(claim),
        brief=_brief(claim),
        about=_about(claim),
        why=_why(claim) or disagreement_of(claim),
        margin=plain(claim.margin),
        detectable=plain(claim.minimum_detectable, 3),
        adjusted=DASH if claim.p_adjusted is None else p_text(claim.p_adjusted),
        facts=tuple(facts_of(claim, checkpoint_anchors(inputs.tree), together)),
        chart=strip(found, axis, margin=claim.margin, verdict=verdict, title=title),
        drawn=_drawn(claim, found),
        hero=strip(found, axis, margin=claim.margin, verdict=verdict, title=title, is_labelled=True),
        alike=alike,
        robustness=rows_of(claim),
        robustness_title=title_of(claim),
        words=shown(f"{inputs.label(claim.measure)} {claim.contrast} {claim.condition} {claim.kind}").lower(),
        is_greyed=is_greyed(claim),
    )


def anchor_of(claim: Claim) -> str:
    """Return the claim's place in the page: its id with only the letters that an address may hold.

    Where that loses anything, a digest follows, so that two claims never share a place.
    """
    name = claim.id.removeprefix("claim-") if claim.id[len("claim-") :].isdigit() else claim.id
    plain_name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    is_kept = plain_name == name and not claim.id.isdigit()
    digest = "" if is_kept else f"-{fingerprint(claim.id)[:ANCHOR_DIGEST]}"
    return f"claim-{plain_name}{digest}"


def _is_pair(claim: Claim) -> bool:
    return len(claim.weights) == 2 or not claim.weights


def _why(claim: Claim) -> str:
    """Return why there is no verdict where the interval alone would not tell."""
    if claim.blocked_by:
        return claim.blocked_by[0]
    if claim.fidelity is not None:
        return f"{proxies_of(claim)}, {EDITED[claim.fidelity]}"
    found = of_claim(claim)
    if verdict_of(claim) != "inconclusive" or found.low is None or found.high is None or found.low <= 0 <= found.high:
        return ""
    if claim.bounds and claim.bounds.get("low", 0.0) < 0 < claim.bounds.get("high", 0.0):
        return sign_uncertain(claim)
    if claim.p_adjusted is not None and claim.p_adjusted > claim_level(claim):
        return f"leaves out zero alone, but not corrected for all that was asked (p {p_text(claim.p_adjusted)})"
    return ""


def claim_level(claim: Claim) -> float:
    """Return the error rate that the claim's family is held to."""
    return PRIMARY_LEVEL if claim.role == "primary" else EXPLORATORY_LEVEL


def _brief(claim: Claim) -> str:
    """Return what a number rests on, in one line."""
    units = claim.units
    parts = [
        several(units.seeds, "seed") if units.seeds else "",
        several(units.worlds, "world") if units.worlds else "",
    ]
    parts.append(several(units.items, "question") if units.items else "")
    if claim.unscored:
        parts.append(f"{count(claim.unscored)} unscored")
    return ", ".join(filter(None, parts))


def _drawn(claim: Claim, found: Interval | None) -> str:
    """Return what the picture of one claim shows, for who reads nothing else."""
    margin = "" if claim.margin is None else f"band: margin ±{claim.margin:g}"
    dots = "dots: single runs" if found is not None and found.seeds else ""
    bar = f"{difference_in(claim.unit, claim.scale)} with its 95 % interval"
    return "; ".join(filter(None, (bar[0].upper() + bar[1:], dots, margin)))


def _about(claim: Claim) -> str:
    """Return what a claim is about, where that is less than the recipe: no verdict may be read as more than it is."""
    if claim.estimate is None:
        return ""
    if claim.estimand == "recipe" and not claim.conditional_on:
        return ""
    return f"about {about_of(claim)}"
