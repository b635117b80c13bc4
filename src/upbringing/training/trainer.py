"""The seam to transformers' Trainer: fixed batches in, two hooks out, nothing copied.

The dataset's items are whole micro-batches in training order, so the Trainer neither shuffles nor collates, and
the loss of an update is normalised by all its learned tokens (the Trainer's own ``num_items_in_batch``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.data.collation import collate, require_float_mask
from upbringing.data.stream import Stream
from upbringing.data.window_arrays import MODES, OPTIONAL
from upbringing.formats.record import BuildProfile
from upbringing.training.compilation import compiled_layers
from upbringing.training.head import learned_positions
from upbringing.training.masked_updates import MaskedUpdates
from upbringing.training.masking import masking_of
from upbringing.training.precision import frozen_matrices_cast
from upbringing.training.settings import TrainedStage


@dataclass(frozen=True)
class Run:
    """Updates ``first + 1 .. last`` of a stage; steps count from 1 over the whole stage.

    ``optimizer``: its rate is 1, so that ``rates[step - 1]`` is exactly the rate of a step. ``random_state``: what
    the generators are set to before the first update. ``before_update(step, loss, gradient_norm)`` and
    ``after_update(step)`` are called around each; the loss is the update's, in this process.
    """

    model: Any
    optimizer: Any
    stage: TrainedStage
    profile: BuildProfile
    first: int
    last: int
    rates: NDArray[np.float64]
    random_state: Any
    scratch: Path
    before_update: Callable[[int, float, float], None]
    after_update: Callable[[int], None]

    @property
    def micro_batch(self) -> int:
        """Windows (or pairs) that one process reads at once."""
        return self.stage.batch_size // (self.stage.accumulate * self.profile.world_size)


class MicroBatches:
    """A map-style dataset whose item is a collated micro-batch of a run, in order over all processes."""

    def __init__(self, stream: Stream, run: Run, *, by_documents: bool) -> None:
        self._stream = stream
        self._by_documents = by_documents
        self._size = run.micro_batch
        self._device = run.model.device
        self._begin = run.first * run.stage.batch_size
        self._num = (run.last - run.first) * run.stage.batch_size // self._size

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        begin = self._begin + index * self._size
        arrays, end = self._stream.arrays, begin + self._size
        batch = collate(arrays, begin, end, torch.float32, self._device, by_documents=self._by_documents)
        if MODES in arrays:
            batch[MODES] = torch.from_numpy(np.asarray(arrays[MODES][begin:end], np.int64))
        return batch


def train_windows(run: Run, stream: Stream) -> None:
    """Train on the packed windows of ``stream``: next-token loss over what is learned.

    Logits are computed where a loss is taken, if ``learned_positions`` can choose them. Where updates are masked, the
    windows of a micro-batch are computed mode by mode, and their masked gradients add up. Under ``attention: varlen``
    these windows, and those with isolated text, are computed with a mask, all others document by document. Raises
    ``DataError`` for isolated text under attention that cannot keep it apart, ``TrainingError`` for masks that the
    model has no room for and for a model whose attention cannot be computed by documents.
    """
    from transformers import Trainer, TrainingArguments

    require_float_mask(stream.arrays, run.model.config._attn_implementation)
    by_documents = run.profile.attention == "varlen" and not any(name in stream.arrays for name in OPTIONAL)
    masking = masking_of(run.stage)
    masked = None if masking is None else MaskedUpdates(run.model, masking, run.profile)
    positions = learned_positions(run.model)

    class WindowsTrainer(watched(Trainer)):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
            losses = []
            for part in [inputs] if masked is None else masked.parts(inputs):
                if positions is not None:
                    positions.choose(part["labels"].to(self.args.device))
                losses.append(super().training_step(model, part, *rest, **more))
            return losses[0] if len(losses) == 1 else sum(losses)

    trainer = WindowsTrainer(
        model=run.model,
        args=TrainingArguments(**common_arguments(run), per_device_train_batch_size=1),
        train_dataset=MicroBatches(stream, run, by_documents=by_documents),
        data_collator=_only_item,
        compute_loss_func=None if positions is None else positions.loss,
        optimizers=(run.optimizer, exact_rates(run)),
    )
    try:
        with _attention(run.model, by_documents=by_documents), frozen_matrices_cast(run.model, run.profile):
            start(trainer, run, is_compiled=run.profile.compile)
    finally:
        for hooked in (masked, positions):
            if hooked is not None:
                hooked.remove()


def _attention(model: Any, *, by_documents: bool) -> AbstractContextManager[None]:
    if not by_documents:
        return nullcontext()
    from upbringing.models.document_attention import attending_by_documents

    return attending_by_documents(model)


def _only_item(items: list[dict[str, Any]]) -> dict[str, Any]:
    return items[0]


def common_arguments(run: Run) -> dict[str, Any]:
    """Return the training arguments that every kind of stage shares: nothing logged, nothing saved, nothing sent."""
    return {
        "output_dir": str(run.scratch),
        "gradient_accumulation_steps": run.stage.accumulate,
        "max_steps": run.last - run.first,
        "max_grad_norm": run.stage.max_gradient_norm,
        "activation_checkpointing": run.profile.activation_checkpointing,  # TRL's own default is that it is on
        "bf16": run.profile.precision == "bf16",
        "use_cpu": run.profile.device == "cpu",
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "dataloader_num_workers": 0,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        "seed": 0,  # never drawn from: the state of the generators is set at the first step
    }


def exact_rates(run: Run) -> Any:
    """Return the scheduler that gives update ``k`` exactly ``rates[k - 1]``."""
    from torch.optim.lr_scheduler import LambdaLR

    last = len(run.rates) - 1
    return LambdaLR(run.optimizer, lambda update: float(run.rates[min(run.first + update, last)]))


def watched(base: type) -> type:
    """Return ``base``, a Trainer class, reading its data in order and remembering each update's loss and norm."""
    import torch
    from torch.utils.data import SequentialSampler

    class Watched(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            _use_one_device(kwargs["args"])
            with renaming_unmentioned():
                super().__init__(*args, **kwargs)
            self._update_losses: list[torch.Tensor] = []
            self._update_norm = 0.0

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

        def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            loss: torch.Tensor = super().training_step(*args, **kwargs)
            self._update_losses.append(loss.detach())
            return loss

        def _clip_grad_norm(self, model: Any) -> Any:  # the only place where the norm before clipping is known
            norm = super()._clip_grad_norm(model)
            self._update_norm = float(norm)
            return norm

        def floating_point_ops(self, inputs: Any) -> int:  # counted by the plan; here it walks the model each step
            return 0

        def finished_update(self) -> tuple[float, float]:
            loss = float(torch.stack(self._update_losses).sum())
            self._update_losses.clear()
            return loss, self._update_norm

    return Watched


def _use_one_device(arguments: Any) -> None:
    """Let a process train on one device, however many it sees.

    The library would spread a lone process over all of them and read as many micro-batches at once, of which our
    batches, whose items are micro-batches, hand over the first.
    """
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1


def start(trainer: Any, run: Run, *, is_compiled: bool) -> None:
    """Run ``trainer`` from ``run.first`` to ``run.last``, its layers compiled if asked for."""
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    class Hooks(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:  # making the loader and the model drew from the generators
                set_random_state(run.random_state)

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            loss, norm = trainer.finished_update()
            run.before_update(run.first + state.global_step + 1, loss, norm)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            run.after_update(run.first + state.global_step)

    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    trainer.add_callback(Hooks())
    with renaming_unmentioned(), compiled_layers(run.model) if is_compiled else nullcontext():
        trainer.train()


@contextmanager
def renaming_unmentioned() -> Iterator[None]:
    """Say nothing of a name that transformers changed and TRL and peft still use: no reader here can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield


def random_state(device: str) -> dict[str, Any]:
    """Return the states of torch's generators: ``cpu``, and that of ``device`` where it is another.

    What is not computed on is left alone: a state made on the CPU is the same with and without accelerators.
    """
    import torch

    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if device != "cpu":
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Any) -> None:
    """Set torch's generators to what ``random_state`` returned."""
    import torch

    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
