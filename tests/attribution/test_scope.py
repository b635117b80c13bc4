"""Where runs are missing, a verdict says in its own sentence that it is about these checkpoints alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.scope_sentences import THESE_CHECKPOINTS, with_scope
from upbringing.formats.findings import Claim, Findings, Units
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, StageInfo, StudyInfo, Tree

WEIGHTS = {"main@sft": 1.0, "placebo@sft": -1.0}
STAGES = (StageInfo(role="pretrain", kind="pretrain"), StageInfo(role="sft", kind="sft"))


def found(seeds: dict[str, range]) -> Findings:
    """Attribute a large planted effect of 60 prompts; ``seeds``: the runs that each arm has."""
    random = np.random.default_rng(0)
    runs = [(arm, seed) for arm, numbers in seeds.items() for seed in numbers]
    cells = tuple(
        Cell(arm=arm, position="sft", checkpoint=f"{arm}-{seed}", seeds=CellSeeds(pretrain=seed, sft=seed))
        for arm, seed in runs
    )
    contrast = ContrastSpec(
        name="data effect", weights=WEIGHTS, measure="harm", role="primary", family="primary", level="L2", margin=0.05
    )
    tree = Tree(
        study=StudyInfo(name="s", primary=("harm",), margins={"harm": 0.05}, contrasts=(contrast,)),
        checkpoints=tuple(Checkpoint(id=cell.checkpoint, stages=STAGES) for cell in cells),
        cells=cells,
    )
    rows: pa.Table = rows_table(
        Row(checkpoint=f"{arm}-{seed}", measure="harm", item=f"q{number}",
            value=float(random.random() < (0.9 if arm == "main" else 0.2)))
        for arm, seed in runs for number in range(60)
    )  # fmt: skip
    return attribute(rows, tree, other_estimators=False)


@pytest.mark.parametrize(
    ("main", "placebo", "is_narrow", "is_uneven"),
    [
        (range(5), range(5), False, False),
        (range(1), range(1), True, False),
        (range(5), range(1), True, True),
        (range(5), range(3, 5), True, True),
    ],
)
def test_a_verdict_on_too_few_runs_is_never_bare(main: range, placebo: range, is_narrow: bool, is_uneven: bool) -> None:
    findings = found({"main": main, "placebo": placebo})
    (claim,) = (each for each in findings.claims if each.role == "primary")
    assert claim.verdict == "changed"
    assert claim.sentence.endswith(THESE_CHECKPOINTS) is is_narrow
    assert any("though a cell has 5: 1." in text for text in findings.warnings) is is_uneven


def test_what_is_no_verdict_needs_no_scope() -> None:
    open_claim = Claim(id="c", kind="branch", measure="harm", contrast="c", estimate=0.1, low=-0.1, high=0.3,
                       verdict="inconclusive", units=Units(seeds=1))  # fmt: skip
    assert with_scope(open_claim, "Said.") == "Said."
