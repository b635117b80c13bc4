"""Answers under one name are decoded in one way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from upbringing.base.errors import MeasurementError
from upbringing.battery.answering import Asking
from upbringing.battery.cache import AnswerCache
from upbringing.battery.measures.refusal_steering import _refused
from upbringing.battery.needs import AnswerNeed, JudgedAnswer
from upbringing.formats.items import Item, Judgement, Message
from upbringing.models.decoding import Decoding, Greedy, SafeBeam, Sampled
from upbringing.models.scripted import ScriptedModel

ITEMS = {
    name: Item(id=name, cluster=name, request="benign", split="ood", messages=(Message(role="user", content=name),))
    for name in ("a", "b")
}


def said(decodings: Sequence[Decoding]) -> int:
    asking = Asking(ScriptedModel("m", lambda prompt, sample: "yes"), ITEMS, 0, AnswerCache(None))
    needs = [AnswerNeed(name, decoding) for decoding in decodings for name in ITEMS]
    return len(asking.answers("c", needs, lambda done: None)[0])


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        (SafeBeam(tag="<|tag|>"), SafeBeam(tag="<tag>"), "tag"),
        (SafeBeam(), SafeBeam(log="candidates"), "log"),
        (Sampled(temperature=0.7), Sampled(temperature=0.70000001), "temperature"),
    ],
)
def test_two_decodings_of_one_name_are_refused(first: Decoding, second: Decoding, field: str) -> None:
    """Both were decoded as the first one says, and their answers stood under one condition."""
    assert first.label == second.label
    with pytest.raises(MeasurementError, match=f"differ in {field}, are both called"):
        said([first, second])


def test_decodings_of_their_own_names_are_asked_beside_each_other() -> None:
    assert said([Greedy(), Greedy(max_tokens=8), Sampled(samples=2), SafeBeam(), SafeBeam(tag="<other>")]) == 12


def test_an_answer_that_the_decoding_broke_off_is_refused_in_every_measure() -> None:
    judgement = Judgement(outcome="short-circuit")
    answer = JudgedAnswer(AnswerNeed("a"), 0, None, None, "stop", {"j": judgement}, {"j": "rule"})
    assert _refused(answer, "j") == (1.0, 1.0)
