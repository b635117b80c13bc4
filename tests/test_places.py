"""Errors that are found after a study file was read name its file and line, or the override, and are said once."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.places import about, naming_places
from upbringing.base.strict_yaml import parse_yaml
from upbringing.cli import main

STUDY = """\
name: small
start: {kind: fresh, tokenizer: {train_on: world}}
data:
  world: {kind: causes_world}
  pages:
    kind: file
    path: pages.jsonl
  fewer:
    source: gone
    transforms: [{kind: sample, share: 50%}]
stages:
  pretrain:
    kind: pretrain
    tokens: 64k
    phases:
    - {data: world.facts, until: 50%}
    - data: {mix: {world.facts: 0.9, world.concept: 0.1}}
  sft:
    kind: sft
    data: world.safety
    epochs: 2
matrix: {}
arms:
  plain: {}
  other:
    stages:
      sft:
        epochs: 3
  dropped: {drop: sft}
battery: [over_refusal]
primary:
- over_refusal
margins:
  over_refusal: 0.05
contrasts:
- name: first
  measure: over_refusal
  weights: {plain@sft: 1.0, dropped@pretrain: -1.0}
- name: second
  measure: over_refusal
  weights:
    plain@sft: 1.0
    other@sft: -1.0
"""
TWO_LEVELS = """matrix:
  tuning:
    safe: {}
    unsafe:
      stages: {sft: {data: world.unknown}}"""
# What is changed in the study, the verb that finds it, and how its message begins and goes on.
ERRORS = {
    "unknown arm of a contrast": ("    other@sft: -", "    nobody@sft: -", "plan", "study.yaml:43: ", "unknown arm"),
    "primary of no measure": ("- over_refusal\nmargins", "- asr\nmargins", "plan", "study.yaml:32: ", "no measure"),
    "margin of no measure": ("  over_refusal: 0.05", "  asr: 0.05", "plan", "study.yaml:34: ", "no measure"),
    "margin below 0": ("- name: second", "- margin: -1\n  name: second", "plan", "study.yaml:39: ", "the margin -1"),
    "health of no stage": (
        "matrix: {}", "health_criteria: {rl: {}}", "plan", "study.yaml:22: ", "no stage of any arm"
    ),
    "shares of an arm": (
        "        epochs: 3", "        data: {mix: {world.safety: 0.5, world.facts: 0.4}}",
        "plan", "study.yaml:28: ", "sum to 1",
    ),
    "file that is missing": ("data: world.safety", "data: pages", "build", "study.yaml:7: ", "does not exist"),
    "unknown data": ("data: world.safety", "data: nothing", "plan", "study.yaml:20: ", "not declared under data"),
    "unknown part": ("data: world.safety", "data: world.safet", "plan", "study.yaml:20: ", "did you mean 'safety'"),
    "unknown part of an arm": (
        "        epochs: 3", "        data: world.safet", "plan", "study.yaml:28: ", "no part 'safet'"
    ),
    "unknown part of a level": ("matrix: {}", TWO_LEVELS, "plan", "study.yaml:26: ", "no part 'unknown'"),
    "unknown source": ("data: world.safety", "data: fewer", "plan", "study.yaml:9: ", "'gone' is not declared"),
    "phase that holds nothing": (
        "mix: {world.facts: 0.9, world.concept: 0.1}", "mix: {world.facts: 0.9999, world.concept: 0.0001}",
        "plan", "study.yaml:17: ", "nothing of it would be read",
    ),
    "phase that ends early": ("- data: {mix", "- until: 50%\n      data: {mix", "plan", "study.yaml:17: ", "ends b"),
    "stage of less than a step": ("tokens: 64k", "tokens: 10", "plan", "study.yaml:14: ", "less than one step"),
    "checkpoint that is not here": (
        "start: {kind: fresh, tokenizer: {train_on: world}}", "start:\n  kind: existing\n  checkpoint: nowhere",
        "build", "study.yaml:4: ", "is no folder here",
    ),
    "twin": ("        epochs: 3", "        epochs: 2", "plan", "study.yaml:25: ", "one and the same recipe"),
    "measured inside epochs": (
        "    epochs: 2\nmatrix", "    epochs: 2\n    measure_at: [50%]\nmatrix", "plan", "study.yaml:22: ", "measure_at"
    ),
    "oracle without a world": (
        "matrix: {}", "prompts: [fewer]\njudges:\n- refusal_rules\n- world_oracle",
        "run", "study.yaml:25: ", "causes_world",
    ),
    "windows of nobody": (
        "  dropped: {drop: sft}", "  dropped:\n    drop: sft\n    windows_of: nobody",
        "plan", "study.yaml:31: ", "no other arm",
    ),
}  # fmt: skip


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    """Return the message that a command leaves with, whose code is that of a wrong study."""
    monkeypatch.setattr(sys, "argv", ["upbringing", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    found = capsys.readouterr()
    assert (ended.value.code, found.out) == (2, ""), found
    assert found.err.startswith("upbringing: ")
    return found.err.removeprefix("upbringing: ")


@pytest.mark.parametrize("case", ERRORS)
def test_the_line_is_that_of_the_closest_key(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find, replace, verb, where, why = ERRORS[case]
    assert STUDY.count(find) == 1
    (tmp_path / "study.yaml").write_text(STUDY.replace(find, replace), encoding="utf-8")
    options = ["--no-read-data", "--no-calibrate"] if verb == "plan" else ["--quiet"]
    message = said(capsys, monkeypatch, verb, tmp_path / "study.yaml", "--store", tmp_path / "store", *options)
    assert message.startswith(where), message
    assert why in message
    assert message.count("study.yaml") == 1


def test_overrides_are_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "quick.yaml").write_text("seeds: 1\nstages.sft:\n  kind: sft\n  data: world.safet\n", encoding="utf-8")
    for override, where in (
        ("stages.sft.data=world.safet", "override 'stages.sft.data=world.safet': "),
        ("stages.sft.epochs=none", "override 'stages.sft.epochs=none': stages.sft.epochs: "),
        ("margins={over_refusal: 0.05, asr: 1}", "override 'margins={over_refusal: 0.05, asr: 1}': "),
        ("@quick.yaml", "quick.yaml:4: "),
        ("stages.pretrain.tokens=10", "override 'stages.pretrain.tokens=10': "),
    ):
        words = ("plan", tmp_path / "study.yaml", override, "--store", tmp_path / "store", "--no-calibrate")
        message = said(capsys, monkeypatch, *words)
        assert message.startswith(where), message
        assert "study.yaml" not in message


def test_a_command_of_its_own_says_the_same(tmp_path: Path) -> None:
    text = STUDY.replace("data: world.safety", "data: pages")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "run", str(tmp_path / "study.yaml")]
    found = subprocess.run([*command, "--store", str(tmp_path / "store")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith(
        "upbringing: study.yaml:7: the data 'pages' names the file pages.jsonl, which does not"
    )
    assert found.stderr.count("\n") == 1


def test_the_place_of_which_least_is_missing_counts_and_survives_a_worker() -> None:
    located = parse_yaml("stages:\n  sft:\n    epochs: 2\narms:\n  other:\n    stages:\n      sft: {epochs: 3}\n")
    of_arm, of_study = ("arms", "other", "stages", "sft"), ("stages", "sft")
    assert located.where((*of_arm, "epochs"), (*of_study, "epochs")) == "study.yaml:7"
    assert located.where((*of_arm, "data"), (*of_study, "data")) == "study.yaml:7"
    assert located.where(("arms", "main", "stages", "sft", "epochs"), (*of_study, "epochs")) == "study.yaml:3"
    assert located.where(("nothing",)) == "study.yaml:1"
    located.override(of_arm, {(): "override 'x'", ("data",): "quick.yaml:2"})
    assert located.where((*of_arm, "epochs")) == "override 'x'"
    assert located.where((*of_arm, "data", "mix")) == "quick.yaml:2"

    error = pickle.loads(pickle.dumps(StudyError("wrong", of_study)))
    assert (str(error), error.places) == ("wrong", (of_study,))
    with pytest.raises(StudyError) as caught, naming_places(located), naming_places(located), about(of_arm):
        raise error
    assert str(caught.value) == "study.yaml:2: wrong"
    with pytest.raises(StudyError) as caught, naming_places(None), about(of_arm):
        raise StudyError("built in Python")
    assert (str(caught.value), caught.value.places) == ("built in Python", (of_arm,))
