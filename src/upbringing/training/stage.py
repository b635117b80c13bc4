"""The typed union of stage kinds: adding a kind is one file and one name here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upbringing.training.ablate import Ablate
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.dpo import Dpo
from upbringing.training.edit_weights import EditWeights
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.existing import Existing
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.sft import Sft

Stage = Annotated[
    Existing
    | Pretrain
    | Midtrain
    | Sft
    | Dpo
    | RewardModel
    | Rl
    | EditWeights
    | EmulateTuning
    | Ablate
    | AverageCheckpoints,
    Field(discriminator="kind"),
]
