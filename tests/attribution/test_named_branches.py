"""Branches from a declared control stay primary, whatever else the same difference is called."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from upbringing.attribution.evidence.defaults import default_contrasts
from upbringing.attribution.evidence.design import design_of
from upbringing.formats.tree import Cell, Checkpoint, ContrastSpec, StudyInfo, Tree

MEASURE = "safe"


def asked(cells: list[Cell]) -> tuple[ContrastSpec, ...]:
    ids = dict.fromkeys(cell.checkpoint for cell in cells)
    study = StudyInfo(name="s", primary=(MEASURE,))
    tree = Tree(study=study, checkpoints=tuple(Checkpoint(id=name) for name in ids), cells=tuple(cells))
    return default_contrasts(design_of(tree), study, [MEASURE])


def up_to_sign(weights: Mapping[str, float]) -> frozenset[frozenset[tuple[str, float]]]:
    return frozenset(
        (frozenset(weights.items()), frozenset((cell, -weight) for cell, weight in weights.items())),
    )


@pytest.mark.parametrize("reference", ["on+on", "off+off", "on+off"])
def test_every_branch_of_a_factorial_from_its_reference_is_primary(reference: str) -> None:
    arms = ["on+on", "on+off", "off+on", "off+off"]
    found = asked(
        [
            Cell(
                arm=arm,
                position="final",
                checkpoint=arm,
                factors=dict(zip("ab", arm.split("+"), strict=True)),
                control="reference" if arm == reference else "none",
            )
            for arm in arms
        ]
    )
    primary = [up_to_sign(spec.weights) for spec in found if spec.role == "primary"]
    branches = [{f"{arm}@final": 1.0, f"{reference}@final": -1.0} for arm in arms if arm != reference]
    assert len(primary) == 3
    assert set(primary) == {up_to_sign(weights) for weights in branches}
    kinds = {spec.kind for spec in found}
    assert {"necessity", "sufficiency", "total-effect", "main-effect", "interaction"} <= kinds
    assert {spec.role for spec in found if spec.kind in ("main-effect", "interaction")} == {"exploratory"}


def three(reference: str) -> tuple[ContrastSpec, ...]:
    cells = [
        Cell(arm=arm, position="pretrain", checkpoint="base", state={"sft": state})
        for arm, state in (("full", "on"), ("neutral", "placebo"), ("bare", "off"))
    ] + [
        Cell(arm=arm, position="sft", checkpoint=arm, state={"sft": state})
        for arm, state in (("full", "on"), ("neutral", "placebo"))
    ]
    return asked(
        [cell.model_copy(update={"control": "reference"}) if cell.arm == reference else cell for cell in cells]
    )


def test_the_branch_that_is_a_data_effect_the_other_way_round_is_primary() -> None:
    (primary,) = [spec for spec in three("full") if spec.role == "primary" and spec.level == "L2"]
    assert up_to_sign(primary.weights) == up_to_sign({"neutral@sft": 1.0, "full@sft": -1.0})
    assert primary.kind == "data-effect"
    assert not [spec for spec in three("bare") if spec.role == "primary" and spec.level == "L2"]
