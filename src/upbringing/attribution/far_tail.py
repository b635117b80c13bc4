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

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from upbringing.attribution.inference import Inference
from upbringing.formats.findings import Spread

NODES = 96  # of the quadrature: errors below 1e-10 where nothing has a kink, which the split at the floor ensures
UNSEEN = 1e-13  # mass of the chi-squared distribution beyond the last node
NORMAL_DF = 1e8  # from here on a t distribution is normal to the last digit
WIDEST = 1e6  # standard errors between which a quantile is sought


def tail(statistic: float, df: float | None, spread: Spread | None = None) -> float:
    """Return ``P(T > statistic)`` for a standardised estimate, ``statistic`` at least 0.

    ``df``: ``None`` = normal. ``spread``: what the standard error is made of, where runs and prompts are crossed. Never
    below the plain t tail, so that a correction for many tests never helps.
    """
    plain = float(special.ndtr(-statistic) if df is None else special.stdtr(df, -statistic))
    return plain if spread is None or spread.runs <= 0 else max(plain, _averaged(statistic, spread))


def far_p(inference: Inference) -> float | None:
    """Return the two-sided p-value against zero for a family of tests; ``None`` where ``inference`` has none."""
    if inference.p is None or inference.spread is None or not inference.standard_error:
        return inference.p
    return min(1.0, 2 * tail(abs(inference.estimate) / inference.standard_error, inference.df, inference.spread))


def quantile(confidence: float, df: float | None, spread: Spread | None = None) -> float:
    """Return how many standard errors either side hold ``confidence`` (two-sided), by ``tail``."""
    beyond = (1 - confidence) / 2
    plain = float(-special.ndtri(beyond) if df is None else special.stdtrit(df, 1 - beyond))
    if spread is None or tail(plain, df, spread) <= beyond * (1 + 1e-9):
        return plain
    return float(optimize.brentq(lambda at: tail(at, df, spread) - beyond, plain, WIDEST, xtol=1e-10))


def _averaged(statistic: float, spread: Spread) -> float:
    """Return the tail averaged over the variance that runs may have."""
    gap = statistic * spread.variance**0.5
    floor = min(spread.residual, spread.items)
    scale = spread.runs * spread.runs_df
    end = special.chdtri(spread.runs_df, UNSEEN)
    split = min(scale / floor, end) if floor > 0 else end
    nodes, weights = _legendre()
    root = np.sqrt(split) * (nodes + 1) / 2
    density = np.exp(
        (spread.runs_df - 1) * np.log(root)
        - root**2 / 2
        - special.gammaln(spread.runs_df / 2)
        - (spread.runs_df / 2 - 1) * np.log(2)
    )
    runs = scale / root**2
    below = _given(gap, runs, max(spread.items - spread.residual, 0.0) + spread.added, spread.items_df)
    total = float((weights * density * below).sum() * np.sqrt(split) / 2)
    if split < end:
        alone = _given(gap, np.zeros(1), spread.items + spread.added, spread.items_df)
        total += float(special.chdtrc(spread.runs_df, split) * alone[0])
    return total


def _given(gap: float, runs: NDArray[np.float64], items: float, items_df: float) -> NDArray[np.float64]:
    """Return the tail for each variance that the runs may add to that of the prompts."""
    variance = runs + items
    share = np.maximum(items / variance, 1e-9)
    df = np.minimum(items_df / share**2, NORMAL_DF)
    at = -gap / np.sqrt(variance)
    found: NDArray[np.float64] = np.where(df < NORMAL_DF, special.stdtr(df, at), special.ndtr(at))
    return found


@lru_cache(maxsize=1)
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights
