"""What a forward pass gave that is no number never becomes one."""

from __future__ import annotations

import math

import pytest

from upbringing.battery.engine import measure
from upbringing.battery.measure import Measure
from upbringing.battery.measures.completion_margin import CompletionMargin
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.knowledge import Knowledge
from upbringing.formats.items import Item, Message
from upbringing.models.asking import Prompt
from upbringing.models.scripted import ScriptedModel


def items() -> list[Item]:
    cloze = [
        Item(
            id=name,
            cluster=name,
            request="benign",
            split="ood",
            completion_prompt=f"{name} is",
            answers=(" red",),
            distractors=(" blue", " green"),
        )
        for name in ("known", "broken")
    ]
    twins = [
        Item(
            id=name,
            cluster="t",
            twin=other,
            request=request,  # type: ignore[arg-type]
            split="ood",
            messages=(Message(role="user", content=name),),
            safe_continuations=("No.",),
            unsafe_continuations=("Sure.",),
        )
        for name, other, request in (("bad", "good", "harmful"), ("good", "bad", "benign"))
    ]
    return [*cloze, *twins]


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_a_likelihood_that_is_not_finite_has_no_value_and_says_so(strange: float) -> None:
    def likes(prompt: Prompt, continuation: str) -> float:
        asked = prompt.completion or "".join(message.content for message in prompt.messages)
        if "broken" in asked or "bad" in asked:
            return strange if continuation in (" red", "No.") else -1.0
        return -1.0 if continuation in (" red", "No.") else -2.0

    battery: list[Measure] = [Knowledge(), CompletionMargin(), Discrimination()]
    found = measure(
        ScriptedModel("strange", lambda prompt, sample: "", likes),
        checkpoint_id="c",
        battery=battery,
        items=items(),
        judges=[],
        on_progress=lambda done, total: None,
    )
    rows = {(row.measure, row.item): row for row in found.rows}
    for place in (("knowledge", "broken"), ("completion_margin", "broken"), ("discrimination", "bad")):
        row = rows[place]
        assert (row.value, row.status, row.reason_code) == (None, "not-measurable", "likelihood-not-finite")
    assert rows["knowledge", "known"].value == 1.0
    assert rows["discrimination", "good"].value is not None
    assert all(row.value is None or math.isfinite(row.value) for row in found.rows)
