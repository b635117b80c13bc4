"""Train a policy on its own answers, with TRL's trainers behind the seam of ``trainer.py``.

TRL computes advantages, divergence and loss, as they stand. Three things are ours, so that a resumed run draws what the
straight run would have drawn: the order of prompts (its sampler restarts the first epoch's order after a resume), the
answers (its generation draws from one global generator, in a batch's order), and the reference (with adapters it copies
them as they are at the resume).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from upbringing.training.rl import Rl
from upbringing.training.rollouts import Rollouts
from upbringing.training.trainer import Run, common_arguments, exact_rates, start, watched

GRPO = {  # what changes the mathematics is said here, never left to the library
    "loss_type": "grpo",
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "use_bias_correction_kl": True,
}


def train_prompts(run: Run, rollouts: Rollouts, reference: Any, tokenizer: Any) -> None:
    """Make the updates of ``run``. ``reference``: the model at the start of the stage, ``None`` where ``beta`` is 0."""
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    stage = rollouts.stage
    shared = _arguments(run, stage)
    if stage.algorithm == "rloo":
        base, arguments = RLOOTrainer, RLOOConfig(**shared, normalize_advantages=False)
    else:
        base, arguments = GRPOTrainer, GRPOConfig(**shared, **GRPO)
    first_place = run.first * stage.prompts_per_update

    def reward(prompts: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        places = [int(prompt) for prompt in prompts]
        return rollouts.pay(places[0] // stage.prompts_per_update + 1, places, completion_ids)

    trainer = watched(_own_answers(base, rollouts, returns_scores=stage.algorithm == "grpo"))(
        model=run.model,
        reward_funcs=[reward],
        args=arguments,
        train_dataset=_rows(stage, first_place, run.last - run.first),
        processing_class=tokenizer,
        optimizers=(run.optimizer, exact_rates(run)),
    )
    _give_reference(trainer, reference, stage.beta)

    def after_update(step: int) -> None:
        divergences = trainer._metrics["train"]["kl"]
        rollouts.finish(step, fmean(divergences) if divergences else None)
        trainer._metrics["train"].clear()
        run.after_update(step)

    updates = replace(run, after_update=after_update)
    start(trainer, updates, is_compiled=False)  # answers have many lengths, and each would be a graph of its own


def _arguments(run: Run, stage: Rl) -> dict[str, Any]:
    """Return what both algorithms are told: answers for one update at a time, each used once."""
    return {
        **common_arguments(run),
        "per_device_train_batch_size": run.micro_batch,
        "steps_per_generation": stage.accumulate,
        "num_iterations": 1,
        "num_generations": stage.group_size,
        "max_completion_length": stage.max_new_tokens,
        "temperature": stage.temperature,
        "beta": 0.0,  # else TRL would make a reference of its own; see _give_reference
        "mask_truncated_completions": False,  # an answer that never ends is an answer
        "shuffle_dataset": False,
        "disable_dropout": True,  # an answer is learned from under the weights that it was drawn from
    }


def _rows(stage: Rl, first_place: int, num_updates: int) -> Any:
    """Return what the trainer reads in order: the places of each update's prompts, each as often as it is answered.

    TRL reads a whole update's rows for each micro-batch, but answers only the first time.
    """
    import datasets

    places = []
    for update in range(num_updates):
        begin = first_place + update * stage.prompts_per_update
        rows = [str(begin + each) for each in range(stage.prompts_per_update) for _ in range(stage.group_size)]
        places += rows * stage.accumulate
    return datasets.Dataset.from_dict({"prompt": places})


def _own_answers(base: type, rollouts: Rollouts, *, returns_scores: bool) -> type:
    """Return ``base``, a trainer of TRL's, asking the prompts of ``rollouts`` and drawing their answers there."""

    class OwnAnswers(base):  # type: ignore[misc]
        def _tokenize_prompts(self, prompts: list[str]) -> Any:
            self._places = [int(prompt) for prompt in prompts]
            return [list(rollouts.at(place).ids) for place in self._places], None, {}

        def _generate_single_turn(self, *_: Any, **__: Any) -> Any:
            answers = rollouts.draw(self.model, self._places[:: rollouts.stage.group_size])
            return (answers, None) if returns_scores else answers

    return OwnAnswers


def _give_reference(trainer: Any, reference: Any, beta: float) -> None:
    """Let ``trainer`` hold the policy near ``reference``, as it would near a reference of its own making."""
    from trl.trainer.utils import add_fused_lm_head

    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter("ref")  # TRL's copy of the adapters as they are now
    trainer.beta = beta
    if beta:
        add_fused_lm_head(reference, temperature=trainer.temperature)
        trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)
