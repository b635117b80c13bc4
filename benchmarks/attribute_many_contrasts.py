"""Seconds of ``attribute`` on 2,000 declared contrasts x 5 measures: at most 10 s on two cores.

Beside it, at a size that it can do, the script that one would write with pandas and statsmodels: filter, pivot, the
paired difference, a constant fitted by least squares with errors clustered by prompt and by seed. Both sides take
turns, and their estimates must agree. Memory is not the question here: 250,000 rows, of 50 cells, 5 seeds, 200 prompts.

Run: python benchmarks/attribute_many_contrasts.py [--contrasts 2000] [--peer 20] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import statsmodels.api as sm  # type: ignore[import-untyped]
from alternating import Ratio, alternate, at_least, at_most, light_machine

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Findings
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

CELLS, SEEDS, ITEMS, MEASURES = 50, 5, 200, 5
MAX_SECONDS = 10
AGREEMENT = 1e-9


def rows_of(random: np.random.Generator) -> pa.Table:
    """Return binary scores of every checkpoint on every item and measure."""
    shape = (MEASURES, CELLS, SEEDS, ITEMS)
    logits = random.normal(0, 1.5, ITEMS) + random.normal(0, 0.5, shape[:3])[..., None]
    measure, cell, seed, item = np.indices(shape).reshape(len(shape), -1)
    names = [f"arm{place}-{run}" for place in range(CELLS) for run in range(SEEDS)]
    return pa.table(
        {
            "checkpoint": pa.DictionaryArray.from_arrays((cell * SEEDS + seed).astype(np.int32), names),
            "measure": pa.DictionaryArray.from_arrays(measure.astype(np.int32), [f"m{n}" for n in range(MEASURES)]),
            "item": pa.DictionaryArray.from_arrays(item.astype(np.int32), [f"q{number}" for number in range(ITEMS)]),
            "value": (random.random(shape) < 1 / (1 + np.exp(-logits))).astype(np.float64).ravel(),
        }
    )


def contrasts_of(num: int, random: np.random.Generator) -> tuple[ContrastSpec, ...]:
    """Return ``num`` contrasts on every measure: differences, and every fourth one an interaction of four cells."""
    found = []
    for number in range(num):
        cells = random.permutation(CELLS)[: 4 if number % 4 == 3 else 2]
        signs = (1.0, -1.0, -1.0, 1.0)[: len(cells)]
        weights = {f"arm{cell}@final": sign for cell, sign in zip(cells.tolist(), signs, strict=True)}
        found += [
            ContrastSpec(
                name=f"c{number}", measure=f"m{measure}", weights=weights, kind="branch", level="L2", margin=0.1
            )
            for measure in range(MEASURES)
        ]
    return tuple(found)


def tree_of(contrasts: Sequence[ContrastSpec]) -> Tree:
    """Return the tree of the study with these contrasts declared."""
    names = [(place, run, f"arm{place}-{run}") for place in range(CELLS) for run in range(SEEDS)]
    pretrained = (StageInfo(role="pretrain", kind="pretrain"),)
    return Tree(
        study=StudyInfo(name="benchmark", contrasts=tuple(contrasts)),
        checkpoints=tuple(Checkpoint(id=name, stages=pretrained) for _, _, name in names),
        cells=tuple(
            Cell(arm=f"arm{place}", position="final", checkpoint=name, seeds=CellSeeds(pretrain=run))
            for place, run, name in names
        ),
        measures=tuple(MeasureInfo(id=f"m{number}") for number in range(MEASURES)),
        items=tuple(ItemInfo(id=f"q{number}") for number in range(ITEMS)),
    )


def by_hand(rows: pd.DataFrame, contrasts: Sequence[ContrastSpec]) -> list[tuple[float, float]]:
    """Return estimate and standard error of each contrast, as an analyst's script finds them."""
    found = []
    for spec in contrasts:
        own = rows[rows["measure"] == spec.measure]
        tables = [
            weight * own[own["cell"] == name].pivot(index="item", columns="seed", values="value")
            for name, weight in spec.weights.items()
        ]
        difference = sum(tables[1:], tables[0]).stack().rename("difference").reset_index()
        groups = np.column_stack([pd.factorize(difference[name])[0] for name in ("item", "seed")])
        fit = sm.OLS(difference["difference"], np.ones(len(difference))).fit(
            cov_type="cluster", cov_kwds={"groups": groups}
        )
        found.append((float(fit.params.iloc[0]), float(fit.bse.iloc[0])))
    return found


def frame_of(rows: pa.Table) -> pd.DataFrame:
    """Return the rows as the script reads them."""
    frame = rows.to_pandas()
    place, seed = zip(*(name.split("-") for name in frame["checkpoint"].astype(str)), strict=True)
    return frame.assign(cell=[f"{name}@final" for name in place], seed=[int(number) for number in seed])


def seconds(call: object, *arguments: object) -> tuple[float, object]:
    """Return how long a call took, and what it returned."""
    started = time.perf_counter()
    result = call(*arguments)  # type: ignore[operator]
    return time.perf_counter() - started, result


def largest_difference(findings: Findings, found: Sequence[tuple[float, float]]) -> float:
    """Return how far the estimates of both sides are apart at most."""
    own = [claim.estimate or 0.0 for claim in findings.claims[: len(found)]]
    return float(np.abs(np.array(own) - np.array(found)[:, 0]).max())


def main() -> None:
    """Time the whole, then both sides in turns at a size that the script can do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contrasts", type=int, default=2000)
    parser.add_argument("--peer", type=int, default=20, help="contrasts of the side-by-side comparison")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(light_machine())
    random = np.random.default_rng(0)
    rows = rows_of(random)
    contrasts = contrasts_of(options.contrasts, random)
    processor = time.process_time()
    took, findings = seconds(attribute, rows, tree_of(contrasts))
    processor = time.process_time() - processor
    assert isinstance(findings, Findings)
    print(
        f"attribute, {len(contrasts):,} contrasts: {took:.1f} s ({processor:.1f} s of processor time); "
        f"{at_most(took, MAX_SECONDS)}; {len(findings.claims):,} claims"
    )
    few = contrasts[: options.peer * MEASURES]
    frame, small = frame_of(rows), tree_of(few)
    sides = {
        "ours": lambda: seconds(attribute, rows, small)[0],
        "pandas and statsmodels": lambda: seconds(by_hand, frame, few)[0],
    }
    times = alternate(sides, options.rounds)
    ratio = Ratio.of(times["pandas and statsmodels"], times["ours"])
    per = {name: 1000 * min(values) / len(few) for name, values in times.items()}
    print(
        f"{len(few)} contrasts, the script / attribute: {ratio}; {at_least(ratio.median, 1)}; "
        + ", ".join(f"{name} {each:.2f} ms per contrast" for name, each in per.items())
    )
    apart = largest_difference(findings, by_hand(frame, few))
    print(f"estimates differ by at most {apart:.1e}; {at_most(apart, AGREEMENT)}")


if __name__ == "__main__":
    main()
