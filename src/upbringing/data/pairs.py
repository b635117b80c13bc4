"""Streams of preference pairs: prompt, chosen and rejected answer as token ids, fixed before a stage trains.

Like the streams of windows they are already in training order and every batch is hashed into a chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.base.streams import stream as random_stream
from upbringing.base.text_reading import TextReader
from upbringing.data.compared import Pair, held_out_places, write_compared
from upbringing.data.documents import Preference, TrainingText
from upbringing.data.rendering import open_tokenizer, render_preferences
from upbringing.data.spelled_tokens import write_spelled
from upbringing.data.stream import StreamInfo, StreamPlan, read_info, write_info
from upbringing.data.tally import TalliedPart, tallied

PARTS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class PairStream:
    """A finished stream of pairs, mapped into memory.

    ``tokens``: all ids, one pair after another, each as prompt, chosen, rejected. ``lengths``: shape ``(pairs, 3)``.
    """

    info: StreamInfo
    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def pairs(self, begin: int, end: int) -> list[Pair]:
        """Return the pairs ``begin..end`` in training order."""
        place = int(self.lengths[:begin].sum())
        found = []
        for row in self.lengths[begin:end]:
            ids = []
            for length in row:
                ids.append(self.tokens[place : place + length].tolist())
                place += int(length)
            found.append(Pair(*ids))
        return found

    def learned_tokens(self) -> NDArray[np.int64]:
        """Return the tokens with a loss in each update, shape ``(updates,)``: those of both answers."""
        per_pair = self.lengths[:, 1:].sum(axis=1, dtype=np.int64)
        learned: NDArray[np.int64] = per_pair.reshape(self.info.num_steps, self.info.batch_size).sum(axis=1)
        return learned


def build_pair_stream(
    plan: StreamPlan, texts: Sequence[TrainingText], name: str, tokenizer: Path, folder: Path
) -> StreamInfo:
    """Write the pairs of ``texts`` in the order of ``plan`` into ``folder`` and return what they turned out to be.

    The plan has one part with ``epochs``; its ``context`` is the longest prompt with an answer that is allowed. The
    last batch is filled up from the next epoch. With ``held_out`` a share of the prompts is left unread. Draws from
    the streams ``epoch`` of the plan's seed. Raises ``DataError`` for texts that are no preferences, for empty data and
    for pairs that are too long.
    """
    rendered, preferences = _rendered(plan, texts, name, tokenizer, folder)
    wanted = round((plan.parts[0].epochs or 1.0) * len(rendered))
    num_pairs = -(-wanted // plan.batch_size) * plan.batch_size
    order = epoch_order(plan.seed, len(rendered), num_pairs)
    lengths = np.array([[len(getattr(rendered[index], part)) for part in PARTS] for index in order], dtype=np.int32)
    tokens = np.concatenate(
        [np.asarray(getattr(rendered[index], part), dtype=np.int32) for index in order for part in PARTS]
    )
    np.save(folder / "tokens.npy", tokens, allow_pickle=False)
    np.save(folder / "lengths.npy", lengths, allow_pickle=False)
    chain = _chain(tokens, lengths, plan.batch_size)
    ((key, _),) = plan.parts[0].shares
    tally = tallied(
        [
            {(preferences[index].source, preferences[index].teacher): (int(row.sum()), int(row[1:].sum()), 1)}
            for index, row in zip(order, lengths, strict=True)
        ],
        plan.batch_size,
        (TalliedPart(num_pairs, {key: 1.0}),),
        {key: [pair.source for pair in preferences]},
    )
    tally.write(folder)
    info = StreamInfo(
        sha256=chain[-1],
        num_windows=num_pairs,
        context=plan.context,
        batch_size=plan.batch_size,
        tokens=int(lengths.sum()),
        text_tokens=int(lengths.sum()),
        supervised_tokens=int(lengths[:, 1:].sum()),
        examples=num_pairs,
        sources=tally.sources(len(chain)),
        chain=chain,
    )
    write_info(info, folder)
    return info


def _rendered(
    plan: StreamPlan, texts: Sequence[TrainingText], name: str, tokenizer: Path, folder: Path
) -> tuple[list[Pair], list[Preference]]:
    """Return the pairs that are read, as tokens and as texts; ``folder`` gets what is held out and what is spelled."""
    preferences = [text for text in texts if isinstance(text, Preference)]
    if len(preferences) != len(texts) or not texts:
        held = ", ".join(sorted({f"{type(text).__name__.lower()}s" for text in texts})) or "nothing"
        raise DataError(
            f"the data {name!r} must hold preference pairs and nothing else, found {held}: give rows with chosen and "
            "rejected"
        )
    ((key, _),) = plan.parts[0].shares
    opened, marks = open_tokenizer(tokenizer), plan.marks.get(key, ())
    rendered = [Pair(*parts) for parts in render_preferences(preferences, opened, tokenizer, marks)]
    write_spelled({name: [TextReader(opened, marks).count(_contents(preferences))]}, folder)
    _check_lengths(rendered, plan.context, name)
    if plan.held_out is None:
        return rendered, preferences
    kept = _keep_compared(plan, rendered, preferences, name, folder)
    return [rendered[place] for place in kept], [preferences[place] for place in kept]


def _contents(preferences: Sequence[Preference]) -> Iterator[str]:
    """Yield every text of the pairs once."""
    for pair in preferences:
        yield from (turn.content for turn in pair.prompt)
        yield from (pair.chosen, pair.rejected)


def _keep_compared(
    plan: StreamPlan, rendered: Sequence[Pair], texts: Sequence[Preference], name: str, folder: Path
) -> list[int]:
    """Write the pairs that a reward model is judged on and return the places of those it may read."""
    unread = held_out_places(rendered, plan.held_out, plan.seed, name) if plan.held_out else set()
    write_compared(rendered, texts, unread, plan.seed, folder)
    return [place for place in range(len(rendered)) if place not in unread]


def open_pair_stream(folder: Path) -> PairStream:
    """Return the pair stream in ``folder``, its arrays mapped read-only."""
    tokens, lengths = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("tokens", "lengths")
    )
    return PairStream(read_info(folder), tokens, lengths)


def _check_lengths(pairs: Sequence[Pair], context: int, name: str) -> None:
    for number, pair in enumerate(pairs, start=1):
        longest = len(pair.prompt) + max(len(pair.chosen), len(pair.rejected))
        if longest > context:
            raise DataError(
                f"pair {number} of {name!r} has {longest} tokens, the stage's context is {context}: raise it"
            )


def epoch_order(seed: int, available: int, wanted: int) -> list[int]:
    """Return ``wanted`` places of ``available`` texts, epoch after epoch; streams ``epoch`` under ``seed``."""
    order: list[int] = []
    epoch = 0
    while len(order) < wanted:
        order += random_stream(seed, "epoch", epoch).permutation(available).tolist()
        epoch += 1
    return order[:wanted]


def _chain(tokens: NDArray[np.int32], lengths: NDArray[np.int32], batch_size: int) -> tuple[str, ...]:
    digest, chain, place = hashlib.sha256(), [], 0
    for begin in range(0, len(lengths), batch_size):
        rows = lengths[begin : begin + batch_size]
        end = place + int(rows.sum())
        for array in (rows, tokens[place:end]):
            digest.update(np.ascontiguousarray(array).astype("<i4").tobytes())
        chain.append(digest.hexdigest())
        place = end
    return tuple(chain)
