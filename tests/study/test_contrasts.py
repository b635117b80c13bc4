"""What a study's design supports without being asked: factorials, three arms, orders, lasting differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import Located
from upbringing.formats.effects.derived import ALWAYS_EXPLORATORY
from upbringing.formats.tree import ContrastSpec
from upbringing.study.contrasts import contrasts, deciding_contrasts
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree

STAGES: dict[str, Any] = {
    "pretrain": {
        "kind": "pretrain", "tokens": 64000, "context": 32, "batch_size": 20, "phases": [{"data": "world.facts"}],
        "schedule": {"kind": "constant"},
    },
    "sft": {"kind": "sft", "data": "world.safety"},
    "finetune": {"kind": "sft", "data": "world.benign_task"},
}  # fmt: skip
STUDY: dict[str, Any] = {
    "name": "effects",
    "seeds": 1,
    "start": {"kind": "fresh", "tokenizer": {"train_on": "world"}},
    "data": {
        "world": {"kind": "causes_world"},
        "clean": {"source": "world.facts", "transforms": [{"kind": "filter", "max_harm": 0}]},
    },
    "stages": STAGES,
    "battery": ["over_refusal"],
}
RAW = {"stages": {"pretrain": {"phases": [{"data": "clean"}]}}}


def planned(**changes: Any) -> tuple[Study, StudyTree]:
    study = study_from(Located({**STUDY, **changes}, {}, "study.yaml"))
    return study, study_tree(study, DataBook(study.data, Path(), study.seed))


def derived(**changes: Any) -> list[ContrastSpec]:
    return list(contrasts(*planned(**changes)))


def of_kind(found: list[ContrastSpec], kind: str) -> dict[str, ContrastSpec]:
    return {spec.name: spec for spec in found if spec.kind == kind}


def test_three_arms_give_data_and_generic_effect() -> None:
    arms = {
        "safety": {},
        "placebo": {"placebo": {"stage": "sft", "data": "world.same_prompts"}, "control": "placebo"},
        "skip": {"drop": "sft"},
    }
    found = derived(arms=arms)
    assert {name: spec.weights for name, spec in of_kind(found, "data-effect").items()} == {
        "sft, data effect @ sft": {"safety@sft": 1.0, "placebo@sft": -1.0},
        "sft, data effect @ finetune": {"safety@finetune": 1.0, "placebo@finetune": -1.0},
    }
    assert {name: spec.weights for name, spec in of_kind(found, "generic-effect").items()} == {
        "sft, generic effect of training @ sft": {"placebo@sft": 1.0, "skip@pretrain": -1.0},
        "sft, generic effect of training @ finetune": {"placebo@finetune": 1.0, "skip@finetune": -1.0},
    }
    assert all(spec.level == "L2" for spec in found if spec.kind != "path")
    asked = [frozenset(spec.weights.items()) for spec in found]
    opposite = [frozenset((cell, -weight) for cell, weight in spec.weights.items()) for spec in found]
    assert not set(asked) & set(opposite)  # placebo - safety is not asked again


def test_replaced_targets_are_a_replace_effect() -> None:
    found = derived(arms={"own": {}, "other": {"replace": {"sft": {"data": "world.same_prompts"}}}})
    assert set(of_kind(found, "replace-effect")) == {"other - own @ sft", "other - own @ finetune"}
    assert set(of_kind(found, "branch")) == {"other - own @ pretrain"}


def test_what_the_last_stage_leaves_of_a_difference() -> None:
    found = of_kind(derived(arms={"full": {}, "raw": RAW}), "difference-in-differences")
    assert {name: spec.weights for name, spec in found.items()} == {
        "raw - full: sft -> finetune": {
            "raw@finetune": 1.0, "raw@sft": -1.0, "full@finetune": -1.0, "full@sft": 1.0,
        },
    }  # fmt: skip
    both = {"stages": {**RAW["stages"], "finetune": {"data": "world.safety"}}}
    assert not of_kind(derived(arms={"full": {}, "raw": both}), "difference-in-differences")  # another last stage
    last = {"last": {"stages": {"finetune": {"data": "world.safety"}}}}
    assert not of_kind(derived(arms={"full": {}, **last}), "difference-in-differences")  # nothing differs before


def test_what_the_last_stage_leaves_of_main_effects() -> None:
    found = of_kind(derived(matrix=MATRIX), "difference-in-differences")
    assert set(found) == {"tuning safety - neutral: sft -> finetune", "data facts - without: sft -> finetune"}
    weights = found["tuning safety - neutral: sft -> finetune"].weights
    assert weights["safety+facts+benign@finetune"] == weights["neutral+facts+benign@sft"] == 0.25
    assert weights["neutral+without+none@finetune"] == weights["safety+without+none@sft"] == -0.25
    assert {spec.level for spec in found.values()} == {"L3"}


def test_cells_beside_a_contrast_are_checked_before_anything_is_trained() -> None:
    declared = {
        "name": "mine", "measure": "over_refusal", "weights": {"full@sft": 1, "full@pretrain": -1},
        "share_of": {"ful@finetune": 1, "full@pretrain": -1},
    }  # fmt: skip
    with pytest.raises(StudyError, match="names the cell 'ful@finetune' of an unknown arm"):
        derived(arms={"full": {}}, contrasts=[declared])


@pytest.mark.parametrize("margin", [0, -0.1, float("nan"), float("inf")])
def test_a_margin_of_a_contrast_is_a_size(margin: float) -> None:
    weights = {"full@sft": 1, "full@pretrain": -1}
    declared = {"name": "mine", "measure": "over_refusal", "weights": weights, "margin": margin}
    with pytest.raises(StudyError, match=r"contrast 'mine' has the margin .*: .* above 0; leave it out"):
        planned(arms={"full": {}}, contrasts=[declared])


def test_paths_are_parts_of_their_whole() -> None:
    steps = of_kind(derived(arms={"full": {}, "raw": RAW}), "path")
    whole = {"full@finetune": 1.0, "full@pretrain": -1.0}
    assert steps["full: pretrain -> sft"].share_of == steps["full: sft -> finetune"].share_of == whole
    short = {name: STAGES[name] for name in ("pretrain", "sft")}
    assert of_kind(derived(stages=short, arms={}), "path")["main: pretrain -> sft"].share_of == {}


def test_swapped_stages_know_what_they_did_in_the_other_order() -> None:
    found = derived(arms={"main": {}, "swapped": {"swap": ["sft", "finetune"]}})
    first, second = {"main@sft": 1.0, "main@pretrain": -1.0}, {"swapped@sft": 1.0, "swapped@finetune": -1.0}
    paths = of_kind(found, "path")
    assert paths["main: pretrain -> sft"].orders == (first, second)
    assert paths["swapped: finetune -> sft"].orders == (second, first)
    (order,) = of_kind(found, "order-effect").values()
    assert order.weights == {"swapped@sft": 1.0, "main@finetune": -1.0}
    assert all(spec.orders == () for spec in of_kind(derived(arms={"main": {}, "raw": RAW}), "path").values())


MATRIX = {
    "tuning": {"safety": {}, "neutral": {"stages": {"sft": {"data": "world.same_prompts"}}}},
    "data": {"facts": {}, "without": RAW},
    "later": {"benign": {}, "none": {"stages": {"finetune": {"data": "world.safety"}}}},
}


def test_a_matrix_of_three_factors_has_shapley_values() -> None:
    found = derived(matrix=MATRIX)
    last = [spec for spec in found if spec.name.endswith("@ finetune") and spec.kind != "path"]
    kinds = [spec.kind for spec in last]
    counted = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counted == {
        "necessity": 3, "sufficiency": 3, "main-effect": 3, "interaction": 3, "higher-interaction": 1, "shapley": 3,
        "asymmetric-shapley": 3, "total-effect": 1,
    }  # fmt: skip
    earlier = {spec.kind for spec in found if spec.name.endswith("@ sft")}
    assert "shapley" not in earlier  # the third factor has not acted yet


def test_only_the_order_of_training_is_feasible() -> None:
    """Data acts before tuning, tuning before what comes later: then every Shapley value is one step of one path."""
    found = of_kind(derived(matrix=MATRIX), "asymmetric-shapley")
    assert {name: spec.weights for name, spec in found.items()} == {
        "tuning, Shapley value in the order of training @ finetune": {
            "safety+facts+none@finetune": 1.0, "neutral+facts+none@finetune": -1.0,
        },
        "data, Shapley value in the order of training @ finetune": {
            "neutral+facts+none@finetune": 1.0, "neutral+without+none@finetune": -1.0,
        },
        "later, Shapley value in the order of training @ finetune": {
            "safety+facts+benign@finetune": 1.0, "safety+facts+none@finetune": -1.0,
        },
    }  # fmt: skip


def test_declared_and_exploratory_contrasts() -> None:
    found = derived(matrix=MATRIX, primary=["over_refusal"])
    assert {spec.role for spec in found if spec.kind in ALWAYS_EXPLORATORY} == {"exploratory"}
    assert {spec.role for spec in found if spec.kind == "main-effect"} == {"primary"}
    deciding = deciding_contrasts(*planned(matrix=MATRIX))
    assert not {spec.kind for spec in deciding} & ALWAYS_EXPLORATORY
    assert {"path", "main-effect", "interaction", "necessity"} <= {spec.kind for spec in deciding}
    declared = {
        "name": "mine", "measure": "over_refusal", "kind": "shapley", "level": "L3", "role": "primary",
        "weights": {"safety+facts+benign@finetune": 1, "neutral+facts+benign@finetune": -1},
    }  # fmt: skip
    assert derived(matrix=MATRIX, contrasts=[declared])[0].role == "primary"


def test_arms_that_state_a_number_have_trends() -> None:
    arms = {
        f"from_{share}": {
            "stages": {"pretrain": {"phases": [{"until": f"{share}%", "data": "clean"}, {"data": "world.facts"}]}},
            "factors": {"start": f"{share}%"},
        }
        for share in (20, 60, 80)
    }
    found = of_kind(derived(arms=arms), "linear-trend")
    assert found["start, linear trend @ finetune"].weights["from_80@finetune"] > 0
    assert sum(found["start, linear trend @ finetune"].weights.values()) == pytest.approx(0)


PLACEBO = {"stage": "sft", "data": "world.same_prompts"}


def primary_cells(**changes: Any) -> list[frozenset[str]]:
    found = contrasts(*planned(primary=["over_refusal"], **changes))
    return [frozenset(spec.weights) for spec in found if spec.role == "primary"]


def test_a_branch_that_is_a_total_or_generic_effect_still_decides() -> None:
    neutral = {"stage": "finetune", "data": "world.same_prompts"}
    arms = {
        "full": {},
        "no_sft": {"placebo": PLACEBO},
        "no_finetune": {"placebo": neutral},
        "neither": {"of": "no_sft", "placebo": neutral, "control": "reference"},
    }
    assert frozenset({"full@finetune", "neither@finetune"}) in primary_cells(arms=arms)
    bare = {"bare": {"drop": "sft", "control": "reference"}, "full": {}, "neutral": {"placebo": PLACEBO}}
    generic = frozenset({"neutral@finetune", "bare@finetune"})
    assert generic in primary_cells(arms=bare)
    assert generic in [frozenset(spec.weights) for spec in deciding_contrasts(*planned(arms=bare))]


def test_other_pretraining_is_no_data_effect_of_sft() -> None:
    arms = {"raw": RAW, "neutral": {"placebo": PLACEBO}, "bare": {"drop": "sft"}}
    assert not {"data-effect", "generic-effect"} & {spec.kind for spec in derived(arms=arms)}
    found = of_kind(derived(arms={**arms, "full": {}}), "data-effect")
    assert set(found["sft, data effect @ sft"].weights) == {"full@sft", "neutral@sft"}
    assert set(found) == {"sft, data effect @ sft", "sft, data effect @ finetune"}
    other = {"raw": RAW, "of_raw": {"of": "raw", "placebo": PLACEBO}, "full": {}, "bare": {"drop": "sft"}}
    assert not of_kind(derived(arms=other), "data-effect")
    slower = {"slow": {"stages": {"sft": {"learning_rate": 1e-5}}}, "neutral": {"of": "slow", "placebo": PLACEBO}}
    found = of_kind(derived(arms={"full": {}, **slower, "bare": {"drop": "sft"}}), "data-effect")
    assert set(found["sft, data effect @ sft"].weights) == {"slow@sft", "neutral@sft"}  # one learning rate


def test_swapped_arms_are_compared_after_both_stages_only() -> None:
    stages = {**STAGES, "last": {"kind": "sft", "data": "world.same_prompts"}}
    found = derived(stages=stages, arms={"full": {}, "swapped": {"swap": ["sft", "finetune"]}})
    assert set(of_kind(found, "branch")) == {"swapped - full @ pretrain", "swapped - full @ last"}
    assert not of_kind(found, "difference-in-differences")


def test_levels_that_are_not_off_have_no_total_to_share() -> None:
    """Teacher a or b: nothing is ever off, so nothing alone can be enough, and nothing all."""
    teachers = {"a": {}, "b": {"stages": {"sft": {"data": "world.same_prompts"}}}}
    found = derived(matrix={**MATRIX, "tuning": teachers})
    kinds = {spec.kind for spec in found if spec.name.endswith("@ finetune")}
    assert kinds == {"data-effect", "main-effect", "interaction", "higher-interaction"}
    assert not [spec.name for spec in found if spec.kind != "path" and (spec.share_of or spec.orders)]
