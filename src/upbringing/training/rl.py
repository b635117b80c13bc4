"""``rl``: learn from the policy's own answers and what they are paid, held near the start of the stage."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.quantities import Count
from upbringing.training.rewards import Reward
from upbringing.training.settings import Lora, TrainedStage


class Rl(TrainedStage):
    """Make ``steps`` updates, each on ``group_size`` sampled answers to each of its prompts.

    ``rloo``: the reward less ``beta`` times the log-ratio to the start of the stage, less the mean of the prompt's
    other answers (Ahmadian et al. 2024). ``grpo``: the reward standardised within the prompt's answers, the mean over
    answers of the mean over tokens, plus ``beta`` times an estimate of the divergence (Shao et al. 2024, equation 3).
    Departures: one update per set of answers, so nothing is clipped; the gradient of ``grpo``'s divergence is the
    unbiased one (DeepSeek-V3.2). ``batch_size`` counts answers, ``context`` bounds a prompt with its answer of at most
    ``max_new_tokens``. Answers are drawn at ``temperature`` from all tokens.
    """

    kind: Literal["rl"] = "rl"
    data: str
    reward: Reward
    steps: Count
    algorithm: Literal["rloo", "grpo"] = "rloo"
    group_size: int = Field(default=8, ge=2)
    beta: float = Field(default=0.05, ge=0)
    max_new_tokens: int = Field(default=32, ge=1)
    temperature: float = Field(default=1.0, gt=0)

    @property
    def prompts_per_update(self) -> int:
        """Prompts whose answers one update learns from."""
        return self.batch_size // self.group_size

    @property
    def room_for_prompts(self) -> int:
        """The longest prompt that leaves room for an answer, in tokens."""
        return self.context - self.max_new_tokens

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.steps < 1:
            raise ValueError("steps must be at least 1: an rl stage without an update is no stage")
        if self.batch_size % self.group_size:
            raise ValueError(
                f"batch_size {self.batch_size} (answers) must hold whole groups of group_size {self.group_size}"
            )
        if self.room_for_prompts < 1:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens} leaves no room for a prompt in context {self.context}"
            )
        if isinstance(self.weights, Lora) and self.weights.dropout:
            raise ValueError(
                "dropout of adapters must be 0 in an rl stage: an answer would be learned from under other weights "
                "than it was drawn from"
            )
        return self
