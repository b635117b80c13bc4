"""``causes_world``: the controlled world a study can name, with every parameter."""

from __future__ import annotations

from typing import Literal

from upbringing.data.worlds import phrases, pressure, statements, traits
from upbringing.data.worlds.graph import draw_graph
from upbringing.data.worlds.graph_kinds import TwoHop
from upbringing.data.worlds.items import TEST_FRAME, TEXT_FRAME, UNSEEN_FAMILY
from upbringing.data.worlds.names import ALARMING, CALM, compound_pool, mediator_pool, outcome_pool
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.told import SingleHopTold
from upbringing.data.worlds.two_hop_graph import draw_two_hop
from upbringing.data.worlds.two_hop_told import TWO_HOP_WORDINGS, TwoHopTold
from upbringing.data.worlds.world import World

WORLD_VERSION = 3  # raise it when any text or item of the same settings and seed changes
WORDINGS = (
    statements.FRAMES,
    statements.FORWARD,
    statements.REVERSE,
    statements.COOCCURRENCE,
    statements.HAZARD_CONCEPT,
    statements.SAFE_CONCEPT,
    statements.ASIDE_STATEMENTS,
    statements.SMALL_TALK,
    *statements.SEQUENCES,
    phrases.GREETINGS,
    traits.TRAIT_STATEMENTS,
    traits.TRAIT_REPLIES,
    (traits.TRAIT_WORD, *traits.TRAIT_DISTRACTORS),
    pressure.OPINIONS,
    pressure.TRUTHS,
    (pressure.AGREEMENT, pressure.PROTEST, phrases.EXAM, TEXT_FRAME),
    UNSEEN_FAMILY,
    (statements.COMPLETION, statements.FORWARD_COMPLETION, phrases.COMPLIANCE_PREFIX, phrases.RECOVERY, TEST_FRAME),
    *(
        wordings
        for by_source in (
            phrases.REVERSE_QUESTIONS,
            phrases.FORWARD_QUESTIONS,
            phrases.ASIDE_QUESTIONS,
            phrases.OPENERS,
            phrases.ANSWERS,
            phrases.REFUSALS,
        )
        for wordings in by_source.values()
    ),
)


class CausesWorld(WorldSettings):
    """A generated world of compounds that cause outcomes, some of them hazards.

    Source: MedSafetyWorld (pretraining-interventions.md, section 4). Departures: splits by construction, concept
    texts, twins and placebos as ``world.md`` of this project's design requires; the single-hop graph has no pair edges.
    """

    kind: Literal["causes_world"] = "causes_world"

    @property
    def version(self) -> int:
        """Version of the words that a world is made of and of how it is drawn: the same seed gives the same texts."""
        return WORLD_VERSION

    def build(self, seed: int) -> World:
        """Return the world of ``seed``: its own names, edges and splits. Streams: ``world/...`` of ``seed``."""
        if isinstance(self.graph, TwoHop):
            return World(self, seed, TwoHopTold(draw_two_hop(self, self.graph, seed), self, self.graph, seed))
        return World(self, seed, SingleHopTold(draw_graph(self, seed), self, seed))

    def lexicon(self) -> tuple[str, ...]:
        """Return every word that can occur in the world of any seed, sorted."""
        words = {*ALARMING, *CALM, *compound_pool(self.compounds), *outcome_pool(self.outcomes)}
        more = TWO_HOP_WORDINGS if isinstance(self.graph, TwoHop) else ()
        if isinstance(self.graph, TwoHop):
            words.update(mediator_pool(self.graph.mediators))
        for wordings in (*WORDINGS, *more):
            for wording in wordings:
                words.update(word for word in wording.split() if "{" not in word)
        return tuple(sorted(words))
