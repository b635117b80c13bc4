"""How the judges err against people: rates per checkpoint and rater, and how far the raters agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import DASH, OUTCOMES, count, interval, plain, several

NEEDS_LABELS = ("rule", "llm")
ERROR_FIELDS = {"judge", "rater", "checkpoint", "outcome", "labels"}


@dataclass(frozen=True)
class ErrorView:
    """One judge on one checkpoint against one rater."""

    judge: str
    checkpoint: str
    rater: str
    outcome: str
    sensitivity: str
    specificity: str
    labels: str


@dataclass(frozen=True)
class AgreementView:
    """Two raters, or two judges, on the answers that both scored."""

    raters: str
    answers: str
    agreement: str
    kappa: str


def calibration_of(inputs: Inputs, judge: str, kind: str | None) -> str:
    """Return whether people's labels calibrate a judge; judges that need none have a dash."""
    if kind not in NEEDS_LABELS:
        return DASH
    lines = [line for line in _lines(inputs, "judge_errors", ERROR_FIELDS) if line["judge"] == judge]
    if not lines:
        return "not calibrated"
    checkpoints, raters = ({line[name] for line in lines} for name in ("checkpoint", "rater"))
    return f"on {several(len(checkpoints), 'checkpoint')} by {several(len(raters), 'rater')}"


def errors_of(inputs: Inputs) -> tuple[ErrorView, ...]:
    """Return how every judge errs on every checkpoint, as far as people labelled answers of it."""
    places: dict[str, dict[str, None]] = {}
    for cell in inputs.tree.cells:
        places.setdefault(cell.checkpoint, {})[cell.name] = None
    return tuple(
        ErrorView(
            judge=str(line["judge"]),
            checkpoint=", ".join(places.get(str(line["checkpoint"]), ())) or str(line["checkpoint"]),
            rater=str(line["rater"]),
            outcome=OUTCOMES.get(str(line["outcome"]), str(line["outcome"])),
            sensitivity=_rate(line, "sensitivity"),
            specificity=_rate(line, "specificity"),
            labels=f"{count(line['labels'])}, {count(line.get('unscored'))} unscored",
        )
        for line in _lines(inputs, "judge_errors", ERROR_FIELDS)
    )


def agreement_of(inputs: Inputs) -> tuple[AgreementView, ...]:
    """Return how far each two raters agree, then each two judges."""
    return tuple(
        AgreementView(
            raters=prefix + " and ".join(str(name) for name in line[names]),
            answers=count(line["answers"]),
            agreement=plain(line.get("agreement")),
            kappa=plain(line.get("kappa")),
        )
        for table, names, prefix in (("rater_agreement", "raters", ""), ("judge_agreement", "judges", "the judges "))
        for line in _lines(inputs, table, {names, "answers"})
    )


def _rate(line: dict[str, Any], side: str) -> str:
    if line.get(side) is None:
        return DASH
    limits = interval(line.get(f"{side}_low"), line.get(f"{side}_high"), difference=False)
    return f"{plain(line[side])} {limits} of {count(line.get(f'{side}_labels'))}"


def _lines(inputs: Inputs, table: str, needed: set[str]) -> Iterable[dict[str, Any]]:
    """Yield the lines of a table of the findings, as far as they are whole."""
    rows = inputs.findings.tables.get(table, [])
    return (row for row in rows if isinstance(row, dict) and needed <= row.keys())
