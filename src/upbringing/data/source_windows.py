"""The windows of one source of a stream, without end, and what of it was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from upbringing.base.errors import DataError
from upbringing.base.streams import stream as random_stream
from upbringing.data.packing import PADDING, Window, pack
from upbringing.data.rendering import Rendered


class SourceWindows:
    """Windows of one source in order: epoch after epoch, each in its own seeded order."""

    def __init__(self, name: str, rendered: Sequence[Rendered], context: int, seed: int, padding_token: int) -> None:
        if not rendered:
            raise DataError(f"the data {name!r} is empty: there is nothing to train on")
        self.rendered = rendered
        self._num_tokens = sum(text.size for text in rendered)
        self._num_read = 0  # tokens
        self.read: set[int] = set()  # places of texts of which a window held something
        self._order: list[int] = []  # places in the order in which texts were packed
        self._finished: set[int] = set()  # numbers in that order
        self._num_completed = 0
        self._windows = pack(self._epochs(seed), context, padding_token=padding_token, seed=seed)

    def _epochs(self, seed: int) -> Iterator[list[Rendered]]:
        for epoch in count():
            order = random_stream(seed, "epoch", epoch).permutation(len(self.rendered)).tolist()
            self._order += order
            yield [self.rendered[place] for place in order]

    def next_window(self) -> Window:
        """Return the next window; there is always one."""
        window = next(self._windows)
        self._num_read += int((window.documents != PADDING).sum())
        self.read.update(self._order[number] for number in window.texts)
        self._finished.update(window.finished)
        while self._num_completed in self._finished:
            self._num_completed += 1
        return window

    @property
    def repetition(self) -> float:
        """How often the source was read, by its tokens."""
        return self._num_read / self._num_tokens

    def has_read(self, epochs: float) -> bool:
        """Whether ``epochs`` passes are done: every text of whole ones, of a part of one that part of the tokens."""
        return self._num_completed >= int(epochs) * len(self.rendered) and self.repetition >= epochs


@dataclass
class ReadSoFar:
    """What all parts so far have read of a source: places of its texts, and how often it was read.

    ``latest``: the windows that the last part took from, which another part can go on with.
    """

    places: set[int] = field(default_factory=set)
    repetition: float = 0.0
    latest: SourceWindows | None = None
    _counted: float = 0.0  # of what the latest has read

    def add(self, source: SourceWindows) -> None:
        """Add what ``source`` has read; of one that went on, only what is new."""
        self.places |= source.read
        before = self._counted if source is self.latest else 0.0
        self.repetition += source.repetition - before
        self.latest, self._counted = source, source.repetition
