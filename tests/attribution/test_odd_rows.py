"""Odd but legal tables: times that are censored, items without a split among others that have one, wide fractions."""

from __future__ import annotations

import pyarrow as pa
import pytest
from simulated_studies import two_arms

from upbringing.attribution.aliasing import alias_tables
from upbringing.attribution.attribute import attribute
from upbringing.attribution.defaults import default_contrasts
from upbringing.attribution.design import design_of
from upbringing.base.errors import FormatError
from upbringing.formats.effects.generators import fraction_runs, standard_generators
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, MeasureInfo, StudyInfo, Tree


def times(censored: pa.Array, *, estimator: str = "survival") -> tuple[pa.Table, Tree]:
    """The turn at which each of four conversations flipped, of two checkpoints; cut off at four turns and at three."""
    rows = pa.table({
        "checkpoint": ["a"] * 4 + ["b"] * 4,
        "measure": ["turn"] * 8,
        "item": ["0", "1", "2", "3"] * 2,
        "value": [1.0, 2.0, 4.0, 4.0, 1.0, 3.0, 6.0, 2.0],
        "censored": censored,
    })  # fmt: skip
    measure = MeasureInfo.model_validate({"id": "turn", "unit": "turns", "estimator": estimator})
    checkpoints = tuple(Checkpoint.model_validate({"id": name, "arm": name, "stage": "end"}) for name in "ab")
    return rows, Tree(study=StudyInfo(name="times"), checkpoints=checkpoints, measures=(measure,))


def levels(rows: pa.Table, tree: Tree) -> list[float]:
    return [line["estimate"] for line in attribute(rows, tree, other_estimators=False).tables["levels"]]


def test_censored_times_count_up_to_the_earliest_censored_one() -> None:
    flags = pa.array([False, None, True, True, False, True, False, False])
    assert levels(*times(flags)) == [(1 + 2 + 3 + 3) / 4, (1 + 3 + 3 + 2) / 4]
    assert levels(*times(pa.array([False] * 8))) == [11 / 4, 12 / 4]
    assert levels(*times(flags, estimator="mean")) == [11 / 4, 12 / 4]


def test_what_is_censored_is_true_or_false() -> None:
    with pytest.raises(FormatError, match="'censored' holds int64, it must hold truth values"):
        attribute(*times(pa.array([0, 1] * 4)))


def test_items_without_a_split_are_counted_where_others_have_one() -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=30, num_seeds=3, seed_deviation=0.1)
    items = tuple(
        item.model_copy(update={"split": "ood"}) if number < 20 else item for number, item in enumerate(tree.items)
    )
    found = attribute(rows, tree.model_copy(update={"items": items}), other_estimators=False)
    said = "10 items of harm have no split although others do: no claim and no level is about them."
    assert said in found.warnings
    assert found.claims[0].units.items == 20
    assert not any("no split" in each for each in attribute(rows, tree, other_estimators=False).warnings)


def test_a_fraction_of_seven_factors_has_its_aliases() -> None:
    """2^(7-3) of resolution IV: main effects are clear, two-way interactions are aliased in groups of three."""
    factors = tuple("abcdefg")
    runs = fraction_runs(factors, standard_generators(factors, 3))
    cells = tuple(
        Cell(
            arm="".join(sorted(run)) or "none", position="sft", checkpoint=f"run-{number}", seeds=CellSeeds(sft=0),
            factors={name: "on" if name in run else "off" for name in factors},
        )
        for number, run in enumerate(runs)
    )  # fmt: skip
    checkpoints = tuple(Checkpoint(id=cell.checkpoint, parent="base") for cell in cells)
    design = design_of(Tree(study=StudyInfo(name="wide"), checkpoints=checkpoints, cells=cells))
    effects = [set(line["effects"]) for line in alias_tables(design)["aliases"]]
    assert sum(sum(" x " in each and each.count(" x ") == 1 for each in group) == 3 for group in effects) == 7
    found = default_contrasts(design, StudyInfo(name="wide"), ["harm"])
    assert sorted(each.name[0] for each in found if each.kind == "main-effect") == list(factors)
    assert not [each for each in found if each.kind == "interaction"]
