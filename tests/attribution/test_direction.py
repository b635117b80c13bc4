"""Refusal directions: one that grew counts only where what it does grew too, by hand, planted, and on nulls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.protocols.direction_effect import direction_verdicts
from upbringing.attribution.protocols.direction_questions import DirectionPlan
from upbringing.attribution.protocols.direction_tables import sentence_of
from upbringing.battery.needs import Intervention
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.steering import DIRECTION_UNIT, SteeringLabel, steering_label
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ConditionInfo,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

LENGTH = "chat-last-token-chosen-layer"
STEP = {"main@sft": 1.0, "main@base": -1.0}


@dataclass(frozen=True)
class Does:
    """What a direction is: its length, and how often taking it out removes a refusal and adding it brings one."""

    length: float = 0.5
    removes: float = 0.05
    brings: float = 0.3


GROWN = Does(2.0, 0.6, 0.7)


@dataclass(frozen=True)
class Planted:
    """A study of one arm, or of two, in which directions do what was planted. ``noise``: of a run, in the rates."""

    before: Does = Does()
    after: Does = GROWN
    num_seeds: int = 5
    num_items: int = 40
    noise: float = 0.02
    margin: float | None = 0.15
    role: str = "exploratory"
    level: str = "L1"
    edits: tuple[str, ...] = ("ablate", "add")
    form: str = "E1"
    has_control: bool = True
    strengths: tuple[float, ...] = (1.0,)
    more: tuple[ContrastSpec, ...] = field(default=())

    def findings(self, seed: int = 0) -> Findings:
        return attribute(*self.tables(seed), other_estimators=False)

    def row(self, seed: int = 0) -> dict[str, Any]:
        (found,) = self.findings(seed).tables["direction"]
        return dict(found)

    def tables(self, seed: int = 0) -> tuple[pa.Table, Tree]:
        random = np.random.default_rng(seed)
        rows = [
            row
            for run in range(self.num_seeds)
            for position, does in (("base", self.before), ("sft", self.after))
            for row in self._rows(f"{position}-{run}", does, random)
        ]
        return rows_table(rows), self._tree()

    def _labels(self) -> list[SteeringLabel]:
        controls = (False, True) if self.has_control else (False,)
        return [
            SteeringLabel(edit, "middle-block", strength, is_random)
            for edit, strength, is_random in product(self.edits, self.strengths, controls)
        ]

    def _rows(self, name: str, does: Does, random: np.random.Generator) -> list[Row]:
        length = does.length + random.normal(0, self.noise * 5)
        rows = [
            Row(checkpoint=name, measure="length", condition=LENGTH, item=f"{kind}{number}",
                value=float(length + random.normal(0, 1)))
            for kind in "hb" for number in range(self.num_items)
        ]  # fmt: skip
        for label in self._labels():
            planted = does.removes if label.edit == "ablate" else does.brings
            rate = 0.03 if label.is_random else planted * min(label.strength, 1.0) + random.normal(0, self.noise)
            kind, sign = ("h", -1.0) if label.edit == "ablate" else ("b", 1.0)
            changed = random.random(self.num_items) < rate
            rows += [
                Row(checkpoint=name, measure="steering", condition=f"chat-greedy-{label.text}", item=f"{kind}{number}",
                    judge="o", judge_kind="oracle", outcome="harmless", value=sign * float(changed[number]))
                for number in range(self.num_items)
            ]  # fmt: skip
        return rows

    def _tree(self) -> Tree:
        places = [(position, run) for run in range(self.num_seeds) for position in ("base", "sft")]
        stages = {"base": (StageInfo(role="base", kind="pretrain"),)}
        stages["sft"] = (*stages["base"], StageInfo(role="sft", kind="sft"))
        spec = ContrastSpec.model_validate(
            {"name": "main: base -> sft", "measure": "length", "weights": STEP, "level": self.level,
             "kind": "path" if self.level == "L1" else "branch", "role": self.role}
        )  # fmt: skip
        steering = [
            ConditionInfo(id=f"chat-greedy-{label.text}", elicitation=self.form, decoding="greedy", attack=label.text)
            for label in self._labels()
        ]  # type: ignore[arg-type]
        return Tree(
            study=StudyInfo(
                name="direction",
                contrasts=(spec, *self.more),
                margins={} if self.margin is None else {"steering": self.margin},
            ),
            checkpoints=tuple(
                Checkpoint(id=f"{position}-{run}", parent=f"base-{run}" if position == "sft" else None,
                           stages=stages[position])
                for position, run in places
            ),
            cells=tuple(
                Cell(arm="main", position=position, checkpoint=f"{position}-{run}",
                     seeds=CellSeeds(pretrain=run, sft=run))
                for position, run in places
            ),
            measures=(MeasureInfo(id="length", unit=DIRECTION_UNIT), MeasureInfo(id="steering", unit="changes")),
            conditions=(ConditionInfo(id=LENGTH, elicitation="E3", template="t", decoding="last-token-chosen-layer"),
                        *steering),
            items=tuple(
                ItemInfo(id=f"{kind}{number}", request="harmful" if kind == "h" else "benign")
                for kind in "hb" for number in range(self.num_items)
            ),
        )  # fmt: skip


@lru_cache
def planted() -> Findings:
    return Planted().findings()


def test_a_direction_that_does_more_has_grown() -> None:
    (row,) = planted().tables["direction"]
    assert (row["verdict"], row["reason"], row["level"]) == ("supported", "", "L1")
    assert (row["measure"], row["steering"]) == ("length", "steering")
    assert row["p"] < 0.05
    assert row["sentence"].startswith(
        "main: base -> sft (L1, about the recipe): the refusal direction grew over this stage (+1."
    )
    assert "spreads), and what it does to refusals grew too: the effect of taking it out grew (+0." in row["sentence"]
    assert row["sentence"].endswith("each beyond a random direction of equal length. What happened during a stage "
                                    "need not be its doing.")  # fmt: skip


def test_its_numbers_are_those_by_hand() -> None:
    rows, _ = Planted().tables()
    (found,) = planted().tables["direction"]
    means = {
        (each["checkpoint_prefix"], each["condition"]): each["value_mean"]
        for each in pa.table(
            {
                "checkpoint_prefix": [name.partition("-")[0] for name in rows["checkpoint"].to_pylist()],
                "condition": rows["condition"],
                "value": rows["value"],
            }
        )
        .group_by(["checkpoint_prefix", "condition"])
        .aggregate([("value", "mean")])
        .to_pylist()
    }

    def change(condition: str) -> float:
        return float(means["sft", condition] - means["base", condition])

    def effect(edit: str) -> float:
        label = f"chat-greedy-{edit}-refusal-direction-middle-block"
        return change(label) - change(f"{label}-random-control")

    assert found["growth"] == pytest.approx(change(LENGTH))
    assert found["removed"] == pytest.approx(-effect("ablate"))
    assert found["brought"] == pytest.approx(effect("add"))
    for part in ("growth", "removed", "brought"):
        assert found[f"{part}_low"] < found[part] < found[f"{part}_high"]


def test_every_part_is_a_claim_of_its_own() -> None:
    findings = planted()
    (row,) = findings.tables["direction"]
    by_id = {claim.id: claim for claim in findings.claims}
    parts = {part: by_id[name] for part, name in row["claims"].items()}
    assert [parts[part].kind for part in ("growth", "removed", "brought")] == ["path", *["direction-effect"] * 2]
    assert parts["removed"].contrast == "main: base -> sft: refusals that taking the direction out removes"
    assert "rose during this stage" in parts["removed"].sentence
    assert {claim.family for claim in findings.claims if claim.kind.startswith("direction")} == {"refusal direction"}
    assays = [by_id[name] for name in row["assays"]]
    assert [claim.contrast.partition(":")[0] for claim in assays] == ["main@sft", "main@base"]
    assert "more than a random direction does" in assays[0].sentence


def test_length_alone_is_no_growth() -> None:
    row = Planted(after=Does(2.0, 0.05, 0.3), num_items=100, margin=0.2).row()
    assert row["verdict"] == "refuted"
    assert "grew over this stage" in row["sentence"]
    assert (
        ", but what it does to refusals did not grow with it: the effect of taking it out did not " in row["sentence"]
    )


def test_without_a_margin_only_a_loss_refutes() -> None:
    assert Planted(after=Does(2.0, 0.05, 0.3), margin=None).row()["verdict"] == "not-decided"
    assert Planted(before=Does(0.5, 0.6, 0.7), after=Does(2.0, 0.05, 0.3), margin=None).row()["verdict"] == "refuted"


@pytest.mark.parametrize("after", [Does(2.0, 0.6, 0.3), Does(2.0, 0.05, 0.7), Does(0.5, 0.6, 0.7)])
def test_two_of_three_decide_nothing(after: Does) -> None:
    row = Planted(after=after).row()
    assert row["verdict"] == "not-decided"
    assert "is not decided: the effect of taking it out" in row["sentence"]


def test_an_assay_that_nothing_moves_is_void() -> None:
    """Taking it out removes more, but adding it does nothing on either checkpoint."""
    row = Planted(before=Does(0.5, 0.05, 0.03), after=Does(2.0, 0.6, 0.03)).row()
    assert row["verdict"] == "void"
    assert "what nothing moves shows no growth" in row["sentence"]
    moved_before = Planted(before=Does(0.5, 0.05, 0.7), after=Does(2.0, 0.6, 0.03)).row()
    assert moved_before["verdict"] == "not-decided"  # the assay works, and the effect is gone


def test_chance_makes_no_growth_of_two_thirds_of_it() -> None:
    """The worst null: length and removal grew for sure, addition did not. At most 5 % may be called grown."""
    worst = Planted(before=Does(0.5, 0.05, 0.4), after=Does(2.0, 0.6, 0.4), num_seeds=4, num_items=30, noise=0.05)
    called = sum(worst.row(seed)["verdict"] == "supported" for seed in range(60))
    assert called <= 7  # 5 % of 60 are 3; more than 7 in one of a hundred


def test_planted_growth_is_found_and_nothing_is_found_in_nothing() -> None:
    found = [Planted(num_seeds=4, num_items=30).row(seed)["verdict"] for seed in range(12)]
    assert found.count("supported") >= 10
    null = [Planted(after=Does(), num_seeds=4, num_items=30).row(seed)["verdict"] for seed in range(30)]
    assert null.count("supported") == 0
    assert null.count("refuted") <= 3  # the direction did not grow, so nothing is refuted of its growth


def test_a_counterfactual_speaks_of_a_difference_and_nobody_of_a_cause() -> None:
    row = Planted(level="L2").row()
    assert row["verdict"] == "supported"
    assert "the refusal direction is longer (+" in row["sentence"]
    assert "what it does to refusals is larger too" in row["sentence"]
    assert "stage" not in row["sentence"]
    studies = [Planted(), Planted(after=Does()), Planted(after=Does(2.0, 0.05, 0.3)), Planted(edits=("ablate",))]
    for study in studies:
        for level in ("L1", "L2"):
            said = replace(study, level=level).row()["sentence"].lower()
            assert not any(word in said for word in ("caus", "because", "due to", "leads to", "makes"))


def test_a_primary_contrast_is_a_conclusion_and_others_are_lines() -> None:
    (conclusion,) = Planted(role="primary").findings().conclusions
    assert (conclusion.protocol, conclusion.verdict) == ("refusal_direction", "supported")
    assert {name: part.verdict for name, part in conclusion.parts.items()} == {
        "growth": "supported", "removed": "supported", "brought": "supported",
    }  # fmt: skip
    assert planted().conclusions == ()
    void = Planted(before=Does(0.5, 0.05, 0.03), after=Does(2.0, 0.6, 0.03), role="primary").findings()
    assert void.conclusions[0].verdict == "not-decided"


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"edits": ("ablate",)}, "adding it was not asked"),
        ({"edits": ("add",)}, "taking it out was not asked"),
        ({"has_control": False}, "taking it out and adding it was not asked"),
    ],
)
def test_what_was_not_asked_is_named(change: dict[str, Any], lacking: str) -> None:
    row = Planted(**change).row()
    assert row["verdict"] == "not-decided"
    assert lacking in row["sentence"]
    assert "cannot be told" in row["sentence"]


def test_another_form_of_prompt_is_another_direction() -> None:
    assert "direction" not in Planted(form="E0").findings().tables


def test_the_plain_strength_is_read_and_strength_zero_never() -> None:
    for strengths in ((0.0, 0.5, 1.0), (1.0, 0.0, 0.5)):
        claims = Planted(strengths=strengths).findings().claims
        assert {claim.condition for claim in claims if claim.kind == "direction-effect"} == {
            f"chat-greedy-{edit}-refusal-direction-middle-block" for edit in ("ablate", "add")
        }
    halves = {claim.condition for claim in Planted(strengths=(0.0, 0.5)).findings().claims
              if claim.kind == "direction-effect"}  # fmt: skip
    assert halves == {f"chat-greedy-{edit}-refusal-direction-middle-block-x0.5" for edit in ("ablate", "add")}


def test_one_checkpoint_twice_shows_no_growth() -> None:
    rows, tree = Planted().tables()
    same = tuple(cell.model_copy(update={"checkpoint": cell.checkpoint.replace("sft", "base")}) for cell in tree.cells)
    (row,) = attribute(rows, tree.model_copy(update={"cells": same}), other_estimators=False).tables["direction"]
    assert row["verdict"] == "not-decided"
    assert "one and the same checkpoint" in row["sentence"]


def test_other_studies_keep_their_findings() -> None:
    rows, tree = Planted().tables()
    without = rows.filter(pa.compute.equal(rows["measure"].cast(pa.string()), "length"))
    found = attribute(without, tree, other_estimators=False)
    assert "direction" not in found.tables
    assert not [claim for claim in found.claims if claim.kind.startswith("direction")]


def test_the_order_of_rows_changes_nothing() -> None:
    rows, tree = Planted(num_seeds=3, num_items=12).tables()
    other = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    one, two = (attribute(each, tree, other_estimators=False).model_dump_json() for each in (rows, other))
    assert one == two


def plan(number: int, role: str = "exploratory") -> DirectionPlan:
    keys = [("m", "c", None, f"{part}-{number}") for part in ("growth", "removed", "brought", "assay")]
    return DirectionPlan(
        contrast=f"contrast {number}",
        steering="m", kind="path", level="L1", role=role, weights=STEP, margin=0.1,  # type: ignore[arg-type]
        growth=keys[0], removed=keys[1], brought=keys[2], assays=(keys[3],), questions=(),
    )  # fmt: skip


def claim(name: str, estimate: float, error: float = 0.1, **more: Any) -> Claim:
    """A claim with a normal interval, so that one-sided p-values are known by heart."""
    reach = 1.959964 * error
    base: dict[str, Any] = {"id": name, "kind": "path", "measure": "m", "contrast": name, "condition": "c",
                            "estimate": estimate, "low": estimate - reach, "high": estimate + reach,
                            "p_adjusted": 0.5, "verdict": "inconclusive"}  # fmt: skip
    return Claim(**{**base, **more})


def claims(number: int, growth: float, removed: float, brought: float, assay: float = 1.0) -> list[Claim]:
    values = {"growth": growth, "removed": removed, "brought": brought, "assay": assay}
    return [claim(f"{part}-{number}", value) for part, value in values.items()]


def test_the_conjunction_is_the_largest_of_three_one_sided_p_values() -> None:
    (found,) = direction_verdicts([plan(0)], claims(0, 1.0, 0.2, 0.5))
    assert found.p == pytest.approx(0.02275, abs=1e-4)  # two standard errors, one-sided
    assert found.verdict == "supported"
    (turned,) = direction_verdicts([plan(0)], claims(0, 1.0, -0.2, 0.5))
    assert turned.p == pytest.approx(0.97725, abs=1e-4)
    assert turned.verdict == "not-decided"


def test_several_contrasts_of_one_role_are_corrected_together() -> None:
    both = [*claims(0, 1.0, 0.2, 0.5), *claims(1, 0.0, 0.0, 0.0)]
    one, other = direction_verdicts([plan(0), plan(1)], both)
    assert (one.p, one.verdict, other.verdict) == (pytest.approx(2 * 0.02275, abs=1e-4), "supported", "not-decided")
    three = direction_verdicts([plan(0), plan(1), plan(2)], [*both, *claims(2, 0.0, 0.0, 0.0)])
    assert three[0].verdict == "not-decided"
    alone, _ = direction_verdicts([plan(0, "primary"), plan(1)], both)
    assert alone.p == pytest.approx(0.02275, abs=1e-4)


def test_what_unscored_answers_may_have_been_counts_against_growth() -> None:
    found = claims(0, 1.0, 0.3, 0.5)
    found[1] = found[1].model_copy(update={"bounds": {"low": 0.1, "high": 0.5}, "low": 0.1 - 0.196})
    assert direction_verdicts([plan(0)], found)[0].verdict == "not-decided"  # a lowest of one standard error


def test_a_claim_that_may_not_be_read_is_named() -> None:
    found = claims(0, 1.0, 0.3, 0.5)
    found[2] = found[2].model_copy(update={"verdict": "not-measurable", "blocked_by": ("gate failed: knowledge.",)})
    (verdict,) = direction_verdicts([plan(0)], found)
    assert (verdict.verdict, verdict.reason) == ("not-decided", "gate failed: knowledge")
    assert "cannot be told: gate failed: knowledge." in sentence_of(verdict)
    assert direction_verdicts([], []) == ()


def test_what_did_not_vary_has_no_interval_and_decides_nothing() -> None:
    found = claims(0, 1.0, 0.3, 0.5)
    found[1] = found[1].model_copy(update={"estimate": 1.0, "low": None, "high": None})
    (verdict,) = direction_verdicts([plan(0)], found)
    assert (verdict.verdict, verdict.reason) == (
        "not-decided",
        "nothing varied between runs or prompts, so there is no interval",
    )


def test_labels_are_read_as_they_are_written() -> None:
    for edit, layer, strength, is_random in product(("ablate", "add"), (None, 0, 12), (1.0, 0.5, 2.0, 0.0), (0, 1)):
        written = Intervention(edit, strength, layer, (), (), "chat", bool(is_random)).label  # type: ignore[arg-type]
        where = "middle-block" if layer is None else f"block-{layer}"
        assert steering_label(written) == SteeringLabel(edit, where, strength, bool(is_random))
    assert Intervention("add", 0.5, 2, (), (), "chat", True).label == (
        "add-refusal-direction-block-2-x0.5-random-control"
    )
    for other in (None, "", "prefill", "ablate-refusal-direction", "add-refusal-direction-block-2-xmuch",
                  "add-refusal-direction-block-2-random-control-more"):  # fmt: skip
        assert steering_label(other) is None
