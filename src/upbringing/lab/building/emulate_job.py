"""The piece of work that names the checkpoints which answer together after an emulated stage. Idempotent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.formats.record import BuildProfile, Record
from upbringing.lab.building.executor import Event
from upbringing.lab.building.jobs import present
from upbringing.lab.building.special_tokens import special_tokens
from upbringing.lab.storage.store import Store
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.emulating import EmulatedPlaces, PartPlace, emulated_of, finish_emulated, guard_of
from upbringing.training.fresh import copy_tokenizer


@dataclass(frozen=True)
class Part:
    """A checkpoint by its key; ``folder``: where it lies if that is not in the store's checkpoints."""

    key: str
    folder: Path | None

    def place(self, store: Store) -> PartPlace:
        """Return where it lies; raises ``IntegrityError`` if it is not whole."""
        folder = self.folder or present(store.find("checkpoints", self.key, full=True), self.key)
        return PartPlace(self.key, folder)


@dataclass(frozen=True)
class EmulateJob:
    """Publish the record of a stage that moves a change. ``parts``: those that answer together, at, plus and minus."""

    key: str
    label: str
    store: Path
    name: str
    stage: EmulateTuning
    seed: int
    parts: tuple[Part, ...]
    inputs: dict[str, Any]
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish the record."""
        store = Store(self.store)

        def fill(folder: Path) -> None:
            places = EmulatedPlaces(*(each.place(store) for each in self.parts))
            emulated = emulated_of(self.name, self.stage, places, self.seed)
            copy_tokenizer(places.at.folder, folder)
            record = Record(
                id=self.key,
                parent=self.parts[0].key if self.parts[0].folder is None else self.parts[0].folder.name,
                kind=self.stage.kind,
                stage=self.name,
                recipe=self.inputs,
                seed=emulated.shuffled,
                special_tokens=dict.fromkeys(special_tokens(folder), 0),  # nothing was learned
                emulated=emulated,
                guard=guard_of(emulated),
            )
            finish_emulated(folder, record, self.profile)

        store.publish("checkpoints", self.key, fill)
