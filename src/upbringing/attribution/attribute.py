"""Rows in, findings out. Needs numpy, scipy and pyarrow; never torch, never the training side."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.attribution.cells import Evidence, evidence_of
from upbringing.attribution.claims import claims
from upbringing.attribution.defaults import default_contrasts
from upbringing.attribution.design import Design, design_of, units_of
from upbringing.attribution.flat import tree_of_flat_table, with_cells
from upbringing.attribution.sentences import FEW_SEEDS, NESTED, NO_MARGIN, ONE_ROOT, ONE_SEED, UNCALIBRATED
from upbringing.attribution.tables import level_table
from upbringing.attribution.validity import Validity
from upbringing.base.errors import FormatError
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import Tree, read_tree

RECIPE_SEEDS = 3


def attribute(rows: pa.Table, tree: Tree) -> Findings:
    """Return what ``rows`` say about the design in ``tree``. The order of rows changes nothing.

    Raises ``FormatError`` for tables and trees that do not follow the public formats.
    """
    completed = with_cells(tree)
    evidence = evidence_of(rows, completed)
    design = design_of(completed)
    unknown = sorted(set(evidence.scores.columns.checkpoint.labels) - {each.id for each in completed.checkpoints})
    if unknown:
        raise FormatError(f"the rows name the checkpoint {unknown[0]!r}, which tree.json does not list: add it there")
    specs = completed.study.contrasts or default_contrasts(design, evidence.scores.columns.measure.labels)
    found = claims(completed, evidence, design, specs)
    return Findings(
        study=completed.study.name,
        question=completed.study.question,
        claims=found,
        tables={"levels": level_table(evidence, design, Validity(completed, evidence, design))},
        warnings=tuple(_warnings(completed, evidence, design, found)),
    )


def attribute_folder(folder: Path) -> Findings:
    """Return the findings of a folder with ``rows.parquet`` and, unless the rows carry their tree, ``tree.json``."""
    path = folder / "rows.parquet"
    if not path.exists():
        raise FormatError(f"{folder} holds no rows.parquet: measure something first, or name the folder that does")
    try:
        rows = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path.name} is not a readable Parquet file: {error}") from None
    tree_path = folder / "tree.json"
    return attribute(rows, read_tree(tree_path) if tree_path.exists() else tree_of_flat_table(rows))


def _warnings(tree: Tree, evidence: Evidence, design: Design, found: tuple[Claim, ...]) -> list[str]:
    """Return the fixed sentences that apply to the whole study."""
    units = [units_of(design, (name,)) for name in design.cells]
    warnings = []
    most = max((len(each.units) for each in units), default=0)
    if any(each.is_one_root for each in units):
        warnings.append(ONE_ROOT)
    elif most <= 1:
        warnings.append(ONE_SEED)
    elif most < RECIPE_SEEDS:
        warnings.append(FEW_SEEDS)
    if any(claim.units.worlds > 1 for claim in found):
        warnings.append(NESTED)
    if found and not any(claim.margin is not None for claim in found):
        warnings.append(NO_MARGIN)
    for judge in evidence.scores.columns.judge.labels:
        if evidence.judge_kind(judge) in ("rule", "llm"):
            warnings.append(UNCALIBRATED.format(judge=judge))
    if tree.study.registered.amendments:
        warnings.append("Margins, primary measures or contrasts were changed after the first measurement.")
    return warnings
