"""The verb ``gate``: findings in, an exit code for pipelines out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.attribution.pipeline_gate import GateResult, Reach, Rule

DEFAULT_RULES = "regression,undecided,underpowered"
CLAIMS = ("primary", "any")


def gate(
    findings: Annotated[Path, typer.Argument(help="findings.json, or the results folder that holds it.")],
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="What fails, separated by commas: regression, undecided, underpowered.")
    ] = DEFAULT_RULES,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="Only claims on this measure; repeat it for several.")
    ] = None,
    claims: Annotated[str, typer.Option("--claims", help="primary, or any: exploratory claims too.")] = "primary",
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")] = False,
) -> None:
    """Fail a pipeline on what findings say: exit code 0 where nothing failed, 11 where something did.

    Any other code is an error: 2 where the findings hold nothing that was asked for, 7 where they are no findings.
    """
    from upbringing.attribution.pipeline_gate import FAILED_EXIT_CODE
    from upbringing.attribution.pipeline_gate import gate as gate_findings

    if claims not in CLAIMS:
        raise typer.BadParameter(f"--claims is {' or '.join(CLAIMS)}, found {claims!r}")
    rules = cast("list[Rule]", [rule.strip() for rule in fail_on.split(",") if rule.strip()])
    result = gate_findings(findings, fail_on=rules, measures=tuple(measure or ()), claims=cast("Reach", claims))
    if as_json:
        print(json.dumps(_plain(result), indent=1, sort_keys=True))
    else:
        for text in _lines(result):
            print(visible(text))
    for note in result.notes:
        print(f"note: {visible(note)}", file=sys.stderr)
    if not result.passed:
        raise typer.Exit(FAILED_EXIT_CODE)


def _lines(result: GateResult) -> Iterable[str]:
    for failure in result.failures:
        yield f"{failure.rule}: {failure.claim.sentence or failure.claim.contrast} ({failure.reason})"
    failed = len({failure.claim.id for failure in result.failures})
    word = "passed" if result.passed else "failed"
    yield f"gate {word}: {failed} of {result.claims} claims failed on {', '.join(result.fail_on)}"


def _plain(result: GateResult) -> dict[str, object]:
    failures = [
        {"rule": each.rule, "claim": each.claim.id, "measure": each.claim.measure, "contrast": each.claim.contrast,
         "reason": each.reason, "sentence": each.claim.sentence}
        for each in result.failures
    ]  # fmt: skip
    return {
        "passed": result.passed,
        "fail_on": result.fail_on,
        "claims": result.claims,
        "failures": failures,
        "notes": result.notes,
    }


def add_to(app: typer.Typer) -> None:
    """Give ``app`` this verb."""
    app.command()(gate)
