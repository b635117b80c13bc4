"""What papers do that this program does not: kept here so that it can be shown to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from upbringing.validation.drawing import draw
from upbringing.validation.process import Array, Design
from upbringing.validation.scenarios import Scenario

NUM_RESAMPLES = 400
TAILS = (0.025, 0.975)


def bootstrap_share(part: Array, total: Array, random: np.random.Generator) -> tuple[float, float]:
    """Return the percentile bootstrap interval of mean(part) / mean(total), both (runs, prompts).

    Runs and prompts are drawn with replacement, the same draw for both tables.
    """
    num_runs, num_items = part.shape
    runs = random.multinomial(num_runs, np.full(num_runs, 1 / num_runs), NUM_RESAMPLES) / num_runs
    items = random.multinomial(num_items, np.full(num_items, 1 / num_items), NUM_RESAMPLES) / num_items
    means = [((runs @ table) * items).sum(axis=1) for table in (part, total)]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = means[0] / means[1]
    low, high = np.nanquantile(shares, TAILS)
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class BootstrapShareTrial:
    """The share of a chain's first stage in its total, with the percentile bootstrap of the ratio."""

    scenario: Scenario
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study. ``printed``: a share with finite bounds is given whatever the total is."""
        drawn = draw(self.scenario, self.design, random)
        first = self.scenario.contrasts[0]
        share = self.scenario.share(first)
        low, high = bootstrap_share(drawn.table(first.weights), drawn.table(first.share_of), random)
        return {
            "covered": float("nan") if share is None else float(low <= share <= high),
            "printed": float(np.isfinite(low) and np.isfinite(high)),
        }
