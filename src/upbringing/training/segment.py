"""Train one segment of one stage: from a step to a step, exactly resumable, on the transformers Trainer.

The data order is a pure function of the stream, the learning rate of the step, and everything else that moves
(weights, optimiser, random state) is in the state. So a run that was killed anywhere and started again, or that
was cut at a step and continued with other later data, ends in the bits of the straight run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import TrainingError
from upbringing.base.streams import derived_seed
from upbringing.data.pairs import PairStream, open_pair_stream
from upbringing.data.stream import Stream, open_stream
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import load_model
from upbringing.training.dpo import Dpo, train_pairs
from upbringing.training.guards import check_supervision, guard_text, loss_warnings
from upbringing.training.isolation import isolated
from upbringing.training.lora import attach_adapter, merge_adapter
from upbringing.training.processes import Processes, current_processes
from upbringing.training.reference import Reference
from upbringing.training.schedules import rate_factors
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.state import TrainingState, load_state, newest_state, write_state
from upbringing.training.trainer import Run, random_state, set_random_state, train_windows
from upbringing.training.watch import Watch

SECONDS_BETWEEN_STATES = 60.0  # what a kill may cost; a state of a small model takes well under a second
TRAINERS_OWN_SETTINGS = ("pad_token_id", "use_cache")  # trainers change these in the model's configuration


@dataclass(frozen=True)
class Segment:
    """Steps ``from_step``..``to_step`` of a stage of ``total_steps``. ``seed``: adapters and dropout."""

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


@dataclass(frozen=True)
class Realised:
    """What a segment did, counted from the start of its stage.

    ``losses``: of every step up to ``to_step``, nats per learned token (per pair for preferences).
    ``supervised_tokens``: tokens that carried a loss. ``learning_rate_sum``: over the same steps.
    """

    losses: tuple[float, ...]
    guard: str
    warnings: tuple[str, ...]
    seconds: float
    weights_changed: bool
    supervised_tokens: int = 0
    learning_rate_sum: float = 0.0


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
    stream = open_pair_stream(places.stream) if isinstance(stage, Dpo) else open_stream(places.stream)
    learned = _learned_tokens(stream)[: segment.to_step]
    check_supervision(learned, segment.name, first=segment.from_step)
    with isolated(profile):
        final, changed = _train(segment, places, profile, stream, processes, on_progress)
    return Realised(
        losses=tuple(final.losses),
        guard=guard_text(updates=final.step, losses=final.losses, weights_changed=changed, identity=stage.identity),
        warnings=loss_warnings(final.losses),
        seconds=time.monotonic() - began,
        weights_changed=changed,
        supervised_tokens=int(learned.sum()),
        learning_rate_sum=float(_rates(segment)[: segment.to_step].sum()),
    )


def _check_split(segment: Segment, profile: BuildProfile) -> None:
    stage = segment.stage
    if stage.batch_size % (stage.accumulate * profile.world_size):
        raise TrainingError(
            f"stage {segment.name!r}: batch_size {stage.batch_size} cannot be split into accumulate {stage.accumulate} "
            f"micro-batches in each of {profile.world_size} processes: change one of them"
        )


def _learned_tokens(stream: Stream | PairStream) -> NDArray[np.int64]:
    """Return the tokens that carry a loss in each update, shape ``(updates,)``."""
    if isinstance(stream, PairStream):
        return stream.learned_tokens()
    per_window = (stream.arrays["labels"][:, 1:] >= 0).sum(axis=1, dtype=np.int64)
    learned: NDArray[np.int64] = per_window.reshape(stream.info.num_steps, stream.info.batch_size).sum(axis=1)
    return learned


def _rates(segment: Segment) -> NDArray[np.float64]:
    return rate_factors(segment.stage.schedule, segment.total_steps) * segment.stage.learning_rate


def _train(
    segment: Segment,
    places: Places,
    profile: BuildProfile,
    stream: Stream | PairStream,
    processes: Processes,
    on_progress: Callable[[int, int, float], None],
) -> tuple[TrainingState, bool]:
    """Train, write what was asked for, and return the final state and whether a weight changed."""
    import torch

    loaded = load_model(places.parent, profile=profile)
    model = loaded.model
    if isinstance(segment.stage.weights, Lora):
        model = attach_adapter(model, segment.stage.weights, segment.seed)
    before = {name: parameter.detach().clone() for name, parameter in _trainable(model).items()}
    trained = _Training(segment, places, profile, processes, model, loaded.tokenizer)
    final = trained.run(stream, on_progress)
    _require_agreement(model, processes, segment.name)
    changed = any(not torch.equal(before[name], tensor) for name, tensor in _trainable(model).items())
    if processes.writes:
        if places.final_state is not None:
            write_state(places.final_state, final)
        if isinstance(segment.stage.weights, Lora):
            model = merge_adapter(model, places.output)
        model.eval()
        model.save_pretrained(str(places.output))
    processes.wait()
    return final, changed


def _require_agreement(model: Any, processes: Processes, name: str) -> None:
    """Raise ``TrainingError`` unless all processes hold the same bits; every process calls it."""
    digest = hashlib.sha256()
    for tensor in _trainable(model).values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    if len(set(processes.gather(digest.hexdigest()))) > 1:
        raise TrainingError(f"stage {name!r}: its {processes.size} processes ended with different weights")


def _trainable(model: Any) -> dict[str, Any]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _optimizer(model: Any, stage: TrainedStage) -> Any:
    """Return AdamW with a rate of 1, which the schedule multiplies; decay for matrices only."""
    import torch

    matrices = [parameter for parameter in _trainable(model).values() if parameter.dim() >= 2]
    vectors = [parameter for parameter in _trainable(model).values() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=1.0,
        betas=(stage.beta1, stage.beta2),
        eps=stage.epsilon,
        fused=True,
    )


@dataclass(frozen=True)
class _Training:
    """A segment with its model, ready to run from wherever its furthest whole state stands."""

    segment: Segment
    places: Places
    profile: BuildProfile
    processes: Processes
    model: Any
    tokenizer: Any

    def run(self, stream: Stream | PairStream, on_progress: Callable[[int, int, float], None]) -> TrainingState:
        """Train to the segment's last step and return the state there."""
        import torch

        segment = self.segment
        optimizer = _optimizer(self.model, segment.stage)
        torch.manual_seed(derived_seed(segment.seed, "dropout", self.processes.rank))
        step, losses = self._resume(optimizer)
        watch = Watch(
            segment.name,
            segment.to_step,
            self.places.workspace,
            SECONDS_BETWEEN_STATES,
            self.processes,
            losses,
            snapshot=lambda step: self._snapshot(step, optimizer, losses),
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
                random_state(),
                self.places.workspace / "trainer",
                watch.before_update,
                watch.after_update,
            )
            with watch.signals():
                self._train(run, stream)
        return self._snapshot(segment.to_step, optimizer, losses)

    def _train(self, run: Run, stream: Stream | PairStream) -> None:
        configurations = (self.model.config, self.model.generation_config)
        kept = [(each, name, getattr(each, name, None)) for each in configurations for name in TRAINERS_OWN_SETTINGS]
        if isinstance(stream, PairStream):
            parent = load_model(self.places.parent, profile=self.profile, check=False).model
            reference = Reference(parent, self.places.workspace, self.processes)
            train_pairs(run, stream, reference, self.tokenizer)
        else:
            train_windows(run, stream)
        for configuration, name, value in kept:
            setattr(configuration, name, value)

    def _resume(self, optimizer: Any) -> tuple[int, list[float]]:
        """Put the furthest whole state into model, optimiser and generators; return its step and losses."""
        import torch

        if not self.processes.writes:
            self.processes.wait()  # the first one removes what is damaged before the others look
        state = newest_state(self.places.workspace, last_step=self.segment.to_step, clean=self.processes.writes)
        if self.processes.writes:
            self.processes.wait()
        if state is None and self.places.state is not None:
            state = load_state(self.places.state)
        if state is None:
            return 0, []
        state.require(self._made_with())
        with torch.no_grad():
            for name, parameter in _trainable(self.model).items():
                parameter.copy_(state.weights[name])
        optimizer.load_state_dict(dict(state.optimizer))
        set_random_state(state.random_states[self.processes.rank])
        return state.step, list(state.losses)

    def _snapshot(self, step: int, optimizer: Any, losses: list[float]) -> TrainingState:
        """Return where the run stands; every process calls it."""
        states = self.processes.gather(random_state())
        return TrainingState(step, _trainable(self.model), optimizer.state_dict(), states, losses, self._made_with())

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
