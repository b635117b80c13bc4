"""A twin that is nowhere is an error that names it, before anything is asked; one in another file is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.lab.measurement.measuring import asked_items
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, measure
from upbringing.lab.session import Session, open_session

STUDY = """\
name: paired
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{one: {{kind: items, path: one.jsonl}}, two: {{kind: items, path: two.jsonl}}}}
prompts: [{prompts}]
battery: [behavioural_discrimination]
judges: [refusal_rules]
"""


def item(name: str, twin: str, cluster: str) -> dict[str, object]:
    request = "harmful" if name.startswith("h") else "benign"
    message = {"role": "user", "content": f"ba de {name}"}
    return {
        "id": name, "twin": twin, "cluster": cluster, "request": request, "split": "ood", "messages": [message],
    }  # fmt: skip


def opened(tmp_path: Path, tiny_folder: Path, prompts: str, *overrides: str) -> Session:
    """A study of two files: every pair of the first is whole but the last, whose benign half lies in the second."""
    one = [item("h1", "b1", "1"), item("b1", "h1", "1"), item("h2", "b2", "2")]
    for name, items in (("one", one), ("two", [item("b2", "h2", "2")])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tiny_folder, prompts=prompts), encoding="utf-8")
    return open_session(path, store=tmp_path / "store", overrides=overrides)


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_a_twin_that_no_item_is_stops_plan_and_measuring(tmp_path: Path, tiny_folder: Path) -> None:
    session = opened(tmp_path, tiny_folder, "one")
    said = "the item 'h2' names the twin 'b2', which no item of one is: correct the id, ask the data"
    with pytest.raises(DataError, match=said):
        plan(session)
    with pytest.raises(DataError, match=said):
        measure(session, Watch())
    assert not list((tmp_path / "store" / "studies").rglob("registered.json"))  # a corrected file is no amendment


@pytest.mark.model
def test_a_twin_may_lie_in_another_file_or_behind_the_clusters_that_are_asked(
    tmp_path: Path, tiny_folder: Path
) -> None:
    session = opened(tmp_path, tiny_folder, "one, two")
    assert plan(session).measuring.num_answers == 4
    cut = opened(tmp_path, tiny_folder, "one", "data.one.clusters=1")
    halves = [item("b1", "h1", "1"), item("h1", "b1", "2")]
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, halves)), encoding="utf-8")
    assert [each.id for each in asked_items(cut.study, cut.workshop.book, 0)] == ["b1"]


def test_a_twin_that_is_nearly_spelled_is_suggested(tmp_path: Path, tiny_folder: Path) -> None:
    session = opened(tmp_path, tiny_folder, "one")
    wrong = [item("benign-007", "harmful-07", "1"), item("harmful-007", "benign-07", "1")]
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, wrong)), encoding="utf-8")
    said = (
        r"'harmful-07', which no item of one is \(and 1 more .*\): correct the id \(did you mean 'harmful-007'\?\), ask"
    )
    with pytest.raises(DataError, match=said):
        asked_items(session.study, session.workshop.book, 0)
