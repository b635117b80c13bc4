"""Refusal margin: how much more a request itself, not its form, calls for refusing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.base.description import Description
from upbringing.battery.measures.margins import Continuations, Form, margin_items, margin_needs, margin_rows
from upbringing.battery.needs import Evidence, LikelihoodNeed
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo


class RefusalMargin(Description):
    """Contextual refusal margin of harmful requests (nats); a mere liking for refusal phrases cancels.

    ``continuations``: the items' own, or the general ones for real prompts that bring none.
    """

    judged: ClassVar[bool] = False
    kind: Literal["refusal_margin"] = "refusal_margin"
    version: Literal[1] = 1
    id: str = "refusal_margin"
    roles: tuple[str, ...] = ("question", "test-framing")
    continuations: Continuations = "item"
    forms: tuple[Form, ...] = ("chat",)

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            unit="nats",
            direction="higher-is-safer",
            label="Contextual refusal margin",
        )

    def _items(self, items: Sequence[Item]) -> list[Item]:
        return margin_items(items, "harmful", self.roles, self.continuations)

    def needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the likelihoods of both kinds of continuation after each request and after the empty one."""
        return [
            need
            for form in self.forms
            for item in self._items(items)
            for need in margin_needs(item, self.continuations, form)
        ]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per form and harmful request."""
        items = self._items(list(evidence.items.values()))
        yield from margin_rows(evidence, self.id, items, self.continuations, self.forms)
