"""What a terminal shows of findings: each reason that blocks claims is said once, below the table, by number."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from upbringing.formats.findings import Claim, Findings
from upbringing.lab.tables import print_findings


def claim(name: str, **fields: object) -> Claim:
    return Claim.model_validate(
        {"id": name, "contrast": name, "measure": "harm", "role": "primary", "kind": "branch", **fields}
    )


def test_a_reason_that_blocks_two_claims_is_said_once() -> None:
    blocked = {"verdict": "not-measurable", "level": "L2"}
    findings = Findings(
        study="s",
        claims=(
            claim("first", blocked_by=("the base knows too little",), **blocked),
            claim("second", verdict="changed", level="L2", estimate=0.25, low=0.125, high=0.375),
            claim("third", blocked_by=("another \x1b[31mgate",), **blocked),
            claim("fourth", blocked_by=("the base knows too little",), **blocked),
        ),
    )
    console = Console(file=StringIO(), width=160, force_terminal=False)
    print_findings(findings, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("the base knows too little") == 1
    assert "[1] the base knows too little" in shown
    assert shown.count("not-measurable (L2) [1]") == 2
    assert shown.count("not-measurable (L2) [2]") == 1
    assert "+0.250" in shown
    assert "\x1b" not in shown


def test_claims_of_one_name_say_what_tells_them_apart_and_no_interval_is_no_missing_estimate() -> None:
    same = {"measure": "harm", "verdict": "equivalent", "level": "L1", "contrast": "start -> sft"}
    findings = Findings(
        study="s",
        claims=(
            claim("a", condition="chat-greedy", split="ood", estimate=0.0, **same),
            claim("b", condition="completion-greedy", split="ood", **same),
            claim(
                "alone", condition="chat-greedy", estimate=0.25, low=0.125, high=0.375, verdict="changed", level="L1"
            ),
        ),
    )
    console = Console(file=StringIO(), width=160, force_terminal=False)
    print_findings(findings, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert any("start -> sft [harm] chat-greedy ood" in line and "+0.000" in line for line in lines)
    assert any("start -> sft [harm] completion-greedy ood" in line for line in lines)
    assert any("alone [harm] " in line and "chat-greedy" not in line for line in lines)
