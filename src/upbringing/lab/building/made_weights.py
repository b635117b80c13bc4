"""The piece of work that makes weights out of those of other checkpoints, without training. Idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.formats.record import BuildProfile, Record
from upbringing.lab.building.executor import Event
from upbringing.lab.building.jobs import present
from upbringing.lab.storage.store import Store
from upbringing.training.ablate import Ablate
from upbringing.training.ablation import ablate_checkpoint
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.averaging import average_folders
from upbringing.training.edit_weights import EditWeights
from upbringing.training.editing import EditPlaces, edit_checkpoint
from upbringing.training.fresh import copy_tokenizer
from upbringing.training.guards import edit_guard_text
from upbringing.training.publish import finish_checkpoint

MakingStage = EditWeights | Ablate | AverageCheckpoints
"""The stages that make weights and train nothing."""


@dataclass(frozen=True)
class WeightsJob:
    """Make the weights of a stage from ``parent`` and ``others`` (the ends of a delta, what is averaged), and publish
    the checkpoint.

    Checkpoints are folders of existing ones, or keys in the store. ``seed``: of what is drawn, ``None`` if nothing is.
    """

    key: str
    label: str
    store: Path
    name: str
    stage: MakingStage
    seed: int | None
    parent: str | Path
    others: tuple[str | Path, ...]
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the checkpoint."""
        store = Store(self.store)

        def fill(folder: Path) -> None:
            began = time.monotonic()
            parent = _folder(store, self.parent)
            changed = self._write(parent, [_folder(store, each) for each in self.others], folder)
            copy_tokenizer(parent, folder)
            record = Record(
                id=self.key,
                parent=self.parent if isinstance(self.parent, str) else self.parent.name,
                kind=self.stage.kind,
                stage=self.name,
                recipe=self.inputs,
                seed=self.seed,
                weights_changed=changed,
                guard=edit_guard_text(weights_changed=changed, identity=self.stage.identity),
                seconds=round(time.monotonic() - began, 3),
            )
            finish_checkpoint(folder, record, self.profile)

        store.publish("checkpoints", self.key, fill)

    def _write(self, parent: Path, others: Sequence[Path], output: Path) -> bool:
        """Write the weights and their configuration into ``output``; return whether any differs from the parent's."""
        if isinstance(self.stage, EditWeights):
            start, to = others
            return edit_checkpoint(self.name, self.stage, EditPlaces(parent, start, to, output), self.seed or 0)
        if isinstance(self.stage, Ablate):
            return ablate_checkpoint(self.name, self.stage, parent, output)
        return average_folders(self.name, parent, others, output)


def _folder(store: Store, checkpoint: str | Path) -> Path:
    if isinstance(checkpoint, Path):
        return checkpoint
    return present(store.find("checkpoints", checkpoint, full=True), checkpoint)
