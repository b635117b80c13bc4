"""A curriculum is one run: stopped where its data changes, or inside an anneal, it ends in the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_bench import BATCH, Bench, bits, documents

from upbringing.data.stream import StreamPart, StreamPlan, build_stream, read_info
from upbringing.training.pretrain import Pretrain
from upbringing.training.schedules import CosineSchedule, Schedule, WarmupStableDecay

pytestmark = pytest.mark.model

CONTEXT, BEFORE, STEPS = 32, 5, 12


def stream_of(bench: Bench, name: str, *parts: StreamPart) -> Path:
    folder = bench.folder / f"curriculum-{name}"
    if not folder.exists():
        folder.mkdir()
        texts = {"a": documents(1), "b": documents(2)}
        plan = StreamPlan("documents", CONTEXT, BATCH, 7, parts)
        build_stream(plan, lambda key: texts[key], {"a": "a", "b": "b"}, bench.start, folder)
    return folder


def plain(bench: Bench) -> Path:
    return stream_of(bench, "plain", StreamPart((("a", 1.0),), STEPS * BATCH))


def annealed(bench: Bench) -> Path:
    moving = StreamPart((("a", 1.0), ("b", 0.0)), (STEPS - BEFORE) * BATCH, to=(0.0, 1.0))
    return stream_of(bench, "annealed", StreamPart((("a", 1.0),), BEFORE * BATCH), moving)


def stage(schedule: Schedule) -> Pretrain:
    phases = [{"data": "a"}]
    return Pretrain.model_validate(
        {"tokens": STEPS * BATCH * CONTEXT, "phases": phases, "context": CONTEXT, "batch_size": BATCH,
         "learning_rate": 3e-3, "schedule": schedule.model_dump()}
    )  # fmt: skip


def test_an_anneal_shares_the_bytes_before_it_and_none_after(bench: Bench) -> None:
    one, other = read_info(plain(bench)), read_info(annealed(bench))
    assert one.prefix_sha256(BEFORE) == other.prefix_sha256(BEFORE)
    assert one.prefix_sha256(BEFORE + 1) != other.prefix_sha256(BEFORE + 1)


@pytest.mark.parametrize("schedule", [CosineSchedule(), WarmupStableDecay(decay=0.5)], ids=lambda each: each.kind)
def test_a_run_stopped_before_the_anneal_and_one_inside_it_end_in_the_same_bits(
    bench: Bench, schedule: Schedule
) -> None:
    """The trunk knows nothing of the anneal: it trains on the other stream, and only its later data is swapped."""
    recipe, name = stage(schedule), schedule.kind
    straight, whole = bench.train(f"{name}-straight", recipe, annealed(bench), steps=(0, STEPS))
    bench.train(f"{name}-trunk", recipe, plain(bench), steps=(0, BEFORE), keep_state=True)
    state = bench.folder / f"{name}-trunk" / "state"
    bench.train(f"{name}-inside", recipe, annealed(bench), steps=(BEFORE, 8), state=state, keep_state=True)
    inside = bench.folder / f"{name}-inside" / "state"
    last, parts = bench.train(f"{name}-last", recipe, annealed(bench), steps=(8, STEPS), state=inside)
    assert bits(last) == bits(straight)
    assert parts.losses == whole.losses
    never, _ = bench.train(f"{name}-never", recipe, plain(bench), steps=(BEFORE, STEPS), state=state)
    assert bits(never) != bits(straight)
