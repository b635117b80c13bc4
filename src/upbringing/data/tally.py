"""What each source gave to every update of a stage, so that a prefix of it says exactly what it has read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import IntegrityError
from upbringing.data.apportionment import planned_windows
from upbringing.formats.record import SourceTokens

TALLY_NAME, COUNTS_NAME = "tally.json", "tally.npy"
TOKENS, SUPERVISED, EXAMPLES = range(3)

Origin = tuple[str, str | None]  # the source of a text and who wrote it
Counts = tuple[int, int, int]  # tokens, learned tokens, examples


@dataclass(frozen=True)
class TalliedPart:
    """One part of a stream. ``shares``: per key of its data, its planned share of the part, replay included.

    ``to``: the shares at its end, where they move in a straight line.
    """

    num_windows: int
    shares: Mapping[str, float]
    to: Mapping[str, float] | None = None

    def planned(self, key: str, begin: int, end: int) -> float:
        """Return how many of the windows ``begin``..``end`` of the part were planned to be of ``key``."""
        first = self.shares[key]
        last = first if self.to is None else self.to[key]
        return planned_windows(first, last, self.num_windows, end) - planned_windows(
            first, last, self.num_windows, begin
        )


@dataclass(frozen=True)
class Tally:
    """Realised counts of a stream. ``counts``: shape ``(updates, origins, 3)``: tokens, learned tokens, examples.

    ``available``: per key of the data, how many examples of each source it holds.
    """

    origins: tuple[Origin, ...]
    counts: NDArray[np.int64]
    batch_size: int
    parts: tuple[TalliedPart, ...]
    available: Mapping[str, Mapping[str, int]]

    def sources(self, num_steps: int, *, first_step: int = 0) -> tuple[SourceTokens, ...]:
        """Return planned and realised tokens per source of the updates after ``first_step`` up to ``num_steps``.

        They depend on what those updates read and on nothing later: streams that begin alike agree.
        """
        totals = self.counts[first_step:num_steps].sum(axis=0)
        read = [index for index in range(len(self.origins)) if totals[index, EXAMPLES]]
        keys = self.keys(num_steps, first_step=first_step)
        planned = self._planned(first_step, num_steps)
        found = []
        for source in sorted({self.origins[index][0] for index in read}):
            rows = [index for index in read if self.origins[index][0] == source]
            tokens, supervised, examples = (int(each) for each in totals[rows].sum(axis=0))
            found.append(
                SourceTokens(
                    source=source,
                    planned_share=planned.get(source),
                    realised_tokens=tokens,
                    supervised_tokens=supervised,
                    examples=examples,
                    repetition=examples / sum(self.available[key].get(source, 0) for key in keys),
                    teachers=tuple(sorted({name for row in rows if (name := self.origins[row][1]) is not None})),
                )
            )
        return tuple(found)

    def keys(self, num_steps: int, *, first_step: int = 0) -> set[str]:
        """Return the keys of the data that the updates after ``first_step`` were planned to read."""
        return {key for part, _, _ in self._read_parts(first_step, num_steps) for key in part.shares}

    def borders(self, num_steps: int) -> tuple[int, ...]:
        """Return the steps at which the parts begin that the first updates read of, and ``num_steps``."""
        begins = np.cumsum([0, *(part.num_windows for part in self.parts)]) // self.batch_size
        return (*(int(step) for step in begins if step < num_steps), num_steps)

    def _read_parts(self, first_step: int, num_steps: int) -> Iterator[tuple[TalliedPart, int, int]]:
        """Yield every part that the updates read of, with the windows of it that they begin and end at."""
        offset = 0
        for part in self.parts:
            begin = max(first_step * self.batch_size - offset, 0)
            end = min(num_steps * self.batch_size - offset, part.num_windows)
            if end > begin:
                yield part, begin, end
            offset += part.num_windows

    def _planned(self, first_step: int, num_steps: int) -> dict[str, float]:
        """Return the planned share of the windows for sources that are alone in their data: others have none."""
        parts = list(self._read_parts(first_step, num_steps))
        mixed = {
            source
            for part, _, _ in parts
            for key in part.shares
            if len(self.available[key]) > 1
            for source in self.available[key]
        }
        planned: dict[str, float] = {}
        for part, begin, end in parts:
            for key in part.shares:
                (source, *_) = self.available[key]
                if source not in mixed:
                    share = part.planned(key, begin, end) / ((num_steps - first_step) * self.batch_size)
                    planned[source] = planned.get(source, 0.0) + share
        return planned

    def write(self, folder: Path) -> None:
        """Write the tally beside the arrays of its stream."""
        np.save(folder / COUNTS_NAME, self.counts, allow_pickle=False)
        plain = {
            "origins": self.origins,
            "batch_size": self.batch_size,
            "parts": [asdict(part) for part in self.parts],
            "available": self.available,
        }
        (folder / TALLY_NAME).write_text(json.dumps(plain, sort_keys=True), encoding="utf-8")


def tallied(
    per_window: Sequence[Mapping[Origin, Counts]],
    batch_size: int,
    parts: Sequence[TalliedPart],
    available: Mapping[str, Sequence[str]],
) -> Tally:
    """Return the tally of a stream whose windows, in training order, counted ``per_window``.

    ``available``: per key of the data, the source of each of its examples.
    """
    origins = sorted({origin for window in per_window for origin in window}, key=lambda each: (each[0], each[1] or ""))
    place = {origin: index for index, origin in enumerate(origins)}
    counts = np.zeros((len(per_window) // batch_size, len(origins), 3), dtype=np.int64)
    for number, window in enumerate(per_window):
        for origin, values in window.items():
            counts[number // batch_size, place[origin]] += values
    held = {key: dict(sorted(Counter(sources).items())) for key, sources in available.items()}
    return Tally(tuple(origins), counts, batch_size, tuple(parts), held)


def read_tally(folder: Path) -> Tally:
    """Return the tally of the stream in ``folder``; raises ``IntegrityError`` if it cannot be read."""
    try:
        plain = json.loads((folder / TALLY_NAME).read_bytes())
        return Tally(
            origins=tuple((str(source), teacher) for source, teacher in plain["origins"]),
            counts=np.load(folder / COUNTS_NAME, allow_pickle=False),
            batch_size=plain["batch_size"],
            parts=tuple(TalliedPart(**part) for part in plain["parts"]),
            available=plain["available"],
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{folder / TALLY_NAME} cannot be read ({type(error).__name__})") from error
