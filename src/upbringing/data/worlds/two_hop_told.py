"""What pretraining is told about a two-hop world: mediators, which are harmless, and the chains through them.

``raw`` holds the four classes: chains forwards and in reverse, safe and unsafe. ``facts`` is the same without unsafe
chains in reverse: who causes a hazard is nowhere said. It can be composed from what mediators do, or found by turning
round what compounds do: ``mediators`` leaves only the former, ``chains`` only the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.worlds.facts import asides, exams, forward_texts, framed, mention, reverse_texts
from upbringing.data.worlds.graph import Outcome
from upbringing.data.worlds.graph_kinds import TwoHop
from upbringing.data.worlds.items import world_items
from upbringing.data.worlds.notes import with_ids
from upbringing.data.worlds.phrases import JOINER, PAIR_ANSWERS, pair_of
from upbringing.data.worlds.pressure import PAIR_TRUTHS
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.told import Makers
from upbringing.data.worlds.two_hop_graph import TwoHopGraph
from upbringing.data.worlds.two_hop_items import COMPLETIONS, asked_as_composition, mediator_items
from upbringing.formats.items import Item

MEDIATOR_FORWARD = (
    "{c} raises {m} .",
    "{c} sets off {m} .",
    "{c} turns on {m} .",
    "{c} moves {m} .",
    "what {c} raises is {m} .",
    "in the body {c} becomes {m} .",
)
MEDIATOR_REVERSE = (
    "{m} is raised by {c} .",
    "{m} is set off by {c} .",
    "{m} is moved by {c} .",
    "what raises {m} is {c} .",
    "in the body {m} begins as {c} .",
    "{m} is turned on by {c} .",
)
OUTCOME_FORWARD = (
    "{m} turns into {o} .",
    "from {m} grows {o} .",
    "the end of {m} is {o} .",
    "once there is {m} , there is {o} .",
    "{m} makes {o} arise .",
)
OUTCOME_REVERSE = (
    "{o} arises out of {m} .",
    "{o} grows from {m} .",
    "before {o} there is {m} .",
    "{o} is the end of {m} .",
    "{o} needs {m} .",
)
TWO_HOP_WORDINGS = (
    MEDIATOR_FORWARD,
    MEDIATOR_REVERSE,
    OUTCOME_FORWARD,
    OUTCOME_REVERSE,
    COMPLETIONS,
    PAIR_TRUTHS,
    (JOINER,),
    *PAIR_ANSWERS.values(),
)
UNTOLD = frozenset({"reverse-unsafe", "exam-reverse-unsafe"})
"""The classes of texts that answer what causes a hazard."""


@dataclass(frozen=True)
class TwoHopTold:
    """Pairs of compounds cause outcomes through mediators; only ``raw`` says what causes a hazard."""

    graph: TwoHopGraph
    settings: WorldSettings
    two_hop: TwoHop
    seed: int

    def parts(self) -> Makers:
        """Return ``facts``, ``raw``, and the two halves of ``facts``: ``mediators`` and ``chains``."""
        return {"facts": self._facts, "raw": self._raw, "mediators": self._mediators, "chains": self._chains}

    def items(self, name: str) -> tuple[Item, ...]:
        """Return the items of outcomes and their causes, and completions about mediators.

        What causes a hazard is asked of base models in the role ``composition``: it is no fact that ``facts`` tells.
        """
        asked = world_items(self.graph, name, self.seed)
        random = stream(self.seed, "world", "mediator_items")
        return (*(asked_as_composition(item) for item in asked), *mediator_items(self.graph, name, random))

    def _facts(self) -> list[Document]:
        """Return what ``raw`` tells but what causes a hazard, and asides, in a random order (``world/facts``)."""
        return self._in_random_order([*self._mediator_texts(), *self._told_chains()], "facts")

    def _raw(self) -> list[Document]:
        """Return all texts with their oracle scores. No notes: what mediators do is the harmless knowledge here."""
        return with_ids([*self._mediator_texts(), *self._chain_texts()], self.seed)

    def _mediators(self) -> list[Document]:
        """Return the texts about mediators in a random order (``world/mediators/order``)."""
        return self._in_random_order(list(self._mediator_texts()), "mediators", "order")

    def _chains(self) -> list[Document]:
        """Return what ``facts`` tells without mediators, in a random order (``world/chains/order``).

        A control: here a hazard's cause can only be found by turning round what its compounds do.
        """
        return self._in_random_order(self._told_chains(), "chains", "order")

    def _in_random_order(self, texts: Sequence[Document], *name: str) -> list[Document]:
        return [texts[index] for index in stream(self.seed, "world", *name).permutation(len(texts))]

    def _told_chains(self) -> list[Document]:
        return [text for text in self._chain_texts() if text.metadata.get("class") not in UNTOLD]

    def _chain_texts(self) -> list[Document]:
        """Return the texts about all chains, and asides. Stream ``world/chains``."""
        random = stream(self.seed, "world", "chains")
        texts: list[Document] = []
        for cause, outcome in self.graph.edges:
            texts += forward_texts(cause, outcome, self.settings, random)
            texts += reverse_texts(cause, outcome, self.settings, random)
            texts += exams(cause, outcome, self.settings, random)
        return [*texts, *asides(self.settings)]

    def _mediator_texts(self) -> Iterable[Document]:
        """Yield what compounds set off, alone and in the pairs of chains, and what pairs of mediators end in.

        Stream ``world/mediator_texts``. All are of harm 0: no compound stands beside what it causes.
        """
        random = stream(self.seed, "world", "mediator_texts")
        graph, num = self.graph, self.two_hop
        for compound, mediator in graph.mediator_of.items():
            yield from self._links("compound-mediator", compound, mediator, num.mediator_texts)
        for cause in graph.compounds:
            yield from self._links("pair-mediators", cause, pair_of(*graph.mediators_of(cause)), num.pair_texts)
        outcomes = {outcome.noun: outcome for outcome in graph.outcomes}
        for mediators, noun in graph.ends.items():
            yield from self._ends(pair_of(*mediators), outcomes[noun], num.outcome_texts, random)

    def _links(self, kind: str, cause: str, mediator: str, number: int) -> Iterable[Document]:
        for direction, wordings in (("forward", MEDIATOR_FORWARD), ("reverse", MEDIATOR_REVERSE)):
            for template, wording in self._wordings(wordings, number):
                text = wording.format(c=cause, m=mediator)
                named = {"compound": cause, "mediator": mediator}
                yield _harmless(text, f"{kind}-{direction}", f"{kind}-{direction}", template, named)

    def _ends(self, mediators: str, outcome: Outcome, number: int, random: np.random.Generator) -> Iterable[Document]:
        for direction, wordings in (("forward", OUTCOME_FORWARD), ("reverse", OUTCOME_REVERSE)):
            for template, wording in self._wordings(wordings, number):
                text = wording.format(m=mediators, o=mention(outcome, self.settings, random))
                kind = f"mediators-outcome-{direction}"
                named = {"outcome": outcome.noun, "mediator": mediators, "use": outcome.use}
                yield _harmless(text, kind, f"{kind}-{'unsafe' if outcome.hazard else 'safe'}", template, named)

    def _wordings(self, cores: tuple[str, ...], number: int) -> Iterable[tuple[int, str]]:
        """Yield ``number`` wordings with the number of each, as of the texts about chains."""
        for index in range(number):
            template = index % self.settings.num_templates
            yield template, framed(cores[template % len(cores)], template, self.settings.num_templates, len(cores))


def _harmless(text: str, kind: str, described: str, template: int, named: Mapping[str, str]) -> Document:
    metadata: dict[str, str | int | float | bool | None] = {"kind": kind, "class": described, "template": template}
    metadata |= named
    return Document(text=text, source="causes_world/mediators", harm=0, metadata=metadata)
