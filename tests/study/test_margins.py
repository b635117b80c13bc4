"""What a study may fix beforehand: ratios for rates alone, one margin per measure, health; nothing else is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.checks import design_warnings
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import study_tree

STUDY = """\
name: small
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}}
stages:
  pretrain: {kind: pretrain, tokens: 64k, phases: [{data: world.facts}]}
battery: [willingness, bits_per_byte]
primary: [willingness]
"""


def declared(more: str = "") -> Study:
    return study_from(parse_yaml(STUDY + more))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("ratio_margins: {willingness: 0.67}", "greater than 1"),
        ("ratio_margins: {bits_per_byte: 1.5}", "only rates have a ratio margin"),
        ("ratio_margins: {absent: 1.5}", "no measure of the battery"),
        ("ratio_margins: {willingness: 1.5}\nmargins: {willingness: 0.1}", "a margin and a ratio margin"),
        ("default_margins: lenient", "strict"),
        ("health_criteria: {sft: {last_loss: {at_most: 2}}}", "no stage of any arm"),
        ("health_criteria: {pretrain: {last_loss: {}}}", "has a bound"),
    ],
)
def test_a_ratio_margin_is_of_a_rate_and_stands_alone(more: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        declared(more)


def test_a_study_that_asks_for_none_is_written_as_before() -> None:
    text = declared().model_dump_json()
    assert "ratio_margins" not in text
    assert "default_margins" not in text
    assert "health_criteria" not in text
    assert '"ratio_margins":{"willingness":1.5}' in declared("ratio_margins: {willingness: 1.5}").model_dump_json()


@pytest.mark.parametrize("more", ["", "ratio_margins: {willingness: 1.5}", "default_margins: strict"])
def test_a_primary_measure_without_any_margin_is_warned_of(more: str) -> None:
    study = declared(more)
    found = design_warnings(study, study_tree(study, DataBook(study.data, Path(), study.seed)), {}, {})
    assert any("no margin for the primary measure" in each for each in found) == (not more)
