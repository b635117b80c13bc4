"""The whole way on a small world: build, measure, attribute, report; kill and repeat; trace what was built."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from upbringing.base.errors import DataError, StudyError
from upbringing.cli import app
from upbringing.formats.findings import read_findings
from upbringing.formats.tree import read_tree
from upbringing.lab.building.library import built_world
from upbringing.lab.measurement.known_conditions import known_conditions
from upbringing.lab.measurement.measuring import asked_items
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, measure, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.contents import export, gc, show, status
from upbringing.models.weights import weights_sha256

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

STUDY = """\
name: small
question: Does a small study run?
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 12k, context: 64, batch_size: 8, measure_at: [50%],
             phases: [{data: world.pretraining_concept}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4, replay: {data: world.facts, share: 25%}}
arms:
  main: {}
  late: {stages: {pretrain: {phases: [{until: 50%, data: world.pretraining_concept}, {data: world.facts}]}}}
  copy: {same_as: main, control: copy}
battery:
  - {kind: willingness, decoding: {kind: greedy, max_tokens: 8}}
  - {kind: over_refusal, decoding: {kind: greedy, max_tokens: 8}}
  - knowledge
  - bits_per_byte
primary: [willingness]
margins: {willingness: 0.1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path) -> Session:
    session = open_session(folder / "study.yaml", store=folder / "store")
    run(session, Watch())
    return session


def test_what_is_measured_was_known_before(finished: Session) -> None:
    rows = pq.read_table(finished.results / "rows.parquet", columns=["measure", "condition"]).to_pylist()
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["measure"], set()).add(row["condition"])
    known = known_conditions(finished.study.battery, asked_items(finished.study, finished.workshop.book, 0))
    assert {name: set(conditions) for name, conditions in known.items()} == found


def test_a_study_ends_with_rows_findings_and_a_report(finished: Session) -> None:
    results = finished.results
    tree = read_tree(results / "tree.json")
    findings = read_findings(results / "findings.json")
    assert {cell.name for cell in tree.cells} >= {
        "main@pretrain:50%",
        "main@pretrain",
        "main@sft",
        "late@sft",
        "copy@sft",
    }
    assert {claim.estimand for claim in findings.claims} == {"artefact"}
    copies = [claim for claim in findings.claims if claim.kind == "copy" and claim.estimate is not None]
    assert copies
    assert all(claim.estimate == 0 and claim.verdict == "equivalent" for claim in copies)
    assert "Does a small study run?" in (results / "report.html").read_text(encoding="utf-8")
    for checkpoint in tree.checkpoints:
        assert checkpoint.guard == "ok"
    doses = {}
    for cell in tree.cells:
        stages = next(each.stages for each in tree.checkpoints if each.id == cell.checkpoint)
        doses[cell.name] = [(stage.start, stage.dose) for stage in stages]
    assert doses["late@sft"] == [(pytest.approx(0.5, abs=0.03), pytest.approx(0.5, abs=0.03)), (None, None)]
    assert doses["main@sft"] == [(None, 0.0), (None, None)]
    assert doses["late@pretrain:50%"] == doses["main@pretrain:50%"] == [(None, 0.0)]
    assert any(warning.startswith("eligibility: which of the") for warning in tree.warnings)  # no reference arm


def test_a_second_run_builds_nothing_and_gives_the_same_bytes(finished: Session, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in finished.results.iterdir() if path.is_file()}
    again = open_session(folder / "study.yaml", store=folder / "store")
    assert plan(again).num_to_build == 0
    run(again, Watch())
    assert {path.name: path.read_bytes() for path in again.results.iterdir() if path.is_file()} == before


def test_the_plan_says_what_an_edit_makes_stale_and_why(finished: Session, folder: Path) -> None:
    edited = open_session(folder / "study.yaml", store=folder / "store", overrides=("stages.sft.learning_rate=2e-3",))
    nodes = {node.label: node for node in plan(edited).nodes}
    assert nodes["main: pretrain, seed 0"].status == "done"
    assert nodes["main: sft, seed 0"].status == "stale"
    assert any("rates" in reason for reason in nodes["main: sft, seed 0"].why)


def test_the_verbs_of_the_store_agree_with_what_was_built(finished: Session, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    store = folder / "store"
    found = status(store)
    assert found.rooms["checkpoints"].num_entries == 6
    assert found.studies["small"] == (6, 6)
    assert gc(store, older_than_hours=0).entries == ()
    key = finished.store.keys("checkpoints")[0]
    assert show(store, key[:12]).id == key
    copied = export(store, key, tmp_path / "taken")
    AutoModelForCausalLM.from_pretrained(copied, local_files_only=True, trust_remote_code=False)
    assert weights_sha256(copied) == weights_sha256(finished.store.path("checkpoints", key))
    with pytest.raises(StudyError, match="exists already"):
        export(store, key, tmp_path / "taken")
    with pytest.raises(StudyError, match="names 0 checkpoints"):
        show(store, "nosuchkey")
    listed = CliRunner().invoke(app, ["status", "--store", str(store)])
    assert "study small: 6 of 6 checkpoints" in listed.output


def test_the_late_arm_shares_its_first_half(finished: Session) -> None:
    built = finished.store.keys("checkpoints")
    assert len(built) == 6  # start, shared half, two second halves, two fine-tunings
    assert len(finished.store.keys("states")) == 1


def test_checkpoints_open_as_hugging_face_folders(finished: Session) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for key in finished.store.keys("checkpoints"):
        found = finished.store.find("checkpoints", key, full=True)
        assert found is not None
        AutoModelForCausalLM.from_pretrained(found, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(found, local_files_only=True, trust_remote_code=False)
        assert tokenizer.chat_template
        assert (found / "chat_template.jinja").exists()
        assert not list(found.glob("*.bin"))


def test_a_killed_run_ends_in_the_same_weights(finished: Session, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "build", str(folder / "study.yaml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for seconds in (6.0, 10.0):
        process = subprocess.Popen([*command, "--store", str(tmp_path)], env=environment, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run([*command, "--store", str(tmp_path), "--quiet"], env=environment, check=True, timeout=300)
    for key in finished.store.keys("checkpoints"):
        expected = finished.store.path("checkpoints", key)
        assert weights_sha256(tmp_path / "checkpoints" / key) == weights_sha256(expected)


def test_a_trace_of_what_was_built_trains_nothing(finished: Session, folder: Path, tmp_path: Path) -> None:
    tree = read_tree(finished.results / "tree.json")
    cells = {cell.name: cell.checkpoint for cell in tree.cells}
    world = built_world(finished.study.data["world"], finished.workshop.book.world_seed(0))  # type: ignore[arg-type]
    prompts = tmp_path / "items.jsonl"
    asked = [item for item in world.items() if item.role in ("question", "text")]
    prompts.write_text("\n".join(item.model_dump_json() for item in asked), encoding="utf-8")
    paths = [f"{name}={finished.store.path('checkpoints', cells[f'main@{name}'])}" for name in ("pretrain", "sft")]
    result = CliRunner().invoke(
        app, ["trace", *paths, "--prompts", str(prompts), "--store", str(tmp_path / "s"), "--json", "--quiet"]
    )
    assert result.exit_code == 0, result.output
    findings = json.loads(result.stdout)
    assert {claim["measure"] for claim in findings["claims"]} >= {"non_refusal", "bits_per_byte"}
    assert {claim["level"] for claim in findings["claims"]} == {"L1"}
    (results,) = (tmp_path / "s" / "studies").glob("trace-*/results")
    traced = read_tree(results / "tree.json")
    assert len({cell.checkpoint for cell in traced.cells}) == len(paths)
    assert [cell.name for cell in traced.cells] == ["main@pretrain", "main@sft"]
    assert "main@start" not in result.stdout
    assert "main@start" not in (results / "report.html").read_text(encoding="utf-8")
    assert any("No human labels" in warning for warning in findings["warnings"])
    assert list((tmp_path / "s" / "checkpoints").iterdir()) == []


def test_prompts_that_nobody_can_ask_stop_a_run_before_training(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "water"}', encoding="utf-8")
    texts = "data:\n  texts: {kind: file, path: texts.jsonl}\n"
    (tmp_path / "study.yaml").write_text(f"{STUDY.replace('data:', texts, 1)}prompts: [texts]\n", encoding="utf-8")
    for verb in (run, measure):
        session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
        with pytest.raises(DataError, match="'texts' holds texts to train on, no items to ask"):
            verb(session, Watch())
        assert not list((tmp_path / "store" / "checkpoints").iterdir())


def test_errors_are_one_message_and_an_exit_code(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from upbringing.cli import main; main()"]
    bad = tmp_path / "bad.yaml"
    bad.write_text(STUDY.replace("kind: sft", "kind: sfft"), encoding="utf-8")
    result = subprocess.run([*command, "plan", str(bad)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "did you mean 'sft'" in result.stderr
    assert "Traceback" not in result.stderr
    result = subprocess.run([*command, "attribute", str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 7
    assert "rows.parquet" in result.stderr
