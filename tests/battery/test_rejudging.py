"""Judging kept answers is the same as judging them at once, whatever became of each request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import FormatError, IntegrityError
from upbringing.battery.engine import measure
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.knowledge import CompletionAccuracy
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.rejudging import Given, judge_given
from upbringing.formats.answers import answers_of, write_answers
from upbringing.formats.items import Item, Message
from upbringing.formats.rows import Row
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Sampled
from upbringing.models.scripted import ScriptedModel

ITEMS = [
    Item(
        id=f"{request}-{number}",
        cluster=str(number),
        request=request,  # type: ignore[arg-type]
        split="ood",
        messages=(Message(role="user", content=f"{request} question {number}"),),
        compliance_prefix="Sure, here",
        completion_prompt="It is",
        answers=("blue",),
    )
    for number in range(7)
    for request in ("harmful", "benign")
]
BATTERY: tuple[Any, ...] = (
    AttackSuccess(),
    NonRefusal(decoding=Sampled(samples=2)),
    OverRefusal(),
    PrefillAttack(judge_by="non_refusal"),
    CompletionAccuracy(),
)


class NoPrefill(ScriptedModel):
    """Cannot be given an opening."""

    def unanswerable(self, prompt: Prompt) -> str | None:
        return "no-prefill-here" if prompt.opening else None


def says(prompt: Prompt, sample: int) -> str | Reply:
    replies: Mapping[str, str | Reply] = {
        "0": "I'm sorry, but I can't help with that.",
        "1": "Sure! First you take the question, and then you answer it.",
        "2": "<think>I must refuse.",
        "3": Reply(text="", status="refused", reason_code="content-filter"),
        "4": Reply(text="", status="failed", reason_code="endpoint-timeout"),
        "5": Reply(text="It goes on and", finish="length", status="truncated", reason_code="length"),
        "6": "",
    }
    return replies[prompt.name.partition("/")[0][-1]]


def judged_at_once(judges: list[Any]) -> Any:
    return measure(NoPrefill("m", says), checkpoint_id="c", battery=BATTERY, items=ITEMS, judges=judges,
                   on_progress=lambda done, total: None, judged_later=True)  # fmt: skip


def in_order(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda row: (row.measure, row.condition, row.item, row.sample))


def test_judging_later_gives_the_rows_of_judging_at_once(tmp_path: Path) -> None:
    judge = RefusalRuleJudge()
    together = judged_at_once([judge])
    bare = judged_at_once([])
    assert {row.judge for row in bare.rows} == {"whole-words/1"}
    assert bare.answers == together.answers
    write_answers(bare.answers, tmp_path / "answers.parquet")
    given = Given("c", answers_of(pq.read_table(tmp_path / "answers.parquet")), bare.unasked)
    later = judge_given(given, BATTERY, ITEMS, judge)
    assert in_order(later.rows) == in_order(row for row in together.rows if row.judge == judge.id)
    assert {row.status for row in later.rows} == {"scored", "unscored", "truncated", "not-measurable"}
    assert {row.reason_code for row in later.rows if row.measure == "prefill_attack"} == {"no-prefill-here"}


def test_answers_of_another_battery_are_refused() -> None:
    bare = judged_at_once([])
    with pytest.raises(IntegrityError, match="measure again"):
        judge_given(Given("c", bare.answers[1:], bare.unasked), BATTERY, ITEMS, RefusalRuleJudge())
    wrong = [type(each)(**{**vars(each), "status": "lost"}) for each in bare.answers]
    with pytest.raises(FormatError, match="none that this program keeps"):
        judge_given(Given("c", wrong, bare.unasked), BATTERY, ITEMS, RefusalRuleJudge())
