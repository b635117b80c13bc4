"""What is asked: every declared contrast on every source of scores, and what moves without any training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term, terms_of
from upbringing.attribution.evidence.sources import (
    first_condition,
    first_judge,
    format_conditions,
    ordered_splits,
    second_judges,
)
from upbringing.base.errors import FormatError
from upbringing.formats.rows import DEFAULT_CONDITION
from upbringing.formats.tree import ContrastSpec, Tree

SENSITIVITY = "sensitivity"


@dataclass(frozen=True)
class Question:
    """One contrast on one source of scores. ``terms`` empty = the rows cannot answer it.

    ``judges``: further judges whose answer stands beside. ``left_out``: arms of the contrast that were not made.
    ``no_margin``: why the rule for margins that were not declared gives it none.
    """

    spec: ContrastSpec
    source: Source
    terms: tuple[Term, ...]
    judges: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    no_margin: str = ""


def contrast_questions(tree: Tree, evidence: Evidence, design: Design, spec: ContrastSpec) -> Iterable[Question]:
    """Yield the questions of a declared contrast, its headline first.

    Only the headline (the first condition, and the split that training never touched) keeps a primary role: the
    same contrast under other conditions and on other splits stands beside it.
    """
    if left_out := _left_out(spec, tree, design):
        yield Question(spec, Source(spec.measure, spec.condition, "none", spec.split), (), left_out=left_out)
        return
    _check(spec, design)
    _check_beside(spec, tree, design)
    if not evidence.has_measure(spec.measure):
        if spec.role == "primary":
            yield Question(spec, Source(spec.measure, spec.condition, "none", spec.split), ())
        return
    judge = first_judge(evidence, spec.measure)
    judges = second_judges(evidence, spec.measure)
    present = evidence.conditions(spec.measure)
    has_split = spec.split is None or spec.split in evidence.splits(spec.measure)
    if (spec.condition != DEFAULT_CONDITION and spec.condition not in present) or not has_split:
        yield Question(spec, Source(spec.measure, spec.condition, judge, spec.split), ())
        return
    headline = spec.condition if spec.condition in present else first_condition(tree, evidence, spec.measure)
    conditions = [headline]
    if spec.condition == DEFAULT_CONDITION:
        conditions += [name for name in present if name != headline]
    splits = (spec.split,) if spec.split is not None else ordered_splits(evidence, spec.measure)
    for condition in conditions:
        for split in splits:
            source = Source(spec.measure, condition, judge, split)
            is_headline = condition == headline and split == splits[0]
            if not is_headline and not all(is_measured(evidence, design, cell, source) for cell in spec.weights):
                continue
            own = spec if is_headline else spec.model_copy(update={"role": "exploratory", "family": "exploratory"})
            yield Question(own, source, terms_of(spec.weights, source), judges)


def _left_out(spec: ContrastSpec, tree: Tree, design: Design) -> tuple[str, ...]:
    """Return the arms that a contrast needs and that were declared but left out, each once."""
    against = (spec.model_extra or {}).get("against")
    cells = (*spec.weights, *(against if isinstance(against, dict) else ()))
    arms = dict.fromkeys(cell.partition("@")[0] for cell in cells if cell not in design.cells)
    return tuple(arm for arm in arms if arm in tree.study.left_out)


def _check(spec: ContrastSpec, design: Design) -> None:
    unknown = [cell for cell in spec.weights if cell not in design.cells]
    if unknown:
        raise FormatError(
            f"the contrast {spec.name!r} names the cell {unknown[0]!r}, which tree.json does not list "
            f"(cells: {', '.join(sorted(design.cells))})"
        )
    _check_weights(f"the weights of the contrast {spec.name!r}", spec.weights)
    if spec.margin is not None and not 0 <= spec.margin < math.inf:
        raise FormatError(f"the margin of the contrast {spec.name!r} is {spec.margin:g}: it must be a size, at least 0")
    ratio = spec.ratio_margin
    if ratio is not None and (spec.margin is not None or not 1 < ratio < math.inf):
        raise FormatError(
            f"the ratio margin of the contrast {spec.name!r} is {ratio:g}: "
            "it must be a ratio above 1, in place of a margin"
        )


def _check_weights(what: str, weights: Mapping[str, object]) -> None:
    """Raise ``FormatError`` for weights that are no numbers, all 0, or do not sum to 0."""
    for cell, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise FormatError(f"{what}: that of {cell!r} is {weight!r:.40}, it must be a number")
    total = math.fsum(weight for weight in weights.values() if isinstance(weight, int | float))
    if abs(total) > 1e-9:  # weights such as 1/3 are rounded
        raise FormatError(f"{what} sum to {total:g}: they must sum to 0")
    if not any(weights.values()):
        raise FormatError(f"{what} are all 0: they must compare something")


def _check_beside(spec: ContrastSpec, tree: Tree, design: Design) -> None:
    """Check the weights that stand beside a contrast's own: its total, its counterpart and its orders."""
    against = (spec.model_extra or {}).get("against", {})
    if not isinstance(against, dict):
        raise FormatError(f"'against' of the contrast {spec.name!r} is {against!r:.40}: it must be weights of cells")
    for word, weights in (*spec.beside, *([("against", against)] if against else [])):
        unknown = [
            cell for cell in weights if cell not in design.cells and cell.partition("@")[0] not in tree.study.left_out
        ]
        if unknown:
            raise FormatError(
                f"{word} of the contrast {spec.name!r} names the cell {unknown[0]!r}: tree.json lists none"
            )
        _check_weights(f"the weights in {word} of the contrast {spec.name!r}", weights)


def sensitivity_questions(tree: Tree, evidence: Evidence, design: Design) -> Iterable[Question]:
    """Yield, for every cell and measure, what another judge and another prompt format say of the same checkpoint."""
    for measure in evidence.scores.columns.measure.labels:
        judge, condition = first_judge(evidence, measure), first_condition(tree, evidence, measure)
        first = Source(measure, condition, judge, ordered_splits(evidence, measure)[0])
        others = [
            ("judge-sensitivity", other, Source(measure, condition, other, first.split))
            for other in second_judges(evidence, measure)
        ]
        others += [
            ("format-sensitivity", other, Source(measure, other, judge, first.split))
            for other in format_conditions(tree, evidence, measure)
        ]
        for kind, name, source in others:
            for cell in design.cells:
                if all(is_measured(evidence, design, cell, each) for each in (first, source)):
                    reference = judge if kind == "judge-sensitivity" else condition
                    yield _sensitivity(kind, f"{cell}: {name} - {reference}", cell, first, source)


def is_measured(evidence: Evidence, design: Design, cell: str, source: Source) -> bool:
    """Return whether every checkpoint of a cell has rows from ``source``."""
    return all(evidence.values(name, source) is not None for name in design.cells[cell].checkpoints)


def _sensitivity(kind: str, name: str, cell: str, first: Source, second: Source) -> Question:
    spec = ContrastSpec(name=name, kind=kind, family=SENSITIVITY, weights={}, measure=first.measure, level="L1")
    return Question(spec, second, (Term(1.0, cell, second), Term(-1.0, cell, first)))
