"""What numerics a study gets where it leaves them open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.lab.demo import DEMO
from upbringing.lab.session import chosen_profile, pays_to_compile
from upbringing.study.loading import load_study
from upbringing.study.study import Study

LONG: dict[str, Any] = {"kind": "pretrain", "tokens": "8M", "phases": [{"data": "world.facts"}]}


def study(**fields: Any) -> Study:
    plain: dict[str, Any] = {
        "name": "long",
        "start": {"kind": "fresh", "layers": 6, "width": 320, "heads": 5, "tokenizer": {"train_on": "world"}},
        "data": {"world": {"kind": "causes_world"}},
        "stages": {"pretrain": LONG},
    }
    return Study.model_validate({**plain, **fields})


def test_the_demo_is_long_enough_to_be_compiled_and_its_profile_says_how() -> None:
    chosen = chosen_profile(load_study(DEMO))
    assert chosen.compile
    assert "compiled layers" in chosen.versions
    assert "compiled layers" not in chosen_profile(study(compile="off")).versions


@pytest.mark.parametrize(("asked", "given"), [("auto", True), ("on", True), ("off", False)])
def test_a_long_stage_is_compiled_unless_told_not_to(asked: str, given: bool) -> None:
    assert chosen_profile(study(compile=asked)).compile is given


def test_an_arm_that_lengthens_a_stage_counts() -> None:
    short = {**LONG, "tokens": "10k"}
    assert not pays_to_compile(study(stages={"pretrain": short}))
    assert pays_to_compile(study(stages={"pretrain": short}, arms={"long": {"stages": {"pretrain": {"tokens": "8M"}}}}))


def test_an_existing_start_is_never_compiled_unasked(tmp_path: Path) -> None:
    start = {"kind": "existing", "checkpoint": str(tmp_path)}
    assert not chosen_profile(study(start=start)).compile


def masked(**fields: Any) -> Study:
    masking = {"forget": ["world.harmful"], "slice": {"heads": 1}}
    return study(arms={"plain": {}, "masked": {"stages": {"pretrain": {"masking": masking}}}}, **fields)


def test_a_study_that_masks_updates_is_never_compiled_and_says_so_where_that_was_asked() -> None:
    assert not chosen_profile(masked()).compile
    for fields, said in (({"compile": "on"}, "needs compile: off"), ({"processes": 2}, "needs processes: 1")):
        with pytest.raises(ValueError, match=f"arm 'masked': the stage 'pretrain' masks its updates, which {said}"):
            masked(**fields)
