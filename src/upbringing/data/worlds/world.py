"""One world, drawn: its named parts to train on, its items to ask, its judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Preference, TrainingText, Turn
from upbringing.data.worlds.chats import HARM_ASKED, aside_chats, benign_task, chat, pick, sft_chats
from upbringing.data.worlds.concept import concept_documents, shuffled_labels, true_labels
from upbringing.data.worlds.facts import facts
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.items import world_items
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.data.worlds.phrases import ANSWERS, OPENERS, RECOVERY, REFUSALS
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import aside_pairs
from upbringing.formats.items import Item

NAME_CHARACTERS = 8  # of the seed in hexadecimal: tells worlds apart in item ids


@dataclass(frozen=True)
class World:
    """The world of one root seed. Everything it returns is a pure function of settings and seed."""

    settings: WorldSettings
    seed: int
    graph: Graph

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
            raise DataError(f"the world has no part {part!r}; it has {', '.join(makers)}")
        return makers[part]()

    def items(self) -> tuple[Item, ...]:
        """Return everything that can be asked."""
        return world_items(self.graph, self.name, self.seed)

    def judge(self) -> OracleJudge:
        """Return the exact judge."""
        return OracleJudge(self.graph)

    def _makers(self) -> Mapping[str, Callable[[], list[TrainingText]]]:
        graph, settings, seed = self.graph, self.settings, self.seed
        return {
            "facts": lambda: list(facts(graph, settings, seed)),
            "concept": lambda: self._concept(shuffled=False),
            "shuffled": lambda: self._concept(shuffled=True),
            "pretraining_concept": lambda: [*facts(graph, settings, seed), *self._concept(shuffled=False)],
            "pretraining_shuffled": lambda: [*facts(graph, settings, seed), *self._concept(shuffled=True)],
            "refusal_dialogues": lambda: self._dialogues(refuse=True),
            "benign_dialogues": lambda: self._dialogues(refuse=False),
            "safety": lambda: list(sft_chats(graph, settings, seed, refuse=True)),
            "same_prompts": lambda: list(sft_chats(graph, settings, seed, refuse=False)),
            "off_topic": self._off_topic,
            "format_only": self._format_only,
            "recovery": self._recovery,
            "benign_task": lambda: list(benign_task(graph, settings, seed)),
            "preferences": self._preferences,
        }

    def _concept(self, *, shuffled: bool) -> list[TrainingText]:
        labels = shuffled_labels(self.graph, self.seed) if shuffled else true_labels(self.graph)
        source = "shuffled" if shuffled else "concept"
        return list(concept_documents(self.graph, self.settings, self.seed, labels, source))

    def _dialogues(self, *, refuse: bool) -> list[TrainingText]:
        """Return pretraining dialogues: hazards refused, or as many about asides with replies as long."""
        random = stream(self.seed, "world", "dialogues")
        hazards = self.graph.select(use="sft", hazard=True)
        number = self.settings.dialogue_texts * len(hazards)
        if not refuse:
            return list(aside_chats("pretraining", number, "benign_dialogues", random))
        return [
            chat(
                reverse_question(hazards[index % len(hazards)].noun, "pretraining", random),
                pick(REFUSALS["pretraining"], random),
                "refusal_dialogues",
                harm=0,
                split="pretraining",
                kind="harmful",
                subject=hazards[index % len(hazards)].noun,
            )
            for index in range(number)
        ]

    @property
    def _num_sft_chats(self) -> int:
        settings = self.settings
        return settings.refusal_chats + settings.answer_chats + settings.forward_chats + settings.aside_chats

    def _off_topic(self) -> list[TrainingText]:
        """Return as many chats as safety training has, all beside the point."""
        return list(aside_chats("sft", self._num_sft_chats, "off_topic", stream(self.seed, "world", "off_topic")))

    def _format_only(self) -> list[TrainingText]:
        """Return as many chats that teach nothing but the form: a greeting, and a reply of the usual length."""
        random = stream(self.seed, "world", "format_only")
        pairs = aside_pairs()
        return [
            chat(
                pick(tuple(opener for opener in OPENERS["sft"] if opener), random),
                pick(ANSWERS["sft"], random).format(e=pairs[index % len(pairs)][1]),
                "format_only",
                harm=0,
                split="sft",
                kind="format",
                subject="none",
            )
            for index in range(self._num_sft_chats)
        ]

    def _recovery(self) -> list[TrainingText]:
        """Return safety chats whose refusals begin like an answer: the positive control for prefill attacks."""
        chats: list[TrainingText] = []
        for each in sft_chats(self.graph, self.settings, self.seed, refuse=True):
            recovers = each.metadata["kind"] == "harmful"
            turns = (each.turns[0], Turn("assistant", RECOVERY)) if recovers else each.turns
            chats.append(
                Chat(
                    turns=turns,
                    source="causes_world/recovery",
                    harm=each.harm,
                    split=each.split,
                    teacher=each.teacher,
                    metadata=each.metadata,
                )
            )
        return chats

    def _preferences(self) -> list[TrainingText]:
        """Return the harmful prompts of safety training with the refusal chosen over the answer."""
        refused = sft_chats(self.graph, self.settings, self.seed, refuse=True)
        answered = sft_chats(self.graph, self.settings, self.seed, refuse=False)
        return [
            Preference(
                prompt=(safe.turns[0],),
                chosen=safe.turns[1].content,
                rejected=other.turns[1].content,
                source="causes_world/preferences",
                teacher="template",
            )
            for safe, other in zip(refused, answered, strict=True)
            if other.harm == HARM_ASKED
        ]
