"""The piece of work that takes a slice out of the weights of a checkpoint. Idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.formats.record import BuildProfile, Record
from upbringing.lab.building.edit_job import parent_folder, parent_name
from upbringing.lab.building.executor import Event
from upbringing.lab.storage.store import Store
from upbringing.training.ablate import Ablate
from upbringing.training.ablation import ablate_checkpoint
from upbringing.training.fresh import copy_tokenizer
from upbringing.training.guards import edit_guard_text
from upbringing.training.publish import finish_checkpoint


@dataclass(frozen=True)
class AblationJob:
    """Take the slice of ``stage`` out of ``parent``, a folder or a key in the store, and publish the checkpoint."""

    key: str
    label: str
    store: Path
    name: str
    stage: Ablate
    parent: str | Path
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the ablated checkpoint."""
        store = Store(self.store)

        def fill(folder: Path) -> None:
            began = time.monotonic()
            parent = parent_folder(store, self.parent)
            changed = ablate_checkpoint(self.name, self.stage, parent, folder)
            copy_tokenizer(parent, folder)
            record = Record(
                id=self.key,
                parent=parent_name(self.parent),
                kind=self.stage.kind,
                stage=self.name,
                recipe=self.inputs,
                weights_changed=changed,
                guard=edit_guard_text(weights_changed=changed, identity=self.stage.identity),
                seconds=round(time.monotonic() - began, 3),
            )
            finish_checkpoint(folder, record, self.profile)

        store.publish("checkpoints", self.key, fill)
