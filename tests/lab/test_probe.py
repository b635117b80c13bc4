"""Probes time real work of the study's own kind, and ask a fair share of its questions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from upbringing.formats.items import Item, Message
from upbringing.formats.record import BuildProfile
from upbringing.lab.planning.calibration import shape_of
from upbringing.lab.planning.probe import FEWEST_STEPS, MOST_STEPS, Subject, TrainingProbe, TrainingSpeed, sampled
from upbringing.models.weights import num_weights
from upbringing.training.dpo import Dpo
from upbringing.training.settings import Lora, Mixture, TrainedStage
from upbringing.training.sft import Sft


def items() -> list[Item]:
    found = []
    for role, number in (("question", 20), ("twin", 8), ("text", 1)):
        for index in range(number):
            for copy in range(2):
                name = f"{role}-{index}-{copy}"
                messages = (Message(role="user", content=name),)
                found.append(
                    Item(
                        id=name, cluster=f"{role}-{index}", request="benign", split="ood", role=role, messages=messages
                    )
                )
    return found


def test_a_sample_holds_whole_clusters_of_every_role() -> None:
    assert sampled(items(), 1.0) == items()
    for share, sizes in ((0.5, (10, 4, 1)), (0.25, (5, 2, 1)), (0.001, (1, 1, 1))):
        chosen = sampled(items(), share)
        clusters = {item.cluster for item in chosen}
        assert len(chosen) == 2 * len(clusters)
        assert tuple(sum(name.startswith(role) for name in clusters) for role in ("question", "twin", "text")) == sizes


def test_only_what_decides_the_speed_of_a_step_tells_shapes_apart() -> None:
    plain = Sft(data="a", context=64, batch_size=4)
    assert shape_of(plain) == shape_of(plain.model_copy(update={"data": "b", "epochs": 9.0, "learning_rate": 1e-5}))
    others = [plain.model_copy(update=change) for change in ({"context": 32}, {"batch_size": 8}, {"weights": Lora()})]
    assert len({shape_of(each) for each in (plain, *others, Dpo(data="a", context=64, batch_size=4))}) == 5


def test_a_stage_that_mixes_data_has_a_shape_too() -> None:
    plain = Sft(data="a", context=64, batch_size=4)
    mixed = plain.model_copy(update={"data": Mixture(mix={"a": 0.5, "b": 0.5})})
    assert shape_of(mixed) == shape_of(plain)


@pytest.mark.model
@pytest.mark.parametrize(
    "stage",
    [
        Sft(data="a", context=64, batch_size=4),
        Sft(data="a", context=64, batch_size=4, weights=Lora(rank=2)),
        Dpo(data="a", context=64, batch_size=4),
    ],
    ids=["full", "lora", "preferences"],
)
def test_every_kind_of_stage_can_be_probed(stage: TrainedStage, existing: Path) -> None:
    subject = Subject(None, existing, existing, num_weights(existing))
    probe = TrainingProbe("p", "probe", subject, stage, BuildProfile())
    assert probe.num_steps == MOST_STEPS
    heavy = TrainingProbe("p", "probe", Subject(None, existing, existing, 10**12), stage, BuildProfile())
    assert heavy.num_steps == FEWEST_STEPS
    speed = probe.run(lambda event: None)
    assert isinstance(speed, TrainingSpeed)
    assert 0 < speed.seconds_per_step < math.inf
    assert 0 < speed.fixed < math.inf
