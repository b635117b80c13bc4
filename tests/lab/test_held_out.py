"""The held-out loss: recorded with every trained stage, computed by hand, and a warning where it did not fall."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from upbringing.data.held_out import HeldOut, read_held_out
from upbringing.data.stream import open_stream
from upbringing.formats.record import HeldOutLoss, Record, read_record
from upbringing.lab.results import held_out_notes
from upbringing.lab.run import build
from upbringing.lab.session import Session, open_session
from upbringing.models.loading import load_model
from upbringing.training.held_out import NO_UNREAD_TEXT, held_out_warnings

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: unread
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  texts: {kind: file, path: texts.jsonl}
stages:
  pretrain: {kind: pretrain, tokens: 4096, context: 64, batch_size: 8, learning_rate: RATE, phases: [{data: texts}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4}
battery: [bits_per_byte]
primary: [bits_per_byte]
"""


@pytest.fixture
def built(tmp_path: Path, one_process: None, request: pytest.FixtureRequest) -> tuple[Session, dict[str, Record]]:
    lines = [json.dumps({"text": " ".join(f"w{(7 * place + word) % 50}" for word in range(12))}) for place in range(50)]
    lines += [json.dumps({"text": " ".join(f"v{place} x{place}" for _ in range(6))}) for place in range(150)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY.replace("RATE", request.param), encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    build(session)
    folders = [session.store.path("checkpoints", key) for key in session.store.keys("checkpoints")]
    return session, {record.stage: record for record in map(read_record, folders)}


def by_hand(folder: Path, held_out: HeldOut, record: Record) -> NDArray[np.float64]:
    """Score each text of each window by itself: the mean loss per window."""
    import torch

    model = load_model(folder, profile=record.profile, check=False).model
    losses = []
    for tokens, documents in zip(held_out.arrays["tokens"], held_out.arrays["documents"], strict=True):
        nats: list[float] = []
        for number in range(documents.max() + 1):
            ids = torch.tensor([tokens[documents == number].tolist()])
            with torch.no_grad():
                scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), dim=-1)
            nats += (-scores.gather(1, ids[0, 1:, None])).flatten().tolist()
        losses.append(float(np.mean(nats)))
    return np.array(losses)


@pytest.mark.parametrize("built", ["3e-3"], indirect=True)
def test_it_is_the_loss_of_unread_texts_before_and_after(built: tuple[Session, dict[str, Record]]) -> None:
    session, records = built
    record = records["pretrain"]
    found = record.held_out
    assert found is not None
    assert found.num_windows == 8
    (stream,) = [
        session.store.path("data", key)
        for key in session.store.keys("data")
        if key.startswith("stream-") and read_held_out(session.store.path("data", key)).keys
    ]
    held_out = read_held_out(stream)
    read = {row.tobytes() for row in open_stream(stream).arrays["tokens"]}
    assert not any(row.tobytes() in read for row in held_out.arrays["tokens"])
    before, after = (
        by_hand(session.store.path("checkpoints", key), held_out, record) for key in (records["start"].id, record.id)
    )
    assert found.before == pytest.approx(before.mean(), abs=1e-5)
    assert found.after == pytest.approx(after.mean(), abs=1e-5)
    assert found.standard_error == pytest.approx((after - before).std(ddof=1) / np.sqrt(8), abs=1e-5)
    assert found.after < found.before
    assert not any("unread texts" in warning for warning in record.warnings)
    assert records["sft"].held_out == HeldOutLoss(reason=NO_UNREAD_TEXT)


@pytest.mark.parametrize("built", ["0.0"], indirect=True)
def test_a_stage_that_learns_nothing_is_warned_of_and_blocked_by_its_guard_alone(
    built: tuple[Session, dict[str, Record]],
) -> None:
    record = built[1]["pretrain"]
    assert record.held_out is not None
    assert record.held_out.before == record.held_out.after
    assert any("unread texts of its data did not fall" in warning for warning in record.warnings)
    (note,) = held_out_notes({"node": record, "other": built[1]["sft"]}, {"node": "main: pretrain, seed 0"})
    assert "in main: pretrain, seed 0:" in note


def test_the_warning_needs_more_than_one_standard_error() -> None:
    loss = HeldOutLoss(before=2.0, after=1.9, standard_error=0.11, num_windows=8)
    assert held_out_warnings(loss)
    assert not held_out_warnings(loss.model_copy(update={"standard_error": 0.09}))
    assert held_out_warnings(HeldOutLoss(before=2.0, after=2.0, num_windows=1))
    assert held_out_warnings(HeldOutLoss(reason=NO_UNREAD_TEXT)) == ()
