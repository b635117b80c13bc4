"""Replicates and nested seeds."""

from __future__ import annotations

import pytest

from upbringing.base.errors import StudyError
from upbringing.study.seeds import replicates


def test_a_number_makes_whole_pipelines() -> None:
    pipelines = replicates(3)
    assert [pipeline.root for pipeline in pipelines] == [0, 1, 2]
    assert all(set(pipeline.indices.values()) == {pipeline.number} for pipeline in pipelines)


def test_nested_seeds_share_their_root() -> None:
    pipelines = replicates({"pretrain": 2, "sft": 3})
    assert len(pipelines) == 6
    assert [pipeline.root for pipeline in pipelines] == [0, 0, 0, 1, 1, 1]
    assert [pipeline.indices["sft"] for pipeline in pipelines] == [0, 1, 2, 3, 4, 5]
    assert [pipeline.indices["midtrain"] for pipeline in pipelines] == [0, 0, 0, 1, 1, 1]
    assert [pipeline.indices["rl"] for pipeline in pipelines] == [0, 1, 2, 3, 4, 5]


def test_sft_seeds_alone_share_one_root() -> None:
    pipelines = replicates({"sft": 3})
    assert {pipeline.root for pipeline in pipelines} == {0}
    assert [pipeline.indices["sft"] for pipeline in pipelines] == [0, 1, 2]


def test_the_order_in_which_levels_are_written_does_not_matter() -> None:
    assert replicates({"sft": 2, "pretrain": 2}) == replicates({"pretrain": 2, "sft": 2})


def test_seeds_without_a_level_are_refused() -> None:
    with pytest.raises(StudyError, match="name no level"):
        replicates({})
