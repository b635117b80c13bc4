"""Looks: an interval that holds at all of them, prompts that may be added, and seeds that may not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import optimize
from simulated_studies import two_arms
from typer.testing import CliRunner

import upbringing
from upbringing.attribution.attribute import attribute_folder
from upbringing.attribution.looks import look_at
from upbringing.attribution.statistics.anytime import (
    MIN_CLUSTERS,
    confidence_sequence,
    mixture_variance,
    relative_width,
)
from upbringing.attribution.statistics.inference import normal_quantile
from upbringing.base.errors import FormatError, StudyError
from upbringing.cli import app
from upbringing.formats.looks import LOOKS_NAME, Look, read_looks
from upbringing.formats.rows import write_rows
from upbringing.formats.tree import Tree

CONTRAST = "b - a"


def test_the_formula_by_hand() -> None:
    """n = 100, r^2 = 0.04, alpha = 0.05: 2 x 5 / (100 x 4) x log(sqrt(5) / 0.05) = 0.025 x 3.80045 = 0.095011."""
    tuned_for = round((mixture_variance(1) / 0.04) * 1e6) / 1e6
    assert mixture_variance(1) / tuned_for == pytest.approx(0.04, rel=1e-6)
    spread = 100 * 0.04
    assert 2 * (spread + 1) / (100 * spread) * np.log(np.sqrt(spread + 1) / 0.05) == pytest.approx(0.095011, abs=1e-6)
    square = 2 * (100 * mixture_variance(200) + 1) / (100**2 * mixture_variance(200))
    square *= np.log(np.sqrt(100 * mixture_variance(200) + 1) / 0.05)
    assert relative_width(100, 200) == pytest.approx(np.sqrt(square))


@pytest.mark.parametrize("tuned_for", [30, 200, 5000])
def test_the_sequence_is_narrowest_where_it_is_tuned(tuned_for: int) -> None:
    def width(log_variance: float) -> float:
        spread = tuned_for * np.exp(log_variance)
        return float((spread + 1) / spread * np.log(np.sqrt(spread + 1) / 0.05))

    best = np.exp(optimize.minimize_scalar(width, bounds=(-20, 5), method="bounded", options={"xatol": 1e-10}).x)
    assert mixture_variance(tuned_for) == pytest.approx(best, rel=1e-4)
    assert relative_width(tuned_for, tuned_for) > normal_quantile(0.95) / np.sqrt(tuned_for)  # the price of looking


def test_there_is_no_interval_before_enough_clusters_or_without_variation() -> None:
    values = np.array([1.0, 0.0, -1.0] * 10)
    assert confidence_sequence(values[: MIN_CLUSTERS - 1]).low is None
    assert confidence_sequence(values[:MIN_CLUSTERS]).low is not None
    assert confidence_sequence(np.zeros(500)).low is None
    assert confidence_sequence(np.zeros(0)).estimate == 0.0
    with pytest.raises(StudyError, match="at least 1; found 0"):
        confidence_sequence(values, tuned_for=0)


def test_a_null_is_rarely_found_at_any_look_and_an_effect_is_held_at_all() -> None:
    """A look after every cluster up to 800: fixed intervals find the null in every third study, the sequence in 5%."""
    random = np.random.default_rng(0)
    ends = np.arange(MIN_CLUSTERS, 801)
    widths = np.array([relative_width(int(end), 200) for end in ends])
    told, naive, lost = 0, 0, 0
    for _ in range(400):
        values = random.choice([-1.0, 0.0, 1.0], p=[0.15, 0.7, 0.15], size=800)
        means = np.cumsum(values)[ends - 1] / ends
        squares = np.cumsum(values**2)[ends - 1] - ends * means**2
        errors = np.sqrt(squares / (ends - 1))
        told += bool((np.abs(means) > errors * widths).any())
        naive += bool((np.abs(means) > 1.96 * errors / np.sqrt(ends)).any())
        lost += bool((np.abs(means) > errors * widths)[-1])
    found = confidence_sequence(values)
    assert found.half_width == pytest.approx(errors[-1] * widths[-1])
    assert told / 400 <= 0.064
    assert naive / 400 >= 0.25
    assert lost <= told


def part(rows: pa.Table, num: int) -> pa.Table:
    """The rows of the first prompts."""
    return rows.filter(pa.array([int(item) < num for item in rows["item"].to_pylist()]))


def of_runs(rows: pa.Table, tree: Tree, num: int) -> tuple[pa.Table, Tree]:
    kept = {each.id for each in tree.checkpoints if int(each.id[2:]) < num}
    changes = {
        "checkpoints": tuple(each for each in tree.checkpoints if each.id in kept),
        "cells": tuple(each for each in tree.cells if each.checkpoint in kept),
    }
    mine = pa.array([name in kept for name in rows["checkpoint"].to_pylist()])
    return rows.filter(mine), tree.model_copy(update=changes)


def study(effect: float = 0.0, **changes: int) -> tuple[pa.Table, Tree]:
    return two_arms(5, effect=effect, seed_deviation=0.1, **{"num_items": 300, "num_seeds": 3, **changes})


def test_looks_go_on_while_prompts_arrive() -> None:
    rows, tree = study(effect=1.5)
    looks: list[Look] = []
    for num in (10, 60, 300):
        looks.append(look_at(part(rows, num), tree, "harm", CONTRAST, looks))
    counts = [(each.number, each.clusters, len(each.items)) for each in looks]
    assert counts == [(1, 10, 10), (2, 60, 50), (3, 300, 240)]
    assert looks[0].low is None
    assert looks[2].low is not None
    assert looks[2].low > 0
    assert look_at(rows, tree, "harm", CONTRAST, looks) == looks[2]  # nothing was added: no look of its own
    values = np.array(rows["value"].to_pylist()).reshape(3, 2, 300)
    expected = confidence_sequence((values[:, 1] - values[:, 0]).mean(axis=0))
    assert (looks[2].estimate, looks[2].low) == pytest.approx((expected.estimate, expected.low))


def test_looks_at_other_contrasts_count_apart() -> None:
    rows, tree = study()
    other = tree.study.contrasts[0].model_copy(update={"name": "a - b", "weights": {"a@sft": 1.0, "b@sft": -1.0}})
    contrasts = (*tree.study.contrasts, other)
    tree = tree.model_copy(update={"study": tree.study.model_copy(update={"contrasts": contrasts})})
    one = look_at(rows, tree, "harm", CONTRAST)
    two = look_at(rows, tree, "harm", "a - b", [one])
    assert (one.number, two.number) == (1, 1)
    assert two.estimate == -one.estimate


def test_seeds_that_are_added_between_looks_are_refused() -> None:
    rows, tree = study()
    first = look_at(*of_runs(rows, tree, 2), "harm", CONTRAST)
    with pytest.raises(StudyError, match=r"looked at with 4 checkpoints and now stands on others \(6; new: a-2, b-2\)"):
        look_at(rows, tree, "harm", CONTRAST, [first])
    fewer = look_at(rows, tree, "harm", CONTRAST)
    with pytest.raises(StudyError, match="seeds added between looks"):
        look_at(*of_runs(rows, tree, 2), "harm", CONTRAST, [fewer])


def test_rows_that_change_under_a_look_are_refused() -> None:
    rows, tree = study()
    first = look_at(part(rows, 100), tree, "harm", CONTRAST)
    place = rows.column_names.index("value")
    values = rows["value"].to_numpy().copy()
    values[7] = 1 - values[7]
    changed = rows.set_column(place, "value", pa.array(values))
    with pytest.raises(FormatError, match=r"scores that look 1 at 'b - a' on 'harm' rests on were changed"):
        look_at(changed, tree, "harm", CONTRAST, [first])
    with pytest.raises(FormatError, match="were changed, taken away or added to"):
        look_at(part(rows, 99), tree, "harm", CONTRAST, [first])
    values[7], values[-1] = 1 - values[7], 1 - values[-1]  # of a prompt that was not looked at
    later = rows.set_column(place, "value", pa.array(values))
    assert look_at(later, tree, "harm", CONTRAST, [first]).number == 2


def test_a_prompt_counts_once_it_is_measured_on_every_checkpoint() -> None:
    rows, tree = study()
    asked = zip(rows["checkpoint"].to_pylist(), rows["item"].to_pylist(), strict=True)
    open_prompts = pa.array([not (name == "b-2" and int(item) >= 90) for name, item in asked])
    found = look_at(rows.filter(open_prompts), tree, "harm", CONTRAST)
    assert (found.clusters, len(found.items)) == (90, 90)
    assert look_at(rows, tree, "harm", CONTRAST, [found]).clusters == 300


def test_what_was_fixed_at_the_first_look_stays() -> None:
    rows, tree = study()
    first = look_at(part(rows, 50), tree, "harm", CONTRAST, tuned_for=80)
    assert first.tuned_for == 80
    assert look_at(rows, tree, "harm", CONTRAST, [first]).tuned_for == 80
    with pytest.raises(StudyError, match="tuned for 80 clusters since the first one, asked for 90"):
        look_at(rows, tree, "harm", CONTRAST, [first], tuned_for=90)
    turned = tree.study.contrasts[0].model_copy(update={"weights": {"a@sft": 1.0, "b@sft": -1.0}})
    other = tree.model_copy(update={"study": tree.study.model_copy(update={"contrasts": (turned,)})})
    with pytest.raises(StudyError, match="weights of 'b - a' are not those of its first look"):
        look_at(rows, other, "harm", CONTRAST, [first])


def test_what_may_not_be_read_is_not_looked_at() -> None:
    rows, tree = study(num_items=40)
    with pytest.raises(StudyError, match="no contrast 'c - a' on 'harm'; they answer 'b - a' on 'harm'"):
        look_at(rows, tree, "harm", "c - a")
    broken = tree.checkpoints[0].model_copy(update={"guard": "diverged"})
    with pytest.raises(StudyError, match="may not be read: guard of a-0: diverged"):
        look_at(rows, tree.model_copy(update={"checkpoints": (broken, *tree.checkpoints[1:])}), "harm", CONTRAST)


def write(rows: pa.Table, tree: Tree, folder: Path) -> None:
    write_rows(rows, folder / "rows.parquet")
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")


def test_every_look_is_logged_beside_the_results(tmp_path: Path) -> None:
    rows, tree = study()
    asked = ["look", str(tmp_path), "--measure", "harm", "--contrast", CONTRAST]
    write(part(rows, 100), tree, tmp_path)
    first = CliRunner().invoke(app, asked)
    assert first.exit_code == 0
    assert first.stdout.startswith("look 1, 100 prompt clusters: b - a on harm: ")
    once = (tmp_path / LOOKS_NAME).read_bytes()
    assert CliRunner().invoke(app, asked).stdout == first.stdout
    assert (tmp_path / LOOKS_NAME).read_bytes() == once
    assert "looked at" not in " ".join(attribute_folder(tmp_path).warnings)
    write(rows, tree, tmp_path)
    second = CliRunner().invoke(app, [*asked, "--json"])
    assert json.loads(second.stdout)["number"] == 2
    logged = read_looks(tmp_path / LOOKS_NAME).looks
    assert [(each.number, each.clusters) for each in logged] == [(1, 100), (2, 300)]
    assert upbringing.look(tmp_path, "harm", CONTRAST) == logged[1]
    findings = attribute_folder(tmp_path)
    assert any("looked at 2 times while prompts were added (b - a on harm)" in each for each in findings.warnings)
    assert [line["clusters"] for line in findings.tables["looks"]] == [100, 300]


def test_a_refused_look_is_not_logged(tmp_path: Path) -> None:
    rows, tree = study(num_items=60)
    write(*of_runs(rows, tree, 2), tmp_path)
    upbringing.look(tmp_path, "harm", CONTRAST)
    before = (tmp_path / LOOKS_NAME).read_bytes()
    write(rows, tree, tmp_path)
    refused = CliRunner().invoke(app, ["look", str(tmp_path), "--measure", "harm", "--contrast", CONTRAST])
    assert isinstance(refused.exception, StudyError)
    assert "seeds added between looks" in str(refused.exception)
    assert (tmp_path / LOOKS_NAME).read_bytes() == before


def test_a_torn_log_is_named(tmp_path: Path) -> None:
    assert read_looks(tmp_path / LOOKS_NAME).looks == ()
    (tmp_path / LOOKS_NAME).write_text('{"looks": [{"number": 1}]}', encoding="utf-8")
    with pytest.raises(FormatError, match=r"looks\.json is not a file of looks: looks\.0\.measure"):
        read_looks(tmp_path / LOOKS_NAME)
    (tmp_path / LOOKS_NAME).write_text('{"schema_version": 9}', encoding="utf-8")
    with pytest.raises(FormatError, match="schema version 9"):
        read_looks(tmp_path / LOOKS_NAME)
