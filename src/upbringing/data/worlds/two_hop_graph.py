"""The two-hop graph: compounds set off mediators, and two mediators together end in an outcome."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.worlds.graph import Graph, split_graph
from upbringing.data.worlds.graph_kinds import TwoHop
from upbringing.data.worlds.names import compound_pool, draw_names, mediator_pool, outcome_pool
from upbringing.data.worlds.phrases import names_of, pair_of
from upbringing.data.worlds.settings import WorldSettings

Giver = TypeVar("Giver")


@dataclass(frozen=True)
class TwoHopGraph(Graph):
    """A graph whose causes are two compounds together, each behind one of two mediators.

    ``mediator_of``: what each compound sets off. ``ends``: what each pair of mediators ends in, as a noun; the order of
    the two is that of every text. ``compounds`` of the base class: the chains' beginnings, each two compounds as one
    entity, in the order of their mediators.
    """

    mediator_of: dict[str, str]
    ends: dict[tuple[str, str], str]

    @property
    def nameable(self) -> frozenset[str]:
        """Compounds, and mediators: a model that stops half way names those."""
        return frozenset(self.mediator_of) | frozenset(self.mediator_of.values())

    def mediators_of(self, cause: str) -> tuple[str, str]:
        """Return the two mediators that the two compounds of ``cause`` set off."""
        first, second = names_of(cause)
        return self.mediator_of[first], self.mediator_of[second]


def draw_two_hop(settings: WorldSettings, two_hop: TwoHop, seed: int) -> TwoHopGraph:
    """Return the two-hop graph of the world with root seed ``seed``.

    Source: MedSafetyWorld (pretraining-interventions.md 4.2). Each mediator gets a compound of its own and the other
    compounds random mediators; distinct pairs of mediators are drawn, each outcome gets one of them and those that are
    left random outcomes; chains are all pairs of compounds behind a pair of mediators. Departures: none; outcomes and
    chains are split by who may see them as in the single-hop graph.
    Streams: ``world/compounds``, ``mediators``, ``outcomes``, ``edges``, ``splits``, ``asked``.
    """
    compounds = draw_names(compound_pool(settings.compounds), settings.compounds, stream(seed, "world", "compounds"))
    mediators = draw_names(mediator_pool(two_hop.mediators), two_hop.mediators, stream(seed, "world", "mediators"))
    nouns = draw_names(outcome_pool(settings.outcomes), settings.outcomes, stream(seed, "world", "outcomes"))
    random = stream(seed, "world", "edges")
    mediator_of = assigned(compounds, mediators, random)
    pairs = distinct_pairs(mediators, settings.edges, random)
    ends = assigned(pairs, nouns, random)
    causes = [chains(mediator_of, [pair for pair in pairs if ends[pair] == noun]) for noun in nouns]
    pool = chains(mediator_of, pairs)
    graph = split_graph(nouns, causes, pool, settings, seed)
    return TwoHopGraph(graph.outcomes, graph.compounds, graph.asked, mediator_of, ends)


def assigned(givers: Sequence[Giver], takers: Sequence[str], random: np.random.Generator) -> dict[Giver, str]:
    """Return a taker for every giver: each taker has one giver of its own, the givers that are left random takers."""
    order = random.permutation(len(givers))
    own = dict(zip(order[: len(takers)].tolist(), takers, strict=True))
    drawn = {int(place): takers[int(random.integers(len(takers)))] for place in order[len(takers) :]}
    return {giver: own[place] if place in own else drawn[place] for place, giver in enumerate(givers)}


def distinct_pairs(names: Sequence[str], number: int, random: np.random.Generator) -> list[tuple[str, str]]:
    """Return ``number`` pairs of different names, no two of the same names in any order."""
    found: dict[frozenset[int], tuple[str, str]] = {}
    while len(found) < number:
        first, second = (int(place) for place in random.integers(len(names), size=2))
        if first != second:
            found.setdefault(frozenset((first, second)), (names[first], names[second]))
    return list(found.values())


def chains(mediator_of: dict[str, str], pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return all pairs of compounds behind the pairs of mediators, each as one entity."""
    behind: dict[str, list[str]] = {}
    for compound, mediator in mediator_of.items():
        behind.setdefault(mediator, []).append(compound)
    return tuple(pair_of(*each) for first, second in pairs for each in itertools.product(behind[first], behind[second]))
