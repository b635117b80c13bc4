"""The kappa matrix of judges, by hand."""

from __future__ import annotations

import pytest

import upbringing.attribution.judges.judge_agreement as module
from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.columns import read_columns
from upbringing.attribution.judges.judge_agreement import judge_agreement
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Checkpoint, StudyInfo, Tree

# Of ten answers: both say harmful of four, both refuse of three, only the first harmful of two, only the second of one.
FIRST = ["harmful"] * 6 + ["refuse"] * 4
SECOND = ["harmful"] * 4 + ["refuse"] * 2 + ["harmful"] + ["refuse"] * 3


def rows(judge: str, words: list[str], measures: tuple[str, ...] = ("m",), start: int = 0) -> list[Row]:
    return [
        Row(checkpoint=f"c{number % 2}", measure=measure, item=f"i{number}", judge=judge, judge_kind="llm",
            outcome=word, value=float(word == "harmful"), response=f"r{number}")
        for measure in measures
        for number, word in enumerate(words, start)
    ]  # fmt: skip


def test_kappa_by_hand() -> None:
    table = rows_table([*rows("one", FIRST), *rows("two", SECOND)])
    (line,) = judge_agreement(read_columns(table))
    assert (line["judges"], line["answers"], line["agreement"]) == (["one", "two"], 10, 0.7)
    by_chance = 0.6 * 0.5 + 0.4 * 0.5
    assert line["kappa"] == pytest.approx((0.7 - by_chance) / (1 - by_chance))


def test_an_answer_counts_once_whatever_measures_count_it() -> None:
    once = judge_agreement(read_columns(rows_table([*rows("one", FIRST), *rows("two", SECOND)])))
    both = ("m", "n")
    twice = rows_table([*rows("one", FIRST, both), *rows("two", SECOND, both)])
    assert judge_agreement(read_columns(twice)) == once


def test_only_pairs_with_answers_in_common_have_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows_table(
        [
            *rows("one", FIRST),
            *rows("two", SECOND),
            *rows("three", FIRST, start=8),
            *rows("four", ["harmful"], start=99),
        ]
    )
    found = judge_agreement(read_columns(table))
    assert [(line["judges"], line["answers"]) for line in found] == [
        (["one", "three"], 2), (["one", "two"], 10), (["three", "two"], 2),
    ]  # fmt: skip
    monkeypatch.setattr(module, "KEY_LIMIT", 8)  # as in a table with very many labels
    assert judge_agreement(read_columns(table)) == found


def test_one_judge_and_judges_without_outcomes_have_no_matrix() -> None:
    assert judge_agreement(read_columns(rows_table(rows("one", FIRST)))) == []
    likelihoods = [Row(checkpoint="c", measure="m", item="i", judge=judge, value=1.0) for judge in ("a", "b")]
    assert judge_agreement(read_columns(rows_table(likelihoods))) == []


def test_the_matrix_stands_in_the_findings() -> None:
    table = rows_table([*rows("one", FIRST), *rows("two", SECOND)])
    tree = Tree(study=StudyInfo(name="s"), checkpoints=(Checkpoint(id="c0"), Checkpoint(id="c1")))
    assert attribute(table, tree).tables["judge_agreement"][0]["answers"] == 10
