"""A study that averages checkpoints along a stage: planned, built, published; what enters its keys, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from delta_bench import TWO_STAGES, cell, ends, folder_of, opened, tree_of
from safetensors.numpy import load_file

from upbringing.base.errors import StudyError
from upbringing.formats.findings import read_findings
from upbringing.formats.record import read_record
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

MEAN = "mean: {kind: average_checkpoints, at: [50%, 3072]}"
STUDY = f"""\
name: averaged
{TWO_STAGES}primary: [bits_per_byte]
arms:
  plain: {{drop: mid}}
  looked: {{stages: {{pretrain: {{measure_at: [50%, 75%]}}}}}}
  averaged: {{drop: mid, stages: {{{MEAN}}}}}
  later: {{stages: {{mid: {{kind: average_checkpoints, at: [2048]}},
          last: {{kind: midtrain, tokens: 1k, context: 64, batch_size: 8, phases: [{{data: world.facts}}]}}}}}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("averaged")
    session = opened(folder, STUDY)
    means = [node for node in plan(session).nodes if ": mean" in node.label]
    assert [(node.steps, node.tokens, node.flops) for node in means] == [(0, 0, 0.0)]
    run(session, Watch())
    return session


def test_an_averaged_checkpoint_is_the_mean_of_what_was_measured_inside(finished: Session) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cells = ("looked@pretrain:50%", "looked@pretrain:75%", "plain@pretrain")
    parts = [load_file(folder_of(finished, name) / "model.safetensors") for name in cells]
    folder = folder_of(finished, "averaged@mean")
    found = load_file(folder / "model.safetensors")
    assert found.keys() == parts[0].keys()
    for name, tensor in found.items():
        mean = np.mean([part[name].astype(np.float64) for part in parts], axis=0)
        np.testing.assert_array_equal(tensor, mean.astype(np.float32))
    AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True)("rain").input_ids
    record = read_record(folder)
    assert (record.kind, record.guard, record.weights_changed, record.seed) == ("average_checkpoints", "ok", True, None)
    assert record.parent == cell(finished, "plain@pretrain").checkpoint
    assert "the mean of 3 checkpoints along the stage before it" in (folder / "README.md").read_text(encoding="utf-8")


def test_training_goes_on_from_a_mean(finished: Session) -> None:
    record = read_record(folder_of(finished, "later@last"))
    assert record.parent == cell(finished, "later@mid").checkpoint
    assert record.updates == 1


def test_only_what_is_asked_for_is_measured(finished: Session) -> None:
    names = {each.name for each in finished.tree.cells if each.arm == "averaged"}
    assert names == {"averaged@pretrain", "averaged@mean"}


def test_claims_on_averaged_cells_are_those_of_branches(finished: Session) -> None:
    findings = read_findings(finished.results / "findings.json")
    levels = {claim.level for claim in findings.claims if "averaged" in claim.contrast}
    assert levels
    assert "L4" not in levels


def test_a_second_run_makes_nothing(finished: Session) -> None:
    assert {node.status for node in plan(finished).nodes} == {"done"}


def test_the_places_enter_the_keys_and_their_order_does_not() -> None:
    before = ends(STUDY)
    assert ends(STUDY.replace("at: [50%, 3072]", "at: [75%, 2048]")) == before
    found = ends(STUDY.replace("at: [50%, 3072]", "at: [50%]"))
    assert {arm for arm in before if found[arm] != before[arm]} == {"averaged"}


def test_arms_that_share_a_stage_look_inside_at_their_own_places() -> None:
    text = STUDY.replace(MEAN, "pretrain: {measure_at: [25%]}, mean: {kind: average_checkpoints, at: [75%]}")
    found = {each.name for each in tree_of(text).cells}
    assert {"looked@pretrain:50%", "looked@pretrain:75%", "averaged@pretrain:25%"} <= found
    assert "averaged@pretrain:75%" not in found
    assert "plain@pretrain:50%" not in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at: [50%, 3072]", "at: [50%, 100%]", "at lists 100%, which is no step inside the 7 updates"),
        ("at: [50%, 3072]", "at: [1]", "at lists 1, which is no step inside"),
        ("at: [50%, 3072]", "at: [1M]", "at: the place 1000000 lies beyond the stage's 4000 tokens"),
        ("at: [50%, 3072]", "at: [50%, 2000]", "two places of at are one step of the 7 updates"),
        (MEAN, f"{MEAN}, again: {{kind: average_checkpoints, at: [50%]}}", "and that is average_checkpoints"),
        ("{drop: mid, stages: {mean", "{drop: [pretrain, mid], stages: {mean", "and that is the start"),
        ("measure_at: [50%, 75%]", "measure_at: [1M]", "measure_at: the place 1000000 lies beyond"),
    ],
)
def test_places_that_are_not_inside_a_stage_are_named(old: str, new: str, message: str) -> None:
    assert old in STUDY
    with pytest.raises(StudyError, match=message):
        tree_of(STUDY.replace(old, new, 1))


@pytest.mark.slow
def test_at_a_high_constant_rate_the_mean_predicts_better_than_the_end(
    tmp_path: Path, one_process_for_all: None
) -> None:
    """The planted effect: weights wander about what they look for, and their mean is nearer to it."""
    rate = "tokens: 48k, learning_rate: 1e-2, schedule: {kind: constant}"
    text = (
        STUDY.replace("tokens: 4k", rate, 1).replace("prompts: [texts]\n", "").replace("[50%, 3072]", "[70%, 80%, 90%]")
    )
    kept = text[: text.index("  looked:")] + text[text.index("  averaged:") : text.index("  later:")]
    session = opened(tmp_path, kept)
    run(session, Watch())
    rows = pq.read_table(session.results / "rows.parquet").to_pylist()
    found = {
        name: [row["value"] for row in rows if row["checkpoint"] == cell(session, name).checkpoint]
        for name in ("averaged@mean", "plain@pretrain")
    }
    better = np.array(found["averaged@mean"]) < np.array(found["plain@pretrain"])
    assert better.sum() >= 18, f"{better.sum()} of {len(better)} texts"  # by chance in one of a hundred studies
    assert np.mean(found["averaged@mean"]) < np.mean(found["plain@pretrain"])
