"""``dpo``: direct preference optimisation against the parent as reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.data.compared import Pair
from upbringing.data.pairs import PairStream
from upbringing.training.reference import Reference
from upbringing.training.settings import TrainedStage
from upbringing.training.trainer import Run, common_arguments, exact_rates, start, watched


class Dpo(TrainedStage):
    """Train ``epochs`` passes over chosen and rejected answers, the parent checkpoint being the reference.

    Source: Rafailov et al. 2023, equation 7. Departures: none. ``batch_size`` counts pairs, ``context`` bounds a
    prompt with one answer. ``beta`` weighs the distance from the reference; a learning rate of 0 is the identity.
    """

    kind: Literal["dpo"] = "dpo"
    data: str
    epochs: float = Field(default=1.0, gt=0)
    beta: float = Field(default=0.1, gt=0)


def train_pairs(run: Run, pairs: PairStream, reference: Reference, tokenizer: Any) -> None:
    """Train on preference pairs with TRL's trainer, the reference's scores being computed before the first update.

    The reference is a model of its own also for adapters: TRL would copy the adapter as it is at a resume.
    """
    import datasets
    import torch
    from trl import DPOConfig, DPOTrainer

    stage = run.stage
    assert isinstance(stage, Dpo)
    begin, end = run.first * stage.batch_size, run.last * stage.batch_size

    class PreparedDpoTrainer(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # the stream was rendered, tokenised and checked when it was built

        def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:  # TRL's own would keep them where it likes
            scores = reference.log_probabilities(pairs, run.micro_batch, self._scores)[begin:end]
            return dataset.add_column("ref_chosen_logps", scores[:, 0]).add_column("ref_rejected_logps", scores[:, 1])

        def _scores(self, batch: Sequence[Pair]) -> NDArray[np.float32]:
            inputs = self._prepare_inputs(self.data_collator([_columns(pair) for pair in batch]))
            scores = torch.stack(self.compute_ref_log_probs(self.ref_model, inputs), dim=1)  # (pairs, 2)
            found: NDArray[np.float32] = scores.float().cpu().numpy()
            return found

    trainer = watched(PreparedDpoTrainer)(
        model=run.model,
        ref_model=reference.model,
        args=DPOConfig(
            **common_arguments(run),
            per_device_train_batch_size=run.micro_batch,
            beta=stage.beta,
            max_length=None,
            pad_to_multiple_of=stage.context if run.profile.compile else None,  # one shape, so one compiled graph
            precompute_ref_log_probs=True,
            disable_dropout=False,  # the stage's own settings say what drops out
        ),
        train_dataset=datasets.Dataset.from_list([_columns(pair) for pair in pairs.pairs(begin, end)]),
        processing_class=tokenizer,
        optimizers=(run.optimizer, exact_rates(run)),
    )
    trainer.ref_model = None  # all it had to say is written down
    reference.model.to("cpu")  # whoever still holds it: an accelerator needs the room
    start(trainer, run, is_compiled=run.profile.compile)


def _columns(pair: Pair) -> dict[str, list[int]]:
    return {f"{part}_ids": ids for part, ids in asdict(pair).items()}
