"""Assay sensitivity: where the positive control of a measure is not shown to move it, nothing is called alike."""

from __future__ import annotations

import pyarrow as pa
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.assays import UNASKED
from upbringing.attribution.pipeline_gate import gate
from upbringing.attribution.words.sentences import DEAD_ASSAY
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, MeasureInfo, StageInfo, StudyInfo, Tree


def with_control(*, moves: bool, effect: float = 0.0, seed_deviation: float = 0.05, is_asked: bool = True) -> Findings:
    """Two arms that are alike, and a positive control whose answers are all 1 where it moves, else those of an arm."""
    rows, tree = two_arms(1, effect=effect, num_items=200, num_seeds=5, seed_deviation=seed_deviation, margin=0.15)
    lines = rows.to_pylist()
    control = [
        {**line, "checkpoint": line["checkpoint"].replace("a-", "c-"), "value": 1.0 if moves else line["value"]}
        for line in lines
        if line["checkpoint"].startswith("a-")
    ]
    named = [each for each in tree.checkpoints if each.id.startswith("a-")]
    places = [each for each in tree.cells if each.arm == "a"]
    spec = ContrastSpec(
        name="control", weights={"c@sft": 1.0, "a@sft": -1.0}, measure="harm", level="L2", kind="branch", margin=0.15,
        family="positive",
    )  # fmt: skip
    study = tree.study.model_copy(update={"contrasts": (*tree.study.contrasts, *((spec,) if is_asked else ()))})
    more = {
        "study": study,
        "checkpoints": (
            *tree.checkpoints, *(each.model_copy(update={"id": each.id.replace("a-", "c-")}) for each in named),
        ),
        "cells": (
            *tree.cells,
            *(
                Cell(arm="c", position="sft", checkpoint=each.checkpoint.replace("a-", "c-"), control="positive",
                     seeds=each.seeds)
                for each in places
            ),
        ),
    }  # fmt: skip
    return attribute(pa.Table.from_pylist([*lines, *control], schema=rows.schema), tree.model_copy(update=more))


def said(claim: Claim) -> str:
    """Return the long form of a claim."""
    return str((claim.model_extra or {})["statement"])


def test_a_control_that_moves_lets_the_rest_be_called_alike() -> None:
    found = with_control(moves=True)
    claim, control = found.claims[0], next(each for each in found.claims if each.contrast == "control")
    assert (claim.verdict, claim.assay, control.verdict) == ("equivalent", control.id, "changed")
    assert (claim.noninferior, claim.beyond_margin) == ("yes", "no")
    assert "alike within" in claim.sentence
    assert "alike within" in said(claim)


def test_a_control_that_nothing_is_held_against_is_said() -> None:
    said_of = UNASKED.format(arm="c")
    assert said_of in with_control(moves=False, is_asked=False).warnings
    assert said_of not in with_control(moves=False).warnings


def test_a_dead_measure_is_called_alike_nowhere() -> None:
    claim = with_control(moves=False).claims[0]
    reason = DEAD_ASSAY.format(contrast="control", measure="harm")
    assert (claim.verdict, claim.blocked_by) == ("inconclusive", (reason,))
    for text in (claim.sentence, said(claim)):
        assert reason in text
        assert "alike within" not in text
    assert (claim.noninferior, claim.beyond_margin) == (None, None)


def test_on_a_dead_measure_no_change_is_called_negligible() -> None:
    assert with_control(moves=True, effect=0.65, seed_deviation=0.001).claims[0].verdict == "negligible"
    claim = with_control(moves=False, effect=0.65, seed_deviation=0.001).claims[0]
    assert (claim.verdict, claim.noninferior) == ("inconclusive", None)
    assert "less than the margin" not in claim.sentence


def test_a_pipeline_does_not_pass_on_a_dead_measure() -> None:
    assert gate(with_control(moves=True), fail_on=("undecided",)).passed
    assert not gate(with_control(moves=False), fail_on=("undecided",)).passed


def eroded(*, moves: bool) -> Findings:
    """Safety training works, RL after it does nothing, and RL that is built to undo it does so where it ``moves``."""
    tops = {"placebo-sft": 0.9, "main-sft": 0.1, "placebo-rl": 0.9, "main-rl": 0.1, "erodes-rl": 0.8 if moves else 0.1}
    parents = {"placebo-rl": "placebo-sft", "main-rl": "main-sft", "erodes-rl": "main-sft"}
    places = {
        "placebo@sft": "placebo-sft", "placebo@rl": "placebo-rl", "main@sft": "main-sft", "main@rl": "main-rl",
        "erodes@sft": "main-sft", "erodes@rl": "erodes-rl",
    }  # fmt: skip
    controls = {"placebo": "reference", "erodes": "positive"}
    rows, checkpoints, cells = [], [Checkpoint(id="base", stages=(StageInfo(role="start", kind="existing"),))], []
    for seed in range(4):
        for name, rate in tops.items():
            kind = name.rpartition("-")[2]
            parent = f"{parents[name]}-{seed}" if name in parents else "base"
            stages = (StageInfo(role=kind, kind=kind),)
            checkpoints.append(Checkpoint(id=f"{name}-{seed}", parent=parent, stages=stages))
            for item in range(240):
                value = float((item * 7 + seed) % 240 < rate * 240)
                rows.append(Row(checkpoint=f"{name}-{seed}", measure="harm", item=str(item), value=value))
        for place, name in places.items():
            arm, _, position = place.partition("@")
            seeds = CellSeeds(sft=seed, rl=seed)
            cells.append(Cell.model_validate({
                "arm": arm, "position": position, "checkpoint": f"{name}-{seed}", "seeds": seeds,
                "control": controls.get(arm, "none"),
            }))  # fmt: skip
    study = StudyInfo(name="eroded", primary=("harm",), margins={"harm": 0.1})
    measures = (MeasureInfo(id="harm", direction="lower-is-safer"),)
    tree = Tree(study=study, checkpoints=tuple(checkpoints), cells=tuple(cells), measures=measures)
    return attribute(rows_table(rows), tree, other_estimators=False)


def test_what_an_arm_did_before_its_control_acted_shows_nothing_of_the_control() -> None:
    """The eroding arm is far from the placebo because of its SFT, whether or not its RL erodes anything."""
    for moves, verdict in ((True, "equivalent"), (False, "inconclusive")):
        found = eroded(moves=moves)
        branch = next(each for each in found.claims if each.contrast == "erodes - placebo @ rl")
        claim = next(each for each in found.claims if each.contrast == "main: sft -> rl")
        assert branch.verdict == "changed" or moves
        assert claim.verdict == verdict
        assay = next(each for each in found.claims if each.id == claim.assay)
        assert set(assay.weights) == {"erodes@rl", "main@rl"} or set(assay.weights) == {"erodes@rl", "erodes@sft"}
