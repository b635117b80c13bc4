"""Train one segment of one stage: from a step to a step, exactly resumable, on the transformers Trainer.

The data order is a pure function of the stream, the learning rate of the step, and everything else that moves
(weights, optimiser, random state) is in the state. So a run that was killed anywhere and started again, or that
was cut at a step and continued with other later data, ends in the bits of the straight run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import InterruptedRunError, TrainingError
from upbringing.data.stream import Stream, open_stream
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import load_model
from upbringing.training.guards import check_supervision, guard_text, loss_warnings
from upbringing.training.lora import attach_adapter, merge_adapter
from upbringing.training.schedules import rate_factors
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.state import TrainingState, load_state, newest_state, save_state, write_state
from upbringing.training.trainer import TrainerHooks, train_steps

SECONDS_BETWEEN_STATES = 60.0  # what a kill may cost; a state of a small model takes well under a second


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
    """What a segment did. ``losses``: of every step of the stage up to ``to_step``, nats per learned token."""

    losses: tuple[float, ...]
    guard: str
    warnings: tuple[str, ...]
    seconds: float


def run_segment(
    segment: Segment, places: Places, profile: BuildProfile, on_progress: Callable[[int, int, float], None]
) -> Realised:
    """Train ``segment`` and write the model (and state) into ``places``; resumes by itself.

    ``on_progress(step, total, loss)`` is called after each update. Raises ``TrainingError`` for non-finite losses
    or gradients (the last good state is kept) and ``InterruptedRunError`` after a polite signal.
    """
    import torch

    began = time.monotonic()
    stream = open_stream(places.stream)
    check_supervision(stream.info.supervised_tokens, segment.name)
    torch.set_num_threads(profile.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=False)
    model = load_model(places.parent, profile=profile).model
    if isinstance(segment.stage.weights, Lora):
        model = attach_adapter(model, segment.stage.weights, segment.seed)
    before = _trainable_copy(model)
    state = _starting_state(segment, places)
    final = _train(segment, model, stream, state, profile, places.workspace, on_progress)
    if places.final_state is not None:
        write_state(places.final_state, final)
    changed = any(not torch.equal(before[name], tensor) for name, tensor in _trainable(model).items())
    if isinstance(segment.stage.weights, Lora):
        model = merge_adapter(model, places.output)
    model.eval()
    model.save_pretrained(str(places.output))
    guard = guard_text(
        updates=final.step, losses=final.losses, weights_changed=changed, identity=segment.stage.identity
    )
    warned = loss_warnings(final.losses)
    return Realised(tuple(final.losses), guard, warned, time.monotonic() - began)


def _trainable(model: Any) -> dict[str, Any]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _trainable_copy(model: Any) -> dict[str, Any]:
    return {name: parameter.detach().clone() for name, parameter in _trainable(model).items()}


def _starting_state(segment: Segment, places: Places) -> TrainingState | None:
    """Return the furthest whole state of this segment: its own, else the published one it continues from."""
    own = newest_state(places.workspace, last_step=segment.to_step)
    if own is not None:
        return own
    return load_state(places.state) if places.state is not None else None


def _optimizer(model: Any, stage: TrainedStage) -> Any:
    import torch

    matrices = [parameter for parameter in _trainable(model).values() if parameter.dim() >= 2]
    vectors = [parameter for parameter in _trainable(model).values() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=stage.learning_rate,
        betas=(stage.beta1, stage.beta2),
        eps=stage.epsilon,
        fused=True,
    )


def _train(
    segment: Segment,
    model: Any,
    stream: Stream,
    state: TrainingState | None,
    profile: BuildProfile,
    workspace: Path,
    on_progress: Callable[[int, int, float], None],
) -> TrainingState:
    import torch

    optimizer = _optimizer(model, segment.stage)
    torch.manual_seed(segment.seed)
    step, losses, random_state = 0, [], torch.get_rng_state()
    if state is not None:
        with torch.no_grad():
            for name, parameter in _trainable(model).items():
                parameter.copy_(state.weights[name])
        optimizer.load_state_dict(dict(state.optimizer))
        step, losses, random_state = state.step, list(state.losses), state.random_state
    watch = _Watch(segment, model, optimizer, workspace, losses, on_progress)
    if step < segment.to_step:
        rates = rate_factors(segment.stage.schedule, segment.total_steps) * segment.stage.learning_rate
        with watch.signals():
            train_steps(
                model,
                optimizer,
                stream,
                steps=(step, segment.to_step),
                rates=rates,
                random_state=random_state,
                stage=segment.stage,
                profile=profile,
                workspace=workspace,
                hooks=TrainerHooks(before_update=watch.before_update, after_update=watch.after_update),
            )
    return watch.state(segment.to_step)


class _Watch:
    """Looks after a running segment: losses, states, signals and numbers that are not finite."""

    def __init__(
        self,
        segment: Segment,
        model: Any,
        optimizer: Any,
        workspace: Path,
        losses: list[float],
        on_progress: Callable[[int, int, float], None],
    ) -> None:
        self._segment = segment
        self._model = model
        self._optimizer = optimizer
        self._workspace = workspace
        self._losses = losses
        self._on_progress = on_progress
        self._saved = time.monotonic()
        self._asked_to_stop = False

    def state(self, step: int) -> TrainingState:
        """Return where the run stands."""
        import torch

        return TrainingState(
            step, _trainable(self._model), self._optimizer.state_dict(), torch.get_rng_state(), self._losses
        )

    def before_update(self, step: int, loss: float) -> None:
        """Stop before an update that would spread a number that is not finite."""
        import torch

        gradients = [p.grad for p in _trainable(self._model).values() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if not (abs(loss) < float("inf") and norm < float("inf")):
            raise TrainingError(
                f"stage {self._segment.name!r}: at step {step} the loss is {loss} and the gradient norm {norm}: "
                "training stopped before the update; lower the learning rate or check the data"
            )

    def after_update(self, step: int, loss: float) -> None:
        """Record the step; keep a state now and then, and when asked to stop."""
        self._losses.append(loss)
        self._on_progress(step, self._segment.to_step, loss)
        due = time.monotonic() - self._saved > SECONDS_BETWEEN_STATES
        if (due or self._asked_to_stop) and step < self._segment.to_step:
            save_state(self._workspace, self.state(step))
            self._saved = time.monotonic()
        if self._asked_to_stop and step < self._segment.to_step:
            raise InterruptedRunError(f"stopped at step {step} of {self._segment.name}; run the same command to resume")

    def signals(self) -> Any:
        """Return a context in which polite signals let the step finish and keep its state."""
        return _PoliteSignals(self._ask)

    def _ask(self) -> None:
        if self._asked_to_stop:
            raise KeyboardInterrupt
        self._asked_to_stop = True


class _PoliteSignals:
    """Routes SIGTERM, SIGINT and SIGUSR1 to a callback while it is entered (main thread only)."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        import threading

        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self._before[number] = signal.signal(number, lambda *_: self._callback())

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
