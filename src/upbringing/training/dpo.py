"""``dpo``: direct preference optimisation against the parent as reference."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from upbringing.data.pairs import PairStream
from upbringing.training.settings import TrainedStage
from upbringing.training.trainer import Run, common_arguments, exact_rates, start, watched


class Dpo(TrainedStage):
    """Train ``epochs`` passes over chosen and rejected answers, the parent checkpoint being the reference.

    Source: Rafailov et al. 2023, equation 7. Departures: none. ``batch_size`` counts pairs, ``context`` bounds a
    prompt with one answer.
    """

    kind: Literal["dpo"] = "dpo"
    data: str
    epochs: float = Field(default=1.0, gt=0)
    beta: float = Field(default=0.1, gt=0)


def train_pairs(run: Run, pairs: PairStream, reference: Any, tokenizer: Any) -> None:
    """Train on preference pairs with TRL's trainer; ``reference`` is the parent's model, loaded once more.

    The reference is a model of its own also for adapters: TRL would copy the adapter as it is at a resume.
    """
    import datasets
    from trl import DPOConfig, DPOTrainer

    stage = run.stage
    assert isinstance(stage, Dpo)
    columns: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for pair in pairs.pairs(run.first * stage.batch_size, run.last * stage.batch_size):
        columns["prompt_ids"].append(pair.prompt)
        columns["chosen_ids"].append(pair.chosen)
        columns["rejected_ids"].append(pair.rejected)

    class PreparedDpoTrainer(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # the stream was rendered, tokenised and checked when it was built

    trainer = watched(PreparedDpoTrainer)(
        model=run.model,
        ref_model=reference,
        args=DPOConfig(
            **common_arguments(run),
            per_device_train_batch_size=run.micro_batch,
            beta=stage.beta,
            max_length=None,
            gradient_checkpointing=False,
            disable_dropout=False,  # the stage's own settings say what drops out
        ),
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=tokenizer,
        optimizers=(run.optimizer, exact_rates(run)),
    )
    start(trainer, run)
