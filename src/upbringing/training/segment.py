"""Train one segment of one stage: from a step to a step, exactly resumable, on the transformers Trainer.

The data order is a pure function of the stream, the learning rate of the step, and everything else that moves
(weights, optimiser, random state) is in the state. So a run that was killed anywhere and started again, or that
was cut at a step and continued with other later data, ends in the bits of the straight run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import TrainingError
from upbringing.base.streams import derived_seed
from upbringing.formats.record import BuildProfile, RlUpdate
from upbringing.training.guards import check_supervision, guard_text, loss_warnings
from upbringing.training.isolation import isolated
from upbringing.training.kinds import Given, Texts, learned_tokens, open_start, open_texts, task_of, train
from upbringing.training.lora import attach_adapter, merge_adapter
from upbringing.training.processes import Processes, current_processes
from upbringing.training.rl import Rl
from upbringing.training.rl_curve import curve_warnings
from upbringing.training.schedules import rate_factors
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.state import TrainingState, load_state, newest_state, write_state
from upbringing.training.trainer import Run, random_state, set_random_state
from upbringing.training.watch import Watch
from upbringing.training.weights import adamw, require_agreement, trainable

SECONDS_BETWEEN_STATES = 60.0  # what a kill may cost; a state of a small model takes well under a second
TRAINERS_OWN_SETTINGS = ("pad_token_id", "use_cache")  # trainers change these in the model's configuration


@dataclass(frozen=True)
class Segment:
    """Steps ``from_step``..``to_step`` of a stage of ``total_steps``. ``seed``: of everything that is drawn."""

    name: str
    stage: TrainedStage
    seed: int
    total_steps: int
    from_step: int
    to_step: int


@dataclass(frozen=True)
class Places:
    """Where a segment reads and writes.

    ``parent``: the checkpoint the stage started from at step 0. ``state``: the published state at ``from_step``, or
    ``None`` at 0. ``workspace``: survives kills. ``output``: an empty folder for the model. ``final_state``: an empty
    folder for the state at ``to_step``, or ``None`` if nothing continues from there.
    """

    parent: Path
    state: Path | None
    stream: Path
    workspace: Path
    output: Path
    final_state: Path | None
    reward_model: Path | None = None


@dataclass(frozen=True)
class Realised:
    """What a segment did, counted from the start of its stage.

    ``losses``: of every step up to ``to_step``, nats per learned token (per pair for preferences; of an rl stage what
    its algorithm minimises). ``supervised_tokens``: tokens that carried a loss. ``learning_rate_sum``: over the same
    steps. ``updates``: what the own answers of an rl stage were like.
    """

    losses: tuple[float, ...]
    guard: str
    warnings: tuple[str, ...]
    seconds: float
    weights_changed: bool
    supervised_tokens: int = 0
    learning_rate_sum: float = 0.0
    updates: tuple[RlUpdate, ...] = ()


def run_segment(
    segment: Segment, places: Places, profile: BuildProfile, on_progress: Callable[[int, int, float], None]
) -> Realised:
    """Train ``segment`` and write the model (and state) into ``places``; resumes by itself.

    ``on_progress(step, total, loss)`` is called after each update. Raises ``TrainingError`` for non-finite losses
    or gradients (the last good state is kept) and ``InterruptedRunError`` after a polite signal. Under a launcher
    such as torchrun every process calls it with the same arguments, and the first one writes. Adapters draw their
    initial values from the stream ``adapters`` under the seed, dropout from ``dropout``.
    """
    began, stage = time.monotonic(), segment.stage
    _check_split(segment, profile)
    processes = current_processes(profile)
    texts = open_texts(stage, places.stream)
    learned = learned_tokens(texts)
    if learned is not None:
        learned = learned[: segment.to_step]
        check_supervision(learned, segment.name, first=segment.from_step)
    with isolated(profile):
        final, changed = _train(segment, places, profile, texts, processes, on_progress)
    updates = tuple(RlUpdate.model_validate(each) for each in final.updates)
    return Realised(
        losses=tuple(final.losses),
        guard=guard_text(
            updates=final.step,
            losses=final.losses,
            weights_changed=changed,
            identity=stage.identity,
            num_varied=sum(each.varied > 0 for each in updates) if isinstance(stage, Rl) else None,
        ),
        warnings=curve_warnings(updates) if isinstance(stage, Rl) else loss_warnings(final.losses),
        seconds=time.monotonic() - began,
        weights_changed=changed,
        supervised_tokens=sum(each.tokens for each in updates) if learned is None else int(learned.sum()),
        learning_rate_sum=float(_rates(segment)[: segment.to_step].sum()),
        updates=updates,
    )


def _check_split(segment: Segment, profile: BuildProfile) -> None:
    stage = segment.stage
    if stage.batch_size % (stage.accumulate * profile.world_size):
        raise TrainingError(
            f"stage {segment.name!r}: batch_size {stage.batch_size} cannot be split into accumulate {stage.accumulate} "
            f"micro-batches in each of {profile.world_size} processes: change one of them"
        )
    if isinstance(stage, Rl) and profile.world_size > 1:
        raise TrainingError(
            f"stage {segment.name!r}: an rl stage is trained in one process, because the answers to a prompt are "
            f"compared with each other; {profile.world_size} were asked for"
        )


def _rates(segment: Segment) -> NDArray[np.float64]:
    return rate_factors(segment.stage.schedule, segment.total_steps) * segment.stage.learning_rate


def _train(
    segment: Segment,
    places: Places,
    profile: BuildProfile,
    texts: Texts,
    processes: Processes,
    on_progress: Callable[[int, int, float], None],
) -> tuple[TrainingState, bool]:
    """Train, write what was asked for, and return the final state and whether a weight changed."""
    import torch

    loaded = open_start(segment.stage, places.parent, profile, segment.seed)
    model = loaded.model
    if isinstance(segment.stage.weights, Lora):
        model = attach_adapter(model, segment.stage.weights, segment.seed, task_of(segment.stage))
    before = {name: parameter.detach().to("cpu", copy=True) for name, parameter in trainable(model).items()}
    trained = _Training(segment, places, profile, processes, model, loaded.tokenizer)
    final = trained.run(texts, on_progress)
    require_agreement(model, processes, segment.name)
    changed = any(not torch.equal(before[name], tensor.cpu()) for name, tensor in trainable(model).items())
    if processes.writes:
        if places.final_state is not None:
            write_state(places.final_state, final)
        if isinstance(segment.stage.weights, Lora):
            model = merge_adapter(model, places.output)
        model.eval()
        model.save_pretrained(str(places.output))
    processes.wait()
    return replace(final, weights={}, optimizer={}), changed  # which would hold the device's memory


@dataclass(frozen=True)
class _Training:
    """A segment with its model, ready to run from wherever its furthest whole state stands."""

    segment: Segment
    places: Places
    profile: BuildProfile
    processes: Processes
    model: Any
    tokenizer: Any

    def run(self, texts: Texts, on_progress: Callable[[int, int, float], None]) -> TrainingState:
        """Train to the segment's last step and return the state there."""
        import torch

        segment = self.segment
        optimizer = adamw(self.model, segment.stage)
        torch.manual_seed(derived_seed(segment.seed, "dropout", self.processes.rank))
        step, losses, updates = self._resume(optimizer)
        watch = Watch(
            segment.name,
            segment.to_step,
            self.places.workspace,
            SECONDS_BETWEEN_STATES,
            self.processes,
            losses,
            snapshot=lambda step: self._snapshot(step, optimizer, losses, updates),
            on_progress=on_progress,
        )
        if step < segment.to_step:
            run = Run(
                self.model,
                optimizer,
                segment.stage,
                self.profile,
                step,
                segment.to_step,
                _rates(segment),
                random_state(self.profile.device),
                self.places.workspace / "trainer",
                watch.before_update,
                watch.after_update,
            )
            with watch.signals():
                self._train(run, texts, updates)
        return self._snapshot(segment.to_step, optimizer, losses, updates)

    def _train(self, run: Run, texts: Texts, updates: list[RlUpdate]) -> None:
        generation = getattr(self.model, "generation_config", None)  # a reward model generates nothing
        configurations = [each for each in (self.model.config, generation) if each is not None]
        kept = [(each, name, getattr(each, name, None)) for each in configurations for name in TRAINERS_OWN_SETTINGS]
        given = Given(
            self.segment.name,
            self.places.parent,
            self.places.reward_model,
            self.places.workspace,
            self.profile,
            self.processes,
            self.tokenizer,
            self.segment.seed,
            updates,
        )
        train(run, texts, given)
        for configuration, name, value in kept:
            setattr(configuration, name, value)

    def _resume(self, optimizer: Any) -> tuple[int, list[float], list[RlUpdate]]:
        """Put the furthest whole state into model, optimiser and generators; return its step, losses and updates."""
        import torch

        if not self.processes.writes:
            self.processes.wait()  # the first one removes what is damaged before the others look
        state = newest_state(self.places.workspace, last_step=self.segment.to_step, clean=self.processes.writes)
        if self.processes.writes:
            self.processes.wait()
        if state is None and self.places.state is not None:
            state = load_state(self.places.state)
        if state is None:
            return 0, [], []
        state.require(self._made_with())
        with torch.no_grad():
            for name, parameter in trainable(self.model).items():
                parameter.copy_(state.weights[name])
        optimizer.load_state_dict(dict(state.optimizer))
        set_random_state(state.random_states[self.processes.rank])
        return state.step, list(state.losses), [RlUpdate.model_validate(each) for each in state.updates]

    def _snapshot(self, step: int, optimizer: Any, losses: list[float], updates: Sequence[RlUpdate]) -> TrainingState:
        """Return where the run stands; every process calls it."""
        return TrainingState(
            step,
            trainable(self.model),
            optimizer.state_dict(),
            self.processes.gather(random_state(self.profile.device)),
            losses,
            self._made_with(),
            [each.model_dump() for each in updates],
        )

    def _made_with(self) -> dict[str, str]:
        """Return what has to be the same for a resumed run to end in the same bits."""
        stage, profile = self.segment.stage, self.profile
        return {
            "accumulate": str(stage.accumulate),
            "attention": profile.attention,
            "batch_size": str(stage.batch_size),
            "compile": str(profile.compile),
            "context": str(stage.context),
            "device": profile.device,
            "precision": profile.precision,
            "seed": str(self.segment.seed),
            "threads": str(profile.threads),
            "world_size": str(profile.world_size),
            **{f"{library} version": version for library, version in profile.versions.items()},
        }
