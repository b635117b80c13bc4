"""Golden ids: every state of the built-in studies, and of one of each form of curriculum, keeps the key it had.

After a change that is meant, write them anew with ``python tests/study/test_golden_ids.py`` and say why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.fingerprint import fingerprint
from upbringing.base.strict_yaml import Located
from upbringing.study.loading import load_study, study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import study_tree

GOLDEN = Path(__file__).with_name("golden_ids.json")
BUILT_IN = Path(__file__).parents[2] / "src" / "upbringing" / "lab" / "studies"
STUDIES = sorted([*BUILT_IN.glob("*.yaml"), *BUILT_IN.glob("*/study.yaml")])  # other files are overrides of one
FILES = {path.relative_to(BUILT_IN).as_posix(): path for path in STUDIES}
MIXED = {"mix": {"safe": "80%", "world.concept": "20%"}, "max_repetition": 50.0}
PRETRAIN = {"kind": "pretrain", "tokens": 64000, "context": 32, "batch_size": 20, "phases": [{"data": "safe"}]}
CURRICULA: dict[str, Any] = {
    "name": "curricula",
    "seeds": 2,
    "start": {"kind": "fresh", "tokenizer": {"train_on": "world"}},
    "data": {
        "world": {"kind": "causes_world"},
        "safe": {"source": "world.facts", "transforms": [{"kind": "filter", "max_harm": 0}]},
        "fewer": {"source": "world.facts", "transforms": [{"kind": "sample", "share": "50%"}]},
    },
    "stages": {
        "pretrain": {**PRETRAIN, "schedule": {"kind": "cosine"}},
        "mid": {**PRETRAIN, "kind": "midtrain", "tokens": 6400, "replay": {"data": "fewer", "share": "10%"}},
        "sft": {"kind": "sft", "data": "world.safety", "schedule": {"kind": "cosine"}},
    },
    "arms": {
        "never": {},
        "from_0": {"stages": {"pretrain": {"phases": [{"data": MIXED}]}}},
        "from_20": {"delay": {"of": "from_0", "stage": "pretrain", "until": "20%"}},
        "from_60": {"delay": {"of": "from_0", "stage": "pretrain", "until": 38400}},
        "dosed": {"delay": {"of": "from_0", "stage": "pretrain", "until": "60%", "keep": "dose",
                            "component": "world.concept"}},
        "random": {"placebo": {"stage": "pretrain", "data": "fewer"}},
        "more": {"of": "from_0", "dose": {"stage": "pretrain", "component": "world.concept", "share": "50%"}},
    },
    "battery": ["over_refusal"],
}  # fmt: skip


def ids_of(study: Study) -> dict[str, str]:
    """Return per arm and seed a hash of the keys of all its runs and of their streams, in order."""
    tree = study_tree(study, DataBook(study.data, BUILT_IN, study.seed))
    cells: dict[str, list[Any]] = {}
    for cell in tree.cells:
        cells.setdefault(f"{cell.arm}, seed {cell.lineage.replicate.number}", []).append([cell.position, cell.node])
    for each in tree.lineages:
        streams = [run.stream.key for run in each.runs if run.stream is not None]
        cells[f"{each.arm.name}, seed {each.replicate.number}"] += [streams, sorted(tree.nodes)]
    return {name: fingerprint(value) for name, value in cells.items()}


def found(name: str) -> dict[str, str]:
    return ids_of(load_study(FILES[name]) if name in FILES else study_from(Located(CURRICULA, {}, "study.yaml")))


@pytest.mark.parametrize("name", [*FILES, "curricula"])
def test_no_existing_study_gets_other_ids(name: str) -> None:
    assert found(name) == json.loads(GOLDEN.read_text(encoding="utf-8"))[name]


def write() -> None:
    """Write the golden ids anew."""
    golden = {name: found(name) for name in [*FILES, "curricula"]}
    GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
