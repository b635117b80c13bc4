"""A measure that fits no checkpoint is said aloud, and never becomes a number."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upbringing.formats.tree import read_tree
from upbringing.lab.measurement.unfitting import unfitting_notes
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import open_session

STUDY = """\
name: long
seeds: 1
start: {kind: existing, checkpoint: FOLDER/base}
data: {prompts: {kind: items, path: long.jsonl}}
battery: [knowledge, {kind: multiple_choice, id: choice}, discrimination]
"""
ITEM = (
    '{"id": "%d", "cluster": "%d", "request": "benign", "split": "ood", "completion_prompt": "bab bac", '
    '"messages": [{"role": "user", "content": "bab"}], "answers": ["%s"], "distractors": ["bad"]}'
)


def test_only_where_every_item_is_lost_there_is_a_note() -> None:
    rows = pa.table(
        {
            "checkpoint": ["a", "a", "b", "b", "c", "c"],
            "measure": ["knowledge"] * 6,
            "reason_code": [*["longer-than-context"] * 3, None, "longer-than-context", "no-continuation"],
        }
    )
    notes = list(unfitting_notes(rows, {"a": "main: sft, seed 0"}))
    assert [note.partition(":")[0] for note in notes] == [
        "No item of knowledge fits main",
        "No item of knowledge fits c",
    ]
    assert "main: sft, seed 0: all are longer than the context" in notes[0]
    assert "context that it reads or continued by what has no token" in notes[1]
    assert not list(unfitting_notes(rows.slice(0, 0), {}))
    parts = [pa.table({name: rows[name].dictionary_encode() for name in rows.column_names})]
    parts += [parts[0].slice(0, 0), pa.table({name: pa.array(["d"]).dictionary_encode() for name in rows.column_names})]
    assert list(unfitting_notes(pa.concat_tables(parts), {"a": "main: sft, seed 0"})) == notes  # as measurements come


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:.*asks nothing of these")
def test_a_study_of_items_that_are_all_too_long_ends_with_a_warning(
    tmp_path: Path, tiny_folder: Path, one_process: None
) -> None:
    texts = [ITEM % (number, number, " ".join(["bab"] * length)) for number, length in enumerate((200, 300))]
    (tmp_path / "long.jsonl").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY.replace("FOLDER", str(tiny_folder)), encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    findings, _ = run(session, Watch())
    assert set(pq.read_table(session.results / "rows.parquet")["value"].to_pylist()) == {None}
    warnings = read_tree(session.results / "tree.json").warnings
    assert sum(warning.startswith("No item of ") for warning in warnings) == 2
    assert {claim.estimate for claim in findings.claims} <= {None}
    assert sum(warning.startswith("discrimination asks nothing of these 2 prompts") for warning in warnings) == 1
    assert [each for each in plan(session).warnings if "asks nothing" in each] == [
        each for each in warnings if "asks nothing" in each
    ]
