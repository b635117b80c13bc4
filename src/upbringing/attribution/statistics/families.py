"""Families of tests that are corrected together: adjusted p-values, and what a test can still find in its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.far_tail import far_p, quantile
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference, minimum_detectable, normal_quantile
from upbringing.attribution.statistics.multiplicity import benjamini_hochberg, holm


@dataclass(frozen=True)
class Tested:
    """A question as its family sees it. ``inference``: what decides it, ``None`` without an answer.

    ``is_asked``: without a p-value it counts all the same, as a primary question that something blocked does.
    """

    family: str
    is_primary: bool
    inference: Inference | None
    is_asked: bool

    @property
    def p(self) -> float | None:
        """The unadjusted p-value."""
        return None if self.inference is None else self.inference.p


@dataclass(frozen=True)
class Adjustment:
    """``p``: adjusted. ``detectable``: the smallest change that its family would find with 80% power."""

    p: float | None
    detectable: float | None


def corrected_together(tests: Sequence[Tested]) -> list[Adjustment]:
    """Return the tests corrected: Holm within each primary family, Benjamini-Hochberg within the others.

    What a primary test can find is stated at Holm's first step, as a plan does; in other families at 5% each, for there
    the level depends on what the others show.
    """
    families: dict[tuple[bool, str], list[int]] = {}
    for number, each in enumerate(tests):
        if each.p is not None or (each.is_primary and each.is_asked):
            families.setdefault((each.is_primary, each.family), []).append(number)
    result = [Adjustment(None, _detectable(each.inference, 1)) for each in tests]
    for (is_primary, _), members in families.items():
        num = len(members)
        values = np.array([1.0 if (p := _p(tests[number], num)) is None else p for number in members])
        adjust: Callable[[NDArray[np.float64]], NDArray[np.float64]] = holm if is_primary else benjamini_hochberg
        for number, value in zip(members, adjust(values).tolist(), strict=True):
            if tests[number].p is not None:
                result[number] = Adjustment(value, _detectable(tests[number].inference, num if is_primary else 1))
    return result


def _p(test: Tested, num_tests: int) -> float | None:
    return test.p if num_tests == 1 or test.inference is None else far_p(test.inference)


def _detectable(inference: Inference | None, num_tests: int) -> float | None:
    if inference is None or num_tests == 1:
        return None if inference is None else minimum_detectable(inference)
    confidence = 1 - (1 - CONFIDENCE) / num_tests
    if inference.df is None:
        return minimum_detectable(inference, normal_quantile(confidence))
    return minimum_detectable(inference, quantile(confidence, inference.df, inference.spread))
