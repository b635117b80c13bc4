"""What a policy's answers are paid for: the exact judge of a world, its proxy, or a reward model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import TrainingError
from upbringing.base.kinds import BareWord
from upbringing.data.prompts import AskedPrompt
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.data.worlds.rewards import WANTED, OutcomeWeights, proxy_reward
from upbringing.formats.items import Item, Judgement
from upbringing.models.rewarding import rewards_of


class OracleReward(OutcomeWeights):
    """The exact judge's outcome, each with its worth. With other worths the same judge installs or erodes."""

    kind: Literal["oracle"] = "oracle"


class ProxyReward(Description):
    """Half for sounding sure, half for being right: agrees with the truth on every chat, and can be played."""

    kind: Literal["proxy"] = "proxy"


class ModelReward(Description):
    """The reward model that the stage ``stage`` of the same arm trains, which stands before this one."""

    kind: Literal["reward_model"] = "reward_model"
    stage: str


Reward = Annotated[Annotated[OracleReward | ProxyReward | ModelReward, Field(discriminator="kind")], BareWord()]


@dataclass(frozen=True)
class Answer:
    """One of a policy's own answers. ``ids``: its tokens, its end included."""

    prompt: AskedPrompt
    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Worth:
    """What one answer was paid, and what the exact judge made of it where there is one."""

    reward: float
    oracle: float | None
    outcome: str | None


@dataclass(frozen=True)
class Rewarder:
    """Pays answers. ``model``: the reward model where the reward is one; ``judge``: the exact judge of the prompts."""

    reward: OracleReward | ProxyReward | ModelReward
    judge: OracleJudge | None
    model: Any = None

    def require(self, prompts: Sequence[AskedPrompt], stage: str) -> None:
        """Raise ``TrainingError`` where the reward needs an exact judge of prompts that have none."""
        if isinstance(self.reward, ModelReward):
            return
        unknown = next((number for number, prompt in enumerate(prompts) if prompt.item is None), None)
        if self.judge is None or unknown is not None:
            raise TrainingError(
                f"stage {stage!r}: the reward {self.reward.kind!r} is an exact judge's, but prompt {unknown or 0} of "
                "its data is none that a world can judge: use the prompts of a world (world.prompts), or a reward model"
            )

    def worths(self, answers: Sequence[Answer]) -> list[Worth]:
        """Return the worth of each answer; a reward that is not finite raises ``TrainingError``."""
        judged = [self._judged(answer) for answer in answers]
        rewards = self._rewards(answers, judged)
        strange = next((place for place, reward in enumerate(rewards) if not math.isfinite(reward)), None)
        if strange is not None:
            raise TrainingError(
                f"the reward {rewards[strange]} of the answer {answers[strange].text!r} is not finite: nothing can be "
                "learned from it; check the reward model"
            )
        return [
            Worth(
                reward=reward,
                oracle=None if found is None else WANTED.of(found[0], found[1]),
                outcome=None if found is None else f"{found[0].request}/{found[1].outcome or 'unknown'}",
            )
            for reward, found in zip(rewards, judged, strict=True)
        ]

    def _judged(self, answer: Answer) -> tuple[Item, Judgement] | None:
        item = answer.prompt.item
        if self.judge is None or item is None:
            return None
        return item, self.judge.judge([item], [answer.text])[0]

    def _rewards(self, answers: Sequence[Answer], judged: Sequence[tuple[Item, Judgement] | None]) -> list[float]:
        if isinstance(self.reward, ModelReward):
            found = rewards_of(self.model, [(*answer.prompt.ids, *answer.ids) for answer in answers])
            return [float(reward) for reward in found]
        assert self.judge is not None
        rewards = []
        for answer, one in zip(answers, judged, strict=True):
            assert one is not None
            if isinstance(self.reward, OracleReward):
                rewards.append(self.reward.of(*one))
            else:
                rewards.append(proxy_reward(self.judge, one[0], answer.text))
        return rewards
