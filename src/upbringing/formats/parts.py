"""Parts of a claim protocol: what each asks, by which contrasts of roles, and which roles it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upbringing.formats.outcomes import Outcome
from upbringing.formats.tree import ContrastSpec

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Way:
    """One contrast by which a part can be answered, in weights on roles. ``against``: what must dominate it.

    ``kind``: of the contrast, where it is not that of its part.
    """

    title: str
    weights: Weights
    against: Weights = field(default_factory=dict)
    kind: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it needs, each once."""
        return tuple(dict.fromkeys((*self.weights, *self.against)))


@dataclass(frozen=True)
class Part:
    """One part of the protocol. ``asks_every``: every way whose cells are there is asked, else the first such way."""

    name: str
    ways: tuple[Way, ...]
    kind: str = "branch"
    test: str = "difference"
    asks_every: bool = False

    def asked(self, cells: Mapping[str, str]) -> tuple[Way, ...]:
        """Return the ways that the declared ``cells`` (role to cell) allow."""
        whole = tuple(way for way in self.ways if set(way.roles) <= set(cells))
        return whole if self.asks_every else whole[:1]

    def missing(self, cells: Mapping[str, str]) -> tuple[str, ...]:
        """Return the roles that would let this part be answered, by the way that lacks fewest; none if it can be."""
        if not self.ways or self.asked(cells):
            return ()
        lacking = [tuple(role for role in way.roles if role not in cells) for way in self.ways]
        return min(lacking, key=len)


FACTORIAL = ("interaction", "main-effect")  # kinds of contrasts that need a table of two factors: level L3


def contrast_name(part: Part, way: Way) -> str:
    """Return the name of a contrast, by which its claim is found again."""
    return f"{part.name}: {way.title}"


def part_contrast(
    protocol: str, part: Part, way: Way, cells: Mapping[str, str], outcome: Outcome, margin: float | None
) -> ContrastSpec:
    """Return the contrast by which ``part`` is asked of an outcome, in the family of that part."""
    against = {"against": on_cells(way.against, cells)} if way.against else {}
    kind = way.kind or part.kind
    return ContrastSpec.model_validate(
        {
            "name": contrast_name(part, way),
            "weights": on_cells(way.weights, cells),
            "measure": outcome.measure,
            "condition": outcome.condition,
            "split": outcome.split,
            "role": "primary",
            "family": f"{protocol} {part.name}",
            "test": part.test,
            "kind": kind,
            "level": "L3" if kind in FACTORIAL else "L2",
            "margin": margin,
            **against,
        }
    )


def on_cells(weights: Weights, cells: Mapping[str, str]) -> dict[str, float]:
    """Return weights on cells instead of roles; two roles may stand in one cell."""
    found: dict[str, float] = {}
    for role, weight in weights.items():
        found[cells[role]] = found.get(cells[role], 0.0) + weight
    return found
