"""What numerics a study gets where it leaves them open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base import devices
from upbringing.base.errors import StudyError
from upbringing.lab.demo import DEMO
from upbringing.lab.session import chosen_profile, locked_profile, pays_to_compile, slots
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


@pytest.fixture
def two_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine as far as it can be seen without torch: a build for accelerators, and two that a scheduler lends."""
    monkeypatch.setattr(devices, "version", lambda name: "2.13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")


@pytest.mark.usefixtures("two_accelerators")
def test_a_study_computes_on_accelerators_where_there_are_some_unless_told_not_to() -> None:
    chosen = chosen_profile(study())
    assert (chosen.device, chosen.precision, chosen.attention, chosen.compile) == ("cuda", "bf16", "sdpa", False)
    assert slots(chosen) == 2
    assert slots(chosen_profile(study(processes=2))) == 1
    assert chosen_profile(study(device="cpu")).attention == "eager"
    assert chosen_profile(load_study(DEMO)).device == "cpu"


def test_without_accelerators_a_study_computes_on_the_processor_and_can_still_be_planned_for_others() -> None:
    assert chosen_profile(study()).device == "cpu"
    asked = chosen_profile(study(device="cuda"))
    assert (asked.device, slots(asked)) == ("cuda", 1)


@pytest.mark.usefixtures("two_accelerators")
def test_a_lock_keeps_the_device_and_a_study_that_asks_for_another_is_an_error(tmp_path: Path) -> None:
    assert locked_profile(study(device="cpu"), tmp_path).device == "cpu"
    assert locked_profile(study(), tmp_path).device == "cpu"
    with pytest.raises(StudyError, match="fixed device = cpu, now it would be cuda"):
        locked_profile(study(device="cuda"), tmp_path)
    with pytest.raises(StudyError, match="fixed activation_checkpointing = False, now it would be True"):
        locked_profile(study(device="cpu", activation_checkpointing=True), tmp_path)


def test_what_a_study_leaves_open_changes_neither_its_file_nor_the_keys_of_its_nodes() -> None:
    plain = study().model_dump(mode="json")
    assert not plain.keys() & {"device", "activation_checkpointing"}
    assert study(activation_checkpointing=True).model_dump(mode="json")["activation_checkpointing"] is True
    assert "activation_checkpointing" not in chosen_profile(study()).model_dump(mode="json")
    assert chosen_profile(study(activation_checkpointing=True)).model_dump(mode="json")["activation_checkpointing"]


def masked(**fields: Any) -> Study:
    masking = {"forget": ["world.harmful"], "slice": {"heads": 1}}
    return study(arms={"plain": {}, "masked": {"stages": {"pretrain": {"masking": masking}}}}, **fields)


def test_a_study_that_masks_updates_is_never_compiled_and_says_so_where_that_was_asked() -> None:
    assert not chosen_profile(masked()).compile
    for fields, said in (({"compile": "on"}, "needs compile: off"), ({"processes": 2}, "needs processes: 1")):
        with pytest.raises(ValueError, match=f"arm 'masked': the stage 'pretrain' masks its updates, which {said}"):
            masked(**fields)


def test_attention_by_documents_needs_bf16_on_an_accelerator() -> None:
    with pytest.raises(StudyError, match="no kernel for fp32 on accelerators: set precision: bf16"):
        chosen_profile(study(attention="varlen", device="cuda", precision="fp32"))
    assert chosen_profile(study(attention="varlen", device="cuda")).masked_attention == "sdpa"
    assert chosen_profile(study(attention="varlen", precision="fp32")).masked_attention == "eager"
    assert chosen_profile(study(attention="sdpa")).masked_attention == "sdpa"


@pytest.mark.parametrize(("context", "attention"), [(512, "eager"), (1024, "sdpa")])
def test_long_windows_are_not_computed_explicitly_unasked(context: int, attention: str) -> None:
    arms = {"long": {"stages": {"pretrain": {"context": context}}}}
    start = {"kind": "fresh", "context": 1024, "tokenizer": {"train_on": "world"}}
    assert chosen_profile(study(arms=arms, start=start)).attention == attention
    assert chosen_profile(study(arms=arms, start=start, attention="eager")).attention == "eager"
