"""Streams: the data of a stage as bytes that are fixed before it trains.

A stream is map-style and already in training order; its order is a pure function of seed and epoch, and the
first k windows of a part never depend on how many are taken. So arms are token-matched, resuming is exact,
and branches can prove by a hash chain that they shared their data up to a step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError, IntegrityError, Keys, StudyError
from upbringing.data.apportionment import annealed_order, furthest_behind, with_replay
from upbringing.data.documents import TrainingText
from upbringing.data.held_out import unread_texts, write_held_out
from upbringing.data.matching import with_room
from upbringing.data.modes import window_mode
from upbringing.data.packing import Window
from upbringing.data.rendering import Learn, Rendered, end_token, open_tokenizer, render_texts
from upbringing.data.source_windows import ReadSoFar, SourceWindows
from upbringing.data.spelled_tokens import write_spelled
from upbringing.data.tally import TalliedPart, Tally, tallied
from upbringing.data.window_arrays import WindowArrays, hash_chain, read_windows, write_windows
from upbringing.formats.record import SourceTokens

INFO_NAME = "stream.json"
STREAM_VERSION = 4  # of how texts become windows: best fit, in an order drawn from the seed


class RepetitionError(DataError, StudyError):
    """A cap that the study declares, and its data cannot keep. ``part``: which part of the stream, from 0."""

    def __init__(self, message: str, *places: Keys, part: int = 0) -> None:
        super().__init__(message, *places)
        self.part = part


@dataclass(frozen=True)
class StreamPart:
    """One part of a stream: sources with shares of its windows; exactly one of the lengths is set.

    ``to``: the shares at its end, where they move. ``slots``: (key, key whose place in the order it takes).
    ``continues``: each source goes on where earlier parts stopped in it, instead of beginning anew.
    """

    shares: tuple[tuple[str, float], ...]
    num_windows: int | None = None
    epochs: float | None = None
    max_repetition: float | None = None
    to: tuple[float, ...] | None = None
    slots: tuple[tuple[str, str], ...] = ()
    continues: bool = False

    @property
    def ends(self) -> dict[str, float]:
        """The share of each source at the end of the part."""
        last = self.to or tuple(share for _, share in self.shares)
        return {key: share for (key, _), share in zip(self.shares, last, strict=True)}


@dataclass(frozen=True)
class StreamPlan:
    """What a stage reads. ``replay``: (source, share of all windows) mixed into every part. ``held_out``: share of the
    prompts of preference pairs that is kept to judge a reward model on; ``None`` = nothing is judged. ``learn``: what
    of the documents of its parts carries a loss (replay is learned as it stands). ``matched``: keys of data that take
    each other's place in other streams, read here or not: each text gets the room of its longest counterpart.
    ``marks``: per key, the strings in its texts whose special tokens are meant. ``modes``: per key, the mode of its
    windows where it is not the default; ``together``: the share of the windows of all data that are read with all
    detachable modules switched on.
    """

    form: str
    context: int
    batch_size: int
    seed: int
    parts: tuple[StreamPart, ...]
    replay: tuple[str, float] | None = None
    held_out: float | None = None
    learn: Learn = "all"
    matched: tuple[str, ...] = ()
    marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    together: float = 0.0

    @property
    def taught(self) -> set[str]:
        """Keys of the data of its parts."""
        return {key for part in self.parts for key, _ in part.shares}

    def place_in_order(self, key: str) -> str:
        """Return what decides whose turn it is among equals: data that are matched take the same turns."""
        return min(self.matched) if key in self.matched else key


@dataclass(frozen=True)
class StreamInfo:
    """What a stream turned out to be. ``tokens`` counts every position of every window, padding included."""

    sha256: str
    num_windows: int
    context: int
    batch_size: int
    tokens: int
    text_tokens: int
    supervised_tokens: int
    examples: int
    sources: tuple[SourceTokens, ...]
    chain: tuple[str, ...]

    @property
    def num_steps(self) -> int:
        """Optimiser updates that the stream feeds."""
        return self.num_windows // self.batch_size

    def prefix_sha256(self, num_steps: int) -> str:
        """Return the hash of everything read in the first ``num_steps`` updates."""
        return self.chain[num_steps - 1] if num_steps else hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Stream:
    """A finished stream, mapped into memory. Arrays have shape ``(num_windows, context)``, type int32.

    There is one of ``isolated`` text only where a window holds some, and one of ``modes``, of shape ``(num_windows,)``,
    only where one has another than the default.
    """

    info: StreamInfo
    arrays: WindowArrays


def build_stream(
    plan: StreamPlan,
    texts: Callable[[str], Sequence[TrainingText]],
    names: Mapping[str, str],
    tokenizer: Path,
    folder: Path,
) -> StreamInfo:
    """Write the stream of ``plan`` into ``folder`` and return what it turned out to be.

    ``texts(name)`` reads a source; ``names`` maps each source key of the plan to its name. Raises ``DataError`` for
    empty sources, chats that do not fit, mixtures that need more repetition than allowed, data that cannot be matched,
    and documents without any span to learn where only spans are.
    """
    opened = open_tokenizer(tokenizer)
    padding = opened.pad_token_id if opened.pad_token_id is not None else end_token(opened)
    rendered = _all_rendered(plan, texts, names, opened, tokenizer)
    windows: list[Window] = []
    parts: list[TalliedPart] = []
    read = {key: ReadSoFar() for key in rendered}
    for part in plan.parts:
        found = _part_windows(part, plan, rendered, names, padding, read)
        windows += found
        to = None if part.to is None else with_replay(part.ends, plan.replay)
        parts.append(TalliedPart(len(found), with_replay(dict(part.shares), plan.replay), to))
    usable = len(windows) // plan.batch_size * plan.batch_size
    if usable == 0:
        raise DataError(f"the data fills {len(windows)} windows, less than one batch of {plan.batch_size}")
    available = {key: [text.source for text in texts] for key, texts in rendered.items()}
    unread = unread_texts(rendered, {key: each.places for key, each in read.items()})
    taught = {key: unread[key] for key in plan.taught}
    write_held_out(taught, folder, context=plan.context, padding_token=padding, seed=plan.seed)
    tally = tallied([window.tally for window in windows[:usable]], plan.batch_size, parts, available)
    write_spelled({names[key]: [text.spelled for text in texts] for key, texts in rendered.items()}, folder)
    info = _write(windows[:usable], plan, tally, folder)
    if plan.learn == "spans" and info.supervised_tokens == 0:
        raise DataError(
            f"the stage learns spans alone, and none of {', '.join(sorted(names[key] for key in plan.taught))} carries "
            "a loss: use annotated documents, or learn: all"
        )
    return info


def _all_rendered(
    plan: StreamPlan,
    texts: Callable[[str], Sequence[TrainingText]],
    names: Mapping[str, str],
    tokenizer: Any,
    folder: Path,
) -> dict[str, list[Rendered]]:
    """Return what the plan reads as tokens, by key, with room for what it is matched with."""
    keys = plan.taught | ({plan.replay[0]} if plan.replay else set())
    counterparts = set(plan.matched) if keys & set(plan.matched) else set()
    found = {}
    for key in sorted(keys | counterparts):
        learn = plan.learn if key in plan.taught else "all"
        found[key] = render_texts(texts(names[key]), tokenizer, folder, names[key], learn, plan.marks.get(key, ()))
    for key in sorted(keys & counterparts):
        others = {names[other]: found[other] for other in sorted(counterparts - {key})}
        found[key] = with_room(found[key], others, names[key], plan.context)
    return {key: found[key] for key in sorted(keys)}


def _part_windows(
    part: StreamPart,
    plan: StreamPlan,
    rendered: Mapping[str, Sequence[Rendered]],
    names: Mapping[str, str],
    padding: int,
    read: Mapping[str, ReadSoFar],
) -> list[Window]:
    """Return the windows of one part: its sources interleaved by their shares, replay among them.

    What was read is added to ``read``, per key. Each part reads its sources from their beginning, unless it continues.
    """
    slots = dict(part.slots)
    ordered = sorted(
        with_replay(dict(part.shares), plan.replay).items(),
        key=lambda each: (slots.get(each[0], plan.place_in_order(each[0])), each[0]),
    )
    if sum(key in plan.matched for key, _ in ordered) > 1:
        listed = ", ".join(sorted(names[key] for key, _ in ordered if key in plan.matched))
        raise DataError(f"the data {listed} are matched, so each stands for the other: a phase can read one of them")
    going_on = {key: read[key].latest for key, _ in ordered if part.continues}
    sources = [
        going_on.get(key) or SourceWindows(names[key], rendered[key], plan.context, plan.seed, padding)
        for key, _ in ordered
    ]
    fractions = [share for _, share in ordered]
    main = [index for index, (key, _) in enumerate(ordered) if key in dict(part.shares)]
    num_windows = part.num_windows
    order: NDArray[np.int64] | None = None
    if part.to is not None and num_windows is not None:
        ends = with_replay(part.ends, plan.replay)
        order = annealed_order(fractions, [ends[key] for key, _ in ordered], num_windows)
    windows: list[Window] = []
    taken = [0] * len(sources)
    while num_windows is None or len(windows) < num_windows:
        if num_windows is None and all(sources[index].has_read(part.epochs or 1.0) for index in main):
            remainder = len(windows) % plan.batch_size
            num_windows = len(windows) + (plan.batch_size - remainder if remainder else 0)
            continue
        chosen = furthest_behind(fractions, taken) if order is None else int(order[len(windows)])
        mode = window_mode(plan.modes, plan.together, ordered[chosen][0], taken[chosen])
        windows.append(replace(sources[chosen].next_window(), mode=mode))
        taken[chosen] += 1
    for source, (key, _) in zip(sources, ordered, strict=True):
        read[key].add(source)
        if part.max_repetition is not None and read[key].repetition > part.max_repetition:
            raise RepetitionError(
                f"the data {names[key]!r} would be read {read[key].repetition:.2f} times, max_repetition is "
                f"{part.max_repetition:g}: lower its share, shorten the stage or raise the cap",
                part=plan.parts.index(part),
            )
    return windows


def _write(windows: Sequence[Window], plan: StreamPlan, tally: Tally, folder: Path) -> StreamInfo:
    arrays = write_windows(windows, folder)
    chain = hash_chain(arrays, plan.batch_size)
    tally.write(folder)
    sources = tally.sources(len(chain))
    info = StreamInfo(
        sha256=chain[-1],
        num_windows=len(windows),
        context=plan.context,
        batch_size=plan.batch_size,
        tokens=len(windows) * plan.context,
        text_tokens=int((arrays["documents"] >= 0).sum()),
        supervised_tokens=int((arrays["labels"] >= 0).sum()),
        examples=sum(source.examples for source in sources),
        sources=sources,
        chain=chain,
    )
    write_info(info, folder)
    return info


def write_info(info: StreamInfo, folder: Path) -> None:
    """Write what a stream turned out to be into its folder."""
    plain = {**info.__dict__, "sources": [source.model_dump(mode="json") for source in info.sources]}
    (folder / INFO_NAME).write_text(json.dumps(plain, sort_keys=True), encoding="utf-8")


def read_info(folder: Path) -> StreamInfo:
    """Return what the stream in ``folder`` is; raises ``IntegrityError`` if it cannot be read."""
    try:
        plain = json.loads((folder / INFO_NAME).read_bytes())
        sources = tuple(SourceTokens.model_validate(each) for each in plain.pop("sources"))
        return StreamInfo(**{**plain, "sources": sources, "chain": tuple(plain["chain"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{folder / INFO_NAME} cannot be read ({type(error).__name__})") from error


def open_stream(folder: Path) -> Stream:
    """Return the stream in ``folder``, its arrays mapped read-only."""
    return Stream(read_info(folder), read_windows(folder, mapped="r"))
