"""A guard follows what the study declares now, not what it declared when the checkpoint was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.formats.record import read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: still
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 2k, context: 64, batch_size: 8, learning_rate: RATE, IDENTITY
             phases: [{data: world.pretraining_concept}]}
battery: [bits_per_byte]
primary: [bits_per_byte]
"""


def opened(folder: Path, rate: str, identity: str) -> Session:
    text = STUDY.replace("RATE", rate).replace("IDENTITY", identity)
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return open_session(folder / "study.yaml", store=folder / "store")


def guard(session: Session) -> tuple[str, str]:
    """Run, and return the checkpoint's key and its guard."""
    run(session, Watch())
    tree = read_tree(session.results / "tree.json")
    (cell,) = tree.cells
    (checkpoint,) = [each for each in tree.checkpoints if each.id == cell.checkpoint]
    record = session.results / "records" / f"{cell.checkpoint}.json"
    assert f'"guard": "{checkpoint.guard}"' in record.read_text(encoding="utf-8")
    return cell.checkpoint, str(checkpoint.guard)


@pytest.mark.parametrize(
    ("rate", "declared", "not_declared", "changed"),
    [
        ("0.0", "ok", "the stage changed no weight", False),
        ("1e-3", "the stage is declared an identity, but its weights changed", "ok", True),
    ],
)
def test_the_word_decides_although_nothing_is_trained_again(
    tmp_path: Path, one_process: None, rate: str, declared: str, not_declared: str, changed: bool
) -> None:
    key, first = guard(opened(tmp_path, rate, "identity: true,"))
    assert first == declared
    assert guard(opened(tmp_path, rate, "")) == (key, not_declared)
    session = opened(tmp_path, rate, "identity: true,")
    assert guard(session) == (key, declared)
    assert read_record(session.store.path("checkpoints", key)).weights_changed is changed
    assert len(session.store.keys("checkpoints")) == 2  # the start and the one stage


def test_arms_that_share_a_checkpoint_declare_it_alike(tmp_path: Path) -> None:
    sft = "  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4}\n"
    arms = "arms: {main: {}, other: {drop: sft, stages: {pretrain: {identity: true}}}}\n"
    text = STUDY.replace("RATE", "0.0").replace("IDENTITY", "").replace("battery:", f"{sft}{arms}battery:")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match="only one of them declares it an identity"):
        open_session(tmp_path / "study.yaml", store=tmp_path / "store")
