"""Rows in, findings out. Needs numpy, scipy and pyarrow; never torch, never the training side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.attribution.claims.answered import Answered, answer
from upbringing.attribution.claims.asked import asked_of
from upbringing.attribution.claims.claims import claims_of
from upbringing.attribution.claims.controls import with_assay, with_batch_noise, with_copy_noise
from upbringing.attribution.claims.health import with_health
from upbringing.attribution.claims.robustness import robustness_lines, with_robustness
from upbringing.attribution.claims.tables import level_table
from upbringing.attribution.claims.warnings import study_warnings
from upbringing.attribution.contrasts.default_margins import MarginBasis
from upbringing.attribution.effects.indices import index_tables
from upbringing.attribution.effects.relearning import relearning_table
from upbringing.attribution.evidence.columns import READ_COLUMNS
from upbringing.attribution.evidence.flat import CHECKPOINT_COLUMNS, ITEM_COLUMNS, tree_of_flat_table
from upbringing.attribution.evidence.questions import sensitivity_questions
from upbringing.attribution.judges.calibration import DIGEST, JOINED_COLUMNS, Calibration, calibrate
from upbringing.attribution.judges.corrections import corrections_of
from upbringing.attribution.judges.judge_agreement import judge_agreement
from upbringing.attribution.protocols.chat_evidence import chat_evidence
from upbringing.attribution.protocols.direction_effect import direction_verdicts
from upbringing.attribution.protocols.direction_questions import direction_plans, direction_questions
from upbringing.attribution.protocols.direction_tables import direction_conclusions, direction_table
from upbringing.attribution.protocols.protocols import conclusions_of
from upbringing.attribution.statistics.risk_ratio import Ratio
from upbringing.attribution.validity.aliasing import alias_tables
from upbringing.attribution.validity.edited import fidelities_of, with_fidelity
from upbringing.attribution.validity.passports import passports_of
from upbringing.attribution.validity.validity import validity_of
from upbringing.attribution.words.sentences import LOOKED
from upbringing.base.errors import FormatError
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.labels import LABELS_NAME, read_labels_table
from upbringing.formats.looks import LOOKS_NAME, Look, read_looks
from upbringing.formats.tree import Tree, read_tree


def attribute(rows: pa.Table, tree: Tree, labels: pa.Table | None = None, *, other_estimators: bool = True) -> Findings:
    """Return what ``rows`` say about the design in ``tree``. The order of rows changes nothing.

    ``labels``: what people said of a sample of the answers, which calibrates the judges. ``other_estimators``: whether
    primary claims are estimated in other ways too (``robustness``), which takes most of the time of a small study.

    Raises ``FormatError`` for tables and trees that do not follow the public formats.
    """
    return _attribute(rows, tree, labels, other_estimators=other_estimators)


def _attribute(
    rows: pa.Table, tree: Tree, labels: pa.Table | None, *, other_estimators: bool, basis: MarginBasis | None = None
) -> Findings:
    """Return what ``rows`` say. ``basis``: the study that they are a part of, in which default margins were picked."""
    asked = asked_of(rows, tree, basis)
    completed, evidence, design = asked.tree, asked.evidence, asked.design
    directions = direction_plans(completed, evidence, design, asked.specs)
    sensitivity = sensitivity_questions(completed, evidence, design)
    questions = (*asked.questions, *sensitivity, *direction_questions(directions))
    calibration = Calibration() if labels is None else calibrate(rows, labels)
    corrections = corrections_of(rows, evidence, design, calibration, completed.study.judge_error_gap)
    validity = validity_of(completed, evidence, design)
    passports = passports_of(completed, evidence, validity, asked.specs, corrections, asked.basis)
    validity = replace(validity, passports=passports)
    validity = replace(validity, fidelities=fidelities_of(completed, evidence, design, validity))
    answers = [answer(question, evidence, design, validity, corrections) for question in questions]
    claims = claims_of(answers, completed, evidence, corrections)
    claims = with_robustness(claims, answers, evidence, design) if other_estimators else claims
    claims = with_copy_noise(claims)
    claims = with_assay(with_batch_noise(claims, completed), design, completed)
    claims = with_fidelity(claims, design, validity.fidelities, completed)
    grown = direction_verdicts(directions, claims)
    beside = chat_evidence(completed, validity, corrections, asked.basis)
    levels = level_table(evidence, design, validity, corrections)
    agreement = judge_agreement(evidence.scores.columns)
    relearning = relearning_table(evidence, design)
    robustness = robustness_lines(claims)
    findings = Findings(
        study=completed.study.name,
        question=completed.study.question,
        claims=claims,
        conclusions=(
            *conclusions_of(completed.study, claims, _sides(completed), beside, _ratios(claims, answers)),
            *direction_conclusions(grown),
        ),
        tables={
            "levels": levels,
            **calibration.tables,
            **index_tables(completed, evidence, design, validity, corrections),
            **alias_tables(design),
            **({"judge_agreement": agreement} if agreement else {}),
            **({"relearning": relearning} if relearning else {}),
            **({"robustness": robustness} if robustness else {}),
            **({"direction": direction_table(grown)} if grown else {}),
            **beside.tables,
            **({"fidelity": validity.fidelities.table} if design.edited else {}),
            "passports": validity.passports.table,
        },
        warnings=study_warnings(completed, evidence, validity, answers, claims, calibration),
    )
    again = partial(_attribute, labels=labels, other_estimators=False, basis=asked.basis)
    return with_health(findings, rows, completed, design, again)


def _sides(tree: Tree) -> dict[str, str]:
    """Return the direction of every measure."""
    return {each.id: each.direction for each in tree.measures}


def _ratios(claims: Sequence[Claim], answers: Sequence[Answered]) -> dict[str, Ratio]:
    """Return by claim the ratio of rates that was asked for, where it has one."""
    found = {claim.id: each.found.ratio for claim, each in zip(claims, answers, strict=True) if each.found is not None}
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def attribute_folder(folder: Path) -> Findings:
    """Return the findings of a folder with ``rows.parquet`` and, unless the rows carry their tree, ``tree.json``.

    Human labels are read from ``labels.parquet`` where there is one, looks from ``looks.json``.
    """
    return with_looks(attribute(*read_results(folder)), read_looks(folder / LOOKS_NAME).looks)


def with_looks(findings: Findings, looks: Sequence[Look]) -> Findings:
    """Return findings that say where their rows were looked at again and again while they grew."""
    if not looks:
        return findings
    last = {look.asked: look for look in looks}.values()
    said = [LOOKED.format(num=each.number, contrast=each.contrast, measure=each.measure) for each in last]
    lines = [look.model_dump(mode="json", exclude={"items", "weights", "checkpoints"}) for look in looks]
    repeated = [text for text, each in zip(said, last, strict=True) if each.number > 1]
    return findings.model_copy(
        update={"tables": {**findings.tables, "looks": lines}, "warnings": (*findings.warnings, *repeated)}
    )


def read_results(folder: Path) -> tuple[pa.Table, Tree, pa.Table | None]:
    """Return the rows, the tree and, where there are any, the human labels of a folder of results."""
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
    return rows, read_tree(tree_path) if tree_path.exists() else tree_of_flat_table(rows), labels
