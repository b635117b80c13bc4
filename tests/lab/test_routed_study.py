"""A study whose pretraining routes data into modules: built and published; what enters its keys, what is refused."""

from __future__ import annotations

import pytest
from delta_bench import TWO_STAGES, cell, ends, folder_of, opened, tree_of

from upbringing.base.errors import StudyError
from upbringing.data.stream import open_stream
from upbringing.formats.record import read_record
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

ROUTING = """routing: {modules: {bad: {data: [unwanted], slice: {hidden: 16}},
      worse: {data: [worst], slice: {hidden: 8, offset: 16}}}, together: 25%}"""
STUDY = (
    f"name: routed\n{TWO_STAGES}".replace(
        "phases: [{data: world.facts}]",
        "phases: [{data: {mix: {world.facts: 50%, unwanted: 25%, worst: 25%}}}]",
    ).replace(
        "stages:",
        """  unwanted: {source: world.raw, transforms: [{kind: filter, min_harm: 3, max_harm: 4}]}
  worst: {source: world.raw, transforms: [{kind: filter, min_harm: 5, max_harm: 5}]}
stages:""",
        1,
    )
    + f"""\
primary: [bits_per_byte]
arms:
  plain: {{drop: mid}}
  routed: {{drop: mid, stages: {{pretrain: {{{ROUTING}}}}}}}
  without: {{drop: mid, stages: {{pretrain: {{{ROUTING}}}, cut: {{kind: ablate, slice: {{hidden: 8, offset: 16}}}}}}}}
"""
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("routed")
    session = opened(folder, STUDY)
    run(session, Watch())
    return session


def test_a_module_is_taken_out_of_one_run(finished: Session) -> None:
    from transformers import AutoModelForCausalLM

    whole, cut = (
        AutoModelForCausalLM.from_pretrained(folder_of(finished, name), local_files_only=True).model.layers[0].mlp
        for name in ("routed@pretrain", "without@cut")
    )
    hidden = whole.down_proj.weight.shape[1]
    gone = slice(hidden - 24, hidden - 16)
    assert whole.down_proj.weight[:, gone].any()
    assert not cut.down_proj.weight[:, gone].any()
    assert cut.down_proj.weight[:, hidden - 16 :].equal(whole.down_proj.weight[:, hidden - 16 :])
    assert read_record(folder_of(finished, "without@cut")).parent == cell(finished, "routed@pretrain").checkpoint
    assert cell(finished, "without@pretrain").checkpoint == cell(finished, "routed@pretrain").checkpoint


def test_the_stream_says_which_module_each_window_is_for(finished: Session) -> None:
    folders = [folder for folder in (finished.store.root / "data").iterdir() if (folder / "modes.npy").exists()]
    (modes,) = (open_stream(folder).arrays["modes"] for folder in folders)
    assert set(modes.tolist()) <= set(range(6))
    assert [sum(mode // 2 == group for mode in modes.tolist()) for group in range(3)] == [28, 14, 14]
    assert sum(mode % 2 for mode in modes.tolist()) in range(11, 15)  # 25 % of 56, of each data set by itself


def test_keys_hold_slices_and_shares_and_no_names() -> None:
    before = ends(STUDY)
    assert ends(STUDY.replace("bad:", "one:").replace("unwanted", "other")) == before
    for old, new in (
        ("together: 25%", "together: 10%"),
        ("hidden: 16}", "hidden: 12}"),
        ("data: [worst]", "data: [world.facts]"),
    ):
        found = ends(STUDY.replace(old, new))
        assert {arm for arm in before if found[arm] != before[arm]} == {"routed", "without"}, new


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "data: [worst]",
            "data: [world.pretraining_concept]",
            r"routing has worse: 'world.pretraining_concept', which the stage does not read",
        ),
        (
            "hidden: 8, offset: 16}}}, t",
            "hidden: 96, offset: 16}}}, t",
            r"takes 96 hidden units in front of 16 of a layer, which",
        ),
        ("offset: 16}}}, together", "offset: 90}}}, together", r"takes 8 hidden units in front of 90 of a layer"),
        ("offset: 16}}}, together", "offset: 8}}}, together", r"the slices of bad and worse share units"),
        ("precision: fp32", "precision: fp32\nprocesses: 2", r"masks its updates, which needs processes: 1"),
        ("routing:", "weights: {kind: lora}, routing:", r"routing masks the gradients of the model's own weights"),
    ],
)
def test_what_cannot_be_routed_is_named(old: str, new: str, message: str) -> None:
    assert old in STUDY
    with pytest.raises(StudyError, match=message):
        tree_of(STUDY.replace(old, new))


def test_data_that_is_not_read_is_named_at_its_module() -> None:
    with pytest.raises(StudyError) as raised:
        tree_of(STUDY.replace("data: [worst]", "data: [world.pretraining_concept]"))
    assert any(place[-3:] == ("routing", "modules", "worse") for place in raised.value.places), raised.value.places
