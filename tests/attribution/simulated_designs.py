"""Simulated studies of any cells with planted rates: the process of statistics-and-measures, section 7.4."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product

import numpy as np
import pyarrow as pa
from scipy import optimize, special

from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, MeasureInfo, StageInfo, StudyInfo, Tree

PROMPT, PROMPT_IN_CELL, SEED = 1.5, 0.5, 0.3  # standard deviations of logits
LOW, HIGH = 0.15, 0.40  # of a cell's own seed noise
MEASURE = "safe"
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)

State = Mapping[str, str]


@cache
def logit_of(rate: float, deviation: float) -> float:
    """The fixed part of the logit at which the expected rate over prompts, cells and seeds is ``rate``."""
    spread = np.sqrt(PROMPT**2 + PROMPT_IN_CELL**2 + SEED**2 + deviation**2)

    def off(centre: float) -> float:
        return float(NODE_WEIGHTS @ special.expit(centre + spread * NODES) / NODE_WEIGHTS.sum()) - rate

    return float(optimize.brentq(off, -30, 30))


def planted(
    seed: int,
    rates: Mapping[str, float],
    *,
    factors: Mapping[str, State] | None = None,
    contrasts: tuple[ContrastSpec, ...] = (),
    num_items: int = 200,
    num_seeds: int = 5,
    deviation: float = LOW,
    margin: float | None = None,
) -> tuple[pa.Table, Tree]:
    """Cells ``arm@position`` with planted rates; positions of one arm are one chain. ``factors``: by arm."""
    random = np.random.default_rng(seed)
    item_effect = random.normal(0, PROMPT, num_items)
    columns: dict[str, list[np.ndarray]] = {"checkpoint": [], "item": [], "value": []}
    checkpoints, cells = [], []
    items = np.array([f"q{number}" for number in range(num_items)])
    by_cell = {cell: random.normal(0, PROMPT_IN_CELL, num_items) for cell in rates}
    for run in range(num_seeds):
        shared = random.normal(0, SEED)
        parents: dict[str, str] = {}
        for cell, rate in rates.items():
            arm, _, position = cell.partition("@")
            name = f"{cell}-{run}"
            logits = logit_of(rate, deviation) + item_effect + by_cell[cell] + shared + random.normal(0, deviation)
            columns["checkpoint"].append(np.full(num_items, name))
            columns["item"].append(items)
            columns["value"].append((random.random(num_items) < special.expit(logits)).astype(np.float64))
            stages = (StageInfo(role="pretrain", kind="pretrain"),)
            checkpoints.append(Checkpoint(id=name, parent=parents.get(arm), stages=stages))
            parents[arm] = name
            seeds = CellSeeds(world=run, pretrain=run)
            cells.append(
                Cell(
                    arm=arm, position=position, checkpoint=name, seeds=seeds, factors=dict((factors or {}).get(arm, {}))
                )
            )
    table = pa.table({name: np.concatenate(parts) for name, parts in columns.items()})
    table = table.append_column("measure", pa.array([MEASURE] * table.num_rows))
    margins = {} if margin is None else {MEASURE: margin}
    tree = Tree(
        study=StudyInfo(name="simulated", margins=margins, contrasts=contrasts),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id=MEASURE, direction="higher-is-safer"),),
    )
    return table, tree


def crossed(
    names: tuple[str, ...], rate_of: Mapping[frozenset[str], float]
) -> tuple[dict[str, float], dict[str, State]]:
    """Rates and factors of a full on/off factorial at one position, all on first."""
    rates, factors = {}, {}
    for levels in product(("on", "off"), repeat=len(names)):
        on = frozenset(name for name, level in zip(names, levels, strict=True) if level == "on")
        arm = "+".join(levels)
        rates[f"{arm}@final"] = rate_of[on]
        factors[arm] = dict(zip(names, levels, strict=True))
    return rates, factors
