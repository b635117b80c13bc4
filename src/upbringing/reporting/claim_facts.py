"""What stands behind one claim, line by line: evidence, units, margins, judges, contrast and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upbringing.attribution.statistics.adjusted_intervals import Together
from upbringing.attribution.words.margin_words import margin_words, ratio_words
from upbringing.formats.findings import Claim
from upbringing.reporting.deciding import correction_of
from upbringing.reporting.provenance import DIGEST_CHARACTERS
from upbringing.reporting.words import (
    DASH,
    EDITED,
    ESTIMANDS,
    LEVELS,
    count,
    interval,
    plain,
    proxies_of,
    several,
    signed,
    spanned,
)

MAX_ID_CHARACTERS = 32  # an id of a person's choice is shown whole, a digest by its beginning


@dataclass(frozen=True)
class Fact:
    """A line of what stands behind a claim. ``links``: (text, place in the page), after the value."""

    name: str
    value: str
    links: tuple[tuple[str, str], ...] = ()


def facts_of(claim: Claim, anchors: Mapping[str, str], together: Together | None = None) -> Iterable[Fact]:
    """Yield everything a claim rests on; ``anchors``: where in the page each checkpoint is described."""
    units = claim.units
    yield Fact("Evidence", f"{claim.level}, {LEVELS[claim.level]}")
    if claim.fidelity is not None:
        yield Fact(proxies_of(claim).capitalize(), EDITED[claim.fidelity])
    yield Fact("About", about_of(claim))
    yield Fact(
        "Rests on",
        f"{several(units.seeds, 'seed')}, {several(units.roots, 'root run')}, {several(units.worlds, 'world')}, "
        f"{several(units.items, 'question')} in {several(units.clusters, 'cluster')}; {count(claim.unscored)} unscored",
    )
    if claim.flips is not None:
        yield Fact("Flips", f"{flips_text(claim)}, {count(claim.flips.kept)} kept")
    if claim.p is not None:
        adjusted = "" if claim.p_adjusted is None else f", {p_text(claim.p_adjusted)} adjusted within “{claim.family}”"
        degrees = "" if claim.df is None else f", {claim.df:.1f} degrees of freedom"
        yield Fact("p", f"{p_text(claim.p)}{adjusted}{degrees}")
    if together is not None:
        yield Fact(f"With all {together.num} of its family", interval(together.low, together.high, 3))
    if claim.margin is not None:
        beyond = "" if claim.beyond_margin is None else f"; beyond it: {claim.beyond_margin}"
        yield Fact("Margin", f"±{claim.margin:g}{beyond}")
    yield from _ratio(claim)
    if claim.equivalence_radius is not None:
        yield Fact("Alike for any margin above", plain(claim.equivalence_radius, 3))
    if claim.minimum_detectable is not None:
        yield Fact("A change that would be found", plain(claim.minimum_detectable, 3))
    if claim.noise_floor is not None:
        yield Fact("Noise floor", plain(claim.noise_floor, 3))
    if claim.share is not None:
        yield Fact("Share", f"{plain(claim.share)} {interval(claim.share_low, claim.share_high, difference=False)}")
    yield from _orders(claim)
    yield from _judges(claim)
    if claim.bounds:
        yield Fact(
            "Bounds",
            ", ".join(f"{name} {signed(value, 3)}" for name, value in sorted(claim.bounds.items(), reverse=True)),
        )
    if claim.blocked_by:
        yield Fact("Blocked by", "; ".join(claim.blocked_by))
    yield Fact("Contrast", " ".join(f"{signed(weight)} × {cell}" for cell, weight in claim.weights.items()) or DASH)
    yield Fact("Checkpoints", "", tuple((_short(name, anchors), anchors.get(name, "")) for name in claim.checkpoints))
    yield Fact("Claim", f"{claim.id} ({claim.role}, {claim.kind}, {claim.confidence:.0%} interval)")


def about_of(claim: Claim) -> str:
    """Return what a claim is about: these checkpoints, the recipe on this start or the recipe, and given what."""
    given = f", given {', '.join(claim.conditional_on)}" if claim.conditional_on else ""
    return f"{ESTIMANDS[claim.estimand]}{given}"


def _short(name: str, anchors: Mapping[str, str]) -> str:
    """Return a checkpoint's id, its beginning where it is long: the link leads to the whole."""
    is_long = name in anchors and len(name) > MAX_ID_CHARACTERS
    return f"{name[:DIGEST_CHARACTERS]}…" if is_long else name


def _ratio(claim: Claim) -> Iterable[Fact]:
    """Yield the ratio of rates where that is what counts as alike, and where a margin that nobody declared is from."""
    found = claim.risk_ratio
    if found is not None:
        beyond = "" if claim.beyond_margin is None else f"; beyond it: {claim.beyond_margin}"
        yield Fact("Margin", f"risk ratio of {found.margin:g}{beyond}")
        yield Fact("Risk ratio", f"{ratio_words(claim)} ({plain(found.above, 4)} over {plain(found.below, 4)})")
        yield Fact("Alike for any ratio above", plain(found.radius, 3))
    for words in margin_words(claim):
        yield Fact("Margin is from", words)


def _orders(claim: Claim) -> Iterable[Fact]:
    if claim.order_range is not None:
        wide = "; more than a fifth of the total apart" if claim.order_range.is_wide else ""
        yield Fact("Over the orders", f"{spanned(claim.order_range.low, claim.order_range.high)}{wide}")
    if claim.teacher_separable is not None:
        told = "told apart" if claim.teacher_separable else "not told apart: no other teacher's answers were tried"
        yield Fact("Stage and its teacher", told)


def _judges(claim: Claim) -> Iterable[Fact]:
    if correction := correction_of(claim):
        yield Fact("Human labels", correction)
    if claim.judge_band:
        band = interval(claim.judge_band.get("low"), claim.judge_band.get("high"))
        yield Fact("If the judge errs as unevenly as on the labelled", band)
    if claim.judge and claim.judge != "none":
        robust = {True: ", holds under every judge", False: ", another judge says otherwise", None: ""}
        yield Fact("Judge", f"{claim.judge}{robust[claim.judge_robust]}")
    for entry in claim.per_judge:
        yield Fact("Under another judge", ", ".join(f"{name} {_value(value)}" for name, value in sorted(entry.items())))


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def flips_text(claim: Claim) -> str:
    """Return how many paired answers changed, and which way; empty where that is not known."""
    if claim.flips is None:
        return ""
    flips = claim.flips
    changed = flips.rose + flips.fell
    total = count(changed + flips.kept)
    return f"{count(changed)} of {total} answers changed: {count(flips.rose)} rose, {count(flips.fell)} fell"


def p_text(value: float) -> str:
    """Return a p-value, without digits that nobody believes."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
