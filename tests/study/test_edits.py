"""Edits of weights in a study: keys rest on the delta's checkpoints, evidence is L4, what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.formats.tree import ContrastSpec
from upbringing.study.checks import design_warnings
from upbringing.study.contrasts import contrasts, deciding_contrasts
from upbringing.study.loading import schema, study_from
from upbringing.study.recipes import DataBook
from upbringing.study.selection import chosen_arms
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, part_of_tree, study_tree

BASE = """\
name: edits
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}}
stages:
  pretrain: {kind: pretrain, tokens: 640k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety}
  finetune: {kind: sft, data: world.benign_task}
battery: [over_refusal]
primary: [over_refusal]
margins: {over_refusal: 0.1}
arms:
"""
WITHOUT = (
    "  edited: {stages: {edit: {kind: edit_weights, delta: {from: pretrain, to: sft}, edit: subtract}}, "
    "stands_for: without@finetune}\n"
)
OF_MAIN = (
    "  early: {drop: [sft, finetune], stages: {edit: {kind: edit_weights, delta: {arm: main, to: sft}, "
    "edit: interpolate, strength: 0.5}}}\n"
)
ARMS = WITHOUT + OF_MAIN + "  main: {}\n  without: {drop: sft}\n"


def study(arms: str = ARMS, base: str = BASE, more: str = "") -> Study:
    return study_from(parse_yaml(base + arms + more))


def tree(arms: str = ARMS, base: str = BASE) -> StudyTree:
    found = study(arms, base)
    return study_tree(found, DataBook(found.data, Path(), found.seed))


def cells(found: StudyTree) -> dict[str, str]:
    return {cell.name: cell.node for cell in found.cells}


def test_a_delta_comes_before_the_edit_that_needs_it_whatever_the_order_of_arms() -> None:
    found = tree()
    order, named = list(found.nodes), cells(found)
    edit = found.nodes[named["early@edit"]]
    assert edit.needs == (named["main@pretrain"], named["main@pretrain"], named["main@sft"])
    assert order.index(named["main@sft"]) < order.index(named["early@edit"])
    assert edit.inputs["delta"] == {"from": named["main@pretrain"], "to": named["main@sft"], "random": False}
    assert edit.run is not None
    assert edit.run.total_steps == 0
    assert named["edited@sft"] == named["main@sft"]


def test_names_enter_no_key_and_what_the_delta_is_made_of_does() -> None:
    plain = cells(tree())
    renamed = ARMS.replace("main: ", "whole: ").replace("arm: main", "arm: whole")
    assert cells(tree(renamed))["early@edit"] == plain["early@edit"]
    longer = cells(tree(ARMS, BASE.replace("data: world.safety", "data: world.safety, epochs: 2")))
    assert longer["early@pretrain"] == plain["early@pretrain"]
    assert longer["early@edit"] != plain["early@edit"]
    for old, new in (
        ("strength: 0.5", "strength: 0.25"),
        ("interpolate", "add"),
        ("main, to: sft}", "main, to: sft, random: true}"),
        ("strength: 0.5", "strength: 0.5, modules: [model.layers.0]"),
    ):
        assert cells(tree(ARMS.replace(old, new)))["early@edit"] != plain["early@edit"]


def test_a_random_delta_has_a_seed_for_each_replicate_and_others_have_none() -> None:
    drawn = ARMS.replace("{arm: main, to: sft}", "{arm: main, to: sft, random: true}")
    found = tree(drawn, BASE.replace("seeds: 1", "seeds: {pretrain: 1, sft: 2}"))
    runs = {(each.arm.name, each.replicate.number): each.runs[-1] for each in found.lineages}
    assert runs["early", 0].seed != runs["early", 1].seed
    assert runs["edited", 0].seed == runs["edited", 1].seed == 0
    assert runs["early", 0].delta is not None
    assert runs["early", 0].delta.levels == ("pretrain", "sft", "rl")


def test_arms_whose_weights_are_needed_come_along() -> None:
    found = study()
    assert chosen_arms(found, ["early"]) == ("early", "main")
    assert chosen_arms(found, ["edited"]) == ("edited",)
    whole = tree()
    part = part_of_tree(whole, chosen_arms(found, ["early"]))
    assert set(part.nodes) <= set(whole.nodes)
    assert {cell.arm for cell in part.cells} == {"early", "main"}


def test_two_arms_may_each_need_what_the_other_trained() -> None:
    edit = "{{kind: edit_weights, delta: {{arm: {other}, from: pretrain, to: sft}}, edit: subtract}}"
    both = (
        f"  a: {{stages: {{edit: {edit.format(other='b')}}}}}\n"
        f"  b: {{stages: {{sft: {{epochs: 2}}, edit: {edit.format(other='a')}}}}}\n"
    )
    assert len(tree(both).nodes) == 8


def levels(found: tuple[ContrastSpec, ...], part: str) -> dict[str, tuple[str, str]]:
    return {each.name: (each.level, each.role) for each in found if any(part in cell for cell in each.weights)}


def test_nothing_with_edited_weights_is_more_than_l4_or_decides() -> None:
    found = study()
    tree_of_it = study_tree(found, DataBook(found.data, Path(), found.seed))
    asked = contrasts(found, tree_of_it)
    on_edits = levels(asked, "@edit")
    assert set(on_edits) == {
        "edited: finetune -> edit",
        "early: pretrain -> edit",
        "edited@edit - without@finetune",
    }
    assert set(on_edits.values()) == {("L4", "exploratory")}
    assert not any(each.share_of for each in asked if "L4" in each.level)
    assert not any("@edit" in cell for spec in deciding_contrasts(found, tree_of_it) for cell in spec.weights)
    assert not any("@edit" in cell for spec in asked for _, weights in spec.beside for cell in weights)


def test_edited_arms_make_no_branch_or_factorial_of_trained_ones() -> None:
    """The arm that drops a stage and edits is none that skips it, and fills no combination."""
    arms = """\
  main: {}
  neutral: {placebo: {stage: sft, data: world.same_prompts}, control: placebo}
  skip: {drop: sft}
"""
    without = contrasts(study(arms), tree(arms))
    beside = contrasts(study(OF_MAIN + arms), tree(OF_MAIN + arms))
    kinds = ("data-effect", "generic-effect", "main-effect")
    first, second = ([spec for spec in found if spec.kind in kinds] for found in (without, beside))
    assert first == second != []


def test_a_declared_contrast_becomes_l4_and_may_not_ask_for_more() -> None:
    declared = "contrasts:\n  - {name: c, measure: over_refusal, weights: {edited@edit: 1, main@finetune: -1}%s}\n"
    found = study(more=declared % "")
    spec = contrasts(found, study_tree(found, DataBook(found.data, Path(), found.seed)))[0]
    assert (spec.level, spec.role) == ("L4", "exploratory")
    for words, said in ((", level: L2", "has level: L2"), (", role: primary", "has role: primary")):
        with pytest.raises(StudyError, match=f"contrast 'c' {said} and the cell 'edited@edit', but an edit of weights"):
            study(more=declared % words)


def test_a_protocol_rests_on_no_edited_cell() -> None:
    with pytest.raises(StudyError, match="protocol: sft names the cell 'edited@edit'"):
        study(more="protocol: {kind: sft_or_rl, cells: {sft: edited@edit, base: main@pretrain}}\n")


EDIT = "kind: edit_weights, edit: add"


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (f"  a: {{stages: {{edit: {{{EDIT}, delta: {{arm: b, to: sft}}}}}}}}\n", "of the arm 'b', which is no arm"),
        (f"  a: {{stages: {{edit: {{{EDIT}, delta: {{to: rl}}}}}}}}\n", r"'rl', .*\(start, pretrain, sft, finetune\)"),
        (f"  a: {{stages: {{edit: {{{EDIT}, delta: {{to: edit}}}}}}}}\n", "names 'edit', which is no stage before it"),
        (f"  a: {{stages: {{edit: {{{EDIT}, delta: {{from: sft, to: sft}}}}}}}}\n", "begins and ends at 'sft'"),
        (
            "  a: {stages: {edit: {kind: edit_weights, edit: interpolate, delta: {from: start, to: sft}}}}\n",
            "interpolate goes from the weights before it .* begins at 'start', which are other weights",
        ),
        (
            f"  a: {{stages: {{edit: {{{EDIT}, delta: {{arm: b, to: edit}}}}}}}}\n"
            f"  b: {{stages: {{edit: {{{EDIT}, delta: {{arm: a, to: edit}}}}}}}}\n",
            "an edit needs its own weights for its delta",
        ),
        ("  a: {stages: {edit: {kind: edit_weights, edit: graft, delta: {to: sft}}}}\n", "a graft names the modules"),
        (ARMS.replace("without@finetune", "without@pretrain"), "of which its edit 'edit' is made, so it predicts"),
        ("  a: {stands_for: b@sft}\n  b: {drop: sft}\n", "does not end in an edit of weights"),
        (ARMS.replace("edit: subtract", "edit: subtract, strength: 0"), "but strength 0 predicts nothing"),
        (ARMS.replace("to: sft}, edit: subtract", "to: sft, random: true}, edit: subtract"), "a random delta predicts"),
        (ARMS.replace("without@finetune", "without@sft"), "is no cell"),
        (ARMS.replace("without@finetune", "early@edit"), "whose weights are edited too"),
        (ARMS + WITHOUT.replace("edited:", "again:").replace("edit: subtract", "edit: subtract, strength: 2"),
         "'edited' stands for it already"),
        (ARMS + "  copy: {same_as: edited, stands_for: without@finetune}\n", "only edited weights stand for others"),
        (WITHOUT + WITHOUT.replace("edited:", "twin:").replace(", stands_for: without@finetune", "")
         + "  main: {}\n  without: {drop: sft}\n", "one and the same recipe"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(arms: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        tree(arms)


def test_a_reward_model_ends_no_delta() -> None:
    base = BASE.replace("battery:", "  rm: {kind: reward_model, data: world.preferences}\nbattery:")
    with pytest.raises(StudyError, match=r"names 'rm', which is no stage before it with a checkpoint"):
        tree(f"  a: {{stages: {{edit: {{{EDIT}, delta: {{to: rm}}}}}}}}\n", base)


def test_what_edits_lack_is_said_before_anything_is_trained() -> None:
    def said(arms: str) -> str:
        return "\n".join(design_warnings(study(arms), tree(arms)))

    assert "1 of at least 8 edited arms name the retrained cell" in said(ARMS)
    assert "no edit by a random delta" in said(ARMS)
    drawn = OF_MAIN.replace("early", "noise").replace("to: sft}", "to: sft, random: true}")
    assert "no edit by a random delta" not in said(ARMS + drawn)
    assert "edited weights" not in said("  main: {}\n")


def test_the_schema_knows_the_stage_and_its_delta() -> None:
    defined: dict[str, Any] = schema()["$defs"]
    assert set(defined["Delta"]["properties"]) >= {"arm", "to", "random"}
    assert "from" in defined["Delta"]["properties"]
    assert "stands_for" in defined["Arm"]["properties"]
