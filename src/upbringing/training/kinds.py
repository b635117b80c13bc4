"""What differs between the kinds of stages: what they read, which model they train, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import TrainingError
from upbringing.base.streams import derived_seed
from upbringing.data.pairs import PairStream, open_pair_stream
from upbringing.data.prompts import PromptStream, open_prompt_stream
from upbringing.data.stream import Stream, open_stream
from upbringing.formats.record import BuildProfile, RlUpdate
from upbringing.models.answer_tokens import Ends
from upbringing.models.generation import end_tokens
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.rewarding import open_reward_model, open_with_new_head
from upbringing.training.dpo import Dpo, train_pairs
from upbringing.training.policy import train_prompts
from upbringing.training.processes import Processes
from upbringing.training.reference import Reference
from upbringing.training.reward_model import RewardModel, train_comparisons
from upbringing.training.rewards import ModelReward, Rewarder
from upbringing.training.rl import Rl
from upbringing.training.rollouts import Rollouts
from upbringing.training.settings import TrainedStage
from upbringing.training.trainer import Run, train_windows

Texts = Stream | PairStream | PromptStream


@dataclass(frozen=True)
class Given:
    """What a stage is given besides its run. ``parent``: the checkpoint it starts from; ``reward_model``: that of its
    reward, if it is one; ``updates``: where a stage that learns from its own answers writes them down.
    """

    name: str
    parent: Path
    reward_model: Path | None
    workspace: Path
    profile: BuildProfile
    processes: Processes
    tokenizer: Any
    seed: int
    updates: list[RlUpdate]


def open_texts(stage: TrainedStage, folder: Path) -> Texts:
    """Return what ``stage`` reads."""
    if isinstance(stage, Rl):
        return open_prompt_stream(folder)
    return open_pair_stream(folder) if isinstance(stage, Dpo | RewardModel) else open_stream(folder)


def open_start(stage: TrainedStage, parent: Path, profile: BuildProfile, seed: int) -> LoadedModel:
    """Return the model that ``stage`` begins to train; a reward model gets a new head."""
    if isinstance(stage, RewardModel):
        return open_with_new_head(parent, seed, profile=profile)
    return load_model(parent, profile=profile)


def task_of(stage: TrainedStage) -> str:
    """Return the name that peft has for what the model does."""
    return "SEQ_CLS" if isinstance(stage, RewardModel) else "CAUSAL_LM"


def learned_tokens(texts: Texts) -> NDArray[np.int64] | None:
    """Return the tokens with a loss in each update, shape ``(updates,)``; ``None`` where they are yet to be drawn."""
    if isinstance(texts, PromptStream):
        return None
    if isinstance(texts, PairStream):
        return texts.learned_tokens()
    per_window = (texts.arrays["labels"][:, 1:] >= 0).sum(axis=1, dtype=np.int64)
    learned: NDArray[np.int64] = per_window.reshape(texts.info.num_steps, texts.info.batch_size).sum(axis=1)
    return learned


def train(run: Run, texts: Texts, given: Given) -> None:
    """Make the updates of ``run``."""
    if isinstance(texts, PromptStream):
        assert isinstance(run.stage, Rl)
        held = run.stage.beta > 0
        reference = load_model(given.parent, profile=given.profile, check=False).model if held else None
        train_prompts(run, _rollouts(run, run.stage, texts, given), reference, given.tokenizer)
    elif isinstance(texts, PairStream) and isinstance(run.stage, RewardModel):
        train_comparisons(run, texts, given.tokenizer)
    elif isinstance(texts, PairStream):
        parent = load_model(given.parent, profile=given.profile, check=False).model
        train_pairs(run, texts, Reference(parent, given.workspace, given.processes), given.tokenizer)
    else:
        train_windows(run, texts)


def _rollouts(run: Run, stage: Rl, prompts: PromptStream, given: Given) -> Rollouts:
    model = None
    if isinstance(stage.reward, ModelReward):
        if given.reward_model is None:
            raise TrainingError(f"stage {given.name!r} is paid by a reward model, and none was given")
        model = open_reward_model(given.reward_model, profile=given.profile).model
    rewarder = Rewarder(stage.reward, prompts.judge, model)
    rewarder.require(prompts.prompts, given.name)
    tokens = end_tokens(given.tokenizer, run.model)
    padding = given.tokenizer.pad_token_id
    ends = Ends(tokens, tokens[0] if padding is None else padding)
    seed = derived_seed(given.seed, "rollouts")
    return Rollouts(stage, prompts, rewarder, given.tokenizer, ends, seed, given.updates)
