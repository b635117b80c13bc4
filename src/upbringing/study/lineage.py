"""A lineage is a value: a start and the stages that followed, each with its seed and its stream of data.

Identity is the recipe and never the label. The key of a state hashes the key it came from, the optimiser's
settings, the learning rates of steps 1..t and the stream of data 1..t; so two runs that agree up to a step
share the state there, whatever they do later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.fingerprint import fingerprint
from upbringing.base.places import about
from upbringing.base.streams import derived_seed
from upbringing.study.deltas import Asking, DeltaKeys, End, delta_keys, require_no_loop, up_to
from upbringing.study.inner_steps import averaged_steps, measured_steps, nothing_to_average
from upbringing.study.masking import require_slice, stream_modes
from upbringing.study.matched_windows import in_windows_of
from upbringing.study.places import arm_places, in_arm
from upbringing.study.recipes import DataBook
from upbringing.study.resolved_arms import ResolvedArm
from upbringing.study.seeds import LEVEL_OF_KIND, LEVELS, Replicate
from upbringing.study.start_inputs import require_marks, start_inputs
from upbringing.study.stream_recipes import StreamRecipe, stream_recipe
from upbringing.study.study import Study
from upbringing.training.ablate import Ablate
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.emulate_tuning import DeltaStage, EmulateTuning
from upbringing.training.existing import Existing
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.rewards import ModelReward
from upbringing.training.rl import Rl
from upbringing.training.schedules import rate_factors
from upbringing.training.settings import TrainedStage
from upbringing.training.stage import Stage
from upbringing.training.versions import version_input

# Fields that say what a stage reads, how long and when it is measured; they enter the key as rates and stream.
_ENTER_OTHERWISE = {
    "tokens",
    "epochs",
    "steps",
    "phases",
    "learn",
    "matched",
    "data",
    "replay",
    "schedule",
    "measure_at",
    "learning_rate",
    "identity",
}


@dataclass(frozen=True)
class Run:
    """One stage of one lineage. ``parent``: recipe key of the state it starts from.

    ``reward_model``: the recipe key of the reward model that pays it, if one does. ``delta``: if the stage moves one.
    ``averaged``: the steps inside the stage before it whose weights it averages, with the recipe keys of their states.
    """

    stage_name: str
    stage: Stage
    parent: str
    seed: int
    root: int
    stream: StreamRecipe | None
    reward_model: str | None = None
    delta: DeltaKeys | None = None
    averaged: tuple[tuple[int, str], ...] = ()
    _keys: dict[int | None, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def total_steps(self) -> int | None:
        """Optimiser updates of the whole stage, ``None`` until the data's size is known."""
        if self.stream is None:
            return 0
        windows = self.stream.num_windows
        return None if windows is None else windows // self.stream.batch_size

    @cached_property
    def measured(self) -> dict[int, str]:
        """The steps at which the run is measured inside its stage, with their names."""
        return measured_steps(self.stage_name, self.stage, self.total_steps)

    @property
    def made_of(self) -> tuple[str, ...]:
        """Recipe keys of the states that its own is made of besides its parent."""
        if self.delta is not None:
            return self.delta.start, self.delta.to
        return tuple(key for _, key in self.averaged)

    def inputs(self, step: int | None) -> dict[str, Any]:
        """Return the named inputs of the key of the state at ``step`` (``None`` = the stage's end)."""
        if isinstance(self.stage, Existing):
            return {"existing": self.stage.checkpoint, "template": self.stage.template}
        if isinstance(self.stage, DeltaStage):
            return self._moved(self.stage)
        if isinstance(self.stage, Ablate):
            ablated = self.stage.slice.model_dump(mode="json")
            return {"parent": self.parent, "ablated": ablated, **version_input(self.stage.kind)}
        if isinstance(self.stage, AverageCheckpoints):
            return {"parent": self.parent, "averaged": list(self.made_of), **version_input(self.stage.kind)}
        total = self.total_steps
        if total is not None:
            return self.inputs_at(total if step is None else step, total)
        rates = {"peak": self.stage.learning_rate, "schedule": self.stage.schedule.model_dump(mode="json")}
        return self._inputs(rates, None)

    def _moved(self, stage: DeltaStage) -> dict[str, Any]:
        """Return the named inputs of the key of what a delta acts on: names of arms and stages enter as recipe keys."""
        assert self.delta is not None
        delta = {"from": self.delta.start, "to": self.delta.to, "random": stage.delta.random}
        how = stage.model_dump(mode="json", exclude={"delta", "kind"})
        kind = {"emulated": True} if isinstance(stage, EmulateTuning) else {}  # edits had their keys before
        seed = {"seed": self.seed} if stage.delta.random else {}
        return {"parent": self.parent, **how, **kind, "delta": delta, **seed, **version_input(stage.kind)}

    def inputs_at(self, step: int, total_steps: int) -> dict[str, Any]:
        """Return the named inputs of the key after ``step`` of ``total_steps`` updates, both known."""
        assert self.stream is not None
        rates = hashlib.sha256(self.rates(total_steps)[:step].astype("<f8").tobytes()).hexdigest()
        known = self.total_steps is not None
        return self._inputs(rates, step * self.stream.batch_size if known else None)

    def rates(self, total_steps: int) -> NDArray[np.float64]:
        """Return the learning rate of each of the stage's ``total_steps`` updates."""
        assert isinstance(self.stage, TrainedStage)
        return rate_factors(self.stage.schedule, total_steps) * self.stage.learning_rate

    @cached_property
    def _settings(self) -> dict[str, Any]:
        settings = {
            name: value for name, value in self.stage.model_dump(mode="json").items() if name not in _ENTER_OTHERWISE
        }
        if "masking" in settings:  # which data has which mode enters as the keys of the stream
            settings["masking"] = {name: settings["masking"][name] for name in ("slice", "forget_moves")}
        if "routing" in settings:
            settings["routing"] = [module["slice"] for module in settings["routing"]["modules"].values()]
        if self.reward_model is not None:
            settings["reward"] = {"kind": settings["reward"]["kind"]}  # the stage's name enters as the model's key
        return settings | version_input(self.stage.kind)

    @property
    def is_side_branch(self) -> bool:
        """Whether nothing starts from the run and nothing is asked of it: it only pays another."""
        return isinstance(self.stage, RewardModel)

    def _inputs(self, rates: Any, num_windows: int | None) -> dict[str, Any]:
        assert self.stream is not None
        stream = self.stream.value(num_windows)
        paid_by = {} if self.reward_model is None else {"reward_model": self.reward_model}
        plain = {"parent": self.parent, "settings": self._settings, "seed": self.seed, "rates": rates, "stream": stream}
        return plain | paid_by

    def key(self, step: int | None = None) -> str:
        """Return the recipe key of the state after ``step`` updates; an existing checkpoint is new without any."""
        if step == 0 and self.stream is not None:
            return self.parent
        if step not in self._keys:  # a memo: a tree asks for each key several times
            self._keys[step] = fingerprint(self.inputs(step))
        return self._keys[step]

    def shared_data_steps(self, other: Run) -> int:
        """Return the last step up to which two runs differ at most in their learning rates; both have a known length.

        Settings that act from the first step on, seeds and reward models count as data: 0 where they differ.
        """
        assert self.stream is not None
        assert other.stream is not None
        mine, theirs = ((run.parent, run.seed, run._settings, run.reward_model) for run in (self, other))
        if mine != theirs:
            return 0
        windows = self.stream.shared_windows(other.stream)
        return min(self.total_steps or 0, other.total_steps or 0, windows // self.stream.batch_size)

    def shared_steps(self, other: Run) -> int:
        """Return the last step up to which two runs from one parent are one; both have a known length."""
        shared = self.shared_data_steps(other)
        if not shared:
            return 0
        mine, theirs = (run.rates(run.total_steps or 0)[:shared] for run in (self, other))
        differs = mine != theirs
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

    @property
    def end_key(self) -> str:
        """Recipe key of what the arm ends in, side branches left out."""
        trunk = [run for run in self.runs if not run.is_side_branch]
        return trunk[-1].key() if trunk else self.start_key

    @property
    def end(self) -> End:
        """What the arm ends in, with the levels of all seeds that it depends on."""
        trained = {LEVEL_OF_KIND[run.stage.kind] for run in self.runs if run.stage.kind in LEVEL_OF_KIND}
        of_deltas = {level for run in self.runs if run.delta is not None for level in run.delta.levels}
        return End(self.end_key, frozenset(trained | of_deltas))


@dataclass(frozen=True)
class Pipelines:
    """All arms of a study in one replicate. ``arms``: by name; one may need what another has trained."""

    study: Study
    book: DataBook
    arms: Mapping[str, ResolvedArm]
    replicate: Replicate

    def lineage(self, arm: ResolvedArm, asking: Asking = ()) -> Lineage:
        """Return the lineage of ``arm``; raises ``StudyError`` for data or places that do not fit.

        ``asking``: the stages whose deltas need this lineage.
        """
        start = start_inputs(arm.start, self.study, self.book, self.replicate)
        parent = fingerprint(start)
        runs: list[Run] = []
        rewards: dict[str, str] = {}
        for name, stage in arm.stages.items():
            with in_arm(self.study, arm.name), about(("stages", name)):
                run = self._checked_run(arm, name, stage, parent)
                measured_steps(name, stage, run.total_steps)  # asked here, where an error is about this arm
                if isinstance(stage, DeltaStage):
                    run = replace(run, delta=self._delta(stage, parent, (*asking, (arm.name, name))))
                if isinstance(stage, AverageCheckpoints):
                    run = replace(run, averaged=_averaged(name, stage, runs))
            if isinstance(stage, Rl) and isinstance(stage.reward, ModelReward):
                run = replace(run, reward_model=rewards[stage.reward.stage])
            runs.append(run)
            if run.is_side_branch:
                rewards[name] = run.key()
            else:
                parent = run.key()
        return Lineage(arm=arm, replicate=self.replicate, start_inputs=start, runs=tuple(runs))

    def _checked_run(self, arm: ResolvedArm, name: str, stage: Stage, parent: str) -> Run:
        """Return the run of a stage in the windows that the arm asks for, with room and marks for all it needs."""
        require_slice(arm.start, name, stage)
        run = self._run(name, stage, parent)
        if arm.arm.windows_of is not None and run.stream is not None:
            other = self.arms[arm.arm.windows_of]
            theirs = self._run(name, other.stages[name], parent)
            with about(*((*each, "windows_of") for each in arm_places(self.study.declared_arms(), arm.name))):
                run = _matched(run, theirs, other.name)
        require_marks(arm.start, run.stage_name, run.stream, self.book)
        return run

    def _delta(self, stage: DeltaStage, edited: str, asking: Asking) -> DeltaKeys:
        """Return the delta of the stage that is asked for last; ``edited``: the recipe key of what it acts on."""
        require_no_loop(asking)
        own, name = asking[-1]
        arm = self.arms[stage.delta.arm or own]
        to = self.lineage(up_to(arm, stage.delta.to), asking).end
        if stage.delta.start is None:
            return delta_keys(name, stage, End(edited, frozenset()), to, edited)
        return delta_keys(name, stage, self.lineage(up_to(arm, stage.delta.start), asking).end, to, edited)

    def _run(self, name: str, stage: Stage, parent: str) -> Run:
        root, indices = self.replicate.root, self.replicate.indices
        if isinstance(stage, Existing | DeltaStage | Ablate | AverageCheckpoints):
            is_drawn = isinstance(stage, DeltaStage) and stage.delta.random
            seed = derived_seed(self.study.seed, stage.kind, indices[LEVELS[-1]]) if is_drawn else 0
            return Run(stage_name=name, stage=stage, parent=parent, seed=seed, root=root, stream=None)
        level = LEVEL_OF_KIND[stage.kind]
        seed = derived_seed(self.study.seed, level, indices[level])
        stream = stream_recipe(self.book, name, stage, seed, root)
        if isinstance(stage, Pretrain | Midtrain):
            together = 0.0 if stage.routing is None else stage.routing.together
            stream = replace(stream, modes=stream_modes(self.book, name, stage, stream, root), together=together)
        return Run(stage_name=name, stage=stage, parent=parent, seed=seed, root=root, stream=stream)


def _averaged(name: str, stage: AverageCheckpoints, runs: Sequence[Run]) -> tuple[tuple[int, str], ...]:
    """Return the steps inside the stage before it that ``stage`` averages, with their recipe keys."""
    before = next((run for run in reversed(runs) if not run.is_side_branch), None)
    if before is None or not isinstance(before.stage, Pretrain | Midtrain | Rl):
        raise nothing_to_average(name, None if before is None else before.stage.kind)
    steps = averaged_steps(name, stage, before.stage, before.total_steps or 0)
    return tuple((step, before.key(step)) for step in steps)


def _matched(run: Run, other: Run, arm: str) -> Run:
    assert run.stream is not None
    if other.stream is None:
        return run
    return replace(run, stream=in_windows_of(run.stream, other.stream, stage=run.stage_name, arm=arm))
