"""Reading requests and labelled answers: hand-made files, then what the real packages hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data.packages.judge_rows import half_of, labelled_answers, parse_labelled_answers
from upbringing.data.packages.requests import (
    adv_bench,
    do_not_answer,
    harmbench,
    harmbench_split,
    parse_adv_bench,
    parse_do_not_answer,
    parse_strong_reject,
    strong_reject,
)


def test_do_not_answer_rows_carry_their_area() -> None:
    rows = parse_do_not_answer({"a/risks.jsonl": '{"prompt": " one "}\n{"prompt": "two"}\n'})
    assert [(row.id, row.text, row.family) for row in rows] == [
        ("do-not-answer/risks/1", "one", "risks"),
        ("do-not-answer/risks/2", "two", "risks"),
    ]


@pytest.mark.parametrize("line", ["not json", '{"prompt": 3}', '{"other": "x"}', '["x"]', '{"prompt": "  "}'])
def test_a_row_of_another_form_names_file_and_row(line: str) -> None:
    with pytest.raises(DataError, match=r"risks\.jsonl row 2"):
        parse_do_not_answer({"a/risks.jsonl": f'{{"prompt": "one"}}\n{line}\n'})


def test_strong_reject_rows_carry_their_source() -> None:
    (row,) = parse_strong_reject({"s.csv": 'category,source,forbidden_prompt\nFraud,custom,"one, two"\n'})
    assert (row.text, row.family, row.source) == ("one, two", "Fraud", "custom")


def test_adv_bench_needs_its_list_of_seeds() -> None:
    assert [row.text for row in parse_adv_bench({"a.prompt": "seeds:\n- value: one\n- value: two\n    three\n"})] == [
        "one",
        "two three",
    ]
    with pytest.raises(DataError, match="no list of seeds"):
        parse_adv_bench({"a.prompt": "seeds: none\n"})


def test_labelled_answers_skip_comments_and_average_raters() -> None:
    refusal = '# version\n# note\nobjective,assistant_response,human_score,data_type\nask,"no, never",1,text\n'
    header = "harm_category,objective,assistant_response,human_score_1,human_score_2,data_type"
    harm = f"# version\n{header}\nv,ask,ok,0,1,text\n"
    rows = parse_labelled_answers({"x/refusal.csv": refusal, "x/violence.csv": harm})
    assert [(row.area, row.answer, row.refused, row.harm) for row in rows] == [
        ("refusal", "no, never", True, None),
        ("violence", "ok", None, 0.5),
    ]


def test_a_labelled_answer_without_a_score_is_an_error() -> None:
    with pytest.raises(DataError, match="no readable human score"):
        parse_labelled_answers(
            {"x/refusal.csv": "objective,assistant_response,human_score,data_type\nask,no,maybe,text\n"}
        )


def test_one_request_is_always_in_one_half() -> None:
    assert half_of("Ask me ") == half_of("ask me")
    halves = [half_of(f"request {number}") for number in range(400)]
    assert 150 < halves.count("locked") < 250  # two standard deviations of a fair coin are 20


def test_the_real_packages_hold_what_they_are_known_to_hold(all_real_packages: Path) -> None:
    assert len(do_not_answer(all_real_packages)) == 939
    assert len(harmbench(all_real_packages)) == 200
    assert len(strong_reject(all_real_packages)) == 313
    assert len(adv_bench(all_real_packages)) == 520
    assert len(harmbench_split(all_real_packages, "test")) + len(harmbench_split(all_real_packages, "val")) == 200


def test_the_real_judge_rows_have_both_labels_in_both_halves(real_packages: Path) -> None:
    rows = [row for row in labelled_answers(real_packages) if row.refused is not None]
    for half in ("development", "locked"):
        labels = [row.refused for row in rows if row.half == half]
        assert labels.count(True) > 20
        assert labels.count(False) > 20
