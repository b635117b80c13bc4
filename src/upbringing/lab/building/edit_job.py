"""The piece of work that edits the weights of a checkpoint by what changed between two others. Idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.formats.record import BuildProfile, Record
from upbringing.lab.building.executor import Event
from upbringing.lab.building.jobs import present
from upbringing.lab.storage.store import Store
from upbringing.training.edit_weights import EditWeights
from upbringing.training.editing import EditPlaces, edit_checkpoint
from upbringing.training.fresh import copy_tokenizer
from upbringing.training.guards import edit_guard_text
from upbringing.training.publish import finish_checkpoint


@dataclass(frozen=True)
class EditJob:
    """Edit the weights of ``parent`` and publish the checkpoint. ``start``, ``to``: the ends of the delta.

    Checkpoints are folders of existing ones, or keys in the store.
    """

    key: str
    label: str
    store: Path
    name: str
    stage: EditWeights
    seed: int
    parent: str | Path
    start: str | Path
    to: str | Path
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the edited checkpoint."""
        store = Store(self.store)

        def fill(folder: Path) -> None:
            began = time.monotonic()
            parent, start, to = (parent_folder(store, each) for each in (self.parent, self.start, self.to))
            changed = edit_checkpoint(self.name, self.stage, EditPlaces(parent, start, to, folder), self.seed)
            copy_tokenizer(parent, folder)
            record = Record(
                id=self.key,
                parent=parent_name(self.parent),
                kind=self.stage.kind,
                stage=self.name,
                recipe=self.inputs,
                seed=self.seed if self.stage.delta.random else None,
                weights_changed=changed,
                guard=edit_guard_text(weights_changed=changed, identity=self.stage.identity),
                seconds=round(time.monotonic() - began, 3),
            )
            finish_checkpoint(folder, record, self.profile)

        store.publish("checkpoints", self.key, fill)


def parent_name(checkpoint: str | Path) -> str:
    """Return what a record calls the checkpoint that was edited."""
    return checkpoint if isinstance(checkpoint, str) else checkpoint.name


def parent_folder(store: Store, checkpoint: str | Path) -> Path:
    """Return the folder of a checkpoint, an existing one or a key in the store."""
    if isinstance(checkpoint, Path):
        return checkpoint
    return present(store.find("checkpoints", checkpoint, full=True), checkpoint)
