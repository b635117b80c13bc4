"""Recipes of streams: what a stage reads, how much of it and in which order, before any byte of it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from upbringing.base.errors import StudyError
from upbringing.base.fingerprint import fingerprint
from upbringing.base.places import about
from upbringing.base.quantities import steps_at
from upbringing.base.streams import derived_seed
from upbringing.data.apportionment import planned_windows
from upbringing.data.rendering import Learn
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.study.data import Derived
from upbringing.study.recipes import DataBook
from upbringing.training.dpo import Dpo
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.rewards import ModelReward
from upbringing.training.rl import Rl
from upbringing.training.settings import Anneal, DataReference, Mixture, Replay
from upbringing.training.sft import Sft

LEAST_WINDOWS = 0.5  # a quota below it is rounded to nothing
TrainedKind = Pretrain | Midtrain | Sft | Dpo | RewardModel | Rl


@dataclass(frozen=True)
class PartRecipe:
    """One part of a stream. ``sources``: (data key, name in the study, share); exactly one length is set.

    ``to``: of an anneal, the shares at its end, in the order of ``sources``. ``slots``: (data key, key whose place it
    takes) where the order of windows is that of another arm. ``continues``: goes on where earlier parts stopped.
    """

    sources: tuple[tuple[str, str, float], ...]
    num_windows: int | None
    epochs: float | None
    max_repetition: float | None = None
    to: tuple[float, ...] | None = None
    slots: tuple[tuple[str, str], ...] = ()
    continues: bool = False

    def value(self, num_windows: int | None) -> dict[str, Any]:
        """Return what enters a key: keys and shares, never names; cut to ``num_windows``.

        An anneal depends on where it ends from its first window on; other parts know nothing of their length.
        """
        shares = sorted((key, share) for key, _, share in self.sources)
        plain: dict[str, Any] = {"shares": [list(pair) for pair in shares]}
        plain |= {"windows": num_windows} if num_windows is not None else {"epochs": self.epochs}
        if self.to is not None:
            ends = sorted((key, share) for (key, _, _), share in zip(self.sources, self.to, strict=True))
            plain |= {"to": [list(pair) for pair in ends], "over": self.num_windows}
        if self.continues:
            plain["continues"] = True
        if self.slots:
            plain["slots"] = [list(pair) for pair in sorted(self.slots)]
        return plain

    def planned_shares(self) -> dict[str, float]:
        """Return the share of every source, by name, over the whole part."""
        ends = self.to or tuple(share for _, _, share in self.sources)
        return {name: (share + end) / 2 for (_, name, share), end in zip(self.sources, ends, strict=True)}


@dataclass(frozen=True)
class StreamRecipe:
    """The data of one run of a stage, before its bytes are known. ``held_out``: share kept to judge a reward model.

    ``matched``: (data key, name in the study) of what takes the place of each other in other arms. ``modes``: (data
    key, mode of its windows) where that is not the default; ``together``: the share of windows that are read with all
    detachable modules switched on.
    """

    form: str
    context: int
    batch_size: int
    seed: int
    parts: tuple[PartRecipe, ...]
    replay: tuple[str, str, float] | None
    held_out: float | None = None
    learn: Learn = "all"
    matched: tuple[tuple[str, str], ...] = ()
    modes: tuple[tuple[str, int], ...] = ()
    together: float = 0.0

    @property
    def names(self) -> dict[str, str]:
        """Key to name in the study, for every source and the replay."""
        return dict(self.matched) | self.read

    @property
    def read(self) -> dict[str, str]:
        """Key to name in the study of what windows are made of."""
        names = {key: name for part in self.parts for key, name, _ in part.sources}
        return names | ({self.replay[0]: self.replay[1]} if self.replay is not None else {})

    @property
    def num_windows(self) -> int | None:
        """Total windows, or ``None`` where the length is given in epochs."""
        counts = [part.num_windows for part in self.parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    def value(self, num_windows: int | None = None) -> dict[str, Any]:
        """Return what enters a key, cut after ``num_windows`` windows (``None`` = whole)."""
        parts, left = [], num_windows
        for part in self.parts:
            if left is None or part.num_windows is None:
                parts.append(part.value(part.num_windows))
                continue
            taken = min(left, part.num_windows)
            if taken:
                parts.append(part.value(taken))
            left -= taken
        replay = [self.replay[0], self.replay[2]] if self.replay else None
        held_out = {} if self.held_out is None else {"held_out": self.held_out}
        plain = {"form": self.form, "context": self.context, "seed": self.seed, "parts": parts, "replay": replay}
        return plain | held_out | self._masks

    @property
    def _masks(self) -> dict[str, Any]:
        """What enters a key of what is learned, matched and masked; nothing where that is not asked, as before."""
        learn = {} if self.learn == "all" else {"learn": self.learn}
        matched = {"matched": sorted(key for key, _ in self.matched)} if self.matched else {}
        modes = {"modes": [list(pair) for pair in self.modes]} if self.modes else {}
        return learn | matched | modes | ({"together": self.together} if self.together else {})

    @cached_property
    def key(self) -> str:
        """Fingerprint of the whole stream's recipe; names the data folder in the store."""
        return fingerprint({"stream": self.value(), "batch_size": self.batch_size})

    def shared_windows(self, other: StreamRecipe) -> int:
        """Return how many windows both streams begin with; both have a length in windows."""
        mine, theirs = (
            (
                each.form,
                each.context,
                each.batch_size,
                each.seed,
                each.replay and (each.replay[0], each.replay[2]),
                each._masks,
            )
            for each in (self, other)
        )
        shared = 0
        for left, right in zip(self.parts, other.parts, strict=False) if mine == theirs else ():
            assert left.num_windows is not None
            assert right.num_windows is not None
            if left.value(0) != right.value(0):
                break
            shared += min(left.num_windows, right.num_windows)
            if left.num_windows != right.num_windows:
                break
        return shared


def stream_recipe(book: DataBook, name: str, stage: TrainedKind, seed: int, root: int) -> StreamRecipe:
    """Return what the stage ``name`` reads; raises ``StudyError`` for data or places that do not fit."""
    replay, own = None, ("stages", name)
    if isinstance(stage, Pretrain | Midtrain | Sft) and stage.replay is not None:
        with about((*own, "replay", "data")):
            replay = (book.key(stage.replay.data, root), stage.replay.data, stage.replay.share)
        if isinstance(stage, Sft) and stage.replay.share == 1:  # its epochs would never end
            raise StudyError(
                f"stage {name!r}: replay takes all of its windows, so none of its own data would be read: lower share",
                (*own, "replay", "share"),
            )
    order = derived_seed(seed, "order")
    if isinstance(stage, Rl):
        with about((*own, "data")):
            _require_judge(book, name, stage)
            sources = _sources(book, stage.data, root)
        num_prompts = stage.steps * stage.prompts_per_update
        asked = (PartRecipe(sources, num_prompts, None),)
        return StreamRecipe("prompts", stage.room_for_prompts, stage.prompts_per_update, order, asked, None)
    if isinstance(stage, Pretrain | Midtrain):
        form, parts = "documents", _phases(book, name, stage, root)
    else:
        form = "chats" if isinstance(stage, Sft) else "preferences"
        with about((*own, "data")):
            parts = (PartRecipe(_sources(book, stage.data, root), None, stage.epochs, _cap(stage.data)),)
    held_out = stage.held_out if isinstance(stage, RewardModel) else None
    recipe = StreamRecipe(form, stage.context, stage.batch_size, order, parts, replay, held_out)
    if isinstance(stage, Pretrain | Midtrain):
        with about((*own, "matched")):
            return replace(recipe, learn=stage.learn, matched=_matched(book, name, stage.matched, root))
    return recipe


def _matched(book: DataBook, name: str, data: tuple[str, ...], root: int) -> tuple[tuple[str, str], ...]:
    """Return key and name of each of the matched ``data``; raises ``StudyError`` where there is nothing to match."""
    found = {book.key(reference, root): reference for reference in data}
    if data and len(found) < 2:
        raise StudyError(
            f"stage {name!r}: matched names {', '.join(data)}, which is one data set: name what each of the arms reads"
        )
    return tuple(sorted(found.items()))


def _require_judge(book: DataBook, name: str, stage: Rl) -> None:
    """Raise ``StudyError`` where a stage is paid by an exact judge and its prompts are no world's."""
    description, _ = book.describe(stage.data)
    while isinstance(description, Derived):
        description, _ = book.describe(description.source)
    if not isinstance(stage.reward, ModelReward) and not isinstance(description, CausesWorld):
        raise StudyError(
            f"stage {name!r}: the reward {stage.reward.kind!r} is an exact judge's, and the data {stage.data!r} comes "
            "from no world: use the prompts of a world (world.prompts), or a reward model"
        )


def _phases(book: DataBook, name: str, stage: Pretrain | Midtrain, root: int) -> tuple[PartRecipe, ...]:
    begins = phase_steps(name, stage)
    parts = []
    for index, (phase, begin, end) in enumerate(zip(stage.phases, begins, begins[1:], strict=False)):
        windows = (end - begin) * stage.batch_size
        place = ("stages", name, "phases", index)
        try:
            sources, to = _sources(book, phase.data, root), _ends(phase.data)
            _require_windows(sources, to, windows, stage.replay)
        except ValueError as error:
            places = error.places if isinstance(error, StudyError) else ()
            raise StudyError(f"stage {name!r}: phase {index + 1}: {error}", *(places or [(*place, "data")])) from None
        if phase.continues and index == 0:
            said = f"stage {name!r}: phase 1 continues nothing: say continues in a later phase"
            raise StudyError(said, (*place, "continues"))
        parts.append(PartRecipe(sources, windows, None, _cap(phase.data), to, continues=phase.continues))
    return tuple(parts)


def phase_steps(name: str, stage: Pretrain | Midtrain) -> tuple[int, ...]:
    """Return the steps at which the phases of a stage begin, and its last step.

    Raises ``StudyError``, with what to do, for phases that cannot follow one another or hold nothing.
    """
    tokens_per_step = stage.context * stage.batch_size
    total_steps = stage.tokens // tokens_per_step
    if total_steps == 0:
        raise StudyError(
            f"stage {name!r}: {stage.tokens} tokens are less than one step of {tokens_per_step} tokens: give it more "
            "tokens, or lower its batch_size or context",
            ("stages", name, "tokens"),
        )
    found = [0]
    for index, phase in enumerate(stage.phases):
        where, last = f"stage {name!r}: phase {index + 1}", index == len(stage.phases) - 1
        place = ("stages", name, "phases", index, "until")
        if phase.until is None and not last:
            raise StudyError(f"{where} has no until, but another phase follows: say where it ends", place)
        try:
            end = (
                total_steps
                if phase.until is None
                else steps_at(phase.until, total_tokens=stage.tokens, tokens_per_step=tokens_per_step)
            )
        except ValueError as error:
            raise StudyError(f"{where}: {error}: end it earlier, or give the stage more tokens", place) from None
        if last and end != total_steps:
            raise StudyError(f"{where} is its last phase and ends before the stage does: remove its until", place)
        if end <= found[-1]:
            raise StudyError(
                f"{where} ends at step {end} of {total_steps}, where it begins or earlier (until {phase.until}, steps "
                f"of {tokens_per_step} tokens): remove the phase, or end it a step or more later",
                place,
            )
        found.append(end)
    return tuple(found)


def _sources(book: DataBook, data: DataReference | Anneal, root: int) -> tuple[tuple[str, str, float], ...]:
    if isinstance(data, Anneal):
        shares = {name: begin for name, (begin, _) in data.shares.items()}
    else:
        shares = {name: share for name, share in data.mix.items() if share > 0} if isinstance(data, Mixture) else {}
    if isinstance(data, str):
        shares = {data: 1.0}
    found: dict[str, str] = {}
    for name in shares:
        other = found.setdefault(book.key(name, root), name)
        if other != name:
            raise StudyError(
                f"the data {other!r} and {name!r} of one mixture are the same: name one of them, with both shares"
            )
    return tuple((key, name, shares[name]) for key, name in found.items())


def _ends(data: DataReference | Anneal) -> tuple[float, ...] | None:
    return tuple(end for _, end in data.shares.values()) if isinstance(data, Anneal) else None


def _require_windows(
    sources: Sequence[tuple[str, str, float]], to: tuple[float, ...] | None, windows: int, replay: Replay | None
) -> None:
    """Raise ``ValueError`` for a share that comes to less than half a window: nothing of it would be read."""
    taken = 0.0 if replay is None else replay.share
    quotas = [
        (name, (1 - taken) * planned_windows(begin, end, windows, windows))
        for (_, name, begin), end in zip(sources, to or [share for _, _, share in sources], strict=True)
    ]
    for name, quota in [*quotas, *([(replay.data, taken * windows)] if replay is not None and taken else [])]:
        if quota < LEAST_WINDOWS:
            raise ValueError(
                f"the share of {name!r} comes to {quota:.2g} of {windows} windows, so nothing of it would be read: "
                "raise its share, lengthen the phase, shorten the context, or leave it out"
            )


def _cap(data: DataReference | Anneal) -> float | None:
    return None if isinstance(data, str) else data.max_repetition
