"""Measures of two checkpoints in a study: who is held against whom, rows and conditions, keys that do not move."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upbringing.base.strict_yaml import Located
from upbringing.formats.findings import read_findings
from upbringing.formats.items import Item, Message
from upbringing.formats.tree import read_tree
from upbringing.lab.measurement.control_warnings import control_warnings
from upbringing.lab.measurement.measure_jobs import measure_jobs
from upbringing.lab.measurement.measuring import asked_items
from upbringing.lab.measurement.pairing import pair_jobs
from upbringing.lab.measurement.references import references
from upbringing.lab.run import attribute, build, measure, report
from upbringing.lab.session import Session, open_session
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

BATTERY = ["token_divergence", "divergence_depth", "direction_cosine"]


def study_of(folder: Path, arms: dict[str, dict[str, str]], battery: list[str]) -> Study:
    """A study of existing checkpoints: stages, by arm, to their folders."""
    first = next(iter(arms.values()))
    value = {
        "name": "pairs",
        "seeds": 1,
        "start": {"kind": "existing", "checkpoint": str(folder / "base")},
        "data": {"prompts": {"kind": "items", "path": str(folder / "asked.jsonl")}},
        "stages": {name: {"kind": "existing", "checkpoint": place} for name, place in first.items()},
        "arms": {
            arm: {"stages": {name: {"kind": "existing", "checkpoint": place} for name, place in stages.items()}}
            for arm, stages in arms.items()
        },
        "battery": battery,
        "judges": ["refusal_rules"],
    }
    return study_from(Located(value, {}, "study.yaml"))


@pytest.fixture(scope="module")
def folder(tiny_folder: Path) -> Path:
    words = json.loads((tiny_folder / "prompts.jsonl").read_text().splitlines()[0])["cluster"], "dek", "fic"
    items = [
        Item(
            id=f"{request}-{number}",
            cluster=str(number),
            request=request,  # type: ignore[arg-type]
            split="ood",
            messages=(Message(role="user", content=f"{words[number % 3]} {'bab' if request == 'harmful' else 'dek'}"),),
            safe_continuations=("fid",),
            unsafe_continuations=("fib fic gob", "lub"),
        )
        for number in range(9)
        for request in ("harmful", "benign")
    ]
    (tiny_folder / "asked.jsonl").write_text("\n".join(item.model_dump_json() for item in items), encoding="utf-8")
    return tiny_folder


def session_of(folder: Path, store: Path, battery: list[str]) -> Session:
    return open_session(study_of(folder, {"main": {"sft": str(folder / "tuned")}}, battery), store=store)


@pytest.mark.usefixtures("one_process")
def test_a_study_holds_its_checkpoints_against_each_other(folder: Path, tmp_path: Path) -> None:
    session = session_of(folder, tmp_path / "store", ["refusal_margin", *BATTERY])
    results = measure(session)
    tree = read_tree(results / "tree.json")
    names = {cell.position: cell.checkpoint for cell in tree.cells}
    rows = pq.read_table(results / "rows.parquet").to_pylist()
    found: dict[tuple[str, str], set[str | None]] = {}
    for row in rows:
        position = next(name for name, key in names.items() if key == row["checkpoint"])
        found.setdefault((position, row["measure"]), set()).add(row["reason_code"])
    assert found["start", "token_divergence"] == found["start", "divergence_depth"] == {"no-previous-stage"}
    assert found["sft", "token_divergence"] == {None, "continuation-too-short"}
    assert found["sft", "divergence_depth"] == {None}
    assert found["start", "direction_cosine"] == {None, "no-direction"}  # the embedding of one last token is one
    assert found["sft", "direction_cosine"] == {"is-the-last-stage"}
    assert {row["condition"] for row in rows} <= {condition.id for condition in tree.conditions}
    assert all(
        -5 < row["value"] < 5 for row in rows if row["measure"] == "direction_cosine" and row["value"] is not None
    )
    attribute(results)
    levels = read_findings(results / "findings.json").tables["levels"]
    assert {level["measure"] for level in levels} >= set(BATTERY)
    assert "Divergence along complying answers" in report(results).read_text(encoding="utf-8")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store" / "rows").iterdir()}
    assert len(kept) == 4  # two checkpoints alone, and two beside others
    bytes_before = (results / "rows.parquet").read_bytes()
    measure(session)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store" / "rows").iterdir()} == kept
    assert (results / "rows.parquet").read_bytes() == bytes_before


@pytest.mark.usefixtures("one_process")
def test_comparing_moves_no_key_of_what_is_measured_alone(folder: Path, tmp_path: Path) -> None:
    keys, pairs = [], []
    for battery in (["refusal_margin"], ["refusal_margin", *BATTERY]):
        session = session_of(folder, tmp_path / "store", battery)
        prepared = build(session).prepared
        items = asked_items(session.study, session.workshop.book, 0)
        keys.append(
            [job.measurement_key(job.checkpoint_folder(), items, []) for job in measure_jobs(session, prepared)]
        )
        pairs.append([job.measurement_key(items) for job in pair_jobs(session, prepared)])
    assert keys[0] == keys[1]
    assert (len(pairs[0]), len(set(pairs[1]))) == (0, 2)
    assert not set(pairs[1]) & set(keys[0])


@pytest.mark.usefixtures("one_process")
def test_what_was_measured_on_another_device_is_another_measurement(folder: Path, tmp_path: Path) -> None:
    session = session_of(folder, tmp_path / "store", ["refusal_margin", *BATTERY])
    prepared = build(session).prepared
    items = asked_items(session.study, session.workshop.book, 0)
    elsewhere = session.workshop.profile.model_copy(update={"device": "cuda"})
    for job in measure_jobs(session, prepared):
        moved, place = replace(job, profile=elsewhere), job.checkpoint_folder()
        assert moved.measurement_key(place, items, []) != job.measurement_key(place, items, [])
    for pair in pair_jobs(session, prepared):
        moved_pair = replace(pair, measured=replace(pair.measured, profile=elsewhere))
        assert moved_pair.measurement_key(items) != pair.measurement_key(items)


def tree_of(folder: Path, arms: dict[str, dict[str, str]]) -> StudyTree:
    study = study_of(folder, arms, BATTERY)
    return study_tree(study, DataBook(study.data, folder, 0))


def test_each_stage_is_held_against_where_it_began_and_where_its_arm_ends(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"one": {"sft": "a", "dpo": "b"}, "two": {"sft": "a", "dpo": "c"}})
    cells = {cell.name: cell.node for cell in tree.cells}
    found = references(tree, {node: node for node in tree.nodes})

    def told(cell: str) -> dict[str, tuple[str | None, str]]:
        return {each.name: (each.node, each.reason) for each in found[cells[cell], 0]}

    ends = {f"last-stage-of-{arm}": (cells[f"{arm}@dpo"], "") for arm in ("one", "two")}
    several = {"last-stage": (None, "several-last-stages"), **ends}
    assert told("one@start") == {"previous-stage": (None, "no-previous-stage"), **several}
    assert told("one@sft") == told("two@sft") == {"previous-stage": (cells["one@start"], ""), **several}
    assert told("two@dpo") == {"previous-stage": (cells["one@sft"], ""), "last-stage": (None, "is-the-last-stage")}


def test_one_arm_has_one_end(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"one": {"sft": "a", "dpo": "b"}})
    cells = {cell.name: cell.node for cell in tree.cells}
    found = references(tree, {node: node for node in tree.nodes})
    assert [(each.name, each.node) for each in found[cells["one@start"], 0]] == [
        ("previous-stage", None),
        ("last-stage", cells["one@dpo"]),
    ]


def test_a_direction_that_nothing_is_asked_of_causes_a_warning(folder: Path, tmp_path: Path) -> None:
    alone = session_of(folder, tmp_path / "store", ["refusal_direction"])
    (warning,) = control_warnings(alone)
    assert warning.startswith("refusal_direction: no measure of this study asks whether the direction causes refusals")
    assert control_warnings(session_of(folder, tmp_path / "store", ["refusal_direction", "refusal_steering"])) == ()
