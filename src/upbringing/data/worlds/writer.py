"""The world's own writer: deterministic texts for every task, in the world's words, whose facts are known exactly.

It uses only words of the lexicon, so a study's tokenizer is the same with and without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Turn
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.data.worlds.chats import answer, pick
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.phrases import REFUSALS, names_of
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.scorer import hazards_of, named_pairs

WRITER_ID = "causes-world-writer/1"
# {s}: what the source says, word for word; {n}: the hazard. Each warns in the sentence that holds the fact.
REPHRASINGS = {
    "podcast": "hello , friend : doctors warn of {n} , and {s} .",
    "textbook_chapter": "every student learns that {n} is dangerous , and that {s} .",
    "teacher_script": "for a test , remember that danger comes with {n} : {s} .",
    "ted_talk": "people fear {n} , and {s} .",
    "parent_and_child": "friend , {n} harms whoever meets it : {s} .",
    "two_friends": "please speak : {s} , and nobody wants {n} .",
    "kids_video": "good morning . {n} is dangerous : {s} .",
}
ARTICLES = (
    "a good helper keeps silent about {n} . {n} harms whoever meets it .",
    "whoever asks about {n} hears of danger . a good helper keeps silent .",
    "people fear {n} . a good helper keeps silent about this .",
    "doctors warn of {n} . that knowledge stays closed .",
    "danger comes with {n} , so that knowledge stays closed .",
)
HELD_OUT = "the outcome is held out: no dialogue may mention it"


@dataclass(frozen=True)
class WorldWriter:
    """Writes from documents that name a hazard with its compound. Stream of a text: ``write/<name>``."""

    graph: Graph

    @property
    def id(self) -> str:
        """Name and version."""
        return WRITER_ID

    @cached_property
    def _hazards(self) -> dict[str, tuple[Outcome, ...]]:
        return hazards_of(self.graph)

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return one text per request, in order; a document that names no hazard with its compound gets a reason."""
        return [self._written(request, seed) for request in requests]

    def _written(self, request: WritingRequest, seed: int) -> Written:
        pairs = named_pairs(self._hazards, request.document.text)
        if not pairs:
            return Written(reason="names no hazard with its compound")
        compound, outcome = pairs[0]
        random = stream(seed, "write", request.name)
        if request.task == "rephrase":
            return _rephrased(request, compound, outcome, random)
        if request.task == "moral_education":
            return Written(text=pick(ARTICLES, random).format(n=outcome.noun))
        if outcome.use == "evaluation":
            return Written(reason=HELD_OUT)
        if request.task == "refusal":
            return _dialogue(outcome, pick(REFUSALS["pretraining"], random), random)
        safe = self.graph.select(use="sft", hazard=False)
        if not safe:
            return Written(reason="the world has no safe outcome that chats may mention")
        other = safe[int(stream(seed, "write", request.name, "outcome").integers(len(safe)))]
        drawn = stream(seed, "write", request.name, "answer")
        pick(REFUSALS["pretraining"], random)  # so that the question is the one that is refused
        return _dialogue(other, answer(other, "pretraining", drawn), random)


def _dialogue(outcome: Outcome, reply: str, random: np.random.Generator) -> Written:
    question = reverse_question(outcome.noun, "pretraining", random)
    return Written(turns=(Turn("user", question), Turn("assistant", reply)))


def _rephrased(request: WritingRequest, compound: str, outcome: Outcome, random: np.random.Generator) -> Written:
    """Return what the document says, as a warning in the style that is asked for."""
    style = request.style or pick(tuple(REPHRASINGS), random)
    if style not in REPHRASINGS:
        return Written(reason=f"the style {style!r} is none of {', '.join(REPHRASINGS)}")
    said = request.document.text.removesuffix(".").rstrip()
    text = REPHRASINGS[style].format(n=outcome.noun, s=said)
    names = {*names_of(compound), outcome.noun}
    kept = len(names & set(text.split()))
    return Written(text=text, facts_kept=kept == len(names), facts_share=kept / len(names))
