"""Judge answers that were given and kept earlier: the same judging and the same measures, without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import IntegrityError
from upbringing.battery.judging import judged, not_asked, spoken_before
from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.answers import Answer
from upbringing.formats.items import Item, Judge
from upbringing.formats.rows import Row


@dataclass(frozen=True)
class Given:
    """What a checkpoint said when it was measured. ``unasked``: (item, condition) it could not be asked, with why."""

    checkpoint: str
    answers: Sequence[Answer]
    unasked: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Rejudged:
    """The rows of one judge for every judged measure, and what the judge said to explain itself, by response."""

    rows: tuple[Row, ...]
    reasons: Mapping[str, str]


def judge_given(given: Given, battery: Sequence[Measure], items: Sequence[Item], judge: Judge) -> Rejudged:
    """Return what the judged measures of ``battery`` make of kept answers under ``judge``.

    Raises ``IntegrityError`` where the answers are not those that ``battery`` asks of ``items``.
    """
    by_id = {item.id: item for item in items}
    measures = [measure for measure in battery if measure.judged]
    needs = list(dict.fromkeys(need for each in measures for need in each.needs(items) if isinstance(need, AnswerNeed)))
    kept = {(answer.item, answer.condition, answer.sample): answer for answer in given.answers}
    unasked = {need: reason for need in needs if (reason := given.unasked.get((need.item, need.condition))) is not None}
    said = [
        spoken_before(need, _kept(kept, need, sample))
        for need in needs
        if need not in unasked
        for sample in range(need.decoding.samples)
    ]
    found = judged(said, by_id, [judge])
    found.update({need: not_asked(need, reason, [judge]) for need, reason in unasked.items()})
    evidence = Evidence(given.checkpoint, by_id, found)
    explained = {
        answer.response: answer.judgements[judge.id].explanation
        for answers in found.values()
        for answer in answers
        if answer.response is not None
    }
    return Rejudged(
        rows=tuple(row for each in measures for row in each.rows(evidence)),
        reasons={response: text for response, text in explained.items() if text},
    )


def _kept(kept: Mapping[tuple[str, str, int], Answer], need: AnswerNeed, sample: int) -> Answer:
    answer = kept.get((need.item, need.condition, sample))
    if answer is None:
        raise IntegrityError(
            f"no answer to {need.item!r} under {need.condition} was kept, and no reason why: measure again"
        )
    return answer
