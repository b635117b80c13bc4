"""Bits per byte: how well held-out text is predicted, comparable across tokenizers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.base.description import Description
from upbringing.battery.needs import Evidence, LikelihoodNeed, likelihood_row
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo


class BitsPerByte(Description):
    """Bits per byte on held-out text: a ratio of sums (row value: bits, row weight: bytes)."""

    judged: ClassVar[bool] = False
    kind: Literal["bits_per_byte"] = "bits_per_byte"
    version: Literal[1] = 1
    id: str = "bits_per_byte"

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            unit="bits/byte",
            direction="lower-is-better",
            estimator="ratio",
            label="Bits per byte",
        )

    def needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the likelihood of every held-out text."""
        return [LikelihoodNeed(item.id, "nothing", (item.text,)) for item in items if item.text]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per text."""
        for need in self.needs(list(evidence.items.values())):
            scores = evidence.likelihoods.get(need)
            bits = None if scores is None else -scores[0] / math.log(2)
            num_bytes = float(len(need.continuations[0].encode("utf-8")))
            yield likelihood_row(evidence, self.id, need, bits, weight=num_bytes)
