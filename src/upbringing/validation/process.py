"""The data-generating process: prompts crossed with training runs on the scale of a link, and its exact means.

``link(P(y = 1 | cell, item, run)) = m_cell + u_item + v_cell,item + r_run + w_cell,run``. Source:
statistics-and-measures 7.4. Departures: requests may have variants (``variant``), runs may share a pretraining run
(``root``), and ``w`` need not be normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]
Link = Literal["logit", "probit", "cloglog"]
RunShape = Literal["normal", "heavy", "skewed", "bimodal", "outliers"]

NODES = 80  # Gauss-Hermite nodes: means of probabilities are exact to 1e-9 for deviations up to 2
QUANTILES = 1000  # midpoints that stand for a distribution without a quadrature rule of its own
OUTLIERS = 0.1  # share of runs that are outliers, and how many standard deviations away they lie
OUTLIER_SHIFT = 5.0
HEAVY_DF = 3.0
PEAK = np.sqrt(0.9)  # where the two peaks of bimodal runs stand; each has a variance of 0.1
LOW, HIGH = 0.15, 0.40  # the two standard deviations between runs of one cell that gates are run at


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations on the link's scale, and the shape of the runs' own deviation ``w`` (``runs``).

    ``root``: between pretraining runs of one cell, where several runs branch off one.
    """

    item: float = 1.5
    cell_item: float = 0.7
    run: float = 0.3
    cell_run: float = LOW
    variant: float = 0.0
    root: float = 0.0
    runs: RunShape = "normal"
    link: Link = "logit"

    @property
    def prompts(self) -> float:
        """The deviation between prompts of one cell and run."""
        return float(np.sqrt(self.item**2 + self.cell_item**2 + self.variant**2))

    @property
    def normal(self) -> float:
        """The deviation of everything that is normal whatever shape the runs have."""
        return float(np.sqrt(self.prompts**2 + self.run**2 + self.root**2))


STANDARD_NOISE = Noise()


@dataclass(frozen=True, kw_only=True)
class Design:
    """How much is measured. ``num_branches``: runs that branch off each of the ``num_seeds`` pretraining runs.

    ``num_variants``: prompts that share one base request; ``num_items`` counts prompts. ``cluster_sizes``: how many
    share it where that differs, in an order that repeats.
    """

    num_items: int
    num_seeds: int
    num_branches: int = 1
    num_variants: int = 1
    cluster_sizes: tuple[int, ...] = ()

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The base request of each prompt."""
        sizes = self.cluster_sizes or (self.num_variants,)
        repeats = -(-self.num_items // sum(sizes))
        return np.repeat(np.arange(repeats * len(sizes)), np.tile(sizes, repeats))[: self.num_items]

    @property
    def num_runs(self) -> int:
        """Runs of each cell."""
        return self.num_seeds * self.num_branches

    @property
    def label(self) -> str:
        """Prompts and seeds, as tables name them."""
        branches = f" x {self.num_branches}" if self.num_branches > 1 else ""
        return f"N={self.num_items}, S={self.num_seeds}{branches}"


SMALL = Design(num_items=100, num_seeds=3)
MEDIUM = Design(num_items=200, num_seeds=5)
LARGE = Design(num_items=400, num_seeds=10)


def probability(link: Link, scale: Array) -> Array:
    """Return the probabilities of values on the link's scale."""
    found: Array
    if link == "logit":
        found = special.expit(scale)
    elif link == "probit":
        found = special.ndtr(scale)
    else:
        found = -np.expm1(-np.exp(scale))
    return found


def draw_runs(random: np.random.Generator, shape: RunShape, size: tuple[int, ...]) -> Array:
    """Return deviations of runs in units of their standard deviation (before outliers are added)."""
    if shape == "heavy":
        heavy: Array = random.standard_t(HEAVY_DF, size) / np.sqrt(HEAVY_DF / (HEAVY_DF - 2))
        return heavy
    if shape == "skewed":
        return random.standard_exponential(size) - 1.0
    if shape == "bimodal":
        peaks: Array = np.where(random.random(size) < 0.5, -PEAK, PEAK)
        return peaks + random.normal(0.0, np.sqrt(1 - PEAK**2), size)
    shift = OUTLIER_SHIFT * (random.random(size) < OUTLIERS) if shape == "outliers" else 0.0
    return random.normal(0.0, 1.0, size) + shift


@lru_cache(maxsize=64)
def run_rule(shape: RunShape) -> tuple[Array, Array]:
    """Return nodes and weights for means over ``draw_runs``."""
    nodes, weights = normal_rule()
    if shape == "heavy":
        places = (np.arange(QUANTILES) + 0.5) / QUANTILES
        values = stats.t.ppf(places, HEAVY_DF) / np.sqrt(HEAVY_DF / (HEAVY_DF - 2))
        return values, np.full(QUANTILES, 1 / QUANTILES)
    if shape == "skewed":
        values, mass = np.polynomial.laguerre.laggauss(NODES)
        return values - 1.0, mass
    if shape == "bimodal":
        inside = np.sqrt(1 - PEAK**2) * nodes
        return np.concatenate([inside - PEAK, inside + PEAK]), np.concatenate([weights, weights]) / 2
    if shape == "outliers":
        moved = np.concatenate([nodes, nodes + OUTLIER_SHIFT])
        return moved, np.concatenate([(1 - OUTLIERS) * weights, OUTLIERS * weights])
    return nodes, weights


@lru_cache(maxsize=1)
def normal_rule() -> tuple[Array, Array]:
    """Return Gauss-Hermite nodes and weights for means over a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / weights.sum()


def mean_rate(noise: Noise, level: float) -> float:
    """Return the share of ones over all prompts and runs of a cell at ``level`` on the link's scale."""
    if noise.runs == "normal":
        around: Array = np.array([level])
        mass: Array = np.ones(1)
        deviation = float(np.hypot(noise.normal, noise.cell_run))
    else:
        nodes, mass = run_rule(noise.runs)
        around, deviation = level + noise.cell_run * nodes, noise.normal
    return float(mass @ rates_given(noise.link, around, deviation))


def rates_given(link: Link, levels: Array, deviation: float) -> Array:
    """Return for each of ``levels`` the mean probability over a normal deviation around it."""
    nodes, weights = normal_rule()
    found: Array = probability(link, levels[..., None] + deviation * nodes) @ weights
    return found


@lru_cache(maxsize=4096)
def level_of(noise: Noise, rate: float) -> float:
    """Return the level on the link's scale at which the mean rate is ``rate``."""
    return float(optimize.brentq(lambda level: mean_rate(noise, level) - rate, -25.0, 25.0, xtol=1e-12))
