"""A fraction of a matrix: which arms it keeps, what it cannot tell apart, and contrasts that it refuses."""

from __future__ import annotations

from itertools import product
from typing import Any

import jsonschema
import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import Located, parse_yaml
from upbringing.study.fractions import alias_table
from upbringing.study.loading import schema, study_from

STUDY = """
name: half
start: {kind: fresh, tokenizer: {train_on: world}}
data:
  world: {kind: causes_world}
stages:
  pretrain: {kind: pretrain, tokens: 64k, context: 32, batch_size: 20, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety}
matrix:
  a: {a1: {}, a0: {stages: {pretrain: {learning_rate: 1e-4}}}}
  b: {b1: {}, b0: {stages: {pretrain: {weight_decay: 0.2}}}}
  c: {c1: {}, c0: {stages: {sft: {learning_rate: 1e-4}}}}
  d: {d1: {}, d0: {stages: {sft: {epochs: 2}}}}
fraction: {d: [a, b, c]}
battery: [over_refusal]
"""


def signs(arm: str) -> dict[str, int]:
    return {level[0]: 1 if level[1] == "1" else -1 for level in arm.split("+")}


def half() -> list[str]:
    """The eight arms of 2^(4-1) with d = abc, by hand."""
    names = ["+".join(each) for each in product(("a1", "a0"), ("b1", "b0"), ("c1", "c0"), ("d1", "d0"))]
    return [name for name in names if (s := signs(name))["d"] == s["a"] * s["b"] * s["c"]]


def asked(effect: str, size: float = 0.25) -> dict[str, float]:
    weights = {}
    for arm in half():
        weight = size
        for factor in effect:
            weight *= signs(arm)[factor]
        weights[f"{arm}@sft"] = weight
    return weights


def with_contrast(weights: dict[str, float], text: str = STUDY) -> Located:
    parsed = parse_yaml(text)
    contrast = {"name": "asked", "measure": "over_refusal", "weights": weights}
    return Located({**parsed.value, "contrasts": [contrast]}, {}, "study.yaml")


def test_only_the_arms_of_the_fraction_are_made() -> None:
    study = study_from(parse_yaml(STUDY))
    assert list(study.resolved_arms()) == half()
    assert len(half()) == 8
    assert "a1+b1+c1+d1" in half()
    jsonschema.validate(parse_yaml(STUDY).value, schema())


def test_the_alias_table_of_the_half_fraction_is_the_textbooks() -> None:
    study = study_from(parse_yaml(STUDY))
    assert alias_table(study.levels, study.fraction) == (
        "the mean = a x b x c x d",
        "a = b x c x d",
        "b = a x c x d",
        "c = a x b x d",
        "d = a x b x c",
        "a x b = c x d",
        "a x c = b x d",
        "a x d = b x c",
    )


@pytest.mark.parametrize(("effect", "alias"), [("ab", "c x d"), ("cd", "a x b"), ("ad", "b x c")])
@pytest.mark.parametrize("size", [0.25, -0.5, 1 / 3])
def test_an_aliased_effect_is_refused_and_its_aliases_are_named(effect: str, alias: str, size: float) -> None:
    with pytest.raises(StudyError, match=f"cannot tell from .*{alias}|asks for {alias}"):
        study_from(with_contrast(asked(effect, size)))


@pytest.mark.parametrize("effect", ["a", "b", "c", "d"])
def test_main_effects_are_clear_of_two_way_interactions(effect: str) -> None:
    assert study_from(with_contrast(asked(effect))).contrasts[0].weights == asked(effect)


def test_a_difference_of_two_recipes_is_no_effect_and_stays() -> None:
    first, second, *_ = half()
    study = study_from(with_contrast({f"{first}@sft": 1.0, f"{second}@sft": -1.0}))
    assert len(study.contrasts) == 1


def test_in_the_whole_matrix_nothing_is_refused() -> None:
    whole = STUDY.replace("fraction: {d: [a, b, c]}\n", "")
    assert len(study_from(parse_yaml(whole)).resolved_arms()) == 16
    assert study_from(with_contrast(asked("ab"), whole)).contrasts


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        ("{d: [a, b, x]}", "names 'x', which is none of a, b, c, d"),
        ("{x: [a, b, c]}", "names 'x'"),
        ("{d: [a]}", "two or more different"),
        ("{d: [a, a]}", "two or more different"),
        ("{d: [a, b], c: [d, a]}", "names 'd', which a generator makes"),
    ],
)
def test_generators_that_do_not_fit_are_errors(fraction: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study_from(parse_yaml(STUDY.replace("{d: [a, b, c]}", fraction)))


def test_a_fraction_needs_a_matrix_of_two_levels() -> None:
    value: dict[str, Any] = parse_yaml(STUDY).value
    three = {**value["matrix"], "a": {**value["matrix"]["a"], "a2": {}}}
    with pytest.raises(StudyError, match="'a' has 3"):
        study_from(Located({**value, "matrix": three}, {}, "study.yaml"))
    with pytest.raises(StudyError, match="needs a matrix"):
        study_from(Located({**value, "matrix": {}}, {}, "study.yaml"))


def test_components_are_strict() -> None:
    stated = STUDY + "components: {over_refusal: {prompt: 0.2, seed: 0.1, cell: 0.4}}\n"
    assert study_from(parse_yaml(stated)).components["over_refusal"].subseed == 0.0
    jsonschema.validate(parse_yaml(stated).value, schema())
    for wrong, message in (
        ("{over_refusal: {prompt: -0.2, seed: 0.1, cell: 0.4}}", "greater than or equal to 0"),
        ("{over_refusal: {prompt: 0.2, cell: 0.4}}", "'seed' is missing"),
        ("{over_refusal: {prompt: 0, seed: 0, cell: 0}}", "all components are 0"),
        ("{other: {prompt: 0.2, seed: 0.1, cell: 0.4}}", "no measure of the battery"),
        ("{over_refusal: {prompts: 0.2, seed: 0.1, cell: 0.4}}", "did you mean 'prompt'"),
    ):
        with pytest.raises(StudyError, match=message):
            study_from(parse_yaml(STUDY + f"components: {wrong}\n"))
