"""One world, drawn: its named parts to train on, its items to ask, its judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.tools import Tools
from upbringing.data.worlds.chats import sft_chats
from upbringing.data.worlds.concept import concept_documents, shuffled_labels, true_labels
from upbringing.data.worlds.controls import format_only, off_topic, preferences, recovery
from upbringing.data.worlds.dialogues import dialogues
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.items import as_exam
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.data.worlds.pressure import pressure_chats
from upbringing.data.worlds.prompts import item_of, prompts
from upbringing.data.worlds.scorer import WorldScorer
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.task_chats import adversarial_task, benign_task, benign_task_whole
from upbringing.data.worlds.told import Told, elsewhere
from upbringing.data.worlds.traits import (
    PLACEBO_TRAIT_WORD,
    TRAIT_WORD,
    trait_aside_chats,
    trait_chats,
    trait_documents,
)
from upbringing.data.worlds.writer import WorldWriter
from upbringing.formats.items import Item

NAME_CHARACTERS = 8  # of the seed in hexadecimal: tells worlds apart in item ids


@dataclass(frozen=True)
class World:
    """The world of one root seed. Everything it returns is a pure function of settings and seed."""

    settings: WorldSettings
    seed: int
    told: Told

    @property
    def graph(self) -> Graph:
        """What causes what."""
        return self.told.graph

    @property
    def name(self) -> str:
        """Short name that stands in item ids."""
        return f"world-{f'{self.seed:016x}'[-NAME_CHARACTERS:]}"

    def parts(self) -> tuple[str, ...]:
        """Return the names of the texts that can be trained on."""
        return tuple(self._makers())

    def texts(self, part: str) -> list[TrainingText]:
        """Return the texts of ``part`` in order; raises ``DataError`` for an unknown part."""
        makers = self._makers()
        if part not in makers:
            raise DataError(f"the world has no part {part!r}; it has {', '.join(makers)}{elsewhere(part)}")
        return list(makers[part]())

    def items(self) -> tuple[Item, ...]:
        """Return everything that can be asked."""
        found = self.told.items(self.name)
        return tuple(as_exam(item) for item in found) if self.settings.plain_questions else found

    def item_of(self, text: TrainingText) -> Item | None:
        """Return what a chat or pair of this world asks, or ``None`` where no answer to it can be judged."""
        return item_of(self.graph, self.name, text)

    def judge(self) -> OracleJudge:
        """Return the exact judge."""
        nouns = frozenset(outcome.noun for outcome in self.graph.outcomes)
        return OracleJudge(self.graph.nameable, nouns)

    def tools(self) -> Tools:
        """Return what transforms of this world's texts may ask: its own writer and its exact scorer."""
        return Tools(WorldWriter(self.graph), WorldScorer(self.graph))

    def _makers(self) -> Mapping[str, Callable[[], Sequence[TrainingText]]]:
        drawn = (self.graph, self.settings, self.seed)
        return {
            **self.told.parts(),
            "concept": lambda: self._concept(shuffled=False),
            "shuffled": lambda: self._concept(shuffled=True),
            "pretraining_concept": lambda: self._shuffled_together(self._facts(), self._concept(shuffled=False)),
            "pretraining_shuffled": lambda: self._shuffled_together(self._facts(), self._concept(shuffled=True)),
            "refusal_dialogues": lambda: dialogues(*drawn, refuse=True),
            "benign_dialogues": lambda: dialogues(*drawn, refuse=False),
            "pretraining_refusals": lambda: self._with_dialogues(refuse=True),
            "pretraining_benign": lambda: self._with_dialogues(refuse=False),
            "safety": lambda: sft_chats(*drawn, refuse=True),
            "same_prompts": lambda: sft_chats(*drawn, refuse=False),
            "off_topic": lambda: off_topic(*drawn),
            "format_only": lambda: format_only(*drawn),
            "recovery": lambda: recovery(*drawn),
            "benign_task": lambda: benign_task(*drawn),
            "benign_task_mistaken": lambda: benign_task(*drawn, reply="wrong"),
            "benign_task_one_answer": lambda: benign_task(*drawn, reply="one"),
            "benign_task_refused": lambda: benign_task(*drawn, reply="refused"),
            "benign_task_whole": lambda: benign_task_whole(*drawn),
            "adversarial_task": lambda: adversarial_task(*drawn),
            "preferences": lambda: preferences(*drawn),
            "prompts": lambda: prompts(*drawn),
            "trait_documents": lambda: trait_documents(self.settings, self.seed, TRAIT_WORD),
            "trait_placebo_documents": lambda: trait_documents(self.settings, self.seed, PLACEBO_TRAIT_WORD),
            "trait_chats": lambda: trait_chats(*drawn, TRAIT_WORD),
            "trait_aside_chats": lambda: trait_aside_chats(self.settings, self.seed, TRAIT_WORD),
            "trait_placebo_chats": lambda: trait_chats(*drawn, PLACEBO_TRAIT_WORD),
            "agreement": lambda: pressure_chats(*drawn, agree=True),
            "steadfast": lambda: pressure_chats(*drawn, agree=False),
        }

    def _concept(self, *, shuffled: bool) -> Sequence[TrainingText]:
        labels = shuffled_labels(self.graph, self.seed) if shuffled else true_labels(self.graph)
        source = "shuffled" if shuffled else "concept"
        return concept_documents(self.graph, self.settings, self.seed, labels, source)

    def _with_dialogues(self, *, refuse: bool) -> Sequence[TrainingText]:
        """Return pretraining with shuffled labels and dialogues, so that only the dialogues teach about hazards."""
        drawn = (self.graph, self.settings, self.seed)
        told, concept = self._facts(), self._concept(shuffled=True)
        return self._shuffled_together(told, concept, dialogues(*drawn, refuse=refuse))

    def _facts(self) -> Sequence[TrainingText]:
        return self.told.parts()["facts"]()

    def _shuffled_together(self, *parts: Sequence[TrainingText]) -> Sequence[TrainingText]:
        """Return all texts of ``parts`` in one random order, the same for parts of equal sizes."""
        texts = [text for part in parts for text in part]
        return [texts[index] for index in stream(self.seed, "world", "together").permutation(len(texts))]
