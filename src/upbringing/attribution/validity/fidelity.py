"""How well edited weights, or emulated tuning, predict retrained branches: agreement over cells, and what a lack of it
forbids. Each kind of proxy is calibrated by its own cells.

Source: statistics-and-measures 4.6 (fidelity rule) and gate A9. Departures: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.statistics.inference import CONFIDENCE
from upbringing.attribution.words.sentences import PROXIES_UNCALIBRATED, PROXIES_UNFAITHFUL
from upbringing.formats.tree import EDITED, FEWEST_CELLS, Proxy

LEAST_SPEARMAN = 0.8
NUM_RESAMPLES = 2000  # the ends of a 95% interval then vary by a few hundredths of its width
LEAST_DEFINED = 0.95  # of the resamples: with fewer there is no interval, because those left out are no random part
DIGITS = 12  # effects that differ by less are equal: the last bits of a mean are noise, and ranks would tell them apart
ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))  # of a number's fields in the findings' table
NUMBERS = ("sign_agreement", "spearman", "slope", "intercept", "rmse")

Status = Literal["faithful", "unfaithful", "uncalibrated"]
FROM_WORST: tuple[Status, ...] = ("unfaithful", "uncalibrated", "faithful")
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Number:
    """A number over cells with its 95% interval; ``None`` = it is not defined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Pair:
    """An edited or emulated cell and the retrained one that it stands for, both against the cell that was edited."""

    cell: str
    stands_for: str
    edited_from: str
    estimate: float
    retrained: float


@dataclass(frozen=True)
class Fidelity:
    """How one kind of proxy predicts retrained branches, read from one source. ``left_out``: cell to why it is no pair.

    ``numbers`` is empty below the fewest cells.
    """

    source: Source
    pairs: tuple[Pair, ...]
    numbers: Mapping[str, Number]
    left_out: Mapping[str, str]
    proxy: Proxy = EDITED

    @property
    def status(self) -> Status:
        """``uncalibrated`` below the fewest cells, ``unfaithful`` below the least Spearman or where it has none."""
        if len(self.pairs) < FEWEST_CELLS:
            return "uncalibrated"
        spearman = self.numbers["spearman"].value
        return "faithful" if spearman is not None and spearman >= LEAST_SPEARMAN else "unfaithful"

    @property
    def row(self) -> dict[str, Any]:
        """The line of the findings' table."""
        numbers = {name: self.numbers.get(name, Number()) for name in NUMBERS}
        flat = {f"{name}{end}": getattr(number, part) for name, number in numbers.items() for end, part in ENDS}
        return {
            "measure": self.source.measure,
            "condition": self.source.condition,
            "judge": self.source.judge,
            "split": self.source.split,
            "proxy": self.proxy,
            "cells": len(self.pairs),
            "status": self.status,
            **flat,
            "pairs": [asdict(pair) for pair in self.pairs],
            "left_out": dict(self.left_out),
        }

    @property
    def warning(self) -> str:
        """What a reader must know of claims on proxies that do not predict retrained branches."""
        split = "" if self.source.split is None else f", split {self.source.split}"
        spearman = self.numbers["spearman"].value
        return PROXIES_UNFAITHFUL[self.proxy].format(
            where=f"{self.source.measure} ({self.source.condition}{split})",
            spearman="not defined, because nothing varies," if spearman is None else f"{spearman:.2f}",
            num=len(self.pairs),
            least=LEAST_SPEARMAN,
        )


@dataclass(frozen=True)
class Fidelities:
    """The fidelity of each kind of proxy on every source of scores; none where all was trained."""

    found: Mapping[tuple[Proxy, str, str, str | None], Fidelity] = field(default_factory=dict)

    def status(self, source: Source, proxies: Iterable[Proxy]) -> Status:
        """Return how far what rests on ``proxies`` may be trusted on a source of scores: as the worst of them."""
        found = [self.found.get((proxy, source.measure, source.condition, source.split)) for proxy in proxies]
        statuses = ["uncalibrated" if each is None else each.status for each in found]
        return next(status for status in FROM_WORST if status in statuses)

    @property
    def table(self) -> list[dict[str, Any]]:
        """The table as it stands in the findings."""
        return [each.row for each in self.found.values()]

    def warnings(self) -> Iterator[str]:
        """Yield what a reader must know before citing a claim on a proxy."""
        for proxy in dict.fromkeys(each.proxy for each in self.found.values()):
            few = [each for each in self.found.values() if (each.proxy, each.status) == (proxy, "uncalibrated")]
            if few:
                measures = ", ".join(dict.fromkeys(each.source.measure for each in few))
                num = max(len(each.pairs) for each in few)
                yield PROXIES_UNCALIBRATED[proxy].format(measures=measures, num=num, fewest=FEWEST_CELLS)
        yield from (each.warning for each in self.found.values() if each.status == "unfaithful")


def fidelity_numbers(pairs: Sequence[Pair], random: np.random.Generator) -> dict[str, Number]:
    """Return sign agreement, Spearman, slope and intercept of retrained on estimate, and the root mean square error.

    Intervals are percentiles over ``NUM_RESAMPLES`` resamples of cells drawn from ``random``; that of the sign
    agreement is exact (Clopper and Pearson 1934). Signs agree where both are above, below or exactly 0. Source: Efron
    and Tibshirani 1993, chapter 13. Departures: none.
    """
    estimate = np.round([pair.estimate for pair in pairs], DIGITS)
    retrained = np.round([pair.retrained for pair in pairs], DIGITS)
    num = len(pairs)
    places = random.integers(0, num, size=(NUM_RESAMPLES, num))
    values = _statistics(estimate[None], retrained[None])
    resampled = _statistics(estimate[places], retrained[places])
    found = {name: _number(float(values[name][0]), resampled[name]) for name in NUMBERS[1:]}
    return {NUMBERS[0]: sign_agreement(estimate, retrained), **found}


def sign_agreement(estimate: Vector, retrained: Vector) -> Number:
    """Return the share of cells in which both effects have one sign, with its exact 95% interval."""
    agreed, num = int((np.sign(estimate) == np.sign(retrained)).sum()), len(estimate)
    tail = (1 - CONFIDENCE) / 2
    low = float(special.betaincinv(agreed, num - agreed + 1, tail)) if agreed else 0.0
    high = float(special.betaincinv(agreed + 1, num - agreed, 1 - tail)) if agreed < num else 1.0
    return Number(agreed / num, low, high)


def _statistics(estimate: Vector, retrained: Vector) -> dict[str, Vector]:
    """Return each number per row of (resamples, cells); NaN where nothing varies."""
    ranks = [stats.rankdata(each, axis=1) for each in (estimate, retrained)]
    slope = _ratio(_moment(estimate, retrained), _moment(estimate, estimate))
    return {
        "spearman": _ratio(_moment(*ranks), np.sqrt(_moment(ranks[0], ranks[0]) * _moment(ranks[1], ranks[1]))),
        "slope": slope,
        "intercept": retrained.mean(axis=1) - slope * estimate.mean(axis=1),
        "rmse": np.sqrt(((retrained - estimate) ** 2).mean(axis=1)),
    }


def _moment(one: Vector, other: Vector) -> Vector:
    """Return the covariance of two tables per row; exactly 0 where a row of either does not vary."""
    varies = (np.ptp(one, axis=1) > 0) & (np.ptp(other, axis=1) > 0)
    centred = (one - one.mean(axis=1, keepdims=True)) * (other - other.mean(axis=1, keepdims=True))
    found: Vector = np.where(varies, centred.mean(axis=1), 0.0)
    return found


def _ratio(above: Vector, below: Vector) -> Vector:
    found: Vector = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return found


def _number(value: float, resampled: Vector) -> Number:
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value):
        return Number()
    if len(known) < LEAST_DEFINED * len(resampled):
        return Number(value)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return Number(value, float(low), float(high))
