"""Warnings about compute: arms that differ in steps, and arms that learn from other numbers of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.checks import design_warnings
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import study_tree

STUDY = """\
name: small
seeds: 1
start: {{kind: fresh, tokenizer: {{train_on: world}}}}
data: {{world: {{kind: causes_world}}}}
stages:
  pretrain: {{kind: pretrain, tokens: 64k, phases: [{{data: world.facts}}]}}
  sft: {{kind: sft, data: world.safety, epochs: 2}}
arms:
  main: {{}}
  answered: {{stages: {{sft: {{data: world.same_prompts, epochs: {epochs}}}}}}}
battery: [willingness]
"""


def warnings(*, epochs: int = 2, steps: dict[str, int] | None = None, tokens: dict[str, int] | None = None) -> str:
    """Return the warnings about sizes; ``steps`` and ``tokens`` by the arm whose SFT has them."""
    study = study_from(parse_yaml(STUDY.format(epochs=epochs)))
    tree = study_tree(study, DataBook(study.data, Path(), study.seed))
    runs = {lineage.arm.name: lineage.runs[-1].key() for lineage in tree.lineages}
    found = design_warnings(
        study,
        tree,
        {runs[arm]: value for arm, value in (steps or {}).items()},
        {runs[arm]: value for arm, value in (tokens or {}).items()},
    )
    return "\n".join(each for each in found if each.startswith("stage "))


def test_other_steps_are_named_once_they_are_known() -> None:
    assert warnings() == ""
    assert "'sft' differs in size" in warnings(epochs=1)
    assert "answered: sft, 40 steps" in warnings(steps={"main": 30, "answered": 40})
    assert warnings(steps={"main": 30, "answered": 30}) == ""


@pytest.mark.parametrize(("answered", "is_named"), [(1000, False), (1050, False), (1051, True), (3000, True)])
def test_other_numbers_of_supervised_tokens_are_named(answered: int, is_named: bool) -> None:
    found = warnings(tokens={"main": 1000, "answered": answered})
    assert (f"(supervised: main: 1000; answered: {answered})" in found) == is_named


def test_what_is_not_known_of_one_arm_is_not_compared() -> None:
    assert warnings(tokens={"main": 1000}) == ""


@pytest.mark.parametrize(("arms", "is_said"), [("main: {}", True), ("main: {}\n  copy: {same_as: main}", False)])
def test_primary_measures_of_one_arm_decide_nothing_and_that_is_said(arms: str, is_said: bool) -> None:
    before, _, _ = STUDY.format(epochs=2).partition("arms:")
    study = study_from(parse_yaml(f"{before}arms:\n  {arms}\nbattery: [willingness]\nprimary: [willingness]\n"))
    found = design_warnings(study, study_tree(study, DataBook(study.data, Path(), study.seed)))
    assert any(each.startswith("one arm: every claim is a step along it") for each in found) == is_said


def test_a_place_inside_a_stage_in_epochs_is_refused_with_what_to_do() -> None:
    text = STUDY.format(epochs=2).replace("world.safety, epochs: 2}", "world.safety, measure_at: [50%]}")
    study = study_from(parse_yaml(text))
    with pytest.raises(StudyError, match=r"'sft': measure_at needs .*; sft has epochs. A midtrain reads chats too"):
        study_tree(study, DataBook(study.data, Path(), study.seed))
