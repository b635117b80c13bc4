"""Acceptance from outside: studies of other kinds than the estimators were made for, in the public format.

Other links, heavy-tailed, skewed and unequal runs, unequal clusters, prompts that were not asked, answers that could
not be judged or are incoherent. A pilot of the same kind and size is planned with first: only what the planner calls
decidable has to be decided rightly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from upbringing.attribution.attribute import attribute
from upbringing.attribution.power.power import Goal, is_decided
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.formats.findings import Claim
from upbringing.validation.drawing import Drawn, draw
from upbringing.validation.process import STANDARD_NOISE, Design, Noise
from upbringing.validation.scenarios import Incoherence, PlantedCell, Scenario, two_cells
from upbringing.validation.tables import rows_of, tree_of
from upbringing.validation.trials_contrast import ALIKE, NAN
from upbringing.validation.trials_power import components_of

RATES = (0.15, 0.30, 0.45)  # of the recipe without the stage
EFFECTS = (0.05, 0.10, 0.20, 0.30, 0.40)
DEVIATIONS = (0.10, 0.25, 0.40)  # between runs of a cell, in logits; other links scale them
DESIGNS = tuple(Design(num_items=items, num_seeds=seeds) for items in (100, 200, 400) for seeds in (3, 5, 8))
LINK_SCALE = {"logit": 1.0, "probit": 0.6, "cloglog": 0.8}  # about the logit's slope at the middle
UNEQUAL = (1, 1, 2, 4, 8)  # prompts per base request
MARGIN = 0.05

NEEDED = 0.95  # the power at which a change counts as decidable: 95% of such changes have to be found


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of study. ``ratio``: how many times more the runs of the second cell vary."""

    name: str
    noise: Noise = STANDARD_NOISE
    ratio: float = 1.0
    cluster_sizes: tuple[int, ...] = ()
    unscored: float = 0.0
    absent: float = 0.0
    incoherent: Incoherence | None = None

    def scenario(self, rate: float, effect: float, deviation: float) -> Scenario:
        """Return the kind with these rates planted."""
        scale = LINK_SCALE[self.noise.link]
        noise = replace(
            self.noise,
            item=scale * self.noise.item,
            cell_item=scale * self.noise.cell_item,
            run=scale * self.noise.run,
            cell_run=scale * deviation,
        )
        first = PlantedCell(arm="without", rate=rate, incoherent=self.incoherent)
        second = PlantedCell(
            arm="with", rate=rate + effect, incoherent=self.incoherent, cell_run=self.ratio * noise.cell_run
        )
        cells, contrasts = two_cells(first, second, "with - without")
        return Scenario(
            id="O",
            title=self.name,
            cells=cells,
            contrasts=contrasts,
            noise=noise,
            unscored=self.unscored,
            absent=self.absent,
        )


KINDS = (
    Kind(name="as the estimators expect"),
    Kind(name="probit link", noise=Noise(link="probit")),
    Kind(name="complementary log-log link", noise=Noise(link="cloglog")),
    Kind(name="heavy-tailed runs (t, 3 df)", noise=Noise(runs="heavy")),
    Kind(name="skewed runs (exponential)", noise=Noise(runs="skewed")),
    Kind(name="runs of one cell vary three times as much", ratio=3.0),
    Kind(name="unequal clusters of 1 to 8 prompts", noise=Noise(variant=0.5), cluster_sizes=UNEQUAL),
    Kind(name="3% of prompts not asked", absent=0.03),
    Kind(name="2% of answers not judged", unscored=0.02),
    Kind(name="3% incoherent, more where harmful", incoherent=Incoherence(share=0.02, slope=0.5)),
)


@dataclass(frozen=True, kw_only=True)
class OutsideTrial:
    """Studies of one kind, of a size and with an effect drawn at random; every second one is null.

    A pilot of the same kind and size is drawn first, from which the planner says whether the effect is decidable.
    """

    kind: Kind

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study. ``right``: of planted effects that are decidable."""
        is_null = bool(random.random() < 0.5)
        rate, deviation = float(random.choice(RATES)), float(random.choice(DEVIATIONS))
        effect = 0.0 if is_null else float(random.choice(EFFECTS))
        design = replace(DESIGNS[int(random.integers(len(DESIGNS)))], cluster_sizes=self.kind.cluster_sizes)
        scenario = self.kind.scenario(rate, effect, deviation)
        claim = _claim(draw(scenario, design, random))
        decidable = not is_null and is_decidable(draw(scenario, design, random), effect)
        right = claim.verdict == "changed" and (claim.estimate or 0.0) > 0
        covered = NAN if claim.low is None or claim.high is None else float(claim.low <= effect <= claim.high)
        return {
            "decidable": NAN if is_null else float(decidable),
            "right": float(right) if decidable else NAN,
            "false": float(claim.verdict == "changed") if is_null else NAN,
            "wrong_sign": float(claim.verdict == "changed" and (claim.estimate or 0.0) < 0) if not is_null else NAN,
            "called_alike": float(claim.verdict in ALIKE) if effect > MARGIN else NAN,
            "covered": covered,
        }


def is_decidable(pilot: Drawn, effect: float) -> bool:
    """Return whether the planner, from a pilot, gives a study like it the power ``NEEDED`` to find ``effect``."""
    table = pilot.table(pilot.scenario.contrasts[0].weights)
    size = SampleSize(prompts=table.shape[1], seeds=len(table))
    found = sampling(components_of(table), size)
    is_open = any(cell.incoherent is not None for cell in pilot.scenario.cells) or pilot.scenario.unscored > 0
    bounds = _claim(pilot).bounds if is_open else {}
    unscored = (bounds["high"] - bounds["low"]) / 2 if bounds else 0.0
    return found is not None and is_decided(found, Goal("difference", effect, NEEDED, bias=unscored))


def _claim(drawn: Drawn) -> Claim:
    tree = tree_of(drawn.scenario, drawn.design, MARGIN)
    return attribute(rows_of(drawn), tree, other_estimators=False).claims[0]
