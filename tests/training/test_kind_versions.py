"""Training code that changed is never taken for what it was: each kind has a version, and a hash of what decides it.

After a change write the hashes anew with ``python tests/training/test_kind_versions.py``. Before that, raise in
``training/versions.py`` the number of every kind that may come to other bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import pytest

from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import study_tree
from upbringing.training import versions
from upbringing.training.stage import Stage
from upbringing.training.versions import KIND_VERSIONS

SOURCES = Path(versions.__file__).parents[1]
NOTED = Path(__file__).with_name("kind_sources.json")
STEPS = (
    "training/compilation.py",
    "training/head.py",
    "training/isolation.py",
    "training/kinds.py",
    "training/launch.py",
    "training/lora.py",
    "training/precision.py",
    "training/processes.py",
    "training/publish.py",
    "training/schedules.py",
    "training/segment.py",
    "training/settings.py",
    "training/state.py",
    "training/trainer.py",
    "training/weights.py",
)  # every stage that makes updates
MASKS = (
    "training/detachable_modules.py",
    "training/forget_slice.py",
    "training/gradient_masking.py",
    "training/masked_updates.py",
    "training/masking.py",
    "training/mode_rules.py",
    "data/modes.py",
)
PAIRS = (*STEPS, "training/ranking.py", "data/pairs.py")
DECIDED_BY: Mapping[str, tuple[str, ...]] = {
    "fresh": ("training/fresh.py", "training/start.py"),
    "pretrain": (*STEPS, *MASKS, "training/pretrain.py"),
    "midtrain": (*STEPS, *MASKS, "training/midtrain.py"),
    "sft": (*STEPS, "training/sft.py"),
    "dpo": (*PAIRS, "training/dpo.py", "training/reference.py"),
    "reward_model": (*PAIRS, "training/reward_model.py", "models/rewarding.py"),
    "rl": (
        *STEPS,
        "training/policy.py",
        "training/rewards.py",
        "training/rl.py",
        "training/rollouts.py",
        "data/prompts.py",
        "models/generation.py",
        "models/rewarding.py",
    ),
    "edit_weights": ("training/edit_weights.py", "training/editing.py", "training/publish.py"),
    "emulate_tuning": ("training/emulate_tuning.py", "training/emulating.py", "training/edit_weights.py"),
    "ablate": ("training/ablate.py", "training/ablation.py", "training/forget_slice.py", "training/publish.py"),
    "average_checkpoints": ("training/average_checkpoints.py", "training/averaging.py", "training/publish.py"),
}
DECIDES_NO_WEIGHT = {
    "training/__init__.py",
    "training/added_tokens.py",  # makes a folder of the user's, which is named by its bytes
    "training/existing.py",
    "training/guards.py",  # stop a stage, and change none
    "training/held_out.py",
    "training/recalibration.py",  # measures what others trained
    "training/rl_curve.py",
    "training/stage.py",
    "training/versions.py",
    "training/watch.py",
}
STUDY = """\
name: versions
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}}
stages:
  pretrain: {kind: pretrain, tokens: 64k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety}
arms: {main: {}, edited: {stages: {half: {kind: edit_weights, delta: {from: pretrain, to: sft}, edit: add}}}}
battery: [willingness]
"""


def hashes() -> dict[str, str]:
    names = sorted({name for files in DECIDED_BY.values() for name in files})
    return {name: sha256((SOURCES / name).read_text("utf-8").encode()).hexdigest() for name in names}


def noted() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(NOTED.read_text("utf-8"))
    return content


def problems(files: Mapping[str, str], before: Mapping[str, Any], numbers: Mapping[str, int]) -> list[str]:
    """Return per kind what is to be done: code changed under a number, or a number that went back."""
    found = []
    for kind, own in DECIDED_BY.items():
        changed = [name for name in own if files.get(name) != before["files"].get(name)]
        if changed:
            found.append(
                f"{', '.join(changed)} changed, which decides what {kind!r} makes: where the same recipe may come to "
                f"other bits, raise it in training/versions.py (now {numbers[kind]}); then run this file with python"
            )
        if numbers[kind] < before["versions"].get(kind, 1):
            found.append(f"the version of {kind!r} went back: old checkpoints would be taken for new ones")
    return found


def test_code_that_decides_weights_changes_with_its_version_or_is_noted_to_come_to_the_same_bits() -> None:
    assert problems(hashes(), noted(), KIND_VERSIONS) == []
    assert noted()["versions"] == dict(KIND_VERSIONS)


def test_a_changed_file_is_named_with_every_kind_that_depends_on_it() -> None:
    files = {**hashes(), "training/dpo.py": "other"}
    assert [each.split(" makes")[0] for each in problems(files, noted(), KIND_VERSIONS)] == [
        "training/dpo.py changed, which decides what 'dpo'"
    ]
    shared = problems({**hashes(), "training/trainer.py": "other"}, noted(), KIND_VERSIONS)
    assert len(shared) == 6
    assert all("raise it in training/versions.py" in each for each in shared)
    higher = {**noted(), "versions": {**noted()["versions"], "sft": 3}}
    assert ["went back" in each for each in problems(hashes(), higher, KIND_VERSIONS)] == [True]


def test_every_kind_has_a_version_and_every_file_of_training_is_placed() -> None:
    kinds = {get_args(each.model_fields["kind"].annotation)[0] for each in get_args(get_args(Stage)[0])}
    assert kinds - {"existing"} | {"fresh"} == set(KIND_VERSIONS) == set(DECIDED_BY)
    files = {f"training/{path.name}" for path in (SOURCES / "training").glob("*.py")}
    assert files == {name for name in hashes() if name.startswith("training/")} | DECIDES_NO_WEIGHT
    assert not DECIDES_NO_WEIGHT & set(hashes())


@pytest.mark.parametrize(
    ("raised", "num_new"), [("fresh", 4), ("pretrain", 3), ("sft", 2), ("edit_weights", 1), ("rl", 0)]
)
def test_a_raised_version_makes_new_keys_of_its_kind_and_of_all_that_rests_on_it(
    raised: str, num_new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys() -> set[str]:
        study = study_from(parse_yaml(STUDY))
        return set(study_tree(study, DataBook(study.data, Path(), study.seed)).nodes)

    before = keys()
    assert len(before) == 4  # the start, pretrain, sft and the edit
    monkeypatch.setattr(versions, "KIND_VERSIONS", MappingProxyType({**KIND_VERSIONS, raised: 2}))
    assert len(keys() - before) == num_new
    monkeypatch.setattr(versions, "KIND_VERSIONS", KIND_VERSIONS)
    assert keys() == before


def write() -> None:
    """Note the sources as they are now, with the versions of the kinds that they decide."""
    content = {"files": hashes(), "versions": dict(KIND_VERSIONS)}
    NOTED.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
