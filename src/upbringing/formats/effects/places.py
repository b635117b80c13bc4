"""Places of a design and the factorial tables they make: what is shared by a planned study and a foreign tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from upbringing.formats.effects.coalitions import MAX_PLAYERS, Coalition
from upbringing.formats.effects.fractions import is_regular
from upbringing.formats.effects.generators import MAX_FACTORS
from upbringing.formats.effects.trends import number_of

NO_LEVELS = ("copy", "positive")  # controls that are no level of any factor, whatever factors they carry
OFF_WORDS = ("off", "none", "no", "without", "absent", "never", "placebo", "neutral", "false")
STAGE_ON, STAGE_OFF = "on", "placebo"


@dataclass(frozen=True)
class Place:
    """A cell of a design, all its replicates. ``identity``: what fills it; places with one identity are one thing.

    ``recipe``: facts of the stage that leads here, each with the values that its replicates have, as far as stated.
    ``is_edited``: weights were edited on the way here.
    """

    arm: str
    position: str
    factors: tuple[tuple[str, str], ...]
    state: tuple[tuple[str, str], ...]
    control: str
    identity: tuple[str, ...]
    recipe: tuple[tuple[str, frozenset[str]], ...] = ()
    is_edited: bool = False

    @property
    def name(self) -> str:
        """``arm@position``."""
        return f"{self.arm}@{self.position}"


def trained_arms(places: Iterable[Place]) -> list[Place]:
    """Return the places of the arms in which no weights were edited: only training makes branches and factorials."""
    listed = list(places)
    edited = {place.arm for place in listed if place.is_edited}
    return [place for place in listed if place.arm not in edited]


@dataclass(frozen=True)
class Factorial:
    """Cells of crossed factors at one position. Each factor's last level is its base: the one that is off, if one is.

    ``cells`` may hold only a part of the combinations: a fraction. ``before``: pairs of factors of which the first acts
    on an earlier stage of training than the second; empty = not known, or not fixed.
    """

    position: str
    factors: dict[str, tuple[str, ...]]
    cells: dict[tuple[str, ...], Place]
    before: tuple[tuple[str, str], ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return whether every combination of levels has its cell."""
        return len(self.cells) == len(list(product(*self.factors.values())))

    @property
    def is_distinct(self) -> bool:
        """Return whether no two cells are one and the same checkpoint: every factor has acted by this position."""
        return len({place.identity for place in self.cells.values()}) == len(self.cells)

    @property
    def on_off(self) -> dict[Coalition, str] | None:
        """Return the cell's name by the factors that are on; ``None`` unless each has two levels, one of them off.

        At most ``MAX_PLAYERS`` factors: more have too many orders.
        """
        has_off = all([means_off(level) for level in levels] == [False, True] for levels in self.factors.values())
        return self.two_level if has_off and len(self.factors) <= MAX_PLAYERS else None

    @property
    def two_level(self) -> dict[Coalition, str] | None:
        """Return the cell's name by the factors that are not at their base; ``None`` unless all have two levels.

        At most ``MAX_FACTORS`` factors.
        """
        if any(len(levels) != 2 for levels in self.factors.values()) or len(self.factors) > MAX_FACTORS:
            return None
        return {
            frozenset(
                factor
                for (factor, levels), level in zip(self.factors.items(), combination, strict=True)
                if level == levels[0]
            ): place.name
            for combination, place in self.cells.items()
        }


def factorials(places: Sequence[Place], acts_at: Mapping[str, int] | None = None) -> tuple[Factorial, ...]:
    """Return the complete factorial, or a regular fraction of one, at every position where ``places`` make one.

    Factors are what places state; where no place states any, the stages (two or more) that arms switch off or give a
    placebo to. Levels keep the order in which they first stand, the one that means "off" last. Combinations that two
    arms fill make no table, because nothing says which of them is meant. ``acts_at``: the number of the first stage
    that a factor changes.
    """
    kept = [place for place in places if place.control not in NO_LEVELS]
    order = dict(acts_at or {})
    if not any(place.factors for place in kept):
        positions = list(dict.fromkeys(place.position for place in kept))
        kept = list(_staged(kept, positions))
        order = {name: positions.index(name) for place in kept for name, _ in place.factors if name in positions}
    levels: dict[str, dict[str, None]] = {}
    for place in kept:
        for factor, level in place.factors:
            levels.setdefault(factor, {})[level] = None
    groups: dict[tuple[str, tuple[str, ...]], list[Place]] = {}
    for place in kept:
        if place.factors:
            groups.setdefault((place.position, tuple(factor for factor, _ in place.factors)), []).append(place)
    tables = (_table(position, members, levels, order) for (position, _), members in groups.items())
    return tuple(table for table in tables if table is not None)


def _table(
    position: str, members: list[Place], levels: Mapping[str, Mapping[str, None]], order: Mapping[str, int]
) -> Factorial | None:
    cells = {tuple(level for _, level in place.factors): place for place in members}
    present = {
        factor: base_last([level for level in levels[factor] if any(key[index] == level for key in cells)])
        for index, (factor, _) in enumerate(members[0].factors)
    }
    if len(cells) < len(members) or any(len(found) < 2 for found in present.values()):
        return None
    known = [factor for factor in present if factor in order]
    before = tuple((one, other) for one in known for other in known if order[one] < order[other])
    table = Factorial(position, present, cells, before)
    if table.is_complete:
        return table
    runs = table.two_level
    return table if runs is not None and len(runs) > 1 and is_regular(tuple(present), tuple(runs)) else None


def base_last(levels: Sequence[str]) -> tuple[str, ...]:
    """Return ``levels`` with the one that means "off" last, if exactly one of them does."""
    off = [level for level in levels if means_off(level)]
    return tuple(levels) if len(off) != 1 else (*(level for level in levels if level not in off), *off)


def means_off(level: str) -> bool:
    """Return whether a level is a word for off, in any case, or a number that is 0 (``0%``, ``0.0``)."""
    return level.casefold() in OFF_WORDS or number_of(level) == 0


def _staged(places: Sequence[Place], positions: Sequence[str]) -> Iterable[Place]:
    """Yield the places whose stages are on or a placebo, with the stages that any arm gives a placebo to as factors.

    Where no stage ever has a placebo, "off" stands for it. Positions follow the order of training.
    """
    states = {state for place in places for _, state in place.state}
    off = STAGE_OFF if STAGE_OFF in states else "off"
    stages = {stage for place in places for stage, state in place.state if state == off}
    rank = {name: number for number, name in enumerate(positions)}
    players = sorted(stages, key=lambda name: (rank.get(name, len(rank)), name))
    if len(players) < 2:
        return
    for place in places:
        state = dict(place.state)
        known = {state.get(stage, STAGE_ON) for stage in players}
        others = {value for stage, value in state.items() if stage not in players}
        if known <= {STAGE_ON, off} and others <= {STAGE_ON}:
            factors = tuple((stage, state.get(stage, STAGE_ON)) for stage in players)
            yield replace(place, factors=factors)
