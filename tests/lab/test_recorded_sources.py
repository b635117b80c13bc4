"""What a record says was planned of a source: tokens by stages of declared tokens, else its share alone."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.data.stream import StreamInfo
from upbringing.data.tally import TalliedPart, Tally
from upbringing.lab.building.recorded import recorded_sources
from upbringing.training.pretrain import Pretrain
from upbringing.training.segment import Segment
from upbringing.training.settings import TrainedStage
from upbringing.training.sft import Sft

SFT = Sft.model_validate({"data": "a", "context": 16, "batch_size": 2})
PRETRAIN = Pretrain.model_validate({"tokens": 96, "context": 16, "batch_size": 2, "phases": [{"data": "a"}]})


@pytest.mark.parametrize(("stage", "planned_tokens"), [(SFT, None), (PRETRAIN, 2 * 2 * 16)])
def test_only_stages_of_declared_tokens_plan_tokens(stage: TrainedStage, planned_tokens: int | None) -> None:
    counts = np.tile(np.array([[[10, 5, 1]]], dtype=np.int64), (3, 1, 1))  # three updates of one source
    part = TalliedPart(num_windows=6, shares={"a": 1.0})
    tally = Tally(origins=(("a", None),), counts=counts, batch_size=2, parts=(part,), available={"a": {"a": 3}})
    info = StreamInfo("", 6, 16, 2, 96, 30, 15, 3, (), ())
    segment = Segment("stage", stage, seed=0, total_steps=3, from_step=0, to_step=2)
    (source,) = recorded_sources(segment, info, tally)
    assert (source.planned_share, source.planned_tokens, source.realised_tokens) == (1.0, planned_tokens, 20)
