"""A study that masks and ablates: planned, built, published; what enters its keys and what it refuses."""

from __future__ import annotations

import pytest
from delta_bench import TWO_STAGES, cell, ends, folder_of, opened, tree_of

from upbringing.base.errors import StudyError
from upbringing.formats.findings import read_findings
from upbringing.formats.record import read_record
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session
from upbringing.models.weights import weights_sha256

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

CUT = "{cut: {kind: ablate, slice: {heads: 1, hidden: 16}}}"
MASKED = """masking: {forget: [unwanted], retain: [world.facts], slice: {heads: 1, hidden: 16}},
      measure_at: [50%]"""
STUDY = (
    f"name: masked\n{TWO_STAGES}".replace(
        "phases: [{data: world.facts}]", "phases: [{data: {mix: {world.facts: 50%, unwanted: 50%}}}]"
    ).replace(
        "stages:", "  unwanted: {source: world.raw, transforms: [{kind: filter, min_harm: 3, max_harm: 5}]}\nstages:", 1
    )
    + f"""\
primary: [bits_per_byte]
arms:
  plain: {{drop: mid}}
  plain_cut: {{drop: mid, stages: {CUT}}}
  masked: {{drop: mid, stages: {{pretrain: {{{MASKED}}}}}}}
  masked_cut: {{drop: mid, stages: {{pretrain: {{{MASKED}}},
               cut: {{kind: ablate, slice: {{heads: 1, hidden: 16}}}}}}}}
  later: {{stages: {{pretrain: {{{MASKED}}}, mid: {{kind: ablate, slice: {{hidden: 16}}}},
          last: {{kind: midtrain, tokens: 1k, context: 64, batch_size: 8, phases: [{{data: world.facts}}]}}}}}}
"""
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Session:
    folder = tmp_path_factory.mktemp("masked")
    session = opened(folder, STUDY)
    cuts = [node for node in plan(session).nodes if ": cut" in node.label]
    assert [(node.steps, node.tokens, node.flops) for node in cuts] == [(0, 0, 0.0)] * 2
    run(session, Watch())
    return session


def test_an_ablated_checkpoint_is_an_ordinary_one(finished: Session) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder_of(finished, "masked_cut@cut")
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert not model.model.layers[0].self_attn.o_proj.weight[:, 16:].any()
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True)("rain").input_ids
    record = read_record(folder)
    assert (record.kind, record.guard, record.weights_changed, record.seed) == ("ablate", "ok", True, None)
    assert record.parent == cell(finished, "masked@pretrain").checkpoint
    assert "the last 1 attention heads and 16 hidden units of every layer were set to zero" in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    names = ("plain@pretrain", "plain_cut@cut", "masked@pretrain", "masked_cut@cut", "later@mid", "later@last")
    assert len({weights_sha256(folder_of(finished, name)) for name in names}) == len(names)


def test_arms_share_what_they_train_before_the_slice_is_taken_out(finished: Session) -> None:
    for position in ("pretrain", "pretrain:50%"):
        checkpoints = {cell(finished, f"{arm}@{position}").checkpoint for arm in ("masked", "masked_cut", "later")}
        assert len(checkpoints) == 1


def test_claims_on_ablated_cells_are_those_of_branches(finished: Session) -> None:
    findings = read_findings(finished.results / "findings.json")
    levels = {claim.level for claim in findings.claims if "masked_cut" in claim.contrast}
    assert levels
    assert "L4" not in levels


def test_keys_hold_data_slices_and_modes_and_no_names() -> None:
    before = ends(STUDY)
    renamed = ends(STUDY.replace("unwanted", "other"))
    assert renamed == before
    for old, new, moved in (
        ("forget: [unwanted], retain: [world.facts]", "forget: [unwanted]", {"masked", "masked_cut", "later"}),
        ("slice: {heads: 1, hidden: 16}},\n", "slice: {heads: 1, hidden: 8}},\n", {"masked", "masked_cut", "later"}),
        ("retain: [world.facts]", "retain: [world.facts], forget_moves: slice_and_shared",
         {"masked", "masked_cut", "later"}),
        ("mid: {kind: ablate, slice: {hidden: 16}}", "mid: {kind: ablate, slice: {hidden: 8}}", {"later"}),
    ):  # fmt: skip
        found = ends(STUDY.replace(old, new))
        assert {arm for arm in before if found[arm] != before[arm]} == moved, new


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("forget: [unwanted]", "forget: [world.concept]", "forget: 'world.concept', which the stage does not read"),
        ("slice: {heads: 1, hidden: 16}},\n", "slice: {heads: 2}},\n", "'pretrain': the slice takes 2 heads"),
        ("slice: {hidden: 16}", "slice: {hidden: 1, layers: [1]}", "'mid': the slice names layer 1, .* layers 0 to 0"),
        ("retain: [world.facts]", "retain: [unwanted]", "unwanted cannot be both"),
        ("measure_at: [50%]", "weights: {kind: lora}", "weights: lora trains others: use weights"),
    ],
)
def test_what_cannot_be_masked_is_refused_before_anything_is_trained(old: str, new: str, said: str) -> None:
    assert old in STUDY
    with pytest.raises(StudyError, match=said):
        tree_of(STUDY.replace(old, new))


def test_one_data_set_under_two_names_cannot_have_two_modes() -> None:
    twin = "  twin: {source: world.raw, transforms: [{kind: filter, min_harm: 3, max_harm: 5}]}\nstages:"
    with pytest.raises(StudyError, match="calls the same data forget and retain"):
        tree_of(STUDY.replace("stages:", twin, 1).replace("retain: [world.facts]", "retain: [twin]"))
