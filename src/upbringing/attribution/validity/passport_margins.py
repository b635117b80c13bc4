"""A contrast of a passport held against its margin: declared, or else the default by the rule of claims."""

from __future__ import annotations

import math
from dataclasses import dataclass

from upbringing.attribution.contrasts.estimates import Estimate
from upbringing.attribution.statistics.equivalence import is_equivalent
from upbringing.attribution.statistics.far_tail import quantile
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference
from upbringing.attribution.statistics.risk_ratio import Ratio
from upbringing.attribution.words.margin_words import margin_of_spec
from upbringing.formats.tree import ContrastSpec

UNDECLARED = "no margin was declared"


@dataclass(frozen=True)
class Size:
    """An effect in words and as numbers (95 % interval), on the scale of what it is held against (``threshold``)."""

    words: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None


@dataclass(frozen=True)
class Held:
    """A contrast of a measure's headline scores. ``spec``: with its margin, or the risk ratio in its place.

    ``why``: why it has none, or no ratio that could be held against one; empty where it has.
    """

    spec: ContrastSpec
    found: Estimate
    why: str = ""

    @property
    def inference(self) -> Inference:
        """The inference on the difference."""
        assert self.found.inference is not None
        return self.found.inference

    @property
    def ratio(self) -> Ratio | None:
        """The ratio of rates, where that is what is held against something."""
        return None if self.spec.ratio_margin is None or self.why else self.found.ratio

    @property
    def is_alike(self) -> bool:
        """Whether both one-sided tests at 5% pass; one and the same checkpoint needs none."""
        if self.found.is_same_checkpoint:
            return True
        if self.spec.ratio_margin is not None:
            return self.ratio is not None and self.ratio.is_within(self.spec.ratio_margin)
        return is_equivalent(self.inference, self.spec.margin)

    def is_beyond(self, num: int) -> bool:
        """Return whether the effect surely exceeds its margin, all ``num`` of them together at 95% (Bonferroni)."""
        if self.why:
            return False
        if self.spec.ratio_margin is None:
            return self.spec.margin is not None and _is_beyond(self.inference, self.spec.margin, num)
        if self.ratio is None or self.ratio.limits is None:
            return False
        low, high = self.ratio.limits(1 - (1 - CONFIDENCE) / num, in_family=True)
        return low > self.spec.ratio_margin or high < 1 / self.spec.ratio_margin

    @property
    def size(self) -> Size:
        """How large the effect is."""
        found, ratio = self.inference, self.ratio
        if ratio is None:
            return Size(f"{found.estimate:+.2f}", found.estimate, found.low, found.high, self.spec.margin)
        words = "without events to bound it" if ratio.estimate is None else f"{ratio.estimate:.2f}"
        high = ratio.high if math.isfinite(ratio.high) else None
        return Size(f"a risk ratio of {words}", ratio.estimate, ratio.low, high, self.spec.ratio_margin)

    @property
    def needed(self) -> str:
        """What the effect must stay within: a margin that was declared by its size alone."""
        if self.spec.margin_default is None and self.spec.ratio_margin is None:
            return f"less than {self.spec.margin:g}"
        return f"less than {margin_of_spec(self.spec)}"


def _is_beyond(inference: Inference, margin: float, num: int) -> bool:
    """Return whether the effect surely exceeds the margin, all ``num`` of them together at 95 %."""
    if inference.standard_error is None or inference.df is None:
        return (
            inference.low is not None
            and inference.high is not None
            and (inference.low > margin or inference.high < -margin)
        )
    reach = quantile(1 - (1 - CONFIDENCE) / num, inference.df, inference.spread) * inference.standard_error
    return abs(inference.estimate) - reach > margin
