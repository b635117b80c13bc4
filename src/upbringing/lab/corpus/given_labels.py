"""Labels of a piece's documents that compare all texts of the corpus: found in one pass, settled, given in the next.

A label file of a piece holds the true labels of its documents with all that is drawn for them, so that a pass over
these files alone settles the labels of the corpus. Labels of one transform of one rule, of documents or of chats, are
one population: they are shuffled among themselves.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from upbringing.base.errors import IntegrityError
from upbringing.base.files import write_bytes_atomic
from upbringing.data.interventions.relabelling import Block
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tools import FoundLabels

COLUMNS = ("lengths", "truth", "noise", "order")
Entry = tuple[str, str, str | None]  # document, name of the text, why it has no labels


@dataclass(frozen=True, order=True)
class PopulationName:
    """Which labels: of the transform at ``place`` of the rule ``rule``, both from 0; ``what``: documents or chats."""

    rule: int
    place: int
    what: str


@dataclass(frozen=True)
class Population:
    """Texts of a piece in order. ``block``: those that have labels."""

    entries: tuple[Entry, ...]
    block: Block


@dataclass(frozen=True)
class UnitLabels:
    """What a pass found in a piece. ``scores``: of its documents in order; of the first pass only."""

    num_documents: int
    scores: tuple[HarmScore, ...]
    populations: Mapping[PopulationName, Population]


@dataclass(frozen=True)
class OfDocument:
    """Settled labels of the texts that a transform is given of one document, by what they are of."""

    found: dict[str, list[tuple[str, list[bool] | str]]]

    def of(self, what: str, names: Sequence[str], truth: Callable[[], FoundLabels]) -> FoundLabels:
        """Return them; raises ``IntegrityError`` for other texts than those that were labelled. Asks no scorer."""
        found = self.found.get(what, ())
        if [name for name, _ in found] != list(names):
            raise IntegrityError(
                f"labels were found for {[name for name, _ in found]} and are wanted for {list(names)}: a scorer or "
                "writer answered otherwise than before; remove the work folder and start anew"
            )
        return [labels for _, labels in found]


@dataclass
class Collected:
    """True labels of the texts that a transform is given of one document, noted as it asks for them."""

    noted: list[tuple[str, str, list[bool] | str]] = field(default_factory=list)

    def of(self, what: str, names: Sequence[str], truth: Callable[[], FoundLabels]) -> FoundLabels:
        """Return the true labels; what is made with them is thrown away."""
        found = truth()
        self.noted += [(what, name, labels) for name, labels in zip(names, found, strict=True)]
        return found


@dataclass(frozen=True)
class GivenLabels:
    """What passes before this one found in a piece. ``labels``: by rule and place of the transform, by document."""

    scores: Sequence[HarmScore] = ()
    labels: Mapping[tuple[int, int], Mapping[str, OfDocument]] = field(default_factory=dict)

    def of(self, rule: int, name: str) -> dict[int, OfDocument]:
        """Return the labels of one document, by the place of the transform in its rule."""
        return {
            place: documents.get(name, OfDocument({}))
            for (number, place), documents in self.labels.items()
            if number == rule
        }


def label_file(folder: Path, stage: int, unit: int) -> Path:
    """Return where the labels of a piece lie that the pass ``stage`` found."""
    return folder / f"{stage}" / f"{unit:06d}.npz"


def write_unit_labels(path: Path, found: UnitLabels) -> None:
    """Write the file, whole or not at all."""
    names = sorted(found.populations)
    plain = {
        "num_documents": found.num_documents,
        "scores": [asdict(score) for score in found.scores],
        "populations": [[asdict(name), found.populations[name].entries] for name in names],
    }
    members: dict[str, Any] = {"found": np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)}
    for number, name in enumerate(names):
        block = found.populations[name].block
        members |= {f"{column}_{number}": getattr(block, column) for column in COLUMNS}
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(path, buffer.getvalue())


def read_unit_labels(path: Path) -> UnitLabels | None:
    """Return what the file holds; ``None`` where there is no whole one, so that it is made again."""
    try:
        with np.load(path, allow_pickle=False) as members:
            plain = json.loads(members["found"].tobytes())
            populations = {
                PopulationName(**name): _population(entries, {each: members[f"{each}_{number}"] for each in COLUMNS})
                for number, (name, entries) in enumerate(plain["populations"])
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return UnitLabels(plain["num_documents"], tuple(HarmScore(**score) for score in plain["scores"]), populations)


def needed_unit_labels(path: Path) -> UnitLabels:
    """Return what the file of a finished pass holds; raises ``IntegrityError`` where it is not whole."""
    found = read_unit_labels(path)
    if found is None:
        raise IntegrityError(f"{path} is torn or gone: remove the work folder and start anew")
    return found


def _population(entries: Sequence[Sequence[Any]], columns: Mapping[str, Any]) -> Population:
    named = tuple((document, name, reason) for document, name, reason in entries)
    return Population(named, Block(tuple(name for _, name, reason in named if reason is None), **columns))
