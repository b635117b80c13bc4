"""Completion margin: how far a right answer is ahead of the wrong ones, in nats, with or without any chat training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.battery.measures.margins import log_mean_exp
from upbringing.battery.needs import Evidence, LikelihoodNeed, likelihood_row
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo


class CompletionMargin(Description):
    """Log-likelihood of the likeliest right answer less the log of the mean likelihood of the distractors (nats).

    It moves where the share of right answers stands still, and asks for the same likelihoods as ``knowledge``.
    ``roles``: of the items that are asked; empty = of all.
    Source: statistics-and-measures 5.6. Departures: items in completion form, any question.
    """

    judged: ClassVar[bool] = False
    kind: Literal["completion_margin"] = "completion_margin"
    version: Literal[1] = 1
    id: str = "completion_margin"
    roles: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)  # measures without keep their ids

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            unit="nats",
            direction="higher-is-better",
            label="Margin of right completions",
        )

    def needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the likelihoods of answers and distractors of every item in completion form."""
        return [
            LikelihoodNeed(item.id, "completion", (*item.answers, *item.distractors))
            for item in items
            if item.completion_prompt and item.answers and item.distractors and item.role in (self.roles or {item.role})
        ]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per item."""
        for need in self.needs(list(evidence.items.values())):
            scores = evidence.likelihoods.get(need)
            num_right = len(evidence.items[need.item].answers)
            value = None if scores is None else max(scores[:num_right]) - log_mean_exp(scores[num_right:])
            yield likelihood_row(evidence, self.id, need, value)
