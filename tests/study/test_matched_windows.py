"""Arms whose windows match: as many, in the order of the other arm's sources, or a reason why that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import Located
from upbringing.study.lineage import Run
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import StudyTree, study_tree

STAGES: dict[str, Any] = {
    "pretrain": {
        "kind": "pretrain",
        "tokens": 64000,
        "context": 32,
        "batch_size": 20,
        "phases": [{"data": "safe"}],
        "schedule": {"kind": "constant"},
    },
    "sft": {"kind": "sft", "data": "world.safety"},
}
DATA: dict[str, Any] = {
    "world": {"kind": "causes_world"},
    "safe": {"source": "world.facts", "transforms": [{"kind": "filter", "max_harm": 0}]},
    "some": {"source": "world.facts", "transforms": [{"kind": "sample", "share": "50%"}]},
    "other": {"source": "world.facts", "transforms": [{"kind": "sample", "share": "40%"}]},
}
MIXED = {"mix": {"safe": "50%", "some": "25%", "world.facts": "25%"}}


def tree_of(arms: dict[str, Any], seed: int = 0) -> StudyTree:
    start = {"kind": "fresh", "tokenizer": {"train_on": "world"}}
    value = {"name": "matched", "seeds": 1, "seed": seed, "start": start, "data": DATA, "stages": STAGES, "arms": arms}
    study = study_from(Located({**value, "battery": ["over_refusal"]}, {}, "study.yaml"))
    return study_tree(study, DataBook(study.data, Path(), study.seed))


def end_of(tree: StudyTree, arm: str) -> str:
    return next(cell.node for cell in tree.cells if cell.name == f"{arm}@sft")


def arms(*, windows_of: str | None = "plain", plain: Any = MIXED, **changes: Any) -> dict[str, Any]:
    changed: dict[str, Any] = {"phases": [{"data": {"mix": {"safe": "50%", "other": "25%", "world.facts": "25%"}}}]}
    words = {} if windows_of is None else {"windows_of": windows_of}
    return {
        "plain": {"stages": {"pretrain": {"phases": [{"data": plain}]}}},
        "changed": {"stages": {"pretrain": {**changed, **changes}}, **words},
    }


def stage_of(tree: StudyTree, arm: str) -> Run:
    return next(each.runs[0] for each in tree.lineages if each.arm.name == arm)


def order_of(run: Run) -> list[str]:
    """The names of the sources of a run in the order in which ties between them are broken."""
    assert run.stream is not None
    part = run.stream.parts[0]
    slots, names = dict(part.slots), {key: name for key, name, _ in part.sources}
    return [names[key] for key in sorted(names, key=lambda key: slots.get(key, key))]


@pytest.mark.parametrize("seed", range(4))
def test_the_sources_of_a_matched_arm_stand_where_those_of_the_other_do(seed: int) -> None:
    """Ties between equal shares are broken by keys, which are hashes: unmatched, the order is anybody's."""
    tree = tree_of(arms(), seed=seed)
    plain, changed = (order_of(stage_of(tree, name)) for name in ("plain", "changed"))
    assert changed == ["other" if name == "some" else name for name in plain]


def test_an_order_that_was_the_same_anyway_changes_no_id() -> None:
    free, matched = (
        [end_of(tree_of(arms(windows_of=name), seed=seed), "changed") for seed in range(6)] for name in (None, "plain")
    )
    same = [
        order_of(stage_of(tree_of(arms(windows_of=None), seed=seed), "changed"))
        == order_of(stage_of(tree_of(arms(), seed=seed), "changed"))
        for seed in range(6)
    ]
    assert [one == other for one, other in zip(free, matched, strict=True)] == same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 128000}, r"windows per phase would be \[4000\], there \[2000\]"),
        ({"batch_size": 10}, "windows per update would be 10, there 20"),
        ({"phases": [{"data": {"mix": {"safe": "50%", "other": "50%"}}}]}, "no source there has the share of 'other'"),
        ({"phases": [{"data": {"mix": {"safe": "50%", "some": "30%", "world.facts": "20%"}}}]}, "same shares"),
        ({"phases": [{"until": "50%", "data": "safe"}, {"data": MIXED}]}, "windows per phase"),
        ({"replay": {"data": "other", "share": "10%"}}, "replay would be"),
    ],
)
def test_windows_that_cannot_be_matched_say_what_differs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        tree_of(arms(**changes))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"windows_of": "nobody"}, "no other arm"),
        ({"windows_of": "changed"}, "no other arm"),
        ({"stages": {**arms()["changed"]["stages"], "sft": {"data": "world.same_prompts"}}}, "given in epochs"),
    ],
)
def test_words_that_name_no_windows_are_refused(words: dict[str, Any], message: str) -> None:
    declared = arms()
    declared["changed"] |= words
    with pytest.raises(StudyError, match=message):
        tree_of(declared)


def test_a_whole_corpus_may_stand_in_for_another() -> None:
    tree = tree_of(arms(plain="some", phases=[{"data": "other"}]))
    runs = [stage_of(tree, name) for name in ("plain", "changed")]
    assert len({run.key() for run in runs}) == 2
    assert {run.stream.num_windows for run in runs if run.stream is not None} == {2000}
