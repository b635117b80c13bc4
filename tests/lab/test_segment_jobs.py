"""A checkpoint that is there stays, byte and folder, when a later study needs the state behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.formats.record import BuildProfile
from upbringing.lab.building.jobs import SegmentJob
from upbringing.lab.storage.store import Store
from upbringing.training.segment import Segment
from upbringing.training.sft import Sft


def job(store: Path, *, needs_state: bool) -> SegmentJob:
    segment = Segment("sft", Sft(data="chats"), 0, 4, 0, 4)
    return SegmentJob("a-checkpoint", "sft", store, segment, "parent", None, "stream", needs_state, {}, BuildProfile())


def test_a_state_that_is_needed_later_does_not_take_the_checkpoint_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []

    def train(self: SegmentJob, store: Store, workspace: Path, folder: Path, state: Path | None, report: Any) -> None:
        trained.append(folder)
        (folder / "weights.bin").write_bytes(b"weights")
        if state is not None:
            (state / "optimizer.bin").write_bytes(b"state")

    monkeypatch.setattr(SegmentJob, "_train", train)
    store = Store(tmp_path)
    job(tmp_path, needs_state=False).run(lambda event: None)
    found = store.path("checkpoints", "a-checkpoint")
    before = {path.name: path.stat().st_ino for path in found.iterdir()}
    assert store.find("states", "a-checkpoint") is None
    job(tmp_path, needs_state=True).run(lambda event: None)
    assert {path.name: path.stat().st_ino for path in found.iterdir()} == before
    assert store.whole("checkpoints", "a-checkpoint") == found
    state = store.whole("states", "a-checkpoint")
    assert state is not None
    assert (state / "optimizer.bin").read_bytes() == b"state"
    assert len(trained) == 2
    assert not list((tmp_path / "workspaces").iterdir())
    job(tmp_path, needs_state=True).run(lambda event: None)
    assert len(trained) == 2
