"""Runs of cells that share no seed: prompts are paired, runs are not, so how far the runs of each cell differ counts.

Source: our own derivation, statistics-and-measures 3.3: ``SE^2 = V_prompt(paired) + sum_c w_c^2 V_seed,c / S_c`` with
Satterthwaite's degrees of freedom; without any noise of prompts it is Welch's test. Departures: the noise of single
answers stands in both parts and is taken out once; neither part alone is gone below, as in ``crossed``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.crossed import NEGLIGIBLE_VARIANCE, components
from upbringing.attribution.statistics.inference import Inference, t_inference

Matrix = NDArray[np.float64]
METHOD = "paired prompts, runs of each cell apart"
UNPAIRED_RUNS = (
    "The runs of {contrast} share no seed: only prompts are paired, and how far the runs of each cell differ counts."
)
RUNS_APART = "runs that share no seed are compared by the claim's own estimator alone"


def unpaired_inference(weights: Sequence[float], tables: Sequence[Matrix]) -> Inference:
    """Return the recipe-level inference for ``sum of weight x mean``.

    ``tables``: per cell (independent runs, prompt clusters), NaN where not observed, all on the same clusters; one row
    for a cell that is no sample of runs. Clusters that some cell lacks altogether are left out.
    """
    means = np.array([_over_runs(table) for table in tables])
    kept = ~np.isnan(means).any(axis=0)
    change = np.asarray(weights) @ means[:, kept]
    num = len(change)
    estimate = float(change.mean())
    if num < 2:
        return Inference(estimate, METHOD)
    of_prompts = float(change.var(ddof=1)) / num
    squares = of_prompts**2 / (num - 1)
    of_runs = shared = 0.0
    fewest = np.inf
    for weight, table in zip(weights, tables, strict=True):
        if len(table) > 1:
            found = components(table[:, kept])
            runs, both = (weight**2 * part / found.num_scores for part in (found.seeds, found.residual))
            squares += runs**2 / (found.num_seeds - 1)
            squares += both**2 / found.residual_df if found.residual_df else 0.0
            of_runs, shared = of_runs + runs, shared + both
            fewest = min(fewest, found.num_seeds - 1)
    variance = max(of_prompts + of_runs - shared, of_prompts, of_runs)
    if variance <= NEGLIGIBLE_VARIANCE:
        return Inference(estimate, METHOD)
    return t_inference(estimate, variance**0.5, max(float(fewest), variance**2 / squares), METHOD)


def _over_runs(table: Matrix) -> Matrix:
    """Return the mean of each cluster over the runs that have it; NaN where none does."""
    seen = ~np.isnan(table)
    counts = seen.sum(axis=0)
    means: Matrix = np.where(counts > 0, np.where(seen, table, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    return means
