"""Odd but legal tables: times that are censored, items without a split among others that have one, wide fractions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute, attribute_folder
from upbringing.attribution.evidence.defaults import default_contrasts
from upbringing.attribution.evidence.design import design_of
from upbringing.attribution.evidence.flat import tree_of_flat_table
from upbringing.attribution.validity.aliasing import alias_tables
from upbringing.attribution.words.sentences import FEW_SEEDS, NESTED, NO_SEEDS, ONE_SEED
from upbringing.base.errors import FormatError
from upbringing.formats.effects.generators import fraction_runs, standard_generators
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, MeasureInfo, StudyInfo, Tree


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


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"margin": -0.1}, "margin .* at least 0"),
    ({"margin": float("nan")}, "margin .* at least 0"),
    ({"weights": {"b@sft": 0.0, "a@sft": 0.0}}, "all 0"),
    ({"weights": {"b@sft": float("nan"), "a@sft": -1.0}}, "must be a number"),
    ({"weights": {"b@sft": 1.0, "a@sft": -0.5}}, "sum to 0.5"),
    ({"test": "dominance", "against": {"b@sft": 1.0}}, "against .* sum to 1"),
    ({"test": "dominance", "against": {"b@sft": "x", "a@sft": -1.0}}, "'x', it must be a number"),
    ({"test": "dominance", "against": {"c@sft": 1.0, "a@sft": -1.0}}, "'c@sft': tree.json lists none"),
    ({"test": "dominance", "against": ["a@sft"]}, "must be weights of cells"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
def test_a_contrast_that_means_nothing_is_an_error_that_says_why(changed: dict[str, Any], said: str) -> None:
    """A negative margin would make every change one beyond it; weights of 0 would find everything alike."""
    rows, tree = two_arms(1, effect=0.0, num_items=10, num_seeds=3, seed_deviation=0.1)
    spec = ContrastSpec.model_validate({**tree.study.contrasts[0].model_dump(), **changed})
    study = tree.study.model_copy(update={"contrasts": (spec,)})
    with pytest.raises(FormatError, match=said):
        attribute(rows, tree.model_copy(update={"study": study}), other_estimators=False)


@pytest.mark.parametrize("kind", ["checkpoints", "measures", "items"])
def test_one_id_is_one_thing(kind: str) -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=10, num_seeds=3, seed_deviation=0.1)
    first = getattr(tree, kind)[0]
    again = tree.model_copy(update={kind: (*getattr(tree, kind), first)})
    assert attribute(rows, again, other_estimators=False) == attribute(rows, tree, other_estimators=False)
    other = first.model_copy(update={"label" if kind == "measures" else "parent": "other"})
    with pytest.raises(FormatError, match=f"lists '{first.id}' twice among its {kind}"):
        attribute(rows, tree.model_copy(update={kind: (*getattr(tree, kind), other)}), other_estimators=False)


def test_a_split_that_no_item_has_is_not_measured() -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=10, num_seeds=3, seed_deviation=0.1)
    spec = tree.study.contrasts[0].model_copy(update={"split": "ood"})
    study = tree.study.model_copy(update={"contrasts": (spec,)})
    claim = attribute(rows, tree.model_copy(update={"study": study}), other_estimators=False).claims[0]
    assert (claim.verdict, claim.role, claim.estimate) == ("not-measurable", "primary", None)
    assert "split ood" in claim.blocked_by[0]


def test_weights_are_sizes() -> None:
    rows, tree = times(pa.array([False] * 8), estimator="ratio")
    with pytest.raises(FormatError, match="8 rows have a weight below 0"):
        attribute(rows.append_column("weight", pa.array([-1.0] * 8)), tree)


def test_a_circle_of_checkpoints_is_an_error() -> None:
    rows, tree = times(pa.array([False] * 8))
    circle = tuple(Checkpoint(id=one, parent=other) for one, other in (("a", "b"), ("b", "a")))
    with pytest.raises(FormatError, match="'a' is its own ancestor"):
        attribute(rows, tree.model_copy(update={"checkpoints": circle}))


def test_many_variants_of_one_prompt_are_said_to_be_one() -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=30, num_seeds=3, seed_deviation=0.1)
    one = tree.model_copy(update={"items": tuple(item.model_copy(update={"cluster": "0"}) for item in tree.items)})
    found = attribute(rows, one, other_estimators=False)
    claim = found.claims[0]
    assert (claim.units.items, claim.units.clusters, claim.conditional_on) == (30, 1, ("one prompt",))
    assert "conditional on one prompt" in claim.statement
    assert any(each.startswith("Claims whose items are variants of one prompt: 1.") for each in found.warnings)
    several = attribute(rows, tree, other_estimators=False)
    assert several.claims[0].conditional_on == ()
    assert not any("variants of one prompt" in each for each in several.warnings)


def test_where_one_run_alone_has_scores_nobody_says_that_all_share_its_world() -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=30, num_seeds=5, seed_deviation=0.1, nested=True)
    first = [
        Row(checkpoint=row["checkpoint"], measure="harm", item=row["item"], value=row["value"])
        if row["checkpoint"] in ("a-0", "b-0")
        else Row(
            checkpoint=row["checkpoint"],
            measure="harm",
            item=row["item"],
            status="unscored",
            reason_code="judge-failed",
        )
        for row in rows.to_pylist()
    ]
    found = attribute(rows_table(first), tree, other_estimators=False)
    assert found.claims[0].conditional_on == ("the 1 of 5 runs that have scores",)
    assert not any("share one world" in each for each in found.warnings)
    one_world = tuple(item.model_copy(update={"world": "0"}) for item in tree.items)
    shared = attribute(rows, tree.model_copy(update={"items": one_world}), other_estimators=False)
    assert "one world" in shared.claims[0].conditional_on
    assert any("share one world" in each for each in shared.warnings)


def test_runs_without_any_score_are_not_said_to_have_a_world_each() -> None:
    rows, tree = two_arms(1, effect=0.0, num_items=30, num_seeds=5, seed_deviation=0.1)
    unscored = [
        Row(checkpoint=row["checkpoint"], measure="harm", item=row["item"], status="unscored", reason_code="no-score")
        for row in rows.to_pylist()
    ]
    found = attribute(rows_table(unscored), tree, other_estimators=False)
    assert {claim.verdict for claim in found.claims} == {"not-measurable"}
    assert NESTED not in found.warnings


def flat(**columns: list[Any]) -> pa.Table:
    """Four answers each of a base and two checkpoints made from it, with ``columns`` of the three checkpoints."""
    names = ["base", "one", "two"]
    plain: dict[str, list[Any]] = {"parent": [None, "base", "base"], "stage": ["base", "sft", "sft"], **columns}
    made = {"checkpoint": names, **plain}
    table = {key: [value for value in values for _ in range(4)] for key, values in made.items()}
    return pa.table(
        {**table, "measure": ["refused"] * 12, "item": ["a", "b", "c", "d"] * 3, "value": [0.0, 1.0, 0.0, 1.0] * 3}
    )


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, NO_SEEDS),
        ({"arm": ["x", "x", "y"]}, NO_SEEDS),
        ({"arm": ["x", "x", "y"], "seed": [0, 0, 0]}, ONE_SEED),
        ({"arm": ["x", "x", "y"], "root_seed": [0, 0, 0]}, ONE_SEED),
        ({"seed": [0, 1, 2]}, FEW_SEEDS),
    ],
)
def test_a_table_without_seeds_is_not_said_to_hold_one(columns: dict[str, list[Any]], said: str) -> None:
    rows = flat(**columns)
    findings = attribute(rows, tree_of_flat_table(rows))
    assert [each for each in findings.warnings if each in (NO_SEEDS, ONE_SEED, FEW_SEEDS)] == [said]
    assert findings.claims
    assert {claim.estimand for claim in findings.claims} == {"artefact"}


def test_an_arm_that_a_table_calls_a_control_is_compared() -> None:
    rows = flat(arm=["main", "main", "plain"], control=[None, "none", "placebo"])
    tree = tree_of_flat_table(rows)
    assert {cell.arm: cell.control for cell in tree.cells} == {"main": "none", "plain": "placebo"}
    assert "main - plain @ sft" in {claim.contrast for claim in attribute(rows, tree).claims}
    without = flat(arm=["main", "main", "plain"])
    assert not [each for each in attribute(without, tree_of_flat_table(without)).claims if " - " in each.contrast]


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ([None, "none", "plazebo"], "control is 'plazebo', it must be none, positive, placebo"),
        (["copy", None, "placebo"], "the arm 'main' is 'copy' and, at 'two', 'placebo': choose one"),
    ],
)
def test_controls_that_are_none_or_two_are_refused(controls: list[str | None], said: str) -> None:
    with pytest.raises(FormatError, match=re.escape(said)):
        tree_of_flat_table(flat(control=controls))


def test_a_minimal_table_and_a_list_of_checkpoints_are_enough(tmp_path: Path) -> None:
    rows = flat()
    pq.write_table(rows.select(["checkpoint", "measure", "item", "value"]), tmp_path / "rows.parquet")
    checkpoints: list[dict[str, Any]] = [{"id": "base", "stage": "base"}]
    checkpoints += [
        {"id": name, "parent": "base", "stage": "sft", "seed": seed} for seed, name in enumerate(("one", "two"))
    ]
    (tmp_path / "tree.json").write_text(json.dumps({"checkpoints": checkpoints}), encoding="utf-8")
    (claim,) = attribute_folder(tmp_path).claims
    (same,) = attribute(rows, tree_of_flat_table(flat(seed=[0, 0, 1]))).claims
    assert (claim.contrast, claim.estimate, claim.units.seeds) == ("main: base -> sft", 0.0, 2)
    assert (claim.low, claim.high) == (same.low, same.high)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("value", [1e200, -1e200] * 6, r"holds 1e\+200 in size: beyond 1e\+100"),
        ("checkpoint", [None, *["base"] * 3, *["one"] * 4, *["two"] * 4], "'checkpoint' is null in 1 rows"),
        ("item", [None, "b", "c", "d", *"abcd" * 2], "'item' is null in 1 rows"),
    ],
)
def test_what_cannot_be_counted_with_is_an_error_that_names_the_column(
    tmp_path: Path, column: str, values: list[Any], said: str
) -> None:
    rows = flat()
    changed = rows.set_column(rows.column_names.index(column), column, pa.array(values))
    pq.write_table(changed, tmp_path / "rows.parquet")
    with pytest.raises(FormatError, match=said):
        attribute_folder(tmp_path)


def test_whole_numbers_of_any_size_are_values(tmp_path: Path) -> None:
    rows = flat()
    large = rows.set_column(rows.column_names.index("value"), "value", pa.array([2**60 + 1, 2**60 - 1] * 6))
    pq.write_table(large, tmp_path / "rows.parquet")
    assert [claim.estimate for claim in attribute_folder(tmp_path).claims] == [0.0]
