"""``reward_model``: learn from pairs of answers which is preferred; a side branch that is asked nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from upbringing.base.quantities import Share
from upbringing.data.pairs import PairStream
from upbringing.training.settings import TrainedStage
from upbringing.training.trainer import Run, common_arguments, exact_rates, start, watched


class RewardModel(TrainedStage):
    """Train ``epochs`` passes over chosen and rejected answers, so that the chosen one gets the higher reward.

    Source: Bradley & Terry 1952; Ouyang et al. 2022, equation 1 with pairs (K = 2). Departures: none. The model starts
    from the checkpoint before it with a new head; the stage after it starts from that checkpoint too, because a reward
    model speaks no language. ``held_out``: share of the prompts that is never read and judges the model. ``batch_size``
    counts pairs, ``context`` bounds a prompt with one answer.
    """

    kind: Literal["reward_model"] = "reward_model"
    data: str
    epochs: float = Field(default=1.0, gt=0)
    held_out: Share = 0.1


def train_comparisons(run: Run, pairs: PairStream, tokenizer: Any) -> None:
    """Train on preference pairs with TRL's trainer: minus the log-probability that the chosen answer is preferred."""
    import datasets
    from trl import RewardConfig, RewardTrainer

    stage = run.stage
    assert isinstance(stage, RewardModel)

    class PreparedRewardTrainer(RewardTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # the stream was rendered, tokenised and checked when it was built

    begin, end = run.first * stage.batch_size, run.last * stage.batch_size
    rows = [
        {"chosen_ids": [*pair.prompt, *pair.chosen], "rejected_ids": [*pair.prompt, *pair.rejected]}
        for pair in pairs.pairs(begin, end)
    ]
    trainer = watched(PreparedRewardTrainer)(
        model=run.model,
        args=RewardConfig(
            **common_arguments(run),
            per_device_train_batch_size=run.micro_batch,
            max_length=None,
            pad_to_multiple_of=stage.context if run.profile.compile else None,  # one shape, so one compiled graph
            disable_dropout=False,  # the stage's own settings say what drops out
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        optimizers=(run.optimizer, exact_rates(run)),
    )
    start(trainer, run, is_compiled=run.profile.compile)
