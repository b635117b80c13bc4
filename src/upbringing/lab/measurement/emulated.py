"""Measure what no weights hold: three checkpoints are loaded and answer as one, under the same battery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upbringing.lab.measurement.measuring import MeasureJob
from upbringing.lab.storage.store import Store
from upbringing.models.asking import Model
from upbringing.models.emulated import EmulatedModel

ROLES = ("at", "plus", "minus")


@dataclass(frozen=True)
class EmulatedMeasureJob(MeasureJob):
    """Measure an emulated checkpoint. ``parts``: where those that answer together lie, as at, plus and minus.

    ``shuffled``: seed of the control that moves the change to other tokens.
    """

    parts: tuple[MeasureJob, ...] = ()
    strength: float = 1.0
    shuffled: int | None = None

    def model(self, folder: Path) -> Model:
        """Return the parts as one model; a checkpoint that plays two of them is loaded once."""
        loaded = {part.checkpoint: part.local(part.checkpoint_folder()) for part in self.parts}
        at, plus, minus = (loaded[part.checkpoint] for part in self.parts)
        return EmulatedModel(at, plus, minus, self.strength, self.shuffled)

    def require_whole(self, store: Store) -> None:
        """Raise ``IntegrityError`` unless the record and every part are as they were published."""
        super().require_whole(store)
        for part in self.parts:
            part.require_whole(store)

    def identity(self, folder: Path) -> dict[str, str]:
        """Return the hashes of all parts, which must be those of their records, and how the change is moved."""
        found = {"strength": repr(self.strength), "shuffled": str(self.shuffled)}
        for role, part in zip(ROLES, self.parts, strict=True):
            hashes = part.identity(part.checkpoint_folder())
            found |= {f"{name} of {role}": digest for name, digest in hashes.items()}
        return found
