"""What measures of the divergence of two checkpoints share: which continuations they read, and rows of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.base.description import Description
from upbringing.battery.measures.answers import asked
from upbringing.battery.measures.margins import Continuations, Form, continuations_of
from upbringing.battery.needs import Evidence, LikelihoodNeed
from upbringing.battery.pairs.comparing import Against, pair_of
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo


class DivergenceSettings(Description):
    """Complying continuations of harmful requests, along which two checkpoints predict every token.

    ``continuations``: the items' own, or the general ones for real prompts that bring none.
    """

    against: Against = "previous_stage"
    roles: tuple[str, ...] = ("question", "twin")
    continuations: Continuations = "item"
    forms: tuple[Form, ...] = Field(default=("chat",), min_length=1)

    def asked(self, items: Sequence[Item]) -> list[Item]:
        """Return the harmful requests."""
        return asked(items, "harmful", self.roles)

    def need(self, item: Item, form: Form) -> LikelihoodNeed:
        """Return the continuations of an item; none where it has none."""
        return LikelihoodNeed(item.id, form, continuations_of(item, self.continuations)[1])

    def asked_needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the continuations of every item that has some, in every form."""
        needs = [self.need(item, form) for form in self.forms for item in self.asked(items)]
        return [need for need in needs if need.continuations]

    def found(self, evidence: Evidence) -> Iterator[tuple[LikelihoodNeed, Form, Sequence[NDArray[np.float64]] | str]]:
        """Yield each item and form with the divergences of its continuations, or with why there are none."""
        divergences = pair_of(evidence).divergences
        for form in self.forms:
            for item in self.asked(list(evidence.items.values())):
                need = self.need(item, form)
                if not need.continuations:
                    yield need, form, "no-continuation"
                elif need in divergences:
                    yield need, form, _finite(divergences[need])
                else:
                    yield need, form, evidence.unable.get(need, "no-likelihood")


def _finite(found: Sequence[NDArray[np.float64]]) -> Sequence[NDArray[np.float64]] | str:
    return found if all(np.isfinite(each).all() for each in found) else "divergence-not-finite"


def divergence_condition(evidence: Evidence, form: Form, token: int | None = None) -> str:
    """Return the name of a condition, as ``chat-against-previous-stage`` or ``...-token-02``."""
    name = f"{form}-against-{pair_of(evidence).name}"
    return name if token is None else f"{name}-token-{token:02d}"


def divergence_info(name: str, form: Form, template: str | None) -> ConditionInfo:
    """Return the condition's row of ``tree.json``; conditions that differ in ``decoding`` are no formats of one."""
    return ConditionInfo(
        id=name,
        elicitation="E3",
        template=template if form == "chat" else "E0",
        decoding=name.removeprefix(f"{form}-"),
    )


def divergence_row(evidence: Evidence, measure: str, condition: str, place: tuple[str, int], value: float | str) -> Row:
    """Return the row of a continuation; ``place``: its item and number. A ``value`` that is text says why none is."""
    return Row(
        checkpoint=evidence.checkpoint,
        measure=measure,
        condition=condition,
        item=place[0],
        sample=place[1],
        value=None if isinstance(value, str) else value,
        status="not-measurable" if isinstance(value, str) else "scored",
        reason_code=value if isinstance(value, str) else None,
    )
