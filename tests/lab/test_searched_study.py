"""Searched suffixes in a study: kept beside its answers, made once, and part of what a plan says it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upbringing.battery.needs import AnswerNeed
from upbringing.formats.record import BuildProfile
from upbringing.lab.measurement.measuring import asked_items
from upbringing.lab.planning.probe import MeasuringProbe, Subject
from upbringing.lab.planning.questions import questions
from upbringing.lab.run import Watch, measure
from upbringing.lab.session import Session, open_session
from upbringing.models.weights import num_weights

STUDY = """\
name: searched
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
prompts: [prompts]
battery:
  - {{kind: non_refusal, decoding: {{kind: greedy, max_tokens: 4}}}}
{attack}
judges: [refusal_rules]
"""
ATTACK = """\
  - kind: suffix_attack
    judge_by: non_refusal
    decoding: {kind: greedy, max_tokens: 4}
    search: {kind: gcg, steps: 2, candidates: 4, top_k: 8, initial: bab bac, prompts: 3, fitted_on: ood, target: dek}
"""


def session_of(tmp_path: Path, tiny_folder: Path, attack: str = ATTACK) -> Session:
    (tmp_path / "study.yaml").write_text(STUDY.format(folder=tiny_folder, attack=attack), encoding="utf-8")
    return open_session(tmp_path / "study.yaml", store=tmp_path / "store")


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_a_study_keeps_what_was_searched_on_each_checkpoint(tmp_path: Path, tiny_folder: Path) -> None:
    session = session_of(tmp_path, tiny_folder)
    results = measure(session, Watch())
    kept = (results / "answers" / "searched.json").read_bytes()
    found = json.loads(kept)
    assert len({each["checkpoint"] for each in found}) == len(found) == 2
    assert len({tuple(each["fitted_to"]) for each in found}) == 1  # both on the same three requests
    for each in found:
        assert each["settings"]["steps"] == 2
        assert len(each["losses"]) == 3
        assert each["loss"] <= each["losses"][0] + 1e-6
    rows = [row for row in pq.read_table(results / "rows.parquet").to_pylist() if row["measure"] == "suffix_attack"]
    assert {row["status"] for row in rows} <= {"scored", "unscored"}  # random weights say little that can be judged
    assert len(rows) == 2 * (8 - 3)
    assert not {row["item"] for row in rows} & set(found[0]["fitted_to"])
    before = set(session.store.keys("rows"))
    measure(session, Watch())
    assert set(session.store.keys("rows")) == before
    assert (results / "answers" / "searched.json").read_bytes() == kept


@pytest.mark.model
def test_a_plan_counts_what_searches_read_and_times_a_part_of_them(tmp_path: Path, tiny_folder: Path) -> None:
    session = session_of(tmp_path, tiny_folder)
    long = session_of(tmp_path, tiny_folder, ATTACK.replace("steps: 2", "steps: 200"))
    plain = session_of(tmp_path, tiny_folder, "")
    asked = [questions(each) for each in (plain, session, long)]
    assert asked[0].num_answers + 5 == asked[1].num_answers == asked[2].num_answers
    # three requests of 7 letters, 7 of the suffix, 3 of the target: 4 tokens, read 1 + steps x (4 + 1) times
    assert asked[2].tokens - asked[1].tokens == 3 * 4 * 198 * 5
    book = session.workshop.book
    needs = [need for each in session.study.battery for need in each.needs(asked_items(session.study, book, 0))]
    assert any(isinstance(need, AnswerNeed) and need.search is not None for need in needs)
    folder = tiny_folder / "base"
    subject = Subject(None, folder, folder, num_weights(folder))
    seconds = [
        MeasuringProbe("p", "p", tmp_path, each.study, book, subject, BuildProfile()).run(lambda event: None).seconds
        for each in (session, long)
    ]
    assert seconds[1] > 2 * seconds[0]
