"""Emulated tuning in a study: its key rests on all three checkpoints, evidence is L4, what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.checks import design_warnings
from upbringing.study.contrasts import contrasts, deciding_contrasts
from upbringing.study.loading import schema, study_from
from upbringing.study.recipes import DataBook
from upbringing.study.selection import chosen_arms
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree

BASE = """\
name: emulations
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}}
stages:
  pretrain: {kind: pretrain, tokens: 640k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety}
battery: [over_refusal]
primary: [over_refusal]
margins: {over_refusal: 0.1}
arms:
"""
MOVED = (
    "  moved: {of: other, drop: sft, stages: {moved: {kind: emulate_tuning, delta: {arm: main, from: pretrain, to: "
    "sft}}}, stands_for: other@sft}\n"
)
TRAINED = "  main: {}\n  other: {stages: {pretrain: {phases: [{data: world.pretraining_concept}]}}}\n"
ARMS = TRAINED + MOVED
EDITED = MOVED.replace("  moved:", "  edited:").replace(
    "{moved: {kind: emulate_tuning,", "{edit: {kind: edit_weights, edit: add,"
)


def study(arms: str = ARMS, base: str = BASE, more: str = "") -> Study:
    return study_from(parse_yaml(base + arms + more))


def tree(arms: str = ARMS, base: str = BASE) -> StudyTree:
    found = study(arms, base)
    return study_tree(found, DataBook(found.data, Path(), found.seed))


def cells(found: StudyTree) -> dict[str, str]:
    return {cell.name: cell.node for cell in found.cells}


def test_the_node_names_what_answers_for_it_and_stands_behind_it() -> None:
    found = tree(MOVED + TRAINED)
    order, named = list(found.nodes), cells(found)
    node = found.nodes[named["moved@moved"]]
    assert node.emulated_by == (named["other@pretrain"], named["main@sft"], named["main@pretrain"])
    assert set(node.needs) == set(node.emulated_by)
    assert max(order.index(key) for key in node.emulated_by) < order.index(node.key)
    assert named["moved@pretrain"] == named["other@pretrain"]
    assert all(not each.emulated_by for key, each in found.nodes.items() if key != node.key)


def test_all_that_decides_an_answer_enters_the_key_and_names_do_not() -> None:
    plain = cells(tree())["moved@moved"]
    assert cells(tree(ARMS.replace("main", "whole")))["whole@sft"] == cells(tree())["main@sft"]
    assert cells(tree(ARMS.replace("main", "whole")))["moved@moved"] == plain
    assert cells(tree(ARMS + EDITED))["edited@edit"] != plain
    for old, new in (
        ("to: sft}}}", "to: sft}, strength: 0.5}}"),
        ("to: sft}}}", "to: sft, random: true}}}"),
        ("from: pretrain, to: sft", "from: start, to: sft"),
        ("of: other, drop: sft", "of: other"),
    ):
        changed = ARMS.replace(old, new).replace(", stands_for: other@sft", "")
        assert changed != ARMS
        assert cells(tree(changed))["moved@moved"] != plain
    longer = cells(tree(ARMS, BASE.replace("data: world.safety", "data: world.safety, epochs: 2")))
    assert longer["moved@pretrain"] == cells(tree())["moved@pretrain"]
    assert longer["moved@moved"] != plain


def test_contrasts_with_it_are_l4_and_decide_nothing() -> None:
    found, grown = study(), tree()
    on_it = [spec for spec in contrasts(found, grown) if "moved@moved" in spec.weights]
    assert {spec.kind for spec in on_it} >= {"path", "stand-in"}
    assert {(spec.level, spec.role) for spec in on_it} == {("L4", "exploratory")}
    assert not any("moved@moved" in spec.weights for spec in deciding_contrasts(found, grown))
    with pytest.raises(StudyError, match="the cell 'moved@moved', but emulated tuning supports what retrained arms"):
        study(
            more="contrasts: [{name: c, measure: over_refusal, level: L2, weights: {moved@moved: 1, main@sft: -1}}]\n"
        )
    with pytest.raises(StudyError, match="protocol: sft names the cell 'moved@moved', but emulated tuning"):
        study(more="protocol: {kind: sft_or_rl, cells: {sft: moved@moved, base: main@pretrain}}\n")


def test_the_arm_whose_change_is_moved_comes_along() -> None:
    assert chosen_arms(study(), ["moved"]) == ("main", "moved")


def test_an_edit_and_an_emulation_may_stand_for_one_cell_and_two_emulations_may_not() -> None:
    assert {"edited@edit", "moved@moved"} <= cells(tree(ARMS + EDITED)).keys()
    twice = MOVED.replace("  moved:", "  again:").replace("to: sft}}}", "to: sft}, strength: 2}}")
    with pytest.raises(StudyError, match="and 'moved' stands for it already"):
        tree(ARMS + twice)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            ARMS.replace("to: sft}}}", "to: sft}}, last: {kind: sft, data: world.safety}}").replace(
                ", stands_for: other@sft", ""
            ),
            "the stage 'last' stands behind 'moved', which leaves no weights to go on from",
        ),
        (
            ARMS + "  a: {stages: {e: {kind: emulate_tuning, delta: {arm: moved, to: moved}}}}\n",
            r"names 'moved', which is no stage of 'moved' with a checkpoint \(start, pretrain\)",
        ),
        (ARMS.replace("arm: main", "arm: nobody"), "of the arm 'nobody', which is no arm"),
        (ARMS.replace("from: pretrain, to: sft", "from: sft, to: sft"), "begins and ends at 'sft'"),
        (ARMS.replace("to: sft}}}", "to: sft}, strength: 0}}"), "but strength 0 predicts nothing"),
        (ARMS.replace("to: sft}}}", "to: sft, random: true}}}"), "but a random delta predicts nothing"),
        (ARMS.replace("other@sft}", "main@sft}"), "of which its edit 'moved' is made, so it predicts nothing"),
        (ARMS.replace("to: sft}}}", "to: sft}, strength: .inf}}"), "strength: Input should be a valid number"),
        (ARMS.replace("to: sft}}}", "to: sft}, edit: add}}"), "unknown key 'edit'"),
    ],
)
def test_what_does_not_fit_is_refused(arms: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        tree(arms)


def test_another_engine_cannot_answer_for_three() -> None:
    with pytest.raises(StudyError, match="engine: openvino answers from one checkpoint's weights, and 'moved' of arm"):
        study(more="engine: openvino\n")
    assert study(TRAINED, more="engine: openvino\n").engine == "openvino"


def test_what_it_lacks_is_said_before_anything_is_trained() -> None:
    def said(arms: str) -> str:
        return "\n".join(design_warnings(study(arms), tree(arms)))

    assert "emulated tuning will be uncalibrated: 1 of at least 8 emulated arms name the retrained cell" in said(ARMS)
    assert "no emulation by a random delta: what emulating by a delta does cannot be told" in said(ARMS)
    assert "edited weights" not in said(ARMS)
    noise = MOVED.replace("moved:", "noise:").replace("to: sft}}}, stands_for: other@sft", "to: sft, random: true}}}")
    assert "no emulation by a random delta" not in said(ARMS + noise)
    both = said(ARMS + EDITED)
    assert "edited weights will be uncalibrated: 1 of at least 8 edited arms" in both
    assert "emulated tuning will be uncalibrated: 1 of at least 8" in both
    assert "emulated tuning" not in said(TRAINED)


def test_the_schema_knows_the_stage() -> None:
    defined: dict[str, Any] = schema()["$defs"]
    assert set(defined["EmulateTuning"]["properties"]) == {"kind", "delta", "strength"}
