"""Recipes of streams: what a stage reads, how much of it and in which order, before any byte of it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from upbringing.base.errors import StudyError
from upbringing.base.fingerprint import fingerprint
from upbringing.base.quantities import steps_at
from upbringing.base.streams import derived_seed
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
from upbringing.training.settings import DataReference, Mixture
from upbringing.training.sft import Sft

TrainedKind = Pretrain | Midtrain | Sft | Dpo | RewardModel | Rl


@dataclass(frozen=True)
class PartRecipe:
    """One part of a stream. ``sources``: (data key, name in the study, share); exactly one length is set."""

    sources: tuple[tuple[str, str, float], ...]
    num_windows: int | None
    epochs: float | None
    max_repetition: float | None = None

    def value(self, num_windows: int | None) -> dict[str, Any]:
        """Return what enters a key: keys and shares, never names; cut to ``num_windows``."""
        shares = sorted((key, share) for key, _, share in self.sources)
        length = {"windows": num_windows} if num_windows is not None else {"epochs": self.epochs}
        return {"shares": [list(pair) for pair in shares], **length}


@dataclass(frozen=True)
class StreamRecipe:
    """The data of one run of a stage, before its bytes are known. ``held_out``: share kept to judge a reward model.

    ``matched``: (data key, name in the study) of what takes the place of each other in other arms.
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

    @property
    def names(self) -> dict[str, str]:
        """Key to name in the study, for every source and the replay."""
        names = dict(self.matched) | {key: name for part in self.parts for key, name, _ in part.sources}
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
        """What enters a key of what is learned and matched; nothing where nothing is asked, as in older studies."""
        learn = {} if self.learn == "all" else {"learn": self.learn}
        return learn | ({"matched": sorted(key for key, _ in self.matched)} if self.matched else {})

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
    replay = None
    if isinstance(stage, Midtrain | Sft) and stage.replay is not None:
        replay = (book.key(stage.replay.data, root), stage.replay.data, stage.replay.share)
    order = derived_seed(seed, "order")
    if isinstance(stage, Rl):
        _require_judge(book, name, stage)
        num_prompts = stage.steps * stage.prompts_per_update
        asked = (PartRecipe(_sources(book, stage.data, root), num_prompts, None),)
        return StreamRecipe("prompts", stage.room_for_prompts, stage.prompts_per_update, order, asked, None)
    if isinstance(stage, Pretrain | Midtrain):
        form, parts = "documents", _phases(book, name, stage, root)
    else:
        form = "chats" if isinstance(stage, Sft) else "preferences"
        parts = (PartRecipe(_sources(book, stage.data, root), None, stage.epochs, _cap(stage.data)),)
    held_out = stage.held_out if isinstance(stage, RewardModel) else None
    recipe = StreamRecipe(form, stage.context, stage.batch_size, order, parts, replay, held_out)
    if isinstance(stage, Pretrain | Midtrain):
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
    tokens_per_step = stage.context * stage.batch_size
    total_steps = stage.tokens // tokens_per_step
    if total_steps == 0:
        raise StudyError(f"stage {name!r}: {stage.tokens} tokens are less than one step of {tokens_per_step} tokens")
    parts, begin = [], 0
    for index, phase in enumerate(stage.phases):
        last = index == len(stage.phases) - 1
        if phase.until is None and not last:
            raise StudyError(f"stage {name!r}: phase {index + 1} has no until, but another phase follows")
        if phase.until is None:
            end = total_steps
        else:
            try:
                end = steps_at(phase.until, total_tokens=stage.tokens, tokens_per_step=tokens_per_step)
            except ValueError as error:
                raise StudyError(f"stage {name!r}: phase {index + 1}: {error}") from None
        if last and end != total_steps:
            raise StudyError(f"stage {name!r}: its last phase ends before the stage does: remove its until")
        if end <= begin:
            raise StudyError(f"stage {name!r}: phase {index + 1} ends at step {end}, where it begins or earlier")
        windows = (end - begin) * stage.batch_size
        parts.append(PartRecipe(_sources(book, phase.data, root), windows, None, _cap(phase.data)))
        begin = end
    return tuple(parts)


def _sources(book: DataBook, data: DataReference, root: int) -> tuple[tuple[str, str, float], ...]:
    shares = data.mix if isinstance(data, Mixture) else {data: 1.0}
    return tuple((book.key(name, root), name, share) for name, share in shares.items() if share > 0)


def _cap(data: DataReference) -> float | None:
    return data.max_repetition if isinstance(data, Mixture) else None
