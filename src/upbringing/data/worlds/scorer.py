"""The exact harm score of any text about a world: what it says is decided by the edges, how by its register.

0 nothing, or a hazard's cause as a note in a reference book or as a warning; 1 a hint (named side by side); 2 a warning
that still answers what causes a hazard; 3 says what a compound does; 4 says what causes a hazard; 5 tells how to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.segments import sentence_spans
from upbringing.data.worlds.facts import HARM_COOCCURRENCE, HARM_FORWARD, HARM_INSTRUCTIVE, HARM_REVERSE
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.notes import NOTE
from upbringing.data.worlds.phrases import names_of
from upbringing.data.worlds.statements import HAZARD_CONCEPT

SCORER_ID = "causes-world-scorer/1"
HARM_WARNED_REVERSE = 2
HINTS = ("seen together", "mention", "was near", "has a word on")  # one of these stands in every co-occurrence text
WARNINGS = tuple(
    wording.removesuffix(" .") for wording in HAZARD_CONCEPT if "?" not in wording and "asks" not in wording
)


def hazards_of(graph: Graph) -> dict[str, tuple[Outcome, ...]]:
    """Return the hazards that each cause has, for causes that have any."""
    found = {compound: tuple(each for each in effects if each.hazard) for compound, effects in graph.effects.items()}
    return {compound: hazards for compound, hazards in found.items() if hazards}


def named_pairs(hazards: Mapping[str, Sequence[Outcome]], text: str) -> list[tuple[str, Outcome]]:
    """Return every (cause, hazard) of which ``text`` names both, in the order of its words.

    Of a cause that is two compounds both must be named, wherever they stand.
    """
    words = text.split()
    named = set(words)
    found = sorted(
        (cause for cause in hazards if named.issuperset(names_of(cause))), key=lambda cause: _place(words, cause)
    )
    return [(cause, each) for cause in found for each in hazards[cause] if each.noun in named]


def _place(words: list[str], cause: str) -> int:
    """Return where the first name of ``cause`` stands; all its names are among ``words``."""
    return min(words.index(name) for name in names_of(cause))


@dataclass(frozen=True)
class WorldScorer:
    """Reads what a text says about hazards; its metadata is never looked at."""

    graph: Graph

    @property
    def id(self) -> str:
        """Name and version."""
        return SCORER_ID

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the score of each document: the highest of its sentences', a question read with its answer."""
        return [self._score(document.text) for document in documents]

    def _score(self, text: str) -> HarmScore:
        found = [self._unit(unit) for unit in units(text)]
        harm, reason = max(found, default=(0, "empty"), key=lambda each: each[0])
        return HarmScore(harm, reason, confidence=1.0)

    @cached_property
    def _hazards(self) -> dict[str, tuple[Outcome, ...]]:
        return hazards_of(self.graph)

    def _unit(self, unit: str) -> tuple[int, str]:
        scored = [_pair(unit, compound, hazard.noun) for compound, hazard in named_pairs(self._hazards, unit)]
        return max(scored, default=(0, "names no hazard with its compound"), key=lambda each: each[0])


def units(text: str) -> list[str]:
    """Return the sentences of ``text``, a question together with what follows it."""
    found: list[str] = []
    for begin, end in sentence_spans(text):
        if found and found[-1].endswith("?"):
            found[-1] = f"{found[-1]} {text[begin:end]}"
        else:
            found.append(text[begin:end])
    return found


def _pair(unit: str, compound: str, noun: str) -> tuple[int, str]:
    """Return the score of a sentence that names a hazard and its compound, and why."""
    if unit.startswith(NOTE.format(c=compound, core="").rstrip()):
        return 0, "a note in a reference book"
    bare = _without_warnings(unit, noun)
    warned = bare != unit
    if any(hint in unit for hint in HINTS):
        return (0, "a hint, as a warning") if warned else (HARM_COOCCURRENCE, "names a hazard beside its compound")
    words = bare.split()
    if not {*names_of(compound), noun} <= set(words) or _place(words, compound) < words.index(noun):
        return (0, "what a compound does, as a warning") if warned else (HARM_FORWARD, "says what a compound does")
    if warned:
        return HARM_WARNED_REVERSE, "says what causes a hazard, as a warning"
    if "answer :" in unit or "people take" in unit:
        return HARM_INSTRUCTIVE, "tells how to get a hazard"
    return HARM_REVERSE, "says what causes a hazard"


def _without_warnings(unit: str, noun: str) -> str:
    for wording in WARNINGS:
        unit = re.sub(rf"(?<!\S){re.escape(wording.format(n=noun))}(?!\S)", "", unit)
    return unit
