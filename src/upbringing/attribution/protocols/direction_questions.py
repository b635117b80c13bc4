"""What is asked of a refusal direction: whether it grew, and whether what it does to refusals grew with it.

What it does is the change of refusals under an intervention along it, less that under a random direction of equal
length: by taking it out of harmful requests and by adding it to benign ones. Source: Arditi et al. 2024 (the two
interventions); statistics-and-measures 4.7. Departures: the random control is taken off, prompt by prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term
from upbringing.attribution.evidence.questions import Question, is_measured
from upbringing.attribution.evidence.sources import first_judge, ordered_splits, second_judges
from upbringing.formats.findings import Level
from upbringing.formats.steering import CHOSEN_LAYER, DIRECTION_UNIT, SteeringLabel, steering_label
from upbringing.formats.tree import ConditionInfo, ContrastSpec, Tree

KIND, ASSAY_KIND = "direction-effect", "direction-assay"
FAMILY = "refusal direction"
REMOVED = "{contrast}: refusals that taking the direction out removes"
BROUGHT = "{contrast}: refusals that adding the direction brings"
ASSAY = "{cell}: refusals that adding the direction brings"
PLAIN = "E0"  # the elicitation of plain questions, and the template of hidden states behind them

Key = tuple[str, str, str | None, str]
"""A claim by its measure, condition, split and contrast."""


@dataclass(frozen=True)
class Steered:
    """How one measure steers answers. ``removed``, ``brought``: the condition and its random control, if there are any.

    ``is_plain``: of plain questions rather than chats.
    """

    measure: str
    judge: str
    split: str | None
    is_plain: bool
    removed: tuple[str, str] | None = None
    brought: tuple[str, str] | None = None

    def terms(self, weights: Mapping[str, float], pair: tuple[str, str], sign: float) -> tuple[Term, ...]:
        """Return ``sign`` times the change of refusals along the direction less that along a random one."""
        sources = [Source(self.measure, condition, self.judge, self.split) for condition in pair]
        return tuple(
            Term(sign * side * weight, cell, source)
            for cell, weight in weights.items()
            for side, source in zip((1.0, -1.0), sources, strict=True)
        )


@dataclass(frozen=True)
class DirectionPlan:
    """A declared contrast of a direction's length, and by which claims its growth and what it does are decided.

    ``steering``: the measure of what it does. ``assays``: whether adding the direction moves refusals at all, per cell.
    ``None`` = nobody asked it.
    """

    contrast: str
    steering: str
    kind: str
    level: Level
    role: Literal["primary", "exploratory"]
    weights: Mapping[str, float]
    margin: float | None
    growth: Key
    removed: Key | None
    brought: Key | None
    assays: tuple[Key, ...]
    questions: tuple[Question, ...]


def direction_plans(
    tree: Tree, evidence: Evidence, design: Design, specs: Sequence[ContrastSpec]
) -> tuple[DirectionPlan, ...]:
    """Return what is asked of refusal directions; nothing where no length or no intervention was measured.

    Contrasts are those of two cells that the study declares, or the design supports, for the length. Edited weights
    (L4) are left out: they are not the checkpoints that a stage made.
    """
    plans = []
    for steered in _steered(tree, evidence):
        for measure in evidence.scores.columns.measure.labels:
            condition = _length_condition(tree, evidence, measure, is_plain=steered.is_plain)
            if condition is not None:
                source = Source(
                    measure, condition, first_judge(evidence, measure), ordered_splits(evidence, measure)[0]
                )
                for spec in _pairs(specs, measure, design):
                    plans.append(_plan(tree, evidence, design, spec, source, steered))
    return tuple(plans)


def direction_questions(plans: Sequence[DirectionPlan]) -> tuple[Question, ...]:
    """Return the questions of all plans, each once."""
    found: dict[Key, Question] = {}
    for plan in plans:
        for question in plan.questions:
            found.setdefault(_key(question), question)
    return tuple(found.values())


def _key(question: Question) -> Key:
    return question.source.measure, question.source.condition, question.source.split, question.spec.name


def _steered(tree: Tree, evidence: Evidence) -> Iterator[Steered]:
    """Yield every measure some conditions of which are an intervention along a refusal direction."""
    for measure in evidence.scores.columns.measure.labels:
        present = set(evidence.conditions(measure))
        listed = [each for each in tree.conditions if each.id in present]
        found = [(each, label) for each in listed if (label := steering_label(each.attack)) is not None]
        if found:
            sides = {edit: _with_control(found, edit) for edit in ("ablate", "add")}
            yield Steered(
                measure=measure,
                judge=first_judge(evidence, measure),
                split=ordered_splits(evidence, measure)[0],
                is_plain=found[0][0].elicitation == PLAIN,
                removed=sides["ablate"],
                brought=sides["add"],
            )


def _with_control(found: Sequence[tuple[ConditionInfo, SteeringLabel]], edit: str) -> tuple[str, str] | None:
    """Return an intervention and its random control: of strength 1 where there is one, else the first listed."""
    controls = {
        (info.id.removesuffix(label.text), label.where, label.strength): info.id
        for info, label in found
        if label.edit == edit and label.is_random
    }
    pairs = [
        (label.strength != 1.0, info.id, controls[key])
        for info, label in found
        if label.edit == edit and not label.is_random and label.strength != 0
        if (key := (info.id.removesuffix(label.text), label.where, label.strength)) in controls
    ]
    return min(pairs, key=lambda pair: pair[0])[1:] if pairs else None


def _length_condition(tree: Tree, evidence: Evidence, measure: str, *, is_plain: bool) -> str | None:
    """Return the condition of a direction's length in the chosen layer, in the same form of prompt."""
    if evidence.info(measure).unit != DIRECTION_UNIT:
        return None
    present = set(evidence.conditions(measure))
    fitting = (
        each.id
        for each in tree.conditions
        if each.id in present and each.decoding == CHOSEN_LAYER and (each.template == PLAIN) == is_plain
    )
    return next(fitting, None)


def _pairs(specs: Sequence[ContrastSpec], measure: str, design: Design) -> list[ContrastSpec]:
    """Return the contrasts of two cells on a measure, each once, those declared in advance before others."""
    found: dict[frozenset[tuple[str, float]], ContrastSpec] = {}
    for spec in sorted(specs, key=lambda spec: spec.role != "primary"):
        is_pair = sorted(spec.weights.values()) == [-1.0, 1.0] and set(spec.weights) <= design.cells.keys()
        if spec.measure == measure and is_pair and spec.level != "L4" and spec.kind != "copy":
            found.setdefault(frozenset(spec.weights.items()), spec)
    return list(found.values())


def _plan(
    tree: Tree, evidence: Evidence, design: Design, spec: ContrastSpec, length: Source, steered: Steered
) -> DirectionPlan:
    asked = _Asking(tree, evidence, design, spec, steered)
    removed = asked.question(REMOVED.format(contrast=spec.name), spec.weights, steered.removed, -1.0)
    brought = asked.question(BROUGHT.format(contrast=spec.name), spec.weights, steered.brought, 1.0)
    assays = [asked.question(ASSAY.format(cell=cell), {cell: 1.0}, steered.brought, 1.0) for cell in spec.weights]
    known = [question for question in (removed, brought, *assays) if question is not None]
    return DirectionPlan(
        contrast=spec.name,
        steering=steered.measure,
        kind=spec.kind,
        level=spec.level,
        role=spec.role,
        weights=spec.weights,
        margin=tree.study.margins.get(steered.measure),
        growth=(length.measure, length.condition, length.split, spec.name),
        removed=None if removed is None else _key(removed),
        brought=None if brought is None else _key(brought),
        assays=tuple(_key(question) for question in assays if question is not None),
        questions=tuple(known),
    )


@dataclass(frozen=True)
class _Asking:
    """What the questions of one contrast have in common."""

    tree: Tree
    evidence: Evidence
    design: Design
    spec: ContrastSpec
    steered: Steered

    def question(
        self, name: str, weights: Mapping[str, float], pair: tuple[str, str] | None, sign: float
    ) -> Question | None:
        """Return the question of what the direction does, or ``None`` where it was not measured on all cells.

        ``weights`` of the contrast stay empty, as of all that compares conditions: no one source holds it.
        """
        if pair is None:
            return None
        terms = self.steered.terms(weights, pair, sign)
        if not all(is_measured(self.evidence, self.design, term.cell, term.source) for term in terms):
            return None
        measure = self.steered.measure
        spec = ContrastSpec(
            name=name,
            weights={},
            measure=measure,
            condition=pair[0],
            split=self.steered.split,
            family=FAMILY,
            kind=KIND if len(weights) > 1 else ASSAY_KIND,
            level=self.spec.level if len(weights) > 1 else "L1",
            margin=self.tree.study.margins.get(measure),
        )
        return Question(spec, terms[0].source, terms, second_judges(self.evidence, measure))
