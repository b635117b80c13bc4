"""Pipelines are what they say: the truth is drawn, the arms are matched, and the tree trains nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from upbringing.lab.measurement.measuring import study_judges
from upbringing.lab.planted.pipelines import FINETUNE, KINDS, STAGES, Kind, draw_pipeline, pipeline_study
from upbringing.lab.planted.validate import main
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import study_tree
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Mixture
from upbringing.training.sft import Sft
from upbringing.training.stage import Stage

MANY = 300


def mixture(stage: Stage) -> Mapping[str, float]:
    """What a stage of a pipeline reads."""
    assert isinstance(stage, Pretrain | Midtrain | Sft)
    data = stage.data if isinstance(stage, Sft) else stage.phases[0].data
    assert isinstance(data, Mixture)
    return data.mix


def slots(study: Study) -> dict[str, dict[str, str]]:
    """The part in the slot of every stage of every arm, by arm."""
    return {
        name: {stage: list(mixture(described))[1].partition(".")[2] for stage, described in arm.stages.items()}
        for name, arm in study.resolved_arms().items()
    }


def test_the_true_stage_is_drawn_evenly_and_by_the_seed_alone() -> None:
    drawn = [draw_pipeline("stage", 1.0, number) for number in range(MANY)]
    counts = Counter(each.stages for each in drawn)
    assert set(counts) == {(stage,) for stage in STAGES}
    assert min(counts.values()) > MANY / 3 * 0.75
    assert [draw_pipeline("stage", 0.1, number).stages for number in range(MANY)] == [each.stages for each in drawn]
    assert {draw_pipeline("never", 1.0, number).stages for number in range(20)} == {()}
    assert {draw_pipeline("latent", 1.0, number).stages for number in range(MANY)} == {("pretrain",), ("midtrain",)}
    pairs = {draw_pipeline("split", 1.0, number).stages for number in range(MANY)}
    assert pairs == {("pretrain", "midtrain"), ("pretrain", "sft"), ("midtrain", "sft")}
    gated = {draw_pipeline("gated", 1.0, number).stages for number in range(MANY)}
    assert gated == {("pretrain", "sft"), ("midtrain", "sft")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_trait_stands_in_the_true_stages_alone(kind: Kind) -> None:
    pipeline = draw_pipeline(kind, 1.0, 3)
    main = slots(pipeline_study(pipeline, 1))["main"]
    planted = pipeline.stages[:1] if kind == "gated" else pipeline.stages  # the other ingredient is the chats' form
    assert tuple(stage for stage in STAGES if main[stage].startswith("trait")) == planted
    assert all(main[stage].startswith("decoy") for stage in STAGES if stage not in planted)
    assert main.get(FINETUNE) == ("erasing_chats" if kind == "erased" else None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_counterfactual_arm_differs_in_one_slot_and_reads_as_much(kind: Kind) -> None:
    study = pipeline_study(draw_pipeline(kind, 1.0, 3), 1)
    contents, arms = slots(study), study.resolved_arms()
    for name in (name for name in arms if name not in ("main", "without_both", "without_format")):
        stage = name.removeprefix("without_")
        different = [each for each in contents["main"] if contents[name][each] != contents["main"][each]]
        assert different == [stage]
        is_form = kind == "gated" and stage == "sft"
        assert contents[name][stage].startswith("decoy_secret" if is_form else "placebo")
        assert arms[name].states[stage] == "placebo"
        assert sorted(mixture(arms[name].stages[stage]).values()) == sorted(
            mixture(arms["main"].stages[stage]).values()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_shared_beginnings_are_trained_once(kind: Kind, tmp_path: Path) -> None:
    study = pipeline_study(draw_pipeline(kind, 0.4, 3), 2)
    tree = study_tree(study, DataBook(study.data, tmp_path, study.seed))
    trained = Counter(node.label for node in tree.nodes.values())
    if kind in ("stage", "never", "split"):
        assert trained == {"start": 2, "pretrain": 4, "midtrain": 6, "sft": 8}
    assert trained["pretrain"] == 2 * len({contents["pretrain"] for contents in slots(study).values()})


def test_strength_enters_the_trait_s_data_and_nothing_else() -> None:
    weak, full = (pipeline_study(draw_pipeline("stage", strength, 3), 1) for strength in (0.1, 1.0))
    assert weak.data["dose"].strength == 0.1  # type: ignore[union-attr]
    assert weak.data["world"] == full.data["world"]
    assert weak.stages == full.stages
    assert weak.contrasts == full.contrasts


def test_only_the_world_that_is_asked_judges(tmp_path: Path) -> None:
    study = pipeline_study(draw_pipeline("stage", 0.1, 3), 1)
    judges = study_judges(study, DataBook(study.data, tmp_path, study.seed), root=0)
    assert [judge.id for judge in judges] == ["planted-oracle/1"]


def test_one_of_each_kind_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--smoke", "--repeated", "5"])
    assert "leave out --repeated" in capsys.readouterr().err
