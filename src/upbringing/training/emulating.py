"""Write what an emulated stage leaves: a record and a card that name the checkpoints which answer together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import MeasurementError, TrainingError
from upbringing.base.files import write_bytes_atomic
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.formats.record import RECORD_NAME, BuildProfile, Emulated, EmulatedPart, Record
from upbringing.models.emulated import require_one_tokenizer
from upbringing.models.loading import check_folder, open_folder_tokenizer
from upbringing.models.weights import weights_sha256
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.guards import OK

NOTHING_MOVED = "the delta is between two checkpoints of the same weights, so nothing is moved"


@dataclass(frozen=True)
class PartPlace:
    """One of the checkpoints that answer together: what it is called, and where it lies."""

    id: str
    folder: Path

    def part(self) -> EmulatedPart:
        """Return it as records name it."""
        return EmulatedPart(id=self.id, weights_sha256=weights_sha256(self.folder))


@dataclass(frozen=True)
class EmulatedPlaces:
    """The checkpoints of an emulation: what a change is moved onto, and the later and earlier end of the change."""

    at: PartPlace
    plus: PartPlace
    minus: PartPlace


def emulated_of(name: str, stage: EmulateTuning, places: EmulatedPlaces, seed: int) -> Emulated:
    """Return what answers after the stage ``name``; raises ``TrainingError`` naming what keeps checkpoints apart."""
    own = open_folder_tokenizer(places.at.folder)
    for role, place in (("plus", places.plus), ("minus", places.minus)):
        check_folder(place.folder)
        try:
            require_one_tokenizer(own, open_folder_tokenizer(place.folder), role)
        except MeasurementError as error:
            raise TrainingError(f"stage {name!r}: {error} ({places.at.folder.name}, {place.folder.name})") from error
    return Emulated(
        at=places.at.part(),
        plus=places.plus.part(),
        minus=places.minus.part(),
        strength=stage.strength,
        shuffled=seed if stage.delta.random else None,
    )


def guard_of(emulated: Emulated) -> str:
    """Return ``ok``, or the sentence that blocks every verdict resting on an emulation that moves nothing."""
    is_nothing = emulated.plus.weights_sha256 == emulated.minus.weights_sha256
    return NOTHING_MOVED if is_nothing and emulated.strength != 0 else OK


def finish_emulated(folder: Path, record: Record, profile: BuildProfile) -> Record:
    """Write record and card into ``folder``, which holds the tokenizer already; return the completed record."""
    completed = record.model_copy(
        update={
            "tokenizer_sha256": tokenizer_sha256(folder),
            "template_sha256": template_sha256(folder),
            "profile": profile,
        }
    )
    write_bytes_atomic(folder / RECORD_NAME, completed.model_dump_json(indent=1).encode("utf-8"))
    write_bytes_atomic(folder / "README.md", emulated_card(completed).encode("utf-8"))
    return completed


def emulated_card(record: Record) -> str:
    """Return the card: that no weights are here, and which checkpoints answer in their place."""
    found = record.emulated
    assert found is not None
    control = "" if found.shuffled is None else ", given to other tokens (a control)"
    return f"""---
tags: [upbringing]
---

# {record.stage} ({record.kind})

No weights are here, and no library opens this folder as a model: three checkpoints answer together, token by token
log p = log p_at + {found.strength:g} (log p_plus - log p_minus){control}, renormalised.

- id: `{record.id}`
- at: `{found.at.id}`
- plus: `{found.plus.id}`
- minus: `{found.minus.id}`
- guard: {record.guard}
"""
