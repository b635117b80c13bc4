"""The studies that are shipped as files: valid, whole, and honest about what was not checked."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from upbringing.base.strict_yaml import load_yaml
from upbringing.data.packages.source import PackageData
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.lab.planning.plan import plan
from upbringing.lab.session import open_session
from upbringing.study.study import Study
from upbringing.training.existing import Existing

STUDIES = Path(__file__).parents[2] / "studies"
NAMES = ("smollm2", "olmo2-1b", "tulu3-8b")
TRACES = ("olmo2-1b", "tulu3-8b")
HUB_CHECKPOINT = r"^[\w.-]+/[\w.-]+@[\w.-]+$"
OWN_DATA: TypeAdapter[PackageData | PromptSet] = TypeAdapter(PackageData | PromptSet)


def study_file(name: str) -> dict[str, Any]:
    value = load_yaml(STUDIES / name / "study.yaml").value
    assert isinstance(value, dict)
    return value


def data_of(name: str) -> dict[str, PackageData | PromptSet]:
    return {key: OWN_DATA.validate_python(entry) for key, entry in study_file(name)["data"].items()}


def study_of(name: str) -> Study:
    """The study with its data replaced by a file: everything else is validated as it stands."""
    value = study_file(name)
    return Study.model_validate({**value, "data": {key: {"kind": "items", "path": "x.jsonl"} for key in value["data"]}})


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_study_is_valid_and_uses_exactly_the_data_it_declares(name: str) -> None:
    study, data = study_of(name), data_of(name)
    assert study.name == name
    stages = [stage for arm in study.resolved_arms().values() for stage in arm.stages.values()]
    trained = {str(stage.data) for stage in stages if stage.kind == "sft"}
    assert trained.isdisjoint(study.prompts)
    assert trained | set(study.prompts) == set(data)


def test_the_small_study_has_disjoint_parts_and_equal_stages_in_both_arms() -> None:
    study, data = study_of("smollm2"), data_of("smollm2")
    safety, placebo, benign = data["safety"], data["placebo"], data["benign"]
    assert isinstance(safety, PackageData)
    assert isinstance(placebo, PromptSet)
    assert isinstance(benign, PromptSet)
    assert safety.training_size == 240
    assert set(safety.requests()) < set(placebo.requests())
    assert len(placebo.requests()) == safety.training_size + len(safety.requests()) == 480
    assert set(benign.requests()).isdisjoint(placebo.requests())
    arms = study.resolved_arms()
    for stage in ("sft", "finetune"):
        one, other = arms["safety"].stages[stage], arms["placebo"].stages[stage]
        assert one.model_copy(update={"data": ""}) == other.model_copy(update={"data": ""})
    assert all(entry.training_size == 240 for entry in data.values() if isinstance(entry, PackageData))


def test_no_shipped_study_asks_an_item_twice(real_packages: Path) -> None:
    for name in NAMES:
        data, ids = data_of(name), []
        for key in study_of(name).prompts:
            entry = data[key]
            asked = entry.items(real_packages) if isinstance(entry, PackageData) else entry.items()
            ids += [item.id for item in asked.items]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_names_a_revision_for_every_checkpoint_and_trains_nothing(name: str) -> None:
    (arm,) = study_of(name).resolved_arms().values()
    checkpoints = [arm.start, *arm.stages.values()]
    for checkpoint in checkpoints:
        assert isinstance(checkpoint, Existing)
        assert re.match(HUB_CHECKPOINT, checkpoint.checkpoint)
    assert len({str(checkpoint) for checkpoint in checkpoints}) == len(checkpoints)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_says_where_each_revision_was_checked_and_what_was_not(name: str) -> None:
    readme = (STUDIES / name / "README.md").read_text(encoding="utf-8")
    assert "not checked" in readme
    assert "not run here" in readme
    for entry in (study_file(name)["start"], *study_file(name)["stages"].values()):
        assert f"@{entry['checkpoint'].partition('@')[2]}" in readme


@pytest.mark.parametrize(("name", "billions"), [("olmo2-1b", 9 * 1.49), ("tulu3-8b", 4 * 8.0)])
def test_a_trace_is_planned_without_download(
    name: str, billions: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    session = open_session(STUDIES / name / "study.yaml", store=tmp_path / "store", reads_only=True)
    found = plan(session, read_data=True, calibrate=True, sustained_flops=1e12)
    assert {node.status for node in found.nodes} == {"absent"}
    assert found.disk_bytes == pytest.approx(4e9 * billions)
    measuring = found.measuring
    assert measuring.num_checkpoints == measuring.num_to_measure == len(found.nodes)
    assert measuring.unknown == ("harmbench", "strong_reject")
    assert measuring.flops is not None
    assert measuring.accelerator_hours == pytest.approx(measuring.flops / 1e12 / 3600)
    tokens = measuring.flops / (2e9 * billions)
    assert measuring.num_answers * 64 < tokens < measuring.num_answers * 64 * 10  # likelihoods besides
    assert any("chat template changes was not checked" in warning for warning in found.warnings)
    assert found.seconds is None
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_has_a_question_and_a_prediction(name: str) -> None:
    readme = (STUDIES / name / "README.md").read_text(encoding="utf-8")
    assert "**Question.**" in readme
    assert "**Prediction" in readme
