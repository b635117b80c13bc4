"""What a terminal shows of findings: each reason that blocks claims is said once, below the table, by number."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from upbringing.formats.findings import Claim, Findings
from upbringing.lab.tables import MAX_NOTES_SHOWN, print_findings


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


def noted(of_findings: tuple[str, ...], of_tree: tuple[str, ...]) -> list[str]:
    console = Console(file=StringIO(), width=160, force_terminal=False)
    print_findings(Findings(study="s", warnings=of_findings), console, of_tree)
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.strip() for line in shown.splitlines() if line.startswith(("note:", "(and", "forged", "\x1b"))]


def test_what_the_tree_warns_of_is_a_line_each_once_and_drives_no_terminal() -> None:
    hostile = "stage \x1b[2Jsft\u202e\nforged: [red]all is well[/red]"
    shown = noted(("one seed",), ("leaked prompts", "one seed", hostile, "leaked prompts"))
    assert shown == [
        "note: one seed",
        "note: leaked prompts",
        "note: stage \\u001b[2Jsft\\u202e forged: [red]all is well[/red]",
    ]


def test_many_notes_of_findings_hide_none_of_the_tree_and_the_rest_is_counted() -> None:
    shown = noted(tuple(f"finding {n}" for n in range(30)), ("leaked prompts",))
    assert shown[-2:] == ["note: leaked prompts", f"(and {30 - MAX_NOTES_SHOWN} more notes in the report)"]
    assert len(shown) == MAX_NOTES_SHOWN + 2
    assert noted((), tuple(f"tree {n}" for n in range(MAX_NOTES_SHOWN + 1)))[-1] == "(and 1 more note in the report)"
    assert len(noted((), tuple(f"tree {n}" for n in range(MAX_NOTES_SHOWN)))) == MAX_NOTES_SHOWN
