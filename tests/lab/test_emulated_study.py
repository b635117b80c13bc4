"""A study with emulated tuning, from YAML to findings: named at no cost, asked of three checkpoints, calibrated."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from delta_bench import TWO_STAGES, cell, folder_of, write_texts
from rich.console import Console

from upbringing.base.errors import IntegrityError, StudyError, TrainingError, UpbringingWarning
from upbringing.formats.findings import read_findings
from upbringing.formats.items import Item, Message
from upbringing.formats.record import BuildProfile, read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.measurement.measure_jobs import measure_jobs
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.plan_drawing import print_plan
from upbringing.lab.planning.planned import Plan
from upbringing.lab.run import Watch, build, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.contents import export
from upbringing.models.loading import load_model
from upbringing.training.emulating import NOTHING_MOVED
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

GIVEN = """\
name: given
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{asked: {{kind: items, path: {items}}}}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
arms:
  main: {{}}
  aside: {{stages: {{tuned: {{checkpoint: {third}}}}}}}
  whole: {{drop: tuned, stages: {{moved: {{kind: emulate_tuning, delta: {{arm: main, to: tuned}}}}}},
           stands_for: aside@tuned}}
  nothing: {{drop: tuned, stages: {{moved: {{kind: emulate_tuning, strength: 0, delta: {{arm: main, to: tuned}}}}}}}}
  noise: {{drop: tuned, stages: {{moved: {{kind: emulate_tuning, delta: {{arm: main, to: tuned, random: true}}}}}}}}
  back: {{of: aside, stages: {{moved: {{kind: emulate_tuning, strength: -0.5, delta: {{arm: main, from: start,
                                        to: tuned}}}}}}}}
"""
BATTERY = "battery: [over_refusal, refusal_margin, probe_gain, token_divergence]\njudges: [refusal_rules]\n"


def write_items(path: Path) -> None:
    items = [
        Item(
            id=f"{request}-{number}",
            cluster=str(number),
            request=request,
            split="ood",
            messages=(Message(role="user", content=f"{word} {'bab' if request == 'harmful' else 'dek'}"),),
            safe_continuations=("fid",),
            unsafe_continuations=("fib fic gob", "lub"),
        )
        for number, word in enumerate(("bab", "dek", "fic", "gob", "lud", "lul"))
        for request in ("harmful", "benign")
    ]
    path.write_text("\n".join(item.model_dump_json() for item in items), encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("emulated")
    third = folder / "third"
    third.mkdir()
    recipe = TokenizerRecipe(train_on="x")
    start = FreshStart(layers=2, width=16, heads=2, context=128, initial_deviation=0.3, tokenizer=recipe)
    create_fresh(start, tiny_folder / "tokenizer", 7, third)  # another size than the two between which it changed
    write_items(folder / "items.jsonl")
    words = GIVEN.format(folder=tiny_folder, items=folder / "items.jsonl", third=third)
    (folder / "study.yaml").write_text(words + BATTERY, encoding="utf-8")
    session = open_session(folder / "study.yaml", store=folder / "store")
    planned = plan(session)
    emulated = [node for node in planned.nodes if ": moved, " in node.label]
    assert len(emulated) == 4
    assert all((node.status, node.tokens, node.flops, node.seconds) == ("missing", 0, 0.0, 0.0) for node in emulated)
    run(session, Watch())
    return session


def rows(session: Session, name: str) -> list[dict[str, Any]]:
    """Return what was found on the checkpoint of a cell, in a fixed order and without names that differ."""
    key = cell(session, name).checkpoint
    found = [row for row in pq.read_table(session.results / "rows.parquet").to_pylist() if row["checkpoint"] == key]
    left_out = ("checkpoint", "response")
    plain = [{name: value for name, value in row.items() if name not in left_out} for row in found]
    return sorted(plain, key=str)


def drawn(planned: Plan) -> str:
    console = Console(width=200, file=StringIO())
    print_plan(planned, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def alone(session: Session, name: str) -> list[dict[str, Any]]:
    return [row for row in rows(session, name) if row["measure"] in ("over_refusal", "refusal_margin")]


def test_what_is_moved_onto_its_own_beginning_answers_as_its_end(finished: Session) -> None:
    assert alone(finished, "whole@moved") == alone(finished, "main@tuned") != alone(finished, "main@start")
    assert alone(finished, "nothing@moved") == alone(finished, "main@start")
    for name in ("noise@moved", "back@moved"):
        found = alone(finished, name)
        assert len(found) == len(alone(finished, "main@tuned"))
        assert all(row["value"] is not None for row in found if row["measure"] == "refusal_margin")
        assert found not in (
            alone(finished, "main@start"),
            alone(finished, "main@tuned"),
            alone(finished, "aside@tuned"),
        )


def test_what_needs_weights_is_not_measurable_and_says_so(finished: Session) -> None:
    reasons: dict[str, set[str | None]] = {}
    for row in rows(finished, "whole@moved"):
        reasons.setdefault(row["measure"], set()).add(row["reason_code"])
    assert reasons["probe_gain"] == {"no-hidden-states"}
    assert reasons["token_divergence"] == {"emulated-without-weights"}
    assert None in {row["reason_code"] for row in rows(finished, "main@tuned") if row["measure"] == "token_divergence"}


def test_nothing_but_a_record_is_left_and_it_names_the_three(finished: Session, tmp_path: Path) -> None:
    folder = folder_of(finished, "back@moved")
    assert not list(folder.glob("*.safetensors"))
    record = read_record(folder)
    found = record.emulated
    assert found is not None
    ids = {name: cell(finished, name).checkpoint for name in ("main@start", "main@tuned", "aside@tuned")}
    assert (found.at.id, found.plus.id, found.minus.id) == (ids["aside@tuned"], ids["main@tuned"], ids["main@start"])
    assert (found.strength, found.shuffled, record.guard, record.kind) == (-0.5, None, "ok", "emulate_tuning")
    assert (record.weights_sha256, record.load_check) == ("", None)
    assert "log p_at + -0.5 (log p_plus - log p_minus)" in (folder / "README.md").read_text(encoding="utf-8")
    control = read_record(folder_of(finished, "noise@moved")).emulated
    assert control is not None
    assert control.shuffled is not None
    with pytest.raises(IntegrityError, match="is not a Hugging Face model folder"):
        load_model(folder, profile=BuildProfile())
    with pytest.raises(StudyError, match=f"has no weights: three checkpoints answer for it, .*{ids['main@tuned']}"):
        export(finished.store.root, record.id, tmp_path / "taken")


def test_the_findings_say_that_it_is_l4_and_uncalibrated(finished: Session) -> None:
    tree = read_tree(finished.results / "tree.json")
    (emulated,) = (each for each in tree.checkpoints if each.id == cell(finished, "back@moved").checkpoint)
    assert (emulated.weights_sha256, emulated.stages[-1].kind) == (None, "emulate_tuning")
    assert emulated.parent == cell(finished, "aside@tuned").checkpoint
    findings = read_findings(finished.results / "findings.json")
    on_it = [each for each in findings.claims if any(name.endswith("@moved") for name in each.weights)]
    assert {(each.level, each.role, each.fidelity) for each in on_it} == {("L4", "exploratory", "uncalibrated")}
    assert {each.proxies for each in on_it} == {("emulate_tuning",)}
    assert "whole@moved - aside@tuned" in {each.contrast for each in on_it}
    table = findings.tables["fidelity"]
    assert {(row["proxy"], row["status"], row["cells"]) for row in table} >= {("emulate_tuning", "uncalibrated", 1)}
    assert {row["proxy"] for row in table} == {"emulate_tuning"}
    pair = next(row for row in table if row["measure"] == "refusal_margin")["pairs"][0]
    assert (pair["cell"], pair["stands_for"], pair["edited_from"]) == ("whole@moved", "aside@tuned", "whole@start")
    page = (finished.results / "report.html").read_text(encoding="utf-8")
    assert "Emulated tuning is uncalibrated on" in page
    assert "none: emulated" in page
    assert "Edited weights" not in page


def test_a_plan_counts_the_networks_and_a_change_says_why(finished: Session) -> None:
    again = plan(finished)
    assert (again.num_to_build, again.measuring.num_networks_to_ask) == (0, 0)
    study = finished.folder.parents[2] / "study.yaml"
    changed = open_session(study, store=finished.store.root, overrides=("arms.back.stages.moved.strength=2",))
    planned = plan(changed)
    nodes = {node.label: node for node in planned.nodes}
    assert nodes["back: moved, seed 0"].why == ("strength changed from -0.5 to 2.0",)
    assert (planned.measuring.num_to_measure, planned.measuring.num_networks_to_ask) == (1, 3)
    assert "1 of 7 checkpoints" in drawn(planned)
    assert "3 networks to ask" in drawn(planned)


def test_checkpoints_of_two_tokenizers_are_refused_before_anything_is_measured(
    tiny_folder: Path, existing: Path, tmp_path: Path, one_process: None
) -> None:
    write_items(tmp_path / "items.jsonl")
    words = GIVEN.format(folder=tiny_folder, items=tmp_path / "items.jsonl", third=existing)
    (tmp_path / "study.yaml").write_text(words + BATTERY, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store", only=("back",))
    with pytest.raises(TrainingError, match=r"stage 'moved': the id of the token .* emulated tuning sums logits"):
        build(session)


def test_a_delta_that_is_nothing_blocks_what_rests_on_it(tiny_folder: Path, tmp_path: Path, one_process: None) -> None:
    write_items(tmp_path / "items.jsonl")
    shutil.copytree(tiny_folder / "base", tmp_path / "copy")
    words = GIVEN.format(folder=tiny_folder, items=tmp_path / "items.jsonl", third=tmp_path / "copy")
    words = words.replace(",\n           stands_for: aside@tuned", "").replace("arm: main, to", "arm: aside, to")
    (tmp_path / "study.yaml").write_text(words + BATTERY, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store", only=("whole", "nothing"))
    keys = build(session).prepared.keys
    guards = {
        cell.arm: read_record(session.store.path("checkpoints", keys[cell.node])).guard
        for cell in session.tree.cells
        if cell.position == "moved"
    }
    assert guards == {"whole": NOTHING_MOVED, "nothing": "ok"}


TRAINED = (
    f"name: emulated\n{TWO_STAGES}"
    + """\
arms:
  whole: {drop: mid, stages: {moved: {kind: emulate_tuning, delta: {arm: main, from: pretrain, to: mid}}}}
  twice: {stages: {moved: {kind: emulate_tuning, delta: {from: pretrain, to: mid}}}}
  main: {}
"""
)


def test_trained_checkpoints_answer_together_out_of_the_store(tmp_path: Path, one_process: None) -> None:
    write_texts(tmp_path / "items.jsonl")
    (tmp_path / "study.yaml").write_text(TRAINED, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    run(session, Watch())
    assert rows(session, "whole@moved") == rows(session, "main@mid") != rows(session, "main@pretrain")
    assert rows(session, "twice@moved") not in (rows(session, "main@mid"), rows(session, "main@pretrain"))
    record = read_record(folder_of(session, "twice@moved"))
    assert record.parent == cell(session, "main@mid").checkpoint
    assert cell(session, "twice@moved").seeds == cell(session, "main@mid").seeds
    jobs = {job.checkpoint: job for job in measure_jobs(session, build(session).prepared)}
    jobs[record.id].require_whole(session.store)
    weights = folder_of(session, "main@pretrain") / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x00\x01")
    with (
        pytest.warns(UpbringingWarning, match=r"model\.safetensors are not the ones"),
        pytest.raises(IntegrityError, match="was damaged: run the same command again"),
    ):
        jobs[record.id].require_whole(session.store)
