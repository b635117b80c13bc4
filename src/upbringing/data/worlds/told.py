"""What pretraining is told about a world, and what is asked of it: what its kind of graph decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from upbringing.data.documents import TrainingText
from upbringing.data.worlds.facts import facts
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.items import world_items
from upbringing.data.worlds.notes import raw_corpus
from upbringing.data.worlds.settings import WorldSettings
from upbringing.formats.items import Item

Makers = Mapping[str, Callable[[], Sequence[TrainingText]]]
OWN_PARTS = {"mediators": "graph: two_hop", "chains": "graph: two_hop"}
"""Parts that not every graph has, and the setting that gives them."""


class Told(Protocol):
    """The texts and items of one drawn graph that depend on what stands between causes and outcomes."""

    @property
    def graph(self) -> Graph:
        """What causes what, and who may see what."""
        ...

    def parts(self) -> Makers:
        """Return how to make ``facts`` (what pretraining tells), ``raw`` (the scored corpus) and parts of its own."""
        ...

    def items(self, name: str) -> tuple[Item, ...]:
        """Return everything that can be asked of a world called ``name``."""
        ...


@dataclass(frozen=True)
class SingleHopTold:
    """Compounds cause outcomes, and pretraining is told every fact in both directions."""

    graph: Graph
    settings: WorldSettings
    seed: int

    def parts(self) -> Makers:
        """Return ``facts`` and ``raw``."""
        drawn = (self.graph, self.settings, self.seed)
        return {"facts": lambda: facts(*drawn), "raw": lambda: raw_corpus(*drawn)}

    def items(self, name: str) -> tuple[Item, ...]:
        """Return the items of outcomes and their causes."""
        return world_items(self.graph, name, self.seed)


def elsewhere(part: str) -> str:
    """Return, behind an error about a part that a world lacks, which setting would give it one; else nothing."""
    return f". Worlds with {OWN_PARTS[part]} have {part!r}" if part in OWN_PARTS else ""
