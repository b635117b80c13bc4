"""A stale node says which field changed, which file's bytes, and whether the checkpoint that it comes from did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.planning.plan import priced_plan
from upbringing.lab.planning.planned import NodePlan
from upbringing.lab.planning.staleness import differences, why_stale
from upbringing.lab.remembering import alias_key, remember
from upbringing.lab.session import Session, open_session

STUDY = """\
name: edited
seeds: 1
start: {kind: existing, checkpoint: base}
data:
  one: {kind: file, path: texts/one.jsonl}
  two: {kind: file, path: texts/two.jsonl}
  asked: {kind: items, path: items.jsonl}
stages:
  sft: {kind: sft, data: {mix: {one: 50%, two: 50%}}, context: 64, batch_size: 2}
battery: [bits_per_byte]
"""
HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


def weights(number: bytes) -> bytes:
    """The bytes of a safetensors file of one number."""
    return len(HEADER).to_bytes(8, "little") + HEADER + number


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A study whose nodes were remembered as built, under the names that ``plan`` looks for."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(weights(b"aaaa"))
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "base" / name).write_text("{}", encoding="utf-8")
    (tmp_path / "texts").mkdir()
    for name in ("one", "two"):
        (tmp_path / "texts" / f"{name}.jsonl").write_text(f'{{"text": "words of {name}"}}', encoding="utf-8")
    item = '{"id": "1", "cluster": "1", "request": "benign", "split": "ood", "messages": []}'
    (tmp_path / "items.jsonl").write_text(item, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = opened(tmp_path)
    remember(session, Prepared({}, {}, {}, {}))
    return tmp_path


def opened(folder: Path, *overrides: str) -> Session:
    return open_session(folder / "study.yaml", store=folder / "store", overrides=overrides)


def sft(folder: Path, *overrides: str) -> NodePlan:
    (node,) = [each for each in priced_plan(opened(folder, *overrides)).nodes if "sft" in each.label]
    return node


def test_a_file_whose_bytes_changed_is_named_and_its_neighbour_is_not(built: Path) -> None:
    assert sft(built).status == "missing"
    (built / "texts" / "two.jsonl").write_text('{"text": "other words"}', encoding="utf-8")
    assert (sft(built).status, sft(built).why) == (
        "stale",
        ("the bytes of the file texts/two.jsonl changed (data 'two')",),
    )


def test_a_field_that_changed_is_named_with_both_values(built: Path) -> None:
    node = sft(built, "stages.sft.context=128")
    assert node.status == "stale"
    assert any("context changed from 64 to 128" in reason for reason in node.why)
    (reason,) = sft(built, "stages.sft.epochs=2").why
    assert reason == "stream.parts.0.epochs changed from 1.0 to 2.0"


def test_other_bytes_in_the_folder_of_the_start_make_stale_what_comes_from_it(built: Path) -> None:
    session = opened(built)
    (key,) = [key for key, node in session.tree.nodes.items() if node.run is not None]
    before = alias_key(session, key)
    session.store.alias(before, "built-from-these-bytes")
    (built / "base" / "model.safetensors").write_bytes(weights(b"bbbb"))
    assert alias_key(session, key) != before  # what was built from the other bytes is not taken for this
    assert (sft(built).status, sft(built).why) == (
        "stale",
        ("the bytes of the existing checkpoint that it comes from changed",),
    )
    (built / "base" / "model.safetensors").write_bytes(weights(b"aaaa"))
    assert alias_key(session, key) == before


def test_a_start_that_is_no_checkpoint_is_named_by_a_plan(built: Path) -> None:
    (built / "base" / "config.json").unlink()
    with pytest.raises(StudyError, match=r"'base' is a folder without config.json \(.* holds model.safetensors, tok"):
        sft(built)


def test_other_data_are_called_by_their_names_and_not_by_hashes() -> None:
    def entry(key: str, data: str) -> dict[str, object]:
        return {
            "inputs": {"stream": {"parts": [{"shares": [[key, 1.0]]}]}},
            "data": {data: {"key": key, "file": None, "recipe": {"part": data}}},
        }

    before, after = entry("3f", "safety"), entry("a1", "answered")
    assert why_stale(before, after["inputs"], after["data"]) == (  # type: ignore[arg-type]
        'stream.parts.0.shares.0.0 changed from "safety" to "answered"',
    )


def test_nested_values_are_compared_place_by_place() -> None:
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == ["a.1.b changed from 2 to 3"]
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a changed from [1] to [1, 2]"]
    assert differences({"parent": "x"}, {"parent": "y"}) == ["what it starts from changed"]
    assert differences({"a": None}, {"a": None}) == []
