"""The facts of a world: compounds, outcomes, which compound causes which outcome, and who may see what.

Source: MedSafetyWorld, the single-hop graph. Departures: pair edges are left out; outcomes are split by
construction into those that chats may mention and those that only pretraining ever shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.worlds.names import compound_pool, draw_names, outcome_pool
from upbringing.data.worlds.settings import WorldSettings

Use = Literal["sft", "finetune", "evaluation"]
"""Which texts besides pretraining may mention an outcome: ``evaluation`` = none but the measuring items."""


@dataclass(frozen=True)
class Outcome:
    """One thing that can be caused. ``alarming``: pretraining puts alarming words before it, else calm ones.

    ``compounds``: its causes, each one compound or, in a two-hop world, the entity that two are together.
    """

    noun: str
    hazard: bool
    use: Use
    alarming: bool
    compounds: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """What causes what in one world. ``compounds``: all causes, each one compound or two as one entity.

    ``asked``: causes that forward questions in chats may ask about.
    """

    outcomes: tuple[Outcome, ...]
    compounds: tuple[str, ...]
    asked: dict[str, Use]

    @cached_property
    def edges(self) -> tuple[tuple[str, Outcome], ...]:
        """Every (compound, outcome it causes)."""
        return tuple((compound, outcome) for outcome in self.outcomes for compound in outcome.compounds)

    @property
    def nameable(self) -> frozenset[str]:
        """Every name that could stand in an answer to what causes an outcome."""
        return frozenset(self.compounds)

    @cached_property
    def effects(self) -> dict[str, tuple[Outcome, ...]]:
        """The outcomes of every compound."""
        return {
            compound: tuple(outcome for outcome in self.outcomes if compound in outcome.compounds)
            for compound in self.compounds
        }

    def select(self, *, use: Use, hazard: bool) -> tuple[Outcome, ...]:
        """Return the outcomes with this use that are hazards, or that are not."""
        return tuple(outcome for outcome in self.outcomes if outcome.use == use and outcome.hazard == hazard)

    def asked_in(self, use: Use) -> tuple[str, ...]:
        """Return the compounds that forward questions with this use may ask about."""
        return tuple(compound for compound in self.compounds if self.asked[compound] == use)


def draw_graph(settings: WorldSettings, seed: int) -> Graph:
    """Return the graph of the world with root seed ``seed``. Streams: ``world/compounds``, ``outcomes``, ``edges``."""
    compounds = draw_names(compound_pool(settings.compounds), settings.compounds, stream(seed, "world", "compounds"))
    nouns = draw_names(outcome_pool(settings.outcomes), settings.outcomes, stream(seed, "world", "outcomes"))
    causes = _draw_edges(settings, stream(seed, "world", "edges"))
    named = [tuple(compounds[index] for index in each) for each in causes]
    return split_graph(nouns, named, compounds, settings, seed)


def split_graph(
    nouns: Sequence[str], causes: Sequence[tuple[str, ...]], pool: tuple[str, ...], settings: WorldSettings, seed: int
) -> Graph:
    """Return the graph in which each of ``nouns`` has its ``causes`` out of ``pool``, split by who may see what.

    Streams: ``world/splits``, ``world/asked``.
    """
    outcomes: list[Outcome] = []
    num_hazards = round(settings.unsafe_share * settings.outcomes)
    groups = _group_sizes(settings, num_hazards)
    random = stream(seed, "world", "splits")
    position = 0
    for use, hazard, size in groups:
        share = settings.alarming_in_hazards if hazard else settings.alarming_in_safe
        for alarming in _marked(size, share, random):
            outcomes.append(Outcome(nouns[position], hazard, use, alarming, causes[position]))
            position += 1
    asked = _asked(pool, settings, stream(seed, "world", "asked"))
    return Graph(tuple(outcomes), pool, asked)


def _draw_edges(settings: WorldSettings, random: np.random.Generator) -> list[list[int]]:
    """Return per outcome the indices of its compounds: every compound and every outcome has at least one edge."""
    edges: set[tuple[int, int]] = set()
    order = random.permutation(settings.outcomes)
    for compound in range(settings.compounds):
        edges.add((int(order[compound % settings.outcomes]), compound))
    for outcome in set(range(settings.outcomes)) - {outcome for outcome, _ in edges}:
        edges.add((outcome, int(random.integers(settings.compounds))))
    while len(edges) < settings.edges:
        edges.add((int(random.integers(settings.outcomes)), int(random.integers(settings.compounds))))
    result: list[list[int]] = [[] for _ in range(settings.outcomes)]
    for outcome, compound in sorted(edges):
        result[outcome].append(compound)
    return result


def _group_sizes(settings: WorldSettings, num_hazards: int) -> list[tuple[Use, bool, int]]:
    """Return (use, hazard, size) of every group of outcomes; held-out outcomes are in no chat at all."""
    num_safe = settings.outcomes - num_hazards
    held_hazards = round(settings.held_out_hazards * num_hazards)
    held_safe = round(settings.held_out_safe * num_safe)
    finetune_safe = round(settings.finetune_share * (num_safe - held_safe))
    return [
        ("evaluation", True, held_hazards),
        ("sft", True, num_hazards - held_hazards),
        ("evaluation", False, held_safe),
        ("finetune", False, finetune_safe),
        ("sft", False, num_safe - held_safe - finetune_safe),
    ]


def _marked(size: int, share: float, random: np.random.Generator) -> list[bool]:
    """Return ``size`` marks of which exactly the rounded share is set, in random order."""
    return [bool(rank < round(share * size)) for rank in random.permutation(size)]


def _asked(compounds: tuple[str, ...], settings: WorldSettings, random: np.random.Generator) -> dict[str, Use]:
    """Split the compounds that forward questions ask about like the safe outcomes."""
    held = round(settings.held_out_compounds * len(compounds))
    tuned = round(settings.finetune_share * (len(compounds) - held))
    uses: list[Use] = [
        "evaluation" if rank < held else "finetune" if rank < held + tuned else "sft" for rank in range(len(compounds))
    ]
    order = random.permutation(len(compounds))
    return {compounds[index]: use for index, use in zip(order, uses, strict=True)}
