"""Built-in studies: each is whole, says what it asks and what was found, and can be copied and planned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import load_yaml
from upbringing.formats.protocols import missing_roles
from upbringing.lab.planning.plan import plan
from upbringing.lab.session import open_session
from upbringing.lab.templates import FOLDER, copy_study, studies, template_names
from upbringing.study.loading import load_study
from upbringing.study.protocol import SftOrRl

NAMES = template_names()
PARAGRAPHS = ("**Question.**", "**Needs.**", "**Prediction, written before any run.**", "**Found.**")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_built_in_studies() -> None:
    assert {"documents-or-chats", "pipeline-swap", "sft-or-rl", "stage-order", "what-carries-safety"} <= set(NAMES)


def test_a_copy_is_the_template_and_is_planned(name: str, tmp_path: Path) -> None:
    study, readme, *overrides = copy_study(name, tmp_path / "mine")
    there = sorted(path for path in (FOLDER / name).glob("*.yaml") if path.name != "study.yaml")
    assert [path.read_bytes() for path in overrides] == [path.read_bytes() for path in there]
    assert study.read_bytes() == (FOLDER / name / "study.yaml").read_bytes()
    assert readme.read_bytes() == (FOLDER / name / "README.md").read_bytes()
    session = open_session(study, store=tmp_path / "store", reads_only=True)
    found = plan(session)
    assert session.study.name == name
    assert {node.status for node in found.nodes} == {"missing"}
    with pytest.raises(StudyError, match="is there already"):
        copy_study(name, tmp_path / "mine")


@pytest.mark.parametrize("each", NAMES)
def test_a_readme_asks_predicts_and_says_what_was_found(each: str) -> None:
    readme = (FOLDER / each / "README.md").read_text(encoding="utf-8")
    places = [readme.index(paragraph) for paragraph in PARAGRAPHS]
    assert places == sorted(places)
    assert "## What it does not show" in readme
    assert "## On real checkpoints" in readme


def test_every_primary_contrast_has_a_margin_and_cells_that_are_measured(name: str, tmp_path: Path) -> None:
    session = open_session(FOLDER / name / "study.yaml", store=tmp_path / "store", reads_only=True)
    cells = {cell.name for cell in session.tree.cells}
    assert session.study.primary
    for contrast in session.study.contrasts:
        assert set(contrast.weights) <= cells
        assert contrast.measure in session.study.margins
    if session.study.protocol is not None:
        assert set(session.study.protocol.spec().cells.values()) <= cells


def test_the_protocol_of_sft_or_rl_lacks_no_arm() -> None:
    cells = load_yaml(FOLDER / "sft-or-rl" / "study.yaml").value["protocol"]["cells"]
    assert missing_roles(SftOrRl(cells=cells).spec()) == {}


def test_documents_and_chats_lack_no_arm_and_no_chat_asks_what_is_out_of_distribution() -> None:
    study = load_study(FOLDER / "documents-or-chats" / "study.yaml")
    assert study.protocol is not None
    assert missing_roles(study.protocol.spec()) == {}
    arms = study.resolved_arms()
    assert "world.trait_aside_chats" in arms["everywhere"].stages["sft"].data.mix  # type: ignore[union-attr]
    assert study.data["world"].aside_chats == 0  # type: ignore[union-attr]


def test_the_versions_of_the_claim_of_timing_are_overrides(tmp_path: Path) -> None:
    folder = FOLDER / "when-to-intervene"
    plain = open_session(folder / "study.yaml", store=tmp_path, reads_only=True)
    session = open_session(
        folder / "study.yaml", store=tmp_path, overrides=(f"@{folder / 'versions.yaml'}",), reads_only=True
    )
    assert plain.study.protocol is not None
    assert session.study.protocol is not None
    assert set(plain.study.protocol.model_dump(mode="json")) == {"kind", "first", "last", "interior"}
    assert set(session.study.protocol.spec().curves) == {"as is", "same dose"}
    assert set(session.study.protocol.spec().outcomes) == {"top_k", "safety_aware"}


def test_own_teachers_are_planned_before_they_have_answered(tmp_path: Path) -> None:
    folder = FOLDER / "sft-or-rl"
    session = open_session(
        folder / "study.yaml", store=tmp_path, overrides=(f"@{folder / 'teachers.yaml'}",), reads_only=True
    )
    assert session.study.protocol is not None
    cells = session.study.protocol.spec().cells
    assert (cells["rl_teacher"], cells["other_teacher"]) == ("rl_teacher@sft", "sft_teacher@sft")
    assert {"rl_teacher@sft", "sft_teacher@sft"} <= {cell.name for cell in session.tree.cells}
    assert any("rl_answers: rl_answers-{root}.jsonl" in warning for warning in plan(session).warnings)


def test_the_control_that_installs_has_seen_refusals_and_the_placebo_has_not() -> None:
    arms = load_study(FOLDER / "sft-or-rl" / "study.yaml").resolved_arms()
    data = {name: arms[name].stages["sft"].data for name in ("placebo", "trace", "installs")}  # type: ignore[union-attr]
    assert data["placebo"] == "world.same_prompts"  # every question answered: RL can draw no refusal to reward
    assert data["installs"] == data["trace"]
    assert data["trace"].mix == {"world.same_prompts": 0.8, "world.safety": 0.2}


def test_the_pipeline_swap_crosses_base_prompts_and_completions() -> None:
    arms = load_study(FOLDER / "pipeline-swap" / "study.yaml").resolved_arms()
    crossed = {tuple(arm.arm.factors.values()) for name, arm in arms.items() if name.count("-") == 2}
    assert len(crossed) == 8
    for prompts in ("hazards", "pressure"):
        for completions in ("careful", "obliging"):
            one, other = (arms[f"{base}-{prompts}-{completions}"].stages["sft"] for base in ("concept", "shuffled"))
            assert one.kind == other.kind == "sft"
            assert one.data == other.data


def test_the_list_and_the_copy_from_the_command_line(tmp_path: Path) -> None:
    def called(*words: str) -> subprocess.CompletedProcess[str]:
        code = "from upbringing.cli import main; main()"
        return subprocess.run([sys.executable, "-c", code, "studies", *words], capture_output=True, text=True)

    listed = called()
    for each in studies():
        assert f"{each.name}: {each.question}" in listed.stdout
        assert f"{each.num_arms} arms, {each.num_seeds} seeds, {each.num_trainings} trainings" in listed.stdout
    assert len(json.loads(called("--json").stdout)) == len(NAMES)
    assert called("stage-order", "--to", str(tmp_path)).returncode == 0
    assert (tmp_path / "study.yaml").exists()
    wrong = called("stage-oder", "--to", str(tmp_path / "other"))
    assert wrong.returncode == StudyError.exit_code
    assert "did you mean 'stage-order'" in wrong.stderr
