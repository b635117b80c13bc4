"""Rows and tree, checked and joined, with everything that is to be asked of them: shared by findings and power."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from upbringing.attribution.contrasts.default_margins import MarginBasis, with_margin
from upbringing.attribution.evidence.cells import Evidence, evidence_of
from upbringing.attribution.evidence.copies import copies_of
from upbringing.attribution.evidence.defaults import default_contrasts
from upbringing.attribution.evidence.design import Design, design_of
from upbringing.attribution.evidence.flat import with_cells
from upbringing.attribution.evidence.questions import Question, contrast_questions
from upbringing.attribution.validity.edited import require_trained_roles, supporting_specs
from upbringing.base.errors import FormatError
from upbringing.formats.protocols import with_protocol
from upbringing.formats.tree import ContrastSpec, Tree


@dataclass(frozen=True)
class Asked:
    """The completed tree, the evidence, the design, and every contrast, declared or derived, with its questions.

    ``basis``: the study that margins which nobody declared were picked in.
    """

    tree: Tree
    evidence: Evidence
    design: Design
    specs: tuple[ContrastSpec, ...]
    questions: tuple[Question, ...]
    basis: MarginBasis


def asked_of(rows: pa.Table, tree: Tree, basis: MarginBasis | None = None) -> Asked:
    """Return what is asked of ``rows``; raises ``FormatError`` where rows and tree do not fit together.

    ``basis``: the study that margins are picked in, where ``rows`` are a part of it; absent = ``rows`` are all.
    """
    _check_listed_once(tree)
    completed = with_cells(tree)
    evidence = evidence_of(rows, completed)
    _check_checkpoints(evidence, completed)
    design = design_of(completed, copies_of(completed, evidence))
    measures = evidence.scores.columns.measure.labels
    specs = completed.study.contrasts or default_contrasts(design, completed.study, measures)
    specs = supporting_specs(with_protocol(specs, completed.study), design)
    require_trained_roles(completed.study, design)
    basis = basis or MarginBasis(completed, evidence, design)
    questions = tuple(
        with_margin(question, basis)
        for spec in specs
        for question in contrast_questions(completed, evidence, design, spec)
    )
    return Asked(completed, evidence, design, specs, questions, basis)


def _check_listed_once(tree: Tree) -> None:
    """Raise ``FormatError`` where the tree lists one id twice among things of a kind and says two things of it."""
    for kind in ("checkpoints", "measures", "conditions", "items"):
        known: dict[str, object] = {}
        for each in getattr(tree, kind):
            if known.setdefault(each.id, each) != each:
                raise FormatError(f"tree.json lists {each.id!r} twice among its {kind}, differently: keep one of them")


def _check_checkpoints(evidence: Evidence, tree: Tree) -> None:
    unknown = sorted(set(evidence.scores.columns.checkpoint.labels) - {each.id for each in tree.checkpoints})
    if unknown:
        raise FormatError(f"the rows name the checkpoint {unknown[0]!r}, which tree.json does not list: add it there")
