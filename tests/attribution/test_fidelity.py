"""Fidelity of edited weights: numbers by hand, exact and resampled intervals, and what a lack of it forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from upbringing.attribution.attribute import attribute
from upbringing.attribution.validity.fidelity import NUM_RESAMPLES, Pair, fidelity_numbers, sign_agreement
from upbringing.base.errors import FormatError
from upbringing.base.streams import stream
from upbringing.formats.findings import Findings
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    EDITED,
    EMULATED,
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    Protocol,
    StageInfo,
    StudyInfo,
    Tree,
)
from upbringing.validation.exact_fidelity import (
    each_proxy_is_calibrated_apart,
    faithful_edits_pass,
    few_edits_are_uncalibrated,
    unfaithful_edits_are_greyed,
)

NUM_ITEMS = 40
MAIN = 20  # harmful answers of 40, before any edit
RETRAINED = (4, 8, 12, 16, 24, 28, 32, 36)


def pairs(estimates: Sequence[float], retrained: Sequence[float]) -> list[Pair]:
    found = zip(estimates, retrained, strict=True)
    return [Pair(f"e{place}@edit", f"r{place}@sft", "main@sft", one, other) for place, (one, other) in enumerate(found)]


def numbers(estimates: Sequence[float], retrained: Sequence[float]) -> dict[str, Any]:
    return fidelity_numbers(pairs(estimates, retrained), stream(0, "test"))


def test_numbers_are_those_by_hand() -> None:
    estimates = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)
    retrained = (-0.5, -0.4, 0.1, 0.1, 0.2, 0.4, 0.5, 0.6)
    found = numbers(estimates, retrained)
    assert found["sign_agreement"].value == 6 / 8  # -0.1 against 0.1, and 0 against 0.1
    regression = stats.linregress(estimates, retrained)
    assert found["slope"].value == pytest.approx(regression.slope)
    assert found["intercept"].value == pytest.approx(regression.intercept)
    assert found["spearman"].value == pytest.approx(stats.spearmanr(estimates, retrained).statistic)
    assert found["rmse"].value == pytest.approx(np.sqrt((0.04 + 0.04 + 0.04 + 0.01 + 0.01 + 0.04 + 0.04 + 0.04) / 8))
    exact = stats.binomtest(6, 8).proportion_ci(0.95, method="exact")
    assert (found["sign_agreement"].low, found["sign_agreement"].high) == pytest.approx((exact.low, exact.high))
    for name in ("spearman", "slope", "intercept", "rmse"):
        assert found[name].low <= found[name].value <= found[name].high
    assert found == numbers(estimates, retrained)


def test_a_perfect_proxy_has_no_error_and_no_width() -> None:
    effects = (-0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4)
    found = numbers(effects, effects)
    for name, value in (("spearman", 1.0), ("slope", 1.0), ("intercept", 0.0), ("rmse", 0.0)):
        number = found[name]
        assert (number.value, number.low, number.high) == pytest.approx((value,) * 3, abs=1e-9)
    assert found["sign_agreement"].value == found["sign_agreement"].high == 1.0
    assert found["sign_agreement"].low == pytest.approx(0.025 ** (1 / 8))


def test_what_does_not_vary_has_no_rank_and_no_slope() -> None:
    found = numbers([0.1 + 1e-17] * 4 + [0.3 - 0.2] * 4, [0.1 * place for place in range(8)])
    for name in ("spearman", "slope", "intercept"):
        assert found[name].value is None
        assert found[name].low is None
    assert found["rmse"].value is not None
    almost = numbers([0.1] * 7 + [0.5], [0.1 * place for place in range(8)])
    assert almost["spearman"].value is not None
    assert almost["spearman"].low is None  # a third of the resamples lack the one cell that differs


def test_signs_agree_where_both_are_nothing() -> None:
    found = sign_agreement(np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, -2.0]))
    assert found.value == pytest.approx(2 / 3)
    none = sign_agreement(np.array([1.0, 1.0]), np.array([-1.0, -1.0]))
    assert (none.value, none.low) == (0.0, 0.0)


def test_intervals_cover_the_slope_about_as_often_as_they_say() -> None:
    """Percentiles over few cells are known to be somewhat narrow: 5 of 6, not 19 of 20, are asked for."""
    covered = 0
    for number in range(60):
        random = stream(number, "cells")
        estimates = random.normal(0, 0.3, 20)
        retrained = 1.5 * estimates + random.normal(0, 0.1, 20)
        slope = numbers(estimates.tolist(), retrained.tolist())["slope"]
        covered += slope.low <= 1.5 <= slope.high
    assert NUM_RESAMPLES >= 1000
    assert covered >= 50


@pytest.mark.parametrize(
    "check",
    [
        faithful_edits_pass,
        unfaithful_edits_are_greyed,
        few_edits_are_uncalibrated,
        each_proxy_is_calibrated_apart,
    ],
)
def test_the_checks_of_the_suite_hold(check: Any) -> None:
    held, num = check()
    assert held == num > 0


def study(edited: Sequence[int], **changes: Any) -> tuple[pa.Table, Tree]:
    """Counts of harmful answers: ``main@sft``, retrained arms, and edits of main that stand for them."""
    counts = {"main": MAIN} | {f"r{place}": count for place, count in enumerate(RETRAINED)}
    counts |= {f"e{place}": count for place, count in enumerate(edited)}
    checkpoints, cells, rows = [], [], []
    for name, count in counts.items():
        is_edited = name.startswith("e")
        stages = [StageInfo(role="sft", kind="sft"), *([StageInfo(role="edit", kind=EDITED)] if is_edited else [])]
        parent = "main" if is_edited else None
        checkpoints.append(Checkpoint(id=name, parent=parent, stages=tuple(stages)))
        stands_for = f"r{name[1:]}@sft" if is_edited else None
        position = "edit" if is_edited else "sft"
        seeds = CellSeeds(sft=0)
        cells.append(Cell(arm=name, position=position, checkpoint=name, stands_for=stands_for, seeds=seeds))
        rows += [
            Row(checkpoint=name, measure="harm", item=str(item), value=float(item < count)) for item in range(NUM_ITEMS)
        ]
    tree = Tree(
        study=StudyInfo(name="edits", primary=("harm",)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="harm", direction="lower-is-safer"),),
        items=tuple(ItemInfo(id=str(item), cluster=str(item)) for item in range(NUM_ITEMS)),
    )
    return rows_table(rows), tree.model_copy(update=changes)


def row(findings: Findings) -> dict[str, Any]:
    (found,) = findings.tables["fidelity"]
    return dict(found)


def test_pairs_are_effects_against_what_was_edited() -> None:
    findings = attribute(*study([6, 9, 13, 15, 25, 27, 31, 34]))
    found = row(findings)
    assert (found["status"], found["cells"], found["left_out"]) == ("faithful", 8, {})
    assert found["pairs"][0] == {
        "cell": "e0@edit", "stands_for": "r0@sft", "edited_from": "main@sft",
        "estimate": pytest.approx((6 - MAIN) / NUM_ITEMS), "retrained": pytest.approx((4 - MAIN) / NUM_ITEMS),
    }  # fmt: skip
    assert found["spearman"] == pytest.approx(1.0)
    claim = next(each for each in findings.claims if each.contrast == "e0@edit - r0@sft")
    assert (claim.kind, claim.level, claim.role, claim.fidelity) == ("stand-in", "L4", "exploratory", "faithful")
    assert "replaces none" in claim.sentence
    assert "depends on this" not in claim.sentence


def test_edited_cells_are_never_more_than_l4() -> None:
    findings = attribute(*study(RETRAINED))
    on_edits = [claim for claim in findings.claims if any(cell.endswith("@edit") for cell in claim.weights)]
    assert on_edits
    assert {(claim.level, claim.role) for claim in on_edits} == {("L4", "exploratory")}
    assert all(claim.fidelity is None for claim in findings.claims if claim not in on_edits)
    plain = attribute(*study(()))
    assert "fidelity" not in plain.tables
    assert '"fidelity"' not in plain.model_dump_json()


def test_what_cannot_be_paired_is_left_out_with_the_reason() -> None:
    rows, tree = study(RETRAINED)
    kept = pa.table(rows).filter(pa.compute.not_equal(rows["checkpoint"].cast(pa.string()), "r3"))
    found = row(attribute(kept, tree))
    assert (found["status"], found["cells"]) == ("uncalibrated", 7)
    assert "e3@edit" in found["left_out"]
    without = tuple(cell for cell in tree.cells if cell.arm != "r3")
    left_out = tree.model_copy(update={"cells": without, "study": tree.study.model_copy(update={"left_out": ("r3",)})})
    assert row(attribute(rows, left_out))["left_out"] == {"e3@edit": "r3@sft was left out of this run"}
    orphans = tuple(each.model_copy(update={"parent": None}) for each in tree.checkpoints)
    assert set(row(attribute(rows, tree.model_copy(update={"checkpoints": orphans})))["left_out"].values()) == {
        "the checkpoint whose weights were edited fills no cell"
    }


def test_an_edit_of_what_it_stands_for_is_no_pair() -> None:
    rows, tree = study(RETRAINED)
    checkpoints = tuple(
        each.model_copy(update={"parent": "r3"}) if each.id == "e3" else each for each in tree.checkpoints
    )
    found = row(attribute(rows, tree.model_copy(update={"checkpoints": checkpoints})))
    assert found["left_out"] == {"e3@edit": "its edit is made of the checkpoint that it stands for"}


def spec(**changes: Any) -> ContrastSpec:
    weights = {"e7@edit": 1.0, "main@sft": -1.0}
    return ContrastSpec.model_validate({"name": "c", "weights": weights, "measure": "harm", **changes})


@pytest.mark.parametrize(
    ("edited", "reason"),
    [
        ((6, 9, 13, 15, 25, 27, 31, 34), None),
        ((34, 6, 31, 9, 27, 13, 25, 15), "edited weights do not predict retrained branches here"),
    ],
)
def test_only_faithful_edits_are_a_share(edited: Sequence[int], reason: str | None) -> None:
    rows, tree = study(edited)
    asked = spec(share_of={"r7@sft": 1.0, "main@sft": -1.0})
    (claim,) = (
        each
        for each in attribute(rows, tree.model_copy(update={"study": StudyInfo(name="s", contrasts=(asked,))})).claims
        if each.contrast == "c"
    )
    assert claim.share_reason == reason
    assert (claim.share is None) == (reason is not None)


@pytest.mark.parametrize("changes", [{"level": "L2"}, {"role": "primary"}])
def test_a_tree_that_asks_for_more_is_refused(changes: dict[str, Any]) -> None:
    rows, tree = study(RETRAINED)
    with pytest.raises(FormatError, match="'e7@edit', whose weights were edited: make it exploratory and L4"):
        attribute(rows, tree.model_copy(update={"study": StudyInfo(name="s", contrasts=(spec(**changes),))}))


def test_cells_that_cannot_be_stood_for_are_refused() -> None:
    rows, tree = study(RETRAINED)
    for other, said in (("r9@sft", "which tree.json does not list"), ("e1@edit", "whose weights were edited too"),
                        ("r1@sft", "both stand for r1@sft")):  # fmt: skip
        moved = {"stands_for": other}
        cells = tuple(cell.model_copy(update=moved) if cell.arm == "e0" else cell for cell in tree.cells)
        with pytest.raises(FormatError, match=said):
            attribute(rows, tree.model_copy(update={"cells": cells}))
    roles = Protocol(kind="sft_or_rl", cells={"sft": "e0@edit", "base": "main@sft"})
    played = tree.model_copy(update={"study": tree.study.model_copy(update={"protocol": roles})})
    with pytest.raises(FormatError, match="the protocol's sft is the cell 'e0@edit'"):
        attribute(rows, played)


def both(edited: Sequence[int], emulated: Sequence[int]) -> tuple[pa.Table, Tree]:
    """The same retrained cells, predicted by edits (``e0@edit``) and by emulations (``m0@moved``)."""
    rows, tree = study(edited)
    others, theirs = study(emulated)
    names = {f"e{place}": f"m{place}" for place in range(len(emulated))}
    moved = [Row(**{**row, "checkpoint": names[row["checkpoint"]]}) for row in others.to_pylist()
             if row["checkpoint"] in names]  # fmt: skip
    stages = (StageInfo(role="sft", kind="sft"), StageInfo(role="moved", kind=EMULATED))
    checkpoints = [each.model_copy(update={"id": names[each.id], "stages": stages}) for each in theirs.checkpoints
                   if each.id in names]  # fmt: skip
    cells = [
        cell.model_copy(update={"arm": names[cell.arm], "checkpoint": names[cell.arm], "position": "moved"})
        for cell in theirs.cells
        if cell.arm in names
    ]
    whole = {"checkpoints": (*tree.checkpoints, *checkpoints), "cells": (*tree.cells, *cells)}
    return pa.concat_tables([table.unify_dictionaries() for table in (rows, rows_table(moved))]), tree.model_copy(
        update=whole
    )


FAITHFUL, UNRELATED = (6, 9, 13, 15, 25, 27, 31, 34), (34, 6, 31, 9, 27, 13, 25, 15)


def test_each_kind_of_proxy_is_calibrated_by_its_own_cells() -> None:
    findings = attribute(*both(FAITHFUL, UNRELATED))
    found = {row["proxy"]: row for row in findings.tables["fidelity"]}
    assert {proxy: (row["status"], row["cells"]) for proxy, row in found.items()} == {
        EDITED: ("faithful", 8), EMULATED: ("unfaithful", 8),
    }  # fmt: skip
    assert {pair["cell"].partition("@")[2] for pair in found[EMULATED]["pairs"]} == {"moved"}
    alone = row(attribute(*study(FAITHFUL)))
    assert {name: found[EDITED][name] for name in alone} == alone
    for claim in findings.claims:
        kinds = {cell.partition("@")[2] for cell in claim.weights} & {"edit", "moved"}
        if kinds == {"edit"}:
            assert (claim.fidelity, claim.proxies) == ("faithful", (EDITED,))
        elif kinds == {"moved"}:
            assert (claim.fidelity, claim.proxies, claim.level, claim.role) == (
                "unfaithful", (EMULATED,), "L4", "exploratory",
            )  # fmt: skip
            assert "emulated in logit space" in claim.sentence
            assert "eights were edited" not in claim.sentence
    (warning,) = (each for each in findings.warnings if "predict retrained" in each)
    assert warning.startswith("Emulated tuning does not predict retrained branches on harm")


def test_seven_emulations_are_uncalibrated_whatever_edits_do() -> None:
    findings = attribute(*both(FAITHFUL, FAITHFUL[:7]))
    found = {row["proxy"]: row["status"] for row in findings.tables["fidelity"]}
    assert found == {EDITED: "faithful", EMULATED: "uncalibrated"}
    assert any(
        each.startswith("Emulated tuning is uncalibrated on harm: 7 of at least 8") for each in findings.warnings
    )
    assert not any(each.startswith("Edited weights") for each in findings.warnings)


@pytest.mark.parametrize(
    ("edited", "emulated", "fidelity", "reason"),
    [
        (FAITHFUL, FAITHFUL, "faithful", None),
        (UNRELATED, FAITHFUL, "unfaithful", "edited weights do not predict retrained branches here"),
        (FAITHFUL, UNRELATED, "unfaithful", "emulated tuning does not predict retrained branches here"),
        (FAITHFUL, FAITHFUL[:7], "uncalibrated", "emulated tuning is uncalibrated here"),
    ],
)
def test_a_claim_on_both_is_worth_what_the_worse_is(
    edited: Sequence[int], emulated: Sequence[int], fidelity: str, reason: str | None
) -> None:
    rows, tree = both(edited, emulated)
    weights = {"e0@edit": 1.0, "m1@moved": -1.0}
    asked = ContrastSpec(name="c", weights=weights, measure="harm", share_of={"r7@sft": 1.0, "main@sft": -1.0})
    with_it = tree.model_copy(update={"study": StudyInfo(name="s", contrasts=(asked,))})
    (claim,) = (each for each in attribute(rows, with_it).claims if each.contrast == "c")
    assert (claim.fidelity, claim.proxies, claim.share_reason) == (fidelity, (EDITED, EMULATED), reason)


def test_the_order_of_rows_changes_nothing() -> None:
    rows, tree = study((6, 9, 13, 15, 25, 27, 31, 34))
    other = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert attribute(rows, tree).model_dump_json() == attribute(other, tree).model_dump_json()
