"""Errors in a study file name the line, what was found and the nearest valid word."""

from __future__ import annotations

import math
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import Located, load_yaml, parse_yaml
from upbringing.lab.demo import DEMO
from upbringing.study.loading import load_study, study_from
from upbringing.study.study import Study

GOOD = """\
name: small
start: {kind: fresh, tokenizer: {train_on: world}}
data:
  world: {kind: causes_world}
stages:
  pretrain: {kind: pretrain, tokens: 64k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety, epochs: 2}
arms:
  plain: {}
  dropped: {drop: sft}
battery: [over_refusal]
primary: [over_refusal]
margins: {over_refusal: 0.05}
"""


def test_the_demo_and_a_small_study_are_valid_for_pydantic_and_for_the_schema() -> None:
    schema = Study.model_json_schema()
    annealed = GOOD.replace("data: world.facts", "data: {from: {world.facts: 1.0}, to: {world.concept: 100%}}")
    for value in (load_yaml(DEMO).value, parse_yaml(GOOD).value, parse_yaml(annealed).value):
        jsonschema.validate(value, schema)
        Study.model_validate(value)


@pytest.mark.parametrize(
    ("find", "replace", "line", "message"),
    [
        ("epochs: 2", "epoch: 2", 7, "did you mean 'epochs'"),
        ("kind: sft", "kind: sftt", 7, "did you mean 'sft'"),
        ("tokens: 64k", "tokens: many", 6, "expected a count"),
        ("epochs: 2", "epochs: two", 7, "number"),
        ("epochs: 2", "epochs: -1", 7, "greater than 0"),
        ("drop: sft", "drop: rl", 10, "does not have"),
        ("battery: [over_refusal]", "battery: [over_refusals]", 11, "did you mean 'over_refusal'"),
        ("primary: [over_refusal]", "primary: [asr]", 12, "no measure of the battery"),
        ("name: small", "name: Small Study", 1, "a name matches"),
        ("kind: fresh, ", "kind: fresh, heads: 3, ", 2, "multiple of heads"),
        ("margins: {over_refusal: 0.05}", "margins: {over_refusal: true}", 13, "number"),
        ("data: world.safety", "data: {mix: {world.safety: 0.5, world.facts: 0.4}}", 7, "sum to 1"),
        ("data: world.facts", "data: {from: {world.facts: 1.0}, to: {world.concept: 0.4}}", 6, "shares of to must sum"),
        ("data: world.facts", "data: {from: {world.facts: 1.0}}", 6, "the key 'to' is missing"),
        ("data: world.facts", "data: {from: {world.facts: 1.0}, to: {world.facts: 1.0}, mixed: 1}", 6, "unknown key"),
        ("drop: sft", "drop: sft, windows_of: nobody", 10, "no other arm"),
        ("drop: sft", "stages: {start: {kind: sft, data: world.safety}}", 10, "cannot be called 'start'"),
        ("epochs: 2", "schedule: {kind: wsd, warmup: 60%, decay: 60%}", 7, "warmup 0.6 and decay 0.6 overlap"),
        ("margins:", "matrix: {tuning: {on: {}, a+b: {drop: sft}}}\nmargins:", 13, "a level's name matches"),
        ("margins:", "matrix: {tuning: {on: {}, a@b: {drop: sft}}}\nmargins:", 13, "found 'a@b'"),
        ("margins:", "prompts: [wrld]\nmargins:", 13, "is no data of the study (world): did you mean 'world'?"),
        ("margins:", "matrix: {tuning: {}}\nmargins:", 13, "the factor 'tuning' of the matrix has no levels"),
        ("drop: sft", "swap: [sft]", 10, "swap: its item 2 is missing, found ("),
        ("margins: {over_refusal: 0.05}", "margins: {over_refusal: 1e999}", 13, "larger than any number"),
        ("epochs: 2", "epochs: 1e999", 7, "larger than any number"),
        ("drop: sft", "stages: {sft: {epoch: 2}}", 10, "unknown key 'epoch': did you mean 'epochs'"),
        (
            "epochs: 2",
            "schedule: cosin",
            7,
            "found 'cosin', expected one of constant, wsd, cosine: did you mean 'cosine'",
        ),
        (
            "{kind: fresh, tokenizer: {train_on: world}}",
            "fresh",
            2,
            "start: a start is a mapping: {kind: fresh, tokenizer",
        ),
        ("{kind: fresh, tokenizer: {train_on: world}}", "gpt2", 2, "or {kind: existing, checkpoint: FOLDER or ORG"),
        ("drop: sft", "start: fresh", 10, "{kind: fresh, tokenizer: {train_on: NAME}}"),
        (
            "battery: [over_refusal]",
            "battery: [{kind: over_refusal, xyz: 1}]",
            11,
            "unknown key 'xyz', the keys here are decoding, elicitations, id, kind",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(find: str, replace: str, line: int, message: str) -> None:
    assert find in GOOD
    with pytest.raises(StudyError) as caught:
        study_from(parse_yaml(GOOD.replace(find, replace)))
    assert f"study.yaml:{line}:" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("in_arm", [False, True])
@pytest.mark.parametrize(("field", "word"), [("schedule", "cosine"), ("schedule", "constant"), ("weights", "lora")])
def test_a_bare_word_means_all_defaults(field: str, word: str, in_arm: bool) -> None:
    def written(value: str) -> Located:
        own = f"{field}: {value}"
        text = GOOD.replace("drop: sft", f"stages: {{sft: {{{own}}}}}") if in_arm else GOOD.replace("epochs: 2", own)
        jsonschema.validate(parse_yaml(text).value, Study.model_json_schema())
        return parse_yaml(text)

    bare, whole = (study_from(written(value)) for value in (word, f"{{kind: {word}}}"))
    arm = "dropped" if in_arm else "plain"
    stages = [each.resolved_arms()[arm].stages["sft"].model_dump(mode="json") for each in (bare, whole)]
    assert stages[0] == stages[1]
    assert stages[0][field]["kind"] == word


def test_a_mistake_is_said_once() -> None:
    mixed = "data: {mix: {world.safety: 0.5, world.facts: 0.4}}"
    for find, replace in (("64k", "many"), ("data: world.facts", mixed), ("data: world.safety", mixed)):
        with pytest.raises(StudyError) as caught:
            study_from(parse_yaml(GOOD.replace(find, replace)))
        (line,) = str(caught.value).splitlines()
        assert line.count("found 'many'") == (1 if replace == "many" else 0)


CONTRAST = "{name: x, kind: path, measure: over_refusal, split: ood, weights: {plain@sft: 1, plain@pretrain: -1}}"


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        (
            "measure: over_refusal",
            "measure: over_refusals",
            "'x': measure 'over_refusals' is no measure of the battery",
        ),
        (
            "split: ood",
            "split: odd",
            "'x': split 'odd' is none of trained, held-out-item, held-out-family, ood: did you",
        ),
        ("split: ood", "margn: 0.1", "'x': unknown key 'margn': did you mean 'margin'?"),
        ("sft: 1", "sft: 2", "'x': weights sum to 1: they must sum to 0"),
        ("sft: 1, plain@pretrain: -1", "sft: 0", "weights sum to 0: they must sum to 0, and compare something"),
        ("}}", "}, share_of: {plain@sft: 1}}", "'x': share_of sum to 1"),
    ],
)
def test_a_contrast_that_could_never_be_computed_is_refused(find: str, replace: str, message: str) -> None:
    study_from(parse_yaml(f"{GOOD}contrasts:\n  - {CONTRAST}\n"))
    with pytest.raises(StudyError) as caught:
        study_from(parse_yaml(f"{GOOD}contrasts:\n  - {CONTRAST.replace(find, replace)}\n"))
    assert str(caught.value).startswith("study.yaml:15: contrast 'x'")
    assert message in str(caught.value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_in_python_is_finite_too(number: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Study.model_validate({**parse_yaml(GOOD).value, "margins": {"over_refusal": number}})


def test_invalid_files_are_invalid_for_the_schema_too() -> None:
    schema = Study.model_json_schema()
    for find, replace in (
        ("epochs: 2", "epoch: 2"),
        ("kind: sft", "kind: sftt"),
        ("epochs: 2", "epochs: two"),
        ("64k", "many"),
        ("data: world.facts", "data: {from: {world.facts: 1.0}}"),
        ("data: world.facts", "data: {from: {world.facts: 1.0}, to: {world.facts: 1.0}, mixed: 1}"),
    ):
        value = parse_yaml(GOOD.replace(find, replace)).value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, schema)


def test_overrides_are_typed_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD, encoding="utf-8")
    study = load_study(path, ["stages.sft.learning_rate=1e-4", "seed=7"])
    assert study.stages["sft"].learning_rate == 1e-4  # type: ignore[union-attr]
    assert study.seed == 7
    with pytest.raises(StudyError, match="no 'sfft'"):
        load_study(path, ["stages.sfft.epochs=1"])
    with pytest.raises(StudyError, match="key=value"):
        load_study(path, ["nonsense"])


def test_overrides_come_from_a_file_beside_the_study_and_the_last_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD, encoding="utf-8")
    (tmp_path / "quick.yaml").write_text("seed: 7\nstages.sft.epochs: 5\n", encoding="utf-8")
    study = load_study(path, ["stages.sft.epochs=3", "@quick.yaml", "seed=8"])
    assert study == load_study(path, ["stages.sft.epochs=5", "seed=8"])
    for text, message in (
        ("stages.sfft.epochs: 1", "override '@quick.yaml': there is no 'sfft' in the study for 'stages.sfft.epochs'"),
        ("- seed", "is a mapping of key.key to values"),
        ("seed: 1\nseed: 2", "quick.yaml:2"),
    ):
        (tmp_path / "quick.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(StudyError, match=message):
            load_study(path, ["@quick.yaml"])
    with pytest.raises(StudyError, match=r"cannot read .*missing\.yaml"):
        load_study(path, ["@missing.yaml"])


def test_yaml_and_python_build_the_same_study() -> None:
    from upbringing.training.sft import Sft

    study = study_from(parse_yaml(GOOD))
    assert study.stages["sft"] == Sft(data="world.safety", epochs=2)
    assert Study.model_validate(study.model_dump()) == study
