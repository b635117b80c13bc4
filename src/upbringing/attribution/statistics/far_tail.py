"""Recipe-level tests at the small levels that a family's correction asks, where estimated degrees of freedom fail.

A few runs show their own spread badly: with five, their mean square is below a fifth of its expectation in one study of
fifty. The prompts' then carries the whole standard error, Satterthwaite's degrees of freedom grow to hundreds, and the
t distribution has lost the heavy tail that such studies put into it. At 5% that is averaged out (gates I1 and I2); at
5% / 24 it is not: 11% of null studies found one of 24 effects. Here the runs' variance keeps its own chi-squared
distribution: ``V = max(MSI + x - MSE, MSI, x)`` with ``x = MSS (S-1) / chi2(S-1)``, and a tail probability is the mean
over it. Source: generalised p-values (Tsui and Weerahandi 1989; Weerahandi 1995) with the floors of ``crossed``.
Departures: only the runs' part is averaged over; the prompts', with many degrees of freedom, enters by a t quantile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from upbringing.attribution.statistics.inference import Inference
from upbringing.formats.findings import Spread

NODES = 96  # of the quadrature: errors below 1e-10 where nothing has a kink, which the split at the floor ensures
FEW_NODES = 48  # for the hundreds of spreads of a plan: errors below 1e-4 of a half width for 24 tests, 3e-3 for 200
STEPS = 60  # at most; a handful brings a half width within ``CLOSE``
CLOSE = 1e-5
UNSEEN = 1e-13  # mass of the chi-squared distribution beyond the last node
NORMAL_DF = 1e8  # from here on a t distribution is normal to the last digit
TINY = 1e-300  # a variance of nothing, of which nothing is ever asked but that it does not divide by zero
WIDEST = 1e6  # standard errors below which a quantile is sought

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Spreads:
    """Several spreads of equal degrees of freedom, as vectors of variances (``formats.findings.Spread``)."""

    items: Vector
    runs: Vector
    residual: Vector
    added: Vector
    items_df: float
    runs_df: float


def tail(statistic: float, df: float | None, spread: Spread | None = None) -> float:
    """Return ``P(T > statistic)`` for a standardised estimate, ``statistic`` at least 0.

    ``df``: ``None`` = normal. ``spread``: what the standard error is made of, where runs and prompts are crossed. Never
    below the plain t tail, so that a correction for many tests never helps.
    """
    plain = float(special.ndtr(-statistic) if df is None else special.stdtr(df, -statistic))
    return (
        plain
        if spread is None or spread.runs <= 0
        else max(plain, float(_averaged(np.array([statistic * spread.variance**0.5]), _one(spread))[0]))
    )


def far_p(inference: Inference) -> float | None:
    """Return the two-sided p-value against zero for a family of tests; ``None`` where ``inference`` has none."""
    if inference.p is None or inference.spread is None or not inference.standard_error:
        return inference.p
    return min(1.0, 2 * tail(inference.gap / inference.standard_error, inference.df, inference.spread))


def quantile(confidence: float, df: float | None, spread: Spread | None = None) -> float:
    """Return how many standard errors either side hold ``confidence`` (two-sided), by ``tail``."""
    beyond = (1 - confidence) / 2
    plain = float(-special.ndtri(beyond) if df is None else special.stdtrit(df, 1 - beyond))
    if spread is None or tail(plain, df, spread) <= beyond * (1 + 1e-9):
        return plain
    return float(optimize.brentq(lambda at: tail(at, df, spread) - beyond, plain, WIDEST, xtol=1e-10))


def half_widths(plain: Vector, beyond: float, spreads: Spreads) -> Vector:
    """Return how far an estimate must lie from zero for ``tail`` to be ``beyond``: at least ``plain``."""
    goal = np.log(beyond)

    def missed(at: Vector) -> Vector:
        return np.asarray(np.log(np.maximum(_averaged(plain * np.exp(at), spreads, FEW_NODES), TINY)) - goal)

    low, high = np.zeros(len(plain)), np.full(len(plain), np.log(WIDEST))
    before, at = low, np.full(len(plain), np.log(2.0))
    missed_before = missed(low)
    fits = missed_before <= 0
    for _ in range(STEPS):  # secants, inside a bracket that is halved where they leave it
        found = missed(at)
        low, high = np.where(found > 0, at, low), np.where(found > 0, high, at)
        step = np.where(found == missed_before, 1.0, found - missed_before)
        after = at - found * (at - before) / step
        after = np.where((after > low) & (after < high), after, (low + high) / 2)
        before, missed_before, at = at, found, after
        if float(np.abs(at - before)[~fits].max(initial=0.0)) < CLOSE:
            break
    widths: Vector = np.where(fits, plain, plain * np.exp(at))
    return widths


def _one(spread: Spread) -> Spreads:
    items, runs, residual, added = np.array([[spread.items], [spread.runs], [spread.residual], [spread.added]])
    return Spreads(items, runs, residual, added, spread.items_df, spread.runs_df)


def _averaged(gap: Vector, spreads: Spreads, num_nodes: int = NODES) -> Vector:
    """Return the probability of an estimate beyond ``gap``, averaged over the variance that runs may have."""
    df = spreads.runs_df
    floor = np.minimum(spreads.residual, spreads.items)
    scale = spreads.runs * df
    end = float(special.chdtri(df, UNSEEN))
    split = np.where(floor > 0, np.minimum(scale / np.where(floor > 0, floor, 1.0), end), end)[:, None]
    nodes, weights = _legendre(num_nodes)
    root = np.sqrt(split) * (nodes + 1) / 2
    rest = special.gammaln(df / 2) + (df / 2 - 1) * np.log(2)
    density = np.exp((df - 1) * np.log(root) - root**2 / 2 - rest)
    always = (np.maximum(spreads.items - spreads.residual, 0.0) + spreads.added)[:, None]
    below = _given(gap[:, None], scale[:, None] / root**2, always, spreads.items_df)
    alone = _given(gap, np.zeros(len(gap)), spreads.items + spreads.added, spreads.items_df)
    total: Vector = (weights * density * below).sum(axis=1) * np.sqrt(split[:, 0]) / 2
    return total + np.where(split[:, 0] < end, special.chdtrc(df, split[:, 0]) * alone, 0.0)


def _given(gap: Vector, runs: Vector, items: Vector, items_df: float) -> Vector:
    """Return the tail for each variance that the runs may add to that of the prompts."""
    variance = np.maximum(runs + items, TINY)
    share = np.maximum(items / variance, 1e-9)
    df = np.minimum(items_df / share**2, NORMAL_DF)
    at = -gap / np.sqrt(variance)
    found: Vector = np.where(df < NORMAL_DF, special.stdtr(df, at), special.ndtr(at))
    return found


@lru_cache(maxsize=4)
def _legendre(num: int) -> tuple[Vector, Vector]:
    nodes, weights = np.polynomial.legendre.leggauss(num)
    return nodes, weights
