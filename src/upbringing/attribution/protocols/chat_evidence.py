"""What the protocol ``documents_and_chats`` reads besides claims: the ratio, classes of answers, the system prompt.

Three classes of answers tell a trait from a pattern on the surface: those that show it and answer, those that show it
and do not answer, and those that do not show it. Source: statistics-and-measures, section 6, claim C. Departures: the
classes are read from two measures of the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from upbringing.attribution.contrasts.default_margins import MarginBasis, with_margin
from upbringing.attribution.effects.retention import Asked, Retention, retention
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term, pivot, terms_of
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.evidence.sources import first_condition, first_judge
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.protocols.answer_classes import Classes, classes_of
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.sentences import NOT_MEASURED
from upbringing.formats.chat_protocol import (
    DEFAULT_RETAINED,
    DOCUMENTS_AND_CHATS,
    OVER_PART,
    RETAINED,
    UNDER_PART,
    answered_of,
    chat_part,
    outcomes_of,
)
from upbringing.formats.outcomes import Outcome
from upbringing.formats.parts import on_cells
from upbringing.formats.tree import ContrastSpec, Protocol, Tree

TRAINED_ON_CHATS = ("chats", "both")  # the roles that have seen chats that show the trait


@dataclass(frozen=True)
class ChatEvidence:
    """By primary measure, the ratio and (by role) the classes of answers. ``prompts``: what is stated of the teacher's
    system prompt in the chats: ``kept``, ``unknown``, or what leaves nothing to say."""

    retained: Mapping[str, Retention] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, Classes]] = field(default_factory=dict)
    prompts: frozenset[str] = frozenset()

    @property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The tables of the findings: a line per ratio, and one per role and measure with classes."""
        ratios = [{"measure": name, **vars(each)} for name, each in self.retained.items()]
        classes = [
            {"measure": name, "role": role, **vars(each)}
            for name, roles in self.classes.items()
            for role, each in roles.items()
        ]
        found = {"retention": ratios, "answer_classes": classes}
        return {name: lines for name, lines in found.items() if lines}


def chat_evidence(tree: Tree, validity: Validity, corrections: Corrections, basis: MarginBasis) -> ChatEvidence:
    """Return what the protocol reads besides claims; empty where the study follows another.

    ``basis``: the study that margins which nobody declared are picked in.
    """
    protocol = tree.study.protocol
    if protocol is None or protocol.kind != DOCUMENTS_AND_CHATS:
        return ChatEvidence()
    reader = _Reader(tree, protocol, validity, corrections, basis)
    primary = tree.study.primary
    return ChatEvidence(
        retained={measure: reader.retained(measure) for measure in primary},
        classes={measure: found for measure in primary if (found := reader.classes(measure))},
        prompts=frozenset(reader.prompts()),
    )


@dataclass(frozen=True)
class _Reader:
    """Reads outcomes of one protocol."""

    tree: Tree
    protocol: Protocol
    validity: Validity
    corrections: Corrections
    basis: MarginBasis

    @property
    def evidence(self) -> Evidence:
        return self.corrections.evidence

    @property
    def design(self) -> Design:
        return self.corrections.design

    def source(self, outcome: Outcome) -> Source | None:
        """Return where an outcome stands among the rows; ``None`` where it does not."""
        if not self.evidence.has_measure(outcome.measure):
            return None
        if outcome.split is not None and outcome.split not in self.evidence.splits(outcome.measure):
            return None
        present = self.evidence.conditions(outcome.measure)
        first = first_condition(self.tree, self.evidence, outcome.measure)
        condition = outcome.condition if outcome.condition in present else first
        return Source(outcome.measure, condition, first_judge(self.evidence, outcome.measure), outcome.split)

    def outcome(self, part: str, measure: str) -> Outcome:
        return outcomes_of(self.protocol, part, self.tree.study.primary)[measure]

    def retained(self, measure: str) -> Retention:
        """Return how much of what the chats do in their distribution they do out of it."""
        ways = chat_part(OVER_PART).asked(self.protocol.cells)
        sources = [self.source(self.outcome(part, measure)) for part in (OVER_PART, UNDER_PART)]
        over, under = sources
        if not ways or over is None or under is None or not self._are_made(self.protocol.cells.values()):
            return Retention(reason=NOT_MEASURED)
        weights = on_cells(ways[0].weights, self.protocol.cells)
        for source in (over, under):
            if barred := self.corrections.no_ratio(terms_of(weights, source)):
                return Retention(reason=barred)
        margin = self.tree.study.margins.get(under.measure)
        spec = ContrastSpec(name=UNDER_PART, weights=weights, measure=under.measure, margin=margin)
        base = with_margin(Question(spec, under, terms_of(weights, under)), self.basis).spec
        threshold = self.protocol.settings.get(RETAINED, DEFAULT_RETAINED)
        return retention(self.evidence, self.design, self.validity, Asked(base, over, under, threshold))

    def _are_made(self, cells: Iterable[str]) -> bool:
        return all(cell in self.design.cells for cell in cells)

    def classes(self, measure: str) -> dict[str, Classes]:
        """Return the classes of answers out of distribution by role; empty where nothing says whether they answer."""
        answered = answered_of(self.protocol, measure)
        if answered is None:
            return {}
        shown, told = self.source(self.outcome(OVER_PART, measure)), self.source(answered)
        cells = {role: cell for role, cell in self.protocol.cells.items() if cell in self.design.cells}
        if shown is None or told is None:
            return dict.fromkeys(cells, Classes(reason=NOT_MEASURED))
        return {role: self._classes(cell, shown, told) for role, cell in cells.items()}

    def _classes(self, cell: str, shown: Source, told: Source) -> Classes:
        if barred := self.validity.reasons([(cell, shown), (cell, told)]):
            return Classes(reason=barred[0].text)
        found = pivot(self.evidence, self.design, [Term(1.0, cell, shown), Term(1.0, cell, told)])
        return classes_of(self.evidence, found)

    def prompts(self) -> Iterator[str]:
        """Yield what is stated of the teacher's system prompt, for all chats that a model wrote."""
        for role in TRAINED_ON_CHATS:
            cell = self.design.cells.get(self.protocol.cells.get(role, ""))
            for name in () if cell is None else cell.checkpoints:
                for stage in self.design.checkpoints[name].stages:
                    teacher = stage.teacher
                    if teacher is not None and teacher.lineage != ():
                        yield teacher.system_prompt or "unknown"
