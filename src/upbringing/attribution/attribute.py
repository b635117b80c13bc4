"""Rows in, findings out. Needs numpy, scipy and pyarrow; never torch, never the training side."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.attribution.calibration import DIGEST, JOINED_COLUMNS, Calibration, calibrate
from upbringing.attribution.cells import Evidence, evidence_of
from upbringing.attribution.claims import answer, claims_of
from upbringing.attribution.columns import READ_COLUMNS
from upbringing.attribution.controls import with_assay, with_batch_noise, with_copy_noise
from upbringing.attribution.defaults import default_contrasts
from upbringing.attribution.design import design_of
from upbringing.attribution.flat import CHECKPOINT_COLUMNS, ITEM_COLUMNS, tree_of_flat_table, with_cells
from upbringing.attribution.protocols import conclusions_of
from upbringing.attribution.questions import contrast_questions, sensitivity_questions
from upbringing.attribution.tables import level_table
from upbringing.attribution.validity import validity_of
from upbringing.attribution.warnings import study_warnings
from upbringing.base.errors import FormatError
from upbringing.formats.findings import Findings
from upbringing.formats.labels import LABELS_NAME, read_labels_table
from upbringing.formats.protocols import with_protocol
from upbringing.formats.tree import Tree, read_tree


def attribute(rows: pa.Table, tree: Tree, labels: pa.Table | None = None) -> Findings:
    """Return what ``rows`` say about the design in ``tree``. The order of rows changes nothing.

    ``labels``: what people said of a sample of the answers, which calibrates the judges.

    Raises ``FormatError`` for tables and trees that do not follow the public formats.
    """
    completed = with_cells(tree)
    evidence = evidence_of(rows, completed)
    _check_checkpoints(evidence, completed)
    design = design_of(completed)
    measures = evidence.scores.columns.measure.labels
    specs = completed.study.contrasts or default_contrasts(design, completed.study, measures)
    specs = with_protocol(specs, completed.study)
    questions = [question for spec in specs for question in contrast_questions(completed, evidence, design, spec)]
    questions += sensitivity_questions(completed, evidence, design)
    validity = validity_of(completed, evidence, design)
    answers = [answer(question, evidence, design, validity) for question in questions]
    claims = with_copy_noise(claims_of(answers, completed, evidence, design))
    claims = with_assay(with_batch_noise(claims, completed), design)
    levels = level_table(evidence, design, validity)
    calibration = Calibration() if labels is None else calibrate(rows, labels)
    return Findings(
        study=completed.study.name,
        question=completed.study.question,
        claims=claims,
        conclusions=conclusions_of(completed.study, claims),
        tables={"levels": levels, **calibration.tables},
        warnings=study_warnings(completed, evidence, validity, answers, claims, calibration),
    )


def attribute_folder(folder: Path) -> Findings:
    """Return the findings of a folder with ``rows.parquet`` and, unless the rows carry their tree, ``tree.json``.

    Human labels are read from ``labels.parquet`` where there is one.
    """
    path = folder / "rows.parquet"
    if not path.exists():
        raise FormatError(f"{folder} holds no rows.parquet: measure something first, or name the folder that does")
    tree_path = folder / "tree.json"
    labels = read_labels_table(folder / LABELS_NAME) if (folder / LABELS_NAME).exists() else None
    joined = () if labels is None else (*JOINED_COLUMNS, DIGEST)
    wanted = {*READ_COLUMNS, *joined, *(() if tree_path.exists() else (*CHECKPOINT_COLUMNS, *ITEM_COLUMNS))}
    try:
        names = pq.read_schema(path).names
        rows = pq.read_table(path, columns=[name for name in names if name in wanted])
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path.name} is not a readable Parquet file: {error}") from None
    return attribute(rows, read_tree(tree_path) if tree_path.exists() else tree_of_flat_table(rows), labels)


def _check_checkpoints(evidence: Evidence, tree: Tree) -> None:
    unknown = sorted(set(evidence.scores.columns.checkpoint.labels) - {each.id for each in tree.checkpoints})
    if unknown:
        raise FormatError(f"the rows name the checkpoint {unknown[0]!r}, which tree.json does not list: add it there")
