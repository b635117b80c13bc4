"""One pipeline of the planted canary, trained for real: the stage that holds the trait is named, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.lab.planted.job import PipelineJob
from upbringing.lab.planted.pipelines import draw_pipeline

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_planted_stage_is_named(tmp_path: Path) -> None:
    pipeline = draw_pipeline("stage", 1.0, 0)
    found = PipelineJob("one", "one", tmp_path, pipeline, seeds=1).run(lambda event: None)
    assert found.stages == pipeline.stages
    assert found.named == pipeline.stages
    assert found.is_right
