"""What is done to the labels of a whole corpus at once: noise of a declared precision, and shuffling.

A label of a part follows from its own draws and from a few numbers about all parts, so that a corpus can be read in
blocks. A list of texts is one block: both give the same labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.quantities import Share
from upbringing.base.streams import stream

Labels = Literal["scored", "shuffled"]
Key = tuple[float, str, int, int]  # the draw of a part, the name of its text, its place there, the place of the text
BUCKETS = 1 << 16  # of draws: those of one bucket are sorted, a 65536th of all


class LabelNoise(Description):
    """A labeller that finds ``recall`` of what is unsafe, and of whose findings ``precision`` are right."""

    precision: Share = Field(default=1.0, gt=0)
    recall: Share = 1.0


@dataclass(frozen=True)
class Block:
    """Labelled texts. ``lengths``: parts of each text; the arrays have one value per part, text by text.

    ``truth``: whether it is unsafe; ``noise``, ``order``: its draws in [0, 1), empty where none are needed.
    """

    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    truth: NDArray[np.bool_]
    noise: NDArray[np.float64]
    order: NDArray[np.float64]

    def key(self, part: int, first_row: int) -> Key:
        """Return what sorts a part among all, ties of draws included. ``first_row``: texts in the blocks before."""
        ends = np.cumsum(self.lengths)
        row = int(np.searchsorted(ends, part, side="right"))
        column = part - int(ends[row] - self.lengths[row])
        return float(self.order[part]), self.names[row], column, first_row + row

    def by_text(self, labels: NDArray[np.bool_]) -> list[list[bool]]:
        """Return labels of all parts, text by text."""
        ends = np.cumsum(self.lengths)
        return [labels[end - size : end].tolist() for end, size in zip(ends, self.lengths, strict=True)]


@dataclass(frozen=True)
class Whole:
    """What labels depend on besides their own draws. ``parts``, ``unsafe``: how many there are, and are truly unsafe.

    ``false_rate``: chance of a safe part to be called unsafe by noise. ``last``: the last part, in the order of the
    draws, that shuffling calls unsafe; ``None`` = none is.
    """

    parts: int
    unsafe: int
    false_rate: float = 0.0
    last: Key | None = None


@dataclass(frozen=True)
class Relabelling:
    """How labels are changed that a scorer gave: first by ``noise``, then by shuffling."""

    noise: LabelNoise | None = None
    shuffled: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything is done, so that a label depends on all texts."""
        return self.shuffled or self.noise is not None

    def block(self, names: Sequence[str], truth: Sequence[Sequence[bool]], seed: int) -> Block:
        """Return texts with all that is drawn for them. Streams: ``label/<name>`` (noise), ``shuffled/<name>``."""
        lengths = [len(labels) for labels in truth]
        flat = [label for labels in truth for label in labels]
        return Block(
            names=tuple(names),
            lengths=np.array(lengths, dtype=np.int64),
            truth=np.array(flat, dtype=np.bool_),
            noise=_draws(names, lengths, seed, "label") if self.noise is not None else np.zeros(0),
            order=_draws(names, lengths, seed, "shuffled") if self.shuffled else np.zeros(0),
        )

    def whole(self, blocks: Callable[[], Iterable[Block]]) -> Whole:
        """Return what the labels of all ``blocks`` depend on; reads them up to three times, one at a time.

        Raises ``DataError`` where so few parts are safe that a precision would need more false labels than there are.
        """
        parts = unsafe = 0
        for block in blocks():
            parts, unsafe = parts + len(block.truth), unsafe + int(block.truth.sum())
        false_rate = 0.0 if self.noise is None else _false_rate(self.noise, unsafe, parts - unsafe)
        whole = Whole(parts, unsafe, false_rate)
        return Whole(parts, unsafe, false_rate, self._last(blocks, whole)) if self.shuffled else whole

    def labels(self, block: Block, whole: Whole, first_row: int = 0) -> NDArray[np.bool_]:
        """Return which parts of ``block`` are called unsafe. ``first_row``: texts in the blocks before."""
        if not self.shuffled:
            return self._noisy(block, whole)
        if whole.last is None:
            return np.zeros(len(block.truth), dtype=np.bool_)
        found = block.order < whole.last[0]
        for part in np.flatnonzero(block.order == whole.last[0]).tolist():
            found[part] = block.key(part, first_row) <= whole.last
        return found

    def of(self, names: Sequence[str], truth: Sequence[Sequence[bool]], seed: int) -> list[list[bool]]:
        """Return the labels of texts that are all there are. Noise is right in expectation, shuffling in number."""
        block = self.block(names, truth, seed)
        return block.by_text(self.labels(block, self.whole(lambda: [block])))

    def _noisy(self, block: Block, whole: Whole) -> NDArray[np.bool_]:
        if self.noise is None:
            return block.truth
        return block.noise < np.where(block.truth, self.noise.recall, whole.false_rate)

    def _last(self, blocks: Callable[[], Iterable[Block]], whole: Whole) -> Key | None:
        """Return the key of as many smallest draws as there are unsafe labels; memory: those of one bucket."""
        wanted, counts = 0, np.zeros(BUCKETS, dtype=np.int64)
        for block in blocks():
            wanted += int(self._noisy(block, whole).sum())
            counts += np.bincount(_buckets(block), minlength=BUCKETS)
        if not wanted:
            return None
        up_to = np.cumsum(counts)
        bucket = int(np.searchsorted(up_to, wanted))
        keys: list[Key] = []
        first_row = 0
        for block in blocks():
            keys += [block.key(part, first_row) for part in np.flatnonzero(_buckets(block) == bucket).tolist()]
            first_row += len(block.names)
        return sorted(keys)[wanted - int(up_to[bucket] - counts[bucket]) - 1]


def _draws(names: Sequence[str], lengths: Sequence[int], seed: int, label: str) -> NDArray[np.float64]:
    drawn = [stream(seed, label, name).random(size) for name, size in zip(names, lengths, strict=True)]
    return np.concatenate([np.zeros(0), *drawn])


def _buckets(block: Block) -> Any:
    return (block.order * BUCKETS).astype(np.int64)


def _false_rate(noise: LabelNoise, num_unsafe: int, num_safe: int) -> float:
    wrong = noise.recall * num_unsafe * (1 - noise.precision) / noise.precision
    if wrong > num_safe:
        raise DataError(
            f"labels: a precision of {noise.precision:g} at a recall of {noise.recall:g} needs {wrong:.0f} safe parts "
            f"that are called unsafe, and there are {num_safe}: raise the precision, or lower the recall"
        )
    return wrong / num_safe if num_safe else 0.0
