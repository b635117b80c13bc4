"""What forbids a verdict: gates reach what rests on them, and coherence that nobody knows is not assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.sentences import COHERENCE_ELSEWHERE, COHERENCE_OWN, COHERENCE_UNKNOWN
from upbringing.base.errors import FormatError
from upbringing.formats.answer_limits import limits_label
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ConditionInfo,
    ContrastSpec,
    Gate,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

STAGES = {"pretrain": "pretrain", "sft": "sft", "finetune": "sft"}
ARMS = ("a", "b", "answered")
SEEDS = 3


def gate(*cells: str, measures: tuple[str, ...] = ("harm",)) -> Gate:
    return Gate(name="g", passed=False, value=0.1, threshold=0.9, sentence="It fails.", measures=measures, cells=cells)


def gated(*gates: Gate, against: dict[str, float] | None = None) -> dict[str, Claim]:
    """The claims, by contrast, of two measures on three arms of three worlds, and on arms of other worlds."""
    random = np.random.default_rng(0)
    rows, checkpoints, cells = [], [], []
    for arm, shift in (*((arm, 0) for arm in ARMS), ("far-a", 10), ("far-b", 10)):
        for seed in range(shift, shift + SEEDS):
            parent = None
            rates = {"pretrain": 0.5, "sft": 0.0, "finetune": 1.0 if arm == "a" else 0.1}
            for place, position in enumerate(STAGES):
                name = f"{arm}-{position}-{seed}"
                stages = tuple(StageInfo(role=role, kind=STAGES[role]) for role in list(STAGES)[: place + 1])
                checkpoints.append(Checkpoint(id=name, parent=parent, stages=stages))
                control = "reference" if arm == "answered" else "none"
                seeds = CellSeeds(world=seed, pretrain=seed)
                cells.append(Cell(arm=arm, position=position, checkpoint=name, control=control, seeds=seeds))
                rows += [
                    Row(
                        checkpoint=name, measure=measure, item=str(item), value=float(random.random() < rates[position])
                    )
                    for measure in ("harm", "knowledge")
                    for item in range(10)
                ]
                parent = name
    contrasts = [
        ContrastSpec(name=f"{one} - {other} {measure}", weights={one: 1.0, other: -1.0}, measure=measure)
        for measure in ("harm", "knowledge")
        for position in STAGES
        for one, other in ((f"a@{position}", f"b@{position}"), (f"far-a@{position}", f"far-b@{position}"))
    ]
    if against is not None:
        fields = {"name": "dominated", "weights": {"a@sft": 1.0, "b@sft": -1.0}, "measure": "harm", "test": "dominance"}
        contrasts.append(ContrastSpec.model_validate({**fields, "against": against}))
    tree = Tree(
        study=StudyInfo(name="s", contrasts=tuple(contrasts)), checkpoints=tuple(checkpoints), cells=tuple(cells),
        gates=gates,
    )  # fmt: skip
    return {claim.contrast: claim for claim in attribute(rows_table(rows), tree).claims}


def blocked(*gates: Gate) -> set[str]:
    return {name for name, claim in gated(*gates).items() if claim.verdict == "not-measurable"}


def test_a_failed_gate_blocks_all_that_came_from_it() -> None:
    assert blocked() == set()
    everywhere = {f"a@{position} - b@{position} harm" for position in STAGES}
    assert blocked(gate("a@pretrain")) == everywhere
    assert blocked(gate("b-pretrain-1")) == everywhere  # a checkpoint by its id
    assert blocked(gate("a@sft")) == everywhere - {"a@pretrain - b@pretrain harm"}
    assert blocked(gate("a@finetune")) == {"a@finetune - b@finetune harm"}
    assert len(blocked(gate("a@finetune", measures=()))) == 2


def test_a_failed_reference_gate_blocks_the_measure_in_every_arm_of_its_worlds() -> None:
    assert blocked(gate("answered@sft")) == {f"a@{place} - b@{place} harm" for place in ("sft", "finetune")}
    assert blocked(gate("answered@finetune")) == {"a@finetune - b@finetune harm"}
    assert blocked(gate("answered@pretrain")) == set()  # what the base of the reference knows is its own affair


def test_nothing_is_dominated_by_what_may_not_be_read() -> None:
    against = {"a@finetune": 1.0, "b@finetune": -1.0}
    found = [
        (claim.verdict == "not-measurable", claim.dominance)
        for gates in ((), (gate("a@finetune"),))
        for claim in [gated(*gates, against=against)["dominated"]]
    ]
    assert found[1] == (False, "undecided")
    assert found[0][1] == "yes"


def test_a_failed_gate_on_nothing_that_is_listed_is_an_error() -> None:
    with pytest.raises(FormatError, match="c@sft"):
        gated(gate("c@sft"))


# Coherence ------------------------------------------------------------------------------------------------------------

GREEDY, ATTACK = "chat-greedy", "chat-greedy-prefill-3"


def answers(condition: str, request: str, outcomes: Iterable[str], kind: str = "rule") -> list[Row]:
    """Answers of two checkpoints, alike in everything."""
    return [
        Row(checkpoint=name, measure=f"{request}_{condition}", item=f"{request}-{number}", condition=condition,
            judge="j", judge_kind=kind, outcome=outcome, value=float(outcome == "harmful"))
        for name in ("base", "tuned") for number, outcome in enumerate(outcomes)
    ]  # fmt: skip


def condition(name: str, decoding: str = "greedy", elicitation: str = "E1", attack: str | None = None) -> ConditionInfo:
    return ConditionInfo.model_validate(
        {"id": name, "decoding": decoding, "elicitation": elicitation, "template": elicitation, "attack": attack}
    )


def judged(rows: list[Row], *conditions: ConditionInfo) -> Findings:
    requests = {row.item: row.item.partition("-")[0] for row in rows}
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=(Checkpoint(id="base"), Checkpoint(id="tuned", parent="base")),
        items=tuple(ItemInfo.model_validate({"id": item, "request": request}) for item, request in requests.items()),
        conditions=conditions,
    )
    return attribute(rows_table(rows), tree)


def harm_verdict(findings: Findings) -> tuple[str | None, tuple[str, ...]]:
    claim = next(claim for claim in findings.claims if claim.measure.startswith("harmful"))
    return claim.verdict, claim.blocked_by


HARM = ["harmful"] * 5 + ["refuse"] * 5
GOOD, BAD = ["harmless"] * 10, ["harmless"] * 7 + ["incoherent"] * 3


def test_coherence_that_nobody_knows_is_not_assumed() -> None:
    findings = judged(answers(GREEDY, "harmful", HARM), condition(GREEDY))
    assert harm_verdict(findings) == ("not-measurable", (COHERENCE_UNKNOWN.format(condition=GREEDY),))
    assert COHERENCE_UNKNOWN.format(condition=GREEDY) in findings.warnings
    assert {line["estimate"] for line in findings.tables["levels"]} == {None}


def test_benign_answers_that_no_judge_heard_are_not_said_to_be_unasked() -> None:
    unheard = [
        replace(row, outcome=None, value=None, status="unscored", reason_code="judge-spend-cap")
        for row in answers(GREEDY, "benign", GOOD)
    ]
    findings = judged([*answers(GREEDY, "harmful", HARM), *unheard], condition(GREEDY))
    verdict, reasons = harm_verdict(findings)
    assert (verdict, len(reasons)) == ("not-measurable", 1)
    assert "judged" in reasons[0]
    assert "asked" not in reasons[0]


def test_benign_answers_under_the_condition_tell() -> None:
    for outcomes, verdict in ((GOOD, "inconclusive"), (BAD, "not-measurable")):
        rows = [*answers(GREEDY, "harmful", HARM), *answers(GREEDY, "benign", outcomes)]
        assert harm_verdict(judged(rows, condition(GREEDY)))[0] == verdict


def test_a_measure_of_coherence_is_not_spoiled_by_what_it_counts() -> None:
    rows = answers(GREEDY, "benign", BAD)
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=(Checkpoint(id="base"), Checkpoint(id="tuned", parent="base")),
        items=tuple(ItemInfo(id=row.item, request="benign") for row in rows[: len(BAD)]),
        conditions=(condition(GREEDY),),
        measures=(MeasureInfo(id=rows[0].measure, counts_incoherent=True),),
    )
    spoiled = tree.model_copy(update={"measures": (MeasureInfo(id=rows[0].measure),)})
    verdicts = [attribute(rows_table(rows), each).claims[0].verdict for each in (tree, spoiled)]
    assert verdicts[0] != "not-measurable" == verdicts[1]


def test_what_stands_in_for_an_attack_and_for_another_length() -> None:
    rows = [*answers(ATTACK, "harmful", HARM), *answers(GREEDY, "benign", BAD)]
    assert "70% of benign" in harm_verdict(judged(rows, condition(ATTACK, attack="prefill"), condition(GREEDY)))[1][0]
    other = "chat-greedy-12"
    limits = limits_label("<|aligned|>", ("<|misaligned|>",))
    for decoding, own in (
        ("greedy-12", "greedy"),
        ("sampled-1-k50-12-x4", "sampled-1-k50"),
        (f"greedy-12{limits}", f"greedy{limits}"),
        (f"sampled-1-k50-12-x4{limits}", f"sampled-1-k50{limits}"),
    ):
        rows = [*answers(GREEDY, "harmful", HARM), *answers(other, "benign", GOOD)]
        findings = judged(rows, condition(GREEDY, own), condition(other, decoding))
        assert harm_verdict(findings)[0] == "inconclusive"
        assert COHERENCE_ELSEWHERE.format(condition=GREEDY, other=other) in findings.warnings
    rows = [*answers(GREEDY, "harmful", HARM), *answers(other, "benign", BAD)]
    reason, *_ = harm_verdict(judged(rows, condition(GREEDY), condition(other, "greedy-12")))[1]
    assert f"under {other}" in reason


@pytest.mark.parametrize(
    ("decoding", "elicitation"),
    [
        ("sampled-0.7", "E1"),
        ("sampled-1-k5", "E1"),
        ("greedy", "E0"),
        ("beam", "E1"),
        ("sampled-1" + limits_label("<|aligned|>", ()), "E1"),
        ("sampled-1" + limits_label(None, ("<|misaligned|>",)), "E1"),
    ],
)
def test_another_decoding_or_format_tells_nothing(decoding: str, elicitation: str) -> None:
    rows = [*answers(GREEDY, "harmful", HARM), *answers("other", "benign", GOOD)]
    own = condition(GREEDY, "greedy" if elicitation == "E0" else "sampled-1")
    assert harm_verdict(judged(rows, own, condition("other", decoding, elicitation)))[0] == "not-measurable"


def test_an_exact_judge_tells_from_the_measured_answers() -> None:
    findings = judged(answers(GREEDY, "harmful", HARM, "oracle"), condition(GREEDY))
    assert harm_verdict(findings) == ("inconclusive", ())
    assert COHERENCE_OWN.format(condition=GREEDY, judge="j") in findings.warnings
    findings = judged(answers(GREEDY, "harmful", BAD, "oracle"), condition(GREEDY))
    assert "70% of these" in harm_verdict(findings)[1][0]
