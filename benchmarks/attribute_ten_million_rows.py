"""Seconds and peak memory of ``attribute`` on ten million rows: at most 60 s and 4 GiB on two cores.

Run: python benchmarks/attribute_ten_million_rows.py [rows in millions]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from alternating import at_most, light_machine

from upbringing.attribution.attribute import attribute_folder
from upbringing.formats.rows import ROWS_SCHEMA
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ConditionInfo,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

ARMS, STAGES, SEEDS = ("intervention", "placebo"), ("pretrain", "midtrain", "sft", "rl", "finetune"), 5
MEASURES, CONDITIONS, SAMPLES = 10, 2, 5
MILLION = 1_000_000
MAX_SECONDS, MAX_GIB = 60, 4


def tree_of(num_items: int) -> Tree:
    """A study of 50 checkpoints: two arms, five stages, five seeds."""
    checkpoints, cells = [], []
    for arm in ARMS:
        for seed in range(SEEDS):
            parent = None
            for stage in STAGES:
                name = f"{arm}-{stage}-{seed}"
                kind = stage if stage in ("pretrain", "midtrain") else "sft"
                checkpoints.append(Checkpoint(id=name, parent=parent, stages=(StageInfo(role=stage, kind=kind),)))
                control = "placebo" if arm == "placebo" else "none"
                seeds = CellSeeds(pretrain=seed)
                cells.append(Cell(arm=arm, position=stage, checkpoint=name, control=control, seeds=seeds))
                parent = name
    return Tree(
        study=StudyInfo(name="benchmark", primary=("measure-0",), margins={"measure-0": 0.05}),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=tuple(MeasureInfo(id=f"measure-{number}") for number in range(MEASURES)),
        conditions=tuple(
            ConditionInfo(id=f"condition-{number}", elicitation="E1", template=str(number))
            for number in range(CONDITIONS)
        ),
        items=tuple(
            ItemInfo(id=f"item-{number}", cluster=f"cluster-{number // 2}", request="harmful")
            for number in range(num_items)
        ),
    )


def write_table(folder: Path, num_rows: int) -> None:
    """Write ``rows.parquet`` and ``tree.json`` with about ``num_rows`` rows of binary scores."""
    num_checkpoints = len(ARMS) * len(STAGES) * SEEDS
    num_items = num_rows // (num_checkpoints * MEASURES * CONDITIONS * SAMPLES)
    tree = tree_of(num_items)
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")
    shape = (num_checkpoints, MEASURES, CONDITIONS, num_items, SAMPLES)
    index = np.indices(shape, dtype=np.int32).reshape(len(shape), -1)
    random = np.random.default_rng(0)
    index = index[:, random.permutation(index.shape[1])]
    labels = [[each.id for each in group] for group in (tree.checkpoints, tree.measures, tree.conditions, tree.items)]
    names = ("checkpoint", "measure", "condition", "item")
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))
        for name, codes, values in zip(names, index[:4], labels, strict=True)
    }
    total = index.shape[1]
    columns |= {"sample": pa.array(index[4]), "value": pa.array((random.random(total) < 0.4).astype(np.float64))}
    for field in ROWS_SCHEMA:
        if field.name not in columns:
            fixed = {"judge": "rules/1", "status": "scored", "judge_kind": "rule", "turn": 0}.get(field.name)
            kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
            array = pa.repeat(pa.scalar(fixed, kind), total)
            columns[field.name] = array.dictionary_encode() if pa.types.is_dictionary(field.type) else array
    table = pa.table({name: columns[name] for name in ROWS_SCHEMA.names})
    pq.write_table(table, folder / "rows.parquet", compression="zstd")


def measure(folder: Path) -> None:
    """Attribute ``folder`` in this process and print what it took."""
    started = time.perf_counter()
    findings = attribute_folder(folder)
    seconds = time.perf_counter() - started
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kibibytes on Linux
    print(
        f"attribute: {seconds:.1f} s; {at_most(seconds, MAX_SECONDS)}; peak {gib:.2f} GiB; {at_most(gib, MAX_GIB)}; "
        f"{len(findings.claims)} claims, {len(findings.tables['levels'])} levels"
    )


def main() -> None:
    """Write the table, then attribute it in a fresh process, whose memory is only its own."""
    if len(sys.argv) == 3 and sys.argv[1] == "--measure":
        measure(Path(sys.argv[2]))
        return
    print(light_machine())
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as name:
        write_table(Path(name), int(millions * MILLION))
        subprocess.run([sys.executable, __file__, "--measure", name], check=True)


if __name__ == "__main__":
    main()
