"""A study with edits of weights, from YAML to findings: planned at no cost, built in order, published as usual."""

from __future__ import annotations

from pathlib import Path

import pytest
from delta_bench import TWO_STAGES, cell, folder_of, write_texts

from upbringing.formats.findings import read_findings
from upbringing.formats.record import Record, read_record
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session
from upbringing.models.weights import weights_sha256

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

TRAINED = (
    f"name: edited\n{TWO_STAGES}"
    + """\
arms:
  whole: {drop: mid, stages: {edit: {kind: edit_weights, edit: interpolate,
                                     delta: {arm: main, from: pretrain, to: mid}}}}
  back: {stages: {edit: {kind: edit_weights, edit: subtract, strength: 0.5, delta: {from: pretrain, to: mid}}},
         stands_for: short@mid}
  noise: {drop: mid, stages: {edit: {kind: edit_weights, edit: add, delta: {arm: main, to: mid, random: true}}}}
  nothing: {drop: mid, stages: {edit: {kind: edit_weights, edit: add, strength: 0, delta: {arm: main, to: mid}}}}
  later: {stages: {edit: {kind: edit_weights, edit: graft, modules: [model.layers.0],
                          delta: {arm: without, to: start}},
                   last: {kind: midtrain, tokens: 1k, context: 64, batch_size: 8, phases: [{data: world.facts}]}}}
  main: {}
  without: {drop: mid}
  short: {stages: {mid: {tokens: 2k}}}
"""
)
GIVEN = """\
name: given
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{texts: {{kind: items, path: {items}}}}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
arms:
  half: {{drop: tuned, stages: {{edit: {{kind: edit_weights, edit: interpolate, strength: 0.5,
                                         delta: {{arm: main, to: tuned}}}}}}}}
  main: {{}}
battery: [bits_per_byte]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("edited")
    write_texts(folder / "items.jsonl")
    (folder / "study.yaml").write_text(TRAINED, encoding="utf-8")
    session = open_session(folder / "study.yaml", store=folder / "store")
    planned = plan(session)
    edits = [node for node in planned.nodes if ": edit, " in node.label]
    assert len(edits) == 5
    assert all((node.status, node.steps, node.tokens, node.flops) == ("missing", 0, 0, 0.0) for node in edits)
    assert all(node.seconds is not None and 0 < node.seconds < 1 and node.disk_bytes for node in edits)
    assert planned.sharing.num_pipelines == 8
    run(session, Watch())
    return session


def record(session: Session, name: str) -> Record:
    return read_record(folder_of(session, name))


def test_edited_weights_are_what_they_are_said_to_be(finished: Session) -> None:
    names = ("whole@edit", "main@mid", "nothing@edit", "without@pretrain", "noise@edit", "back@edit", "later@edit")
    hashes = {name: weights_sha256(folder_of(finished, name)) for name in names}
    assert hashes["whole@edit"] == hashes["main@mid"]
    assert hashes["nothing@edit"] == hashes["without@pretrain"]
    assert len(set(hashes.values())) == 5


def test_an_edited_checkpoint_is_an_ordinary_one(finished: Session) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder_of(finished, "back@edit")
    AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).chat_template
    found = record(finished, "back@edit")
    assert (found.kind, found.guard, found.weights_changed, found.updates) == ("edit_weights", "ok", True, 0)
    assert found.parent == record(finished, "main@mid").id
    assert found.load_check is not None
    assert found.recipe["delta"]["to"] == found.recipe["parent"] != found.recipe["delta"]["from"]
    assert "its weights were edited, not trained: subtract 0.5 x the delta" in (folder / "README.md").read_text()
    assert (record(finished, "nothing@edit").guard, record(finished, "nothing@edit").weights_changed) == ("ok", False)
    assert record(finished, "noise@edit").seed is not None
    assert record(finished, "later@last").parent == record(finished, "later@edit").id


def test_the_findings_say_that_it_is_l4_and_uncalibrated(finished: Session) -> None:
    assert cell(finished, "back@edit").stands_for == "short@mid"
    assert cell(finished, "back@mid").stands_for is None
    findings = read_findings(finished.results / "findings.json")
    edited = [each for each in findings.claims if any(name.endswith(("@edit", "@last")) for name in each.weights)]
    assert {(each.level, each.role, each.fidelity) for each in edited} == {("L4", "exploratory", "uncalibrated")}
    assert {each.contrast for each in edited} >= {"back: mid -> edit", "back@edit - short@mid"}
    (row,) = findings.tables["fidelity"]
    assert (row["status"], row["cells"], row["left_out"]) == ("uncalibrated", 1, {})
    (pair,) = row["pairs"]
    assert (pair["cell"], pair["stands_for"], pair["edited_from"]) == ("back@edit", "short@mid", "back@mid")
    page = (finished.results / "report.html").read_text(encoding="utf-8")
    assert 'class="claim greyed"' in page
    assert "Edited weights are uncalibrated on bits_per_byte: 1 of at least 8 retrained cells" in page


def test_a_second_run_builds_nothing_and_an_edit_of_the_edit_says_why(finished: Session) -> None:
    assert plan(finished).num_to_build == 0
    study = finished.folder.parents[2] / "study.yaml"
    changed = open_session(study, store=finished.store.root, overrides=("arms.back.stages.edit.strength=2",))
    nodes = {node.label: node for node in plan(changed).nodes}
    assert nodes["back: edit, seed 0"].why == ("strength changed from 0.5 to 2.0",)
    longer = open_session(study, store=finished.store.root, overrides=("stages.mid.learning_rate=2e-3",))
    nodes = {node.label: node for node in plan(longer).nodes}
    assert "what its delta ends at changed" in nodes["whole: edit, seed 0"].why


def test_only_an_edited_arm_brings_the_arm_it_needs(finished: Session) -> None:
    study = finished.folder.parents[2] / "study.yaml"
    part = open_session(study, store=finished.store.root, only=("noise",))
    assert part.left_out == ("whole", "back", "nothing", "later", "without", "short")
    assert plan(part).num_to_build == 0


def test_existing_checkpoints_are_edited_too(tiny_folder: Path, tmp_path: Path, one_process: None) -> None:
    write_texts(tmp_path / "items.jsonl")
    words = GIVEN.format(folder=tiny_folder, items=tmp_path / "items.jsonl")
    (tmp_path / "study.yaml").write_text(words, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    run(session, Watch())
    found = record(session, "half@edit")
    assert (found.parent, found.guard) == ("base", "ok")
    assert plan(session).num_to_build == 0
    import torch
    from safetensors.torch import load_file

    ends = [load_file(tiny_folder / name / "model.safetensors") for name in ("base", "tuned")]
    half = load_file(folder_of(session, "half@edit") / "model.safetensors")
    assert all(torch.allclose(half[name], (ends[0][name] + ends[1][name]) / 2, atol=1e-6) for name in half)
