"""The largest difference of a judge's errors between checkpoints, by hand."""

from __future__ import annotations

import pytest

from upbringing.attribution.judges.gaps import Gap, errors_by_checkpoint, gap_of
from upbringing.attribution.judges.labelled import LabelledAnswer

YES, NO = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


def answers(hits: int, misses: int, kept: int, alarms: int, weight: float = 1.0) -> list[LabelledAnswer]:
    """Of what people call positive the judge finds ``hits``; of the rest it raises ``alarms`` on some."""
    return [
        *[LabelledAnswer(weight, YES, YES)] * hits,
        *[LabelledAnswer(weight, YES, NO)] * misses,
        *[LabelledAnswer(weight, NO, NO)] * kept,
        *[LabelledAnswer(weight, NO, YES)] * alarms,
    ]


def test_the_larger_of_both_gaps_by_hand() -> None:
    found = gap_of({"a": answers(36, 4, 36, 4), "b": answers(20, 20, 40, 0), "c": answers(28, 12, 38, 2)})
    assert found is not None
    assert found.largest == pytest.approx(0.9 - 0.5)  # of sensitivity; of specificity 0.1
    assert found.is_uneven
    # with a true rate of r an effect of r x 0.4 + (1 - r) x 0.1 comes of nothing, at most 0.4
    assert found.reach([1.0, -1.0]) == pytest.approx(0.4)
    assert found.reach([1.0, -1.0, -1.0, 1.0]) == pytest.approx(0.8)


def test_an_even_judge_is_not_called_uneven() -> None:
    found = gap_of({"a": answers(18, 2, 18, 2), "b": answers(17, 3, 19, 1)})
    assert found is not None
    assert not found.is_uneven


def test_one_case_is_no_rate() -> None:
    assert gap_of({"a": answers(1, 0, 4, 0), "b": answers(0, 1, 3, 0)}) is None
    found = gap_of({"a": answers(9, 1, 20, 0), "b": answers(0, 1, 15, 5)})
    assert found is not None
    assert found.largest == pytest.approx(0.25)


def test_errors_need_answers_of_both_kinds() -> None:
    found = errors_by_checkpoint({"a": answers(9, 1, 8, 2), "b": answers(5, 5, 0, 0)})
    assert list(found) == ["a"]
    assert found["a"].information == pytest.approx(0.9 + 0.8 - 1)


def test_an_answer_on_which_raters_are_split_counts_in_neither() -> None:
    split = [LabelledAnswer(1.0, (0.5, 0.5, 0.5), YES)] * 3
    assert errors_by_checkpoint({"a": [*answers(9, 1, 8, 2), *split]})["a"].information == pytest.approx(0.7)


def test_a_test_that_was_not_made_shows_nothing() -> None:
    assert not Gap(0.5, None).is_uneven
