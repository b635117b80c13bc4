"""Results say what confounds them, also to somebody who never planned the study; nothing of it quotes a prompt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from upbringing.formats.tree import read_tree
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, build, measure
from upbringing.lab.session import open_session

STUDY = """\
name: told
seeds: 1
start: {kind: existing, checkpoint: start}
data:
  one: {kind: file, path: one.jsonl, teacher: somebody}
  two: {kind: file, path: two.jsonl}
  asked: {kind: items, path: items.jsonl}
stages:
  sft: {kind: sft, data: one, context: 64, batch_size: 2}
arms:
  main: {}
  other: {stages: {sft: {data: two}}}
battery: [refusal_margin]
"""


def chats(path: Path, asked: list[str]) -> None:
    answer = {"role": "assistant", "content": "bab bad baf"}
    rows = [{"messages": [{"role": "user", "content": text}, answer]} for text in asked]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_leaked_prompts_and_unknown_teachers_stand_in_results_that_nobody_planned(
    tmp_path: Path, existing: Path
) -> None:
    shutil.copytree(existing, tmp_path / "start")
    chats(tmp_path / "one.jsonl", ["bab", "bad", "baf", "bal"])
    chats(tmp_path / "two.jsonl", ["kab kad", "gab", "gad", "gaf"])
    item = {
        "id": "leaked",
        "cluster": "leaked",
        "request": "harmful",
        "split": "ood",
        "messages": [{"role": "user", "content": "kab  KAD"}],
        "safe_continuations": ["bab"],
        "unsafe_continuations": ["bad"],
    }
    (tmp_path / "items.jsonl").write_text(json.dumps(item), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    before = plan(session, read_data=True).warnings
    assert any("main: somebody; other: unknown" in warning for warning in before)
    shutil.rmtree(tmp_path / "store")  # as if nobody had planned it

    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    build(session, Watch())
    found = read_tree(measure(session, Watch()) / "tree.json").warnings
    leaks = [warning for warning in found if "word for word in the training data 'two'" in warning]
    assert len(leaks) == 1
    assert "kab" not in leaks[0]  # tree.json is handed on
    assert any("main: somebody; other: unknown" in warning for warning in found)
    assert plan(session).warnings[: len(before)] == before  # what was built is not told otherwise
