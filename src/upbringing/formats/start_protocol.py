"""The protocol ``interior_optimum``: is it better to start an intervention in between than at once or never?

Its cells are the two ends, ``first`` (from the first token) and ``last`` (never), and the starts in between, each under
a name of its own. A curve through all starts proves no optimum in between; a start that beats both ends does.

Two versions of the claim of timing are answered beside it where a study names what they need: ``v1`` a linear trend
over the starts without a bend, ``v2`` an optimum in between under top-k sampling and the start at once best under
safety-aware decoding. Source: statistics-and-measures, section 6, claim B. Departures: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from upbringing.formats.effects.trends import LINEAR, QUADRATIC, trend
from upbringing.formats.outcomes import Outcome
from upbringing.formats.tree import ContrastSpec, Protocol

INTERIOR_OPTIMUM: Final = "interior_optimum"
FIRST: Final = "first"
ENDS: Final = (FIRST, "last")
END_WORDS: Mapping[str, str] = {"first": "the start at the first token", "last": "no start at all"}
TOP_K, SAFETY_AWARE = "top_k", "safety_aware"  # the names of the outcomes that v2 reads
TREND_WORDS: Mapping[int, str] = {LINEAR: "linear", QUADRATIC: "quadratic"}


def interior_starts(cells: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the starts between the ends."""
    return tuple(name for name in cells if name not in ENDS)


def start_contrast_name(start: str, end: str) -> str:
    """Return the name of a contrast, by which its claim is found again."""
    return f"{INTERIOR_OPTIMUM}: {start} against {end}"


def trend_contrast_name(curve: str, degree: int) -> str:
    """Return the name of a trend over the starts of a curve."""
    return f"{INTERIOR_OPTIMUM} v1: {TREND_WORDS[degree]} trend, {curve}"


def start_contrasts(
    protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]
) -> tuple[ContrastSpec, ...]:
    """Return the contrast of every start in between with both ends, on every primary measure: one family.

    Then those of the versions, each a family of its own; what is asked already is not asked again.
    """
    names = tuple(primary)
    asked: dict[tuple[str, str], ContrastSpec] = {}
    for spec in (*_of_optimum(protocol, names, margins), *_of_versions(protocol, names, margins)):
        asked.setdefault((spec.name, spec.measure), spec)
    return tuple(asked.values())


def _of_optimum(protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]) -> Iterator[ContrastSpec]:
    for measure in primary:
        for start in interior_starts(protocol.cells):
            yield from _with_ends(protocol, start, Outcome(measure=measure), margins, INTERIOR_OPTIMUM)


def _with_ends(
    protocol: Protocol, start: str, outcome: Outcome, margins: Mapping[str, float], family: str
) -> Iterator[ContrastSpec]:
    for end in ENDS:
        if end in protocol.cells:
            against = {protocol.cells[start]: 1.0, protocol.cells[end]: -1.0}
            yield _contrast(start_contrast_name(start, end), against, outcome, margins, family)


def _of_versions(protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]) -> Iterator[ContrastSpec]:
    for curve, places in protocol.curves.items():
        for measure in primary:
            for degree in (LINEAR, QUADRATIC):
                on_places = zip(places, trend(tuple(places.values()), degree), strict=True)
                weights = {protocol.cells[start]: weight for start, weight in on_places}
                name = trend_contrast_name(curve, degree)
                family = f"{INTERIOR_OPTIMUM} v1 {curve}"
                yield _contrast(name, weights, Outcome(measure=measure), margins, family, degree=degree)
    if (top_k := protocol.outcomes.get(TOP_K)) is not None:
        for start in interior_starts(protocol.cells):
            yield from _with_ends(protocol, start, top_k, margins, f"{INTERIOR_OPTIMUM} v2 {TOP_K}")
    if (aware := protocol.outcomes.get(SAFETY_AWARE)) is not None and FIRST in protocol.cells:
        for start, cell in protocol.cells.items():
            if start != FIRST:
                against = {protocol.cells[FIRST]: 1.0, cell: -1.0}
                family = f"{INTERIOR_OPTIMUM} v2 {SAFETY_AWARE}"
                yield _contrast(start_contrast_name(FIRST, start), against, aware, margins, family)


def _contrast(
    name: str,
    weights: Mapping[str, float],
    outcome: Outcome,
    margins: Mapping[str, float],
    family: str,
    degree: int | None = None,
) -> ContrastSpec:
    """Return a contrast of the protocol. ``degree``: of a trend."""
    return ContrastSpec(
        name=name,
        weights=dict(weights),
        measure=outcome.measure,
        condition=outcome.condition,
        split=outcome.split,
        role="primary",
        family=family,
        test="difference" if degree is None else "trend",
        kind="branch" if degree is None else f"{TREND_WORDS[degree]}-trend",
        level="L2",
        margin=margins.get(outcome.measure),
    )
