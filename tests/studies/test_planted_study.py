"""The built-in study of the planted trait: valid, matched, and asking about what its README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.data.planted.source import Planted
from upbringing.study.loading import load_study
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import study_tree

FOLDER = Path(__file__).parents[2] / "src" / "upbringing" / "lab" / "studies" / "planted"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(FOLDER / "study.yaml")


def test_arms_share_what_they_share(study: Study) -> None:
    tree = study_tree(study, DataBook(study.data, FOLDER, study.seed))
    trained = [node.label for node in tree.nodes.values()]
    assert trained.count("pretrain") == 2 * 3  # with the trait and without, of three seeds
    cells = {cell.name for cell in tree.cells}
    assert {cell for contrast in study.contrasts for cell in contrast.weights} <= cells


def test_every_part_that_is_named_exists_and_every_arm_stands_in_the_readme(study: Study) -> None:
    worlds = {name: entry.build(1) for name, entry in study.data.items() if isinstance(entry, Planted)}
    tree = study_tree(study, DataBook(study.data, FOLDER, study.seed))
    for run in (run for each in tree.lineages for run in each.runs if run.stream is not None):
        for reference in run.stream.names.values():  # type: ignore[union-attr]
            name, _, part = reference.partition(".")
            assert part in worlds[name].parts()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for arm in study.arms:
        assert f"`{arm}`" in readme or arm.startswith("split_without")


def test_shares_are_the_same_in_all_arms_so_that_tokens_match(study: Study) -> None:
    tree = study_tree(study, DataBook(study.data, FOLDER, study.seed))
    shares: dict[str, set[tuple[float, ...]]] = {}
    for run in (run for each in tree.lineages for run in each.runs if run.stream is not None):
        for part in run.stream.parts:  # type: ignore[union-attr]
            shares.setdefault(run.stage_name, set()).add(tuple(sorted(share for *_, share in part.sources)))
    assert shares.keys() == {"pretrain", "midtrain", "sft", "finetune"}
    assert all(each == {(0.4, 0.6)} for each in shares.values())
