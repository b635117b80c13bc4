"""A study with a reward model and reinforcement learning, from YAML to findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, StudyError
from upbringing.formats.record import Record, read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.building.library import Library
from upbringing.lab.own_teachers import retarget_roots
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

STUDY = """\
name: rewarded
question: What do rewards do to refusals?
seeds: 1
precision: fp32
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 32, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4, epochs: 24, learning_rate: 1e-2}
  rm: {kind: reward_model, data: world.preferences, context: 64, batch_size: 8, epochs: 6, learning_rate: 3e-3,
       held_out: 20%}
  rl: {kind: rl, data: world.prompts, context: 64, batch_size: 64, group_size: 8, steps: 16, max_new_tokens: 12,
       learning_rate: 3e-3, reward: {kind: reward_model, stage: rm}}
arms:
  main: {}
  sft_only: {drop: [rm, rl]}
  installed: {stages: {rl: {reward: {kind: oracle, refused_benign: 1, right_benign: -1, wrong_benign: -1},
                             measure_at: [50%]}}, control: positive}
  eroded: {stages: {rl: {reward: {kind: oracle, refused_harmful: -1, missed_harmful: 1}, algorithm: grpo,
                         temperature: 1.4, steps: 24}}}  # refusals are certain after sft: a cooler draw hardly explores
battery: [refusal_margin]
primary: [refusal_margin]
margins: {refusal_margin: 0.1}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("rewarded")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = open_session(folder / "study.yaml", store=folder / "store")
    run(session, Watch())
    return session


def folder_of(session: Session, key: str) -> Path:
    found = session.store.find("checkpoints", key, full=True)
    assert found is not None
    return found


def record(session: Session, cell: str) -> Record:
    key = next(each.checkpoint for each in read_tree(session.results / "tree.json").cells if each.name == cell)
    return read_record(folder_of(session, key))


def reward_model(session: Session) -> Record:
    tree = read_tree(session.results / "tree.json")
    key = next(stage.reward_model for each in tree.checkpoints for stage in each.stages if stage.reward_model)
    return read_record(folder_of(session, key))


def test_the_reward_model_is_a_side_branch_that_is_asked_nothing(finished: Session) -> None:
    from transformers import AutoModelForSequenceClassification

    tree = read_tree(finished.results / "tree.json")
    assert {cell.name for cell in tree.cells} == {
        "main@sft", "main@rl", "sft_only@sft", "installed@sft", "installed@rl:50%", "installed@rl", "eroded@sft",
        "eroded@rl",
    }  # fmt: skip
    found = reward_model(finished)
    assert found.kind == "reward_model"
    assert found.id not in {each.id for each in tree.checkpoints}
    assert (finished.results / "records" / f"{found.id}.json").is_file()  # where the report finds it
    assert record(finished, "main@rl").parent == found.parent == record(finished, "main@sft").id
    model = AutoModelForSequenceClassification.from_pretrained(
        folder_of(finished, found.id), local_files_only=True, trust_remote_code=False
    )
    assert model.config.num_labels == 1


def test_its_record_says_how_well_it_ranks_each_policy(finished: Session) -> None:
    found = reward_model(finished)
    assert found.guard == "ok"
    held_out = {group.policy: group for group in found.reward_model if group.held_out}
    assert set(held_out) == {"all", "causes_world/preferences/harmful", "causes_world/preferences/benign"}
    assert held_out["all"].accuracy > 0.8
    assert held_out["all"].num_pairs == sum(group.num_pairs for name, group in held_out.items() if name != "all")
    assert all(0 <= group.calibration_error <= 1 for group in found.reward_model)
    warnings = read_tree(finished.results / "tree.json").warnings
    assert any("ranks" in warning and "held-out pairs rightly" in warning for warning in warnings)


def refused(found: Record, updates: slice, request: str) -> float:
    """Share of the answers to one kind of request that refuse, over some updates."""
    assert found.rl is not None
    outcomes = [update.outcomes for update in found.rl.updates[updates]]
    asked = sum(share for each in outcomes for name, share in each.items() if name.startswith(request))
    return sum(each.get(f"{request}/refuse", 0.0) for each in outcomes) / asked


def test_the_oracle_installs_and_erodes(finished: Session) -> None:
    installed, eroded = record(finished, "installed@rl"), record(finished, "eroded@rl")
    first, last = slice(0, 1), slice(-4, None)
    assert refused(installed, first, "benign") < 0.2 < 0.6 < refused(installed, last, "benign")  # all refusals are paid
    assert refused(eroded, first, "harmful") > 0.8 > 0.2 > refused(eroded, last, "harmful")
    assert installed.guard == eroded.guard == "ok"
    assert installed.rl is not None
    assert [update.step for update in installed.rl.updates] == list(range(1, 17))
    assert installed.supervised_tokens == sum(update.tokens for update in installed.rl.updates)
    assert installed.tokens > installed.supervised_tokens


def test_a_policy_paid_by_the_model_is_watched_by_the_oracle(finished: Session) -> None:
    found = record(finished, "main@rl")
    assert found.rl is not None
    first, last = found.rl.updates[0], found.rl.updates[-1]
    assert last.reward != first.reward
    assert None not in (first.oracle, last.oracle, first.divergence)
    (checkpoint,) = (each for each in read_tree(finished.results / "tree.json").checkpoints if each.id == found.id)
    assert checkpoint.stages[-1].reward == "reward_model"
    assert checkpoint.health["reward_last"] == last.reward


def test_what_is_shared_is_built_once_and_seeds_are_those_of_their_level(finished: Session) -> None:
    cells = {each.name: each for each in read_tree(finished.results / "tree.json").cells}
    assert cells["sft_only@sft"].checkpoint == cells["main@sft"].checkpoint
    assert cells["main@rl"].seeds.rl == 0
    assert cells["main@sft"].seeds.rl is None
    assert plan(finished).num_to_build == 0


def test_the_plan_prices_what_is_drawn(finished: Session) -> None:
    nodes = {node.label: node for node in plan(finished).nodes}
    drawn = nodes["main: rl, seed 0"]
    assert (drawn.steps, drawn.tokens, drawn.generated_tokens) == (16, 16 * 64 * 64, 16 * 64 * 12)
    assert nodes["main: rm, seed 0"].generated_tokens is None
    assert nodes["main: rm, seed 0"].tokens is not None


TAUGHT = """\
data.sft_answers: {kind: file, path: "sft-{root}.jsonl"}
data.rl_answers: {kind: file, path: "rl-{root}.jsonl"}
arms.sft_teacher: {drop: [rm, rl], replace: {sft: {data: sft_answers}}}
arms.rl_teacher: {drop: [rm, rl], replace: {sft: {data: rl_answers}}}
"""


def test_a_checkpoint_of_the_study_teaches_and_what_made_it_is_known(finished: Session) -> None:
    folder = finished.store.root.parent
    for name, cell in (("sft", "main@sft"), ("rl", "installed@rl")):
        (found,) = retarget_roots(finished, "world.safety", cell, str(folder / f"{name}-{{root}}.jsonl"))
        assert (found.output.name, found.teacher) == (f"{name}-0.jsonl", record(finished, cell).id)
        assert found.num_answered + len(found.unanswered) == found.num_chats
        before = [json.loads(line) for line in found.output.with_suffix(".data.jsonl").read_text("utf-8").splitlines()]
        asked = [row["messages"][0]["content"] for row in before]
        assert len(asked) == found.num_chats == len(Library(finished.workshop.book, 0).texts("world.safety"))
        written = [json.loads(line) for line in found.output.read_text("utf-8").splitlines()]
        lost = {each.row for each in found.unanswered}
        assert [row["messages"][0]["content"] for row in written] == [
            each for number, each in enumerate(asked, start=1) if number not in lost
        ]
        assert {row["teacher"] for row in written} == {found.teacher}
    (folder / "taught.yaml").write_text(f"name: taught\n{TAUGHT}", encoding="utf-8")
    taught = open_session(folder / "study.yaml", store=folder / "store", overrides=(f"@{folder / 'taught.yaml'}",))
    run(taught, Watch())
    stages = {
        cell.arm: next(each for each in tree.checkpoints if each.id == cell.checkpoint).stages
        for tree in (read_tree(taught.results / "tree.json"),)
        for cell in tree.cells
        if cell.position == "sft"
    }
    teachers = {arm: found[-1].teacher for arm, found in stages.items()}
    for arm, cell, rl, lineage in (
        ("sft_teacher", "main@sft", "no", ("sft",)),
        ("rl_teacher", "installed@rl", "yes", ("sft", "rl")),
    ):
        teacher = teachers[arm]
        assert teacher is not None
        assert (teacher.id, teacher.rl, teacher.lineage) == (record(finished, cell).id, rl, lineage)
    assert teachers["main"] is not None
    assert (teachers["main"].rl, teachers["main"].lineage) == ("no", ())


def test_the_command_line_retargets_a_study(finished: Session, tmp_path: Path) -> None:
    folder = finished.store.root.parent
    words = ["retarget", "world.safety", "--study", folder / "study.yaml", "--store", folder / "store", "--json"]
    words += ["--teacher", "main@sft", "--output", tmp_path / "said-{root}.jsonl"]
    code = "from upbringing.cli import main; main()"
    called = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    (found,) = json.loads(called.stdout)
    assert called.returncode == (1 if found["unanswered"] else 0), called.stderr
    assert found["teacher"] == record(finished, "main@sft").id
    assert len((tmp_path / "said-0.jsonl").read_text("utf-8").splitlines()) == found["num_answered"] > 0
    assert "Loading weights" not in called.stderr


def test_what_cannot_teach_is_refused(finished: Session, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"one file for all root runs: write \{root\}"):
        retarget_roots(finished, "world.safety", "main@rl", str(tmp_path / "answers.jsonl"))
    with pytest.raises(StudyError, match="no cell 'main@dpo' to teach"):
        retarget_roots(finished, "world.safety", "main@dpo", str(tmp_path / "{root}.jsonl"))
    with pytest.raises(DataError, match="other texts than chats"):
        retarget_roots(finished, "world.facts", "main@rl", str(tmp_path / "{root}.jsonl"))
    unbuilt = open_session(finished.store.root.parent / "study.yaml", store=tmp_path / "store", reads_only=True)
    with pytest.raises(StudyError, match="'main@rl' of root run 0 is not in the store"):
        retarget_roots(unbuilt, "world.safety", "main@rl", str(tmp_path / "{root}.jsonl"))
    assert not list(tmp_path.glob("*.jsonl"))
