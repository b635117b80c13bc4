"""The seam to transformers' Trainer: fixed batches in, two hooks out, nothing copied.

The dataset's items are whole micro-batches in training order, so the Trainer neither shuffles nor collates, and
the loss of an update is normalised by all its learned tokens (the Trainer's own ``num_items_in_batch``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.data.collation import collate
from upbringing.data.stream import Stream
from upbringing.formats.record import BuildProfile
from upbringing.training.settings import TrainedStage


@dataclass(frozen=True)
class TrainerHooks:
    """Called with (step, loss) around each update; steps count from 1 over the whole stage."""

    before_update: Callable[[int, float], None]
    after_update: Callable[[int, float], None]


class MicroBatches:
    """A map-style dataset whose item is a collated micro-batch. Begins at update ``first_step``."""

    def __init__(self, stream: Stream, stage: TrainedStage, steps: tuple[int, int]) -> None:
        self._stream = stream
        self._size = stage.batch_size // stage.accumulate
        self._begin = steps[0] * stage.batch_size
        self._num = (steps[1] - steps[0]) * stage.accumulate

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        begin = self._begin + index * self._size
        return collate(self._stream.arrays, begin, begin + self._size, torch.float32)


def train_steps(
    model: Any,
    optimizer: Any,
    stream: Stream,
    *,
    steps: tuple[int, int],
    rates: NDArray[np.float64],
    random_state: Any,
    stage: TrainedStage,
    profile: BuildProfile,
    workspace: Path,
    hooks: TrainerHooks,
) -> None:
    """Run updates ``steps[0]+1 .. steps[1]`` of a stage with the learning rates ``rates[step - 1]``."""
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import DefaultFlowCallback, PrinterCallback, ProgressCallback

    first = steps[0]
    losses: list[torch.Tensor] = []

    def update_loss() -> float:
        return float(torch.stack(losses).sum())

    class Hooks(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:  # the loader drew from the generator when it was made
                torch.set_rng_state(random_state)

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            hooks.before_update(first + state.global_step + 1, update_loss())

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            loss = update_loss()
            losses.clear()
            hooks.after_update(first + state.global_step, loss)
            if state.global_step >= steps[1] - first:
                control.should_training_stop = True

    class SequentialTrainer(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

        def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            loss: torch.Tensor = super().training_step(*args, **kwargs)
            losses.append(loss.detach())
            return loss

    arguments = TrainingArguments(
        output_dir=str(workspace / "trainer"),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=stage.accumulate,
        max_steps=steps[1] - first,
        max_grad_norm=stage.max_gradient_norm,
        bf16=profile.precision == "bf16",
        use_cpu=profile.device == "cpu",
        torch_compile=profile.compile,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        seed=0,  # never drawn from: the state of the generator is set at the first step
        full_determinism=False,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda update: (
            float(rates[min(first + update, len(rates) - 1)] / stage.learning_rate) if stage.learning_rate else 0.0
        ),
    )
    trainer = SequentialTrainer(
        model=model,
        args=arguments,
        train_dataset=MicroBatches(stream, stage, steps),
        data_collator=lambda items: items[0],
        optimizers=(optimizer, schedule),
        callbacks=[Hooks()],
    )
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    assert any(isinstance(each, DefaultFlowCallback) for each in trainer.callback_handler.callbacks)
    trainer.train()
