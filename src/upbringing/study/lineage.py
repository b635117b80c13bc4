"""A lineage is a value: a start and the stages that followed, each with its seed and its stream of data.

Identity is the recipe and never the label. The key of a state hashes the key it came from, the optimiser's
settings, the learning rates of steps 1..t and the stream of data 1..t; so two runs that agree up to a step
share the state there, whatever they do later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import StudyError
from upbringing.base.fingerprint import fingerprint
from upbringing.base.quantities import steps_at
from upbringing.base.streams import derived_seed
from upbringing.study.recipes import DataBook
from upbringing.study.seeds import LEVEL_OF_KIND, Replicate
from upbringing.study.study import ResolvedArm, Study
from upbringing.training.dpo import Dpo
from upbringing.training.existing import Existing
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.schedules import rate_factors
from upbringing.training.settings import DataReference, Mixture
from upbringing.training.sft import Sft
from upbringing.training.stage import Stage
from upbringing.training.start import FreshStart, Start

TrainedKind = Pretrain | Midtrain | Sft | Dpo

# Fields that say what a stage reads, how long and when it is measured; they enter the key as rates and stream.
_ENTER_OTHERWISE = {
    "tokens",
    "epochs",
    "phases",
    "data",
    "replay",
    "schedule",
    "measure_at",
    "learning_rate",
    "identity",
}


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
    """The data of one run of a stage, before its bytes are known."""

    form: str
    context: int
    batch_size: int
    seed: int
    parts: tuple[PartRecipe, ...]
    replay: tuple[str, str, float] | None

    @property
    def names(self) -> dict[str, str]:
        """Key to name in the study, for every source and the replay."""
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
        return {"form": self.form, "context": self.context, "seed": self.seed, "parts": parts, "replay": replay}

    @cached_property
    def key(self) -> str:
        """Fingerprint of the whole stream's recipe; names the data folder in the store."""
        return fingerprint({"stream": self.value(), "batch_size": self.batch_size})

    def shared_windows(self, other: StreamRecipe) -> int:
        """Return how many windows both streams begin with; both have a length in windows."""
        mine, theirs = (
            (each.form, each.context, each.batch_size, each.seed, each.replay and (each.replay[0], each.replay[2]))
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


@dataclass(frozen=True)
class Run:
    """One stage of one lineage. ``parent``: recipe key of the state it starts from."""

    stage_name: str
    stage: Stage
    parent: str
    seed: int
    root: int
    stream: StreamRecipe | None
    _keys: dict[int | None, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def total_steps(self) -> int | None:
        """Optimiser updates of the whole stage, ``None`` until the data's size is known."""
        if self.stream is None:
            return 0
        windows = self.stream.num_windows
        return None if windows is None else windows // self.stream.batch_size

    def inputs(self, step: int | None) -> dict[str, Any]:
        """Return the named inputs of the key of the state at ``step`` (``None`` = the stage's end)."""
        if isinstance(self.stage, Existing):
            return {"existing": self.stage.checkpoint, "template": self.stage.template}
        total = self.total_steps
        if total is not None:
            return self.inputs_at(total if step is None else step, total)
        rates = {"peak": self.stage.learning_rate, "schedule": self.stage.schedule.model_dump(mode="json")}
        return self._inputs(rates, None)

    def inputs_at(self, step: int, total_steps: int) -> dict[str, Any]:
        """Return the named inputs of the key after ``step`` of ``total_steps`` updates, both known."""
        assert self.stream is not None
        rates = hashlib.sha256(self._rates(total_steps)[:step].astype("<f8").tobytes()).hexdigest()
        known = self.total_steps is not None
        return self._inputs(rates, step * self.stream.batch_size if known else None)

    def _rates(self, total_steps: int) -> NDArray[np.float64]:
        assert not isinstance(self.stage, Existing)
        return rate_factors(self.stage.schedule, total_steps) * self.stage.learning_rate

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.stage.model_dump(mode="json").items() if name not in _ENTER_OTHERWISE
        }

    def _inputs(self, rates: Any, num_windows: int | None) -> dict[str, Any]:
        assert self.stream is not None
        stream = self.stream.value(num_windows)
        return {"parent": self.parent, "settings": self._settings, "seed": self.seed, "rates": rates, "stream": stream}

    def key(self, step: int | None = None) -> str:
        """Return the recipe key of the state after ``step`` updates; an existing checkpoint is new without any."""
        if step == 0 and self.stream is not None:
            return self.parent
        if step not in self._keys:  # a memo: a tree asks for each key several times
            self._keys[step] = fingerprint(self.inputs(step))
        return self._keys[step]

    def shared_steps(self, other: Run) -> int:
        """Return the last step up to which two runs from one parent are one; both have a known length."""
        total, others = self.total_steps or 0, other.total_steps or 0
        assert self.stream is not None
        assert other.stream is not None
        if (self.parent, self.seed, self._settings) != (other.parent, other.seed, other._settings):
            return 0
        windows = self.stream.shared_windows(other.stream)
        shared = min(total, others, windows // self.stream.batch_size)
        differs = self._rates(total)[:shared] != other._rates(others)[:shared]
        return int(differs.argmax()) if differs.any() else shared


@dataclass(frozen=True)
class Lineage:
    """Everything that was done to make the checkpoints of one arm in one replicate."""

    arm: ResolvedArm
    replicate: Replicate
    start_inputs: Mapping[str, Any]
    runs: tuple[Run, ...]

    @cached_property
    def start_key(self) -> str:
        """Recipe key of the start."""
        return fingerprint(self.start_inputs)


def lineage(study: Study, book: DataBook, arm: ResolvedArm, replicate: Replicate) -> Lineage:
    """Return the lineage of ``arm`` in ``replicate``; raises ``StudyError`` for data or places that do not fit."""
    start = start_inputs(arm.start, study, book, replicate)
    parent = fingerprint(start)
    runs: list[Run] = []
    for name, stage in arm.stages.items():
        run = _run(study, book, name, stage, parent, replicate)
        runs.append(run)
        parent = run.key()
    return Lineage(arm=arm, replicate=replicate, start_inputs=start, runs=tuple(runs))


def start_inputs(start: Start, study: Study, book: DataBook, replicate: Replicate) -> dict[str, Any]:
    """Return the named inputs of a start's key."""
    if isinstance(start, FreshStart):
        tokenizer = start.tokenizer.model_dump(mode="json", exclude={"train_on"})
        description, _ = book.describe(start.tokenizer.train_on)
        return {
            "fresh": start.model_dump(mode="json", exclude={"tokenizer"}),
            "tokenizer": {**tokenizer, "lexicon": description.model_dump(mode="json")},
            "seed": derived_seed(study.seed, "init", replicate.root),
        }
    return {"existing": start.checkpoint, "template": start.template}


def _run(study: Study, book: DataBook, name: str, stage: Stage, parent: str, replicate: Replicate) -> Run:
    if isinstance(stage, Existing):
        return Run(stage_name=name, stage=stage, parent=parent, seed=0, root=replicate.root, stream=None)
    level = LEVEL_OF_KIND[stage.kind]
    seed = derived_seed(study.seed, level, replicate.indices[level])
    stream = _stream(book, name, stage, seed, replicate.root)
    return Run(stage_name=name, stage=stage, parent=parent, seed=seed, root=replicate.root, stream=stream)


def _stream(book: DataBook, name: str, stage: TrainedKind, seed: int, root: int) -> StreamRecipe:
    replay = None
    if isinstance(stage, Midtrain | Sft) and stage.replay is not None:
        replay = (book.key(stage.replay.data, root), stage.replay.data, stage.replay.share)
    if isinstance(stage, Pretrain | Midtrain):
        form, parts = "documents", _phases(book, name, stage, root)
    else:
        form = "preferences" if isinstance(stage, Dpo) else "chats"
        parts = (PartRecipe(_sources(book, stage.data, root), None, stage.epochs, _cap(stage.data)),)
    return StreamRecipe(form, stage.context, stage.batch_size, derived_seed(seed, "order"), parts, replay)


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
