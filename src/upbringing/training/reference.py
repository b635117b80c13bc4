"""What the reference of a preference stage thinks of every answer: computed once, kept, and checked when read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import IntegrityError, UpbringingWarning
from upbringing.base.faults import fault_point
from upbringing.base.files import TEMPORARY_PREFIX, publish_folder, remove_tree
from upbringing.base.manifest import check_manifest, write_manifest
from upbringing.data.compared import Pair
from upbringing.data.pairs import PairStream
from upbringing.training.processes import Processes

FOLDER_NAME = "reference"
ARRAY_NAME = "log_probabilities.npy"

Score = Callable[[Sequence[Pair]], NDArray[np.float32]]
"""Log-probabilities (nats, summed over an answer's tokens) of chosen and rejected, shape ``(pairs, 2)``."""


@dataclass(frozen=True)
class Reference:
    """The parent checkpoint as reference. ``workspace``: where its scores survive a kill."""

    model: Any
    workspace: Path
    processes: Processes

    def log_probabilities(self, pairs: PairStream, micro_batch: int, score: Score) -> NDArray[np.float32]:
        """Return the scores of every pair of the stream in training order, shape ``(pairs, 2)``.

        Every process calls it; the first one computes what is not there yet. A damaged file is named and replaced.
        """
        folder = self.workspace / FOLDER_NAME
        if self.processes.writes and self._read(folder, pairs) is None:
            self._write(folder, scores_of(pairs, micro_batch, score), pairs)
        self.processes.wait()
        found = self._read(folder, pairs)
        if found is None:
            raise IntegrityError(f"{folder} was damaged while it was read: run the same command again")
        return found

    def _read(self, folder: Path, pairs: PairStream) -> NDArray[np.float32] | None:
        if not folder.exists():
            return None
        try:
            facts = check_manifest(folder, full=True)
        except IntegrityError as error:
            warnings.warn(f"{error}: computing the reference anew", UpbringingWarning, stacklevel=2)
            return None
        if facts != {"stream": pairs.info.sha256}:
            return None
        found: NDArray[np.float32] = np.load(folder / ARRAY_NAME, allow_pickle=False)
        return found

    def _write(self, folder: Path, scores: NDArray[np.float32], pairs: PairStream) -> None:
        temporary = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
        for old in (temporary, folder):
            if old.exists():
                remove_tree(old)
        temporary.mkdir()
        fault_point("write reference")
        np.save(temporary / ARRAY_NAME, scores, allow_pickle=False)
        write_manifest(temporary, stream=pairs.info.sha256)
        publish_folder(temporary, folder)


def scores_of(pairs: PairStream, micro_batch: int, score: Score) -> NDArray[np.float32]:
    """Return the scores of all pairs in training order; a pair that comes again is not scored again.

    Batches hold the new pairs of one update, so that what an update reads never depends on later data.
    """
    known: dict[tuple[tuple[int, ...], ...], NDArray[np.float32]] = {}
    found = []
    for begin in range(0, len(pairs.lengths), pairs.info.batch_size):
        update = pairs.pairs(begin, begin + pairs.info.batch_size)
        new = list({_identity(pair): pair for pair in update if _identity(pair) not in known}.values())
        for first in range(0, len(new), micro_batch):
            batch = new[first : first + micro_batch]
            known |= dict(zip(map(_identity, batch), score(batch), strict=True))
        found += [known[_identity(pair)] for pair in update]
    return np.stack(found).astype(np.float32)


def _identity(pair: Pair) -> tuple[tuple[int, ...], ...]:
    return tuple(pair.prompt), tuple(pair.chosen), tuple(pair.rejected)
