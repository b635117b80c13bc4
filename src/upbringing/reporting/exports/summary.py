"""The findings in one Markdown comment, short enough for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upbringing.base.markdown import bullets, escaped, table
from upbringing.formats.findings import Claim
from upbringing.reporting.deciding import of_claim
from upbringing.reporting.differences import groups_of
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.runs import runs_of
from upbringing.reporting.verdicts import first_screen, size_of
from upbringing.reporting.words import DASH, VERDICT_MARKS, VERDICT_WORDS, interval, on_scale, plain, signed, verdict_of

MAX_CLAIMS = 30  # of a table in a comment
COLUMNS = ("claim", "measure", "difference", "95% interval", "margin", "verdict", "level", "n")
NOTHING = "Nothing has been compared yet: run `upbringing attribute` on the results."
NOT_DECLARED = "No primary measure was declared: these are the strongest contrasts, found by looking."


def summary_of(inputs: Inputs) -> str:
    """Return question, verdict sentences, the table of primary claims and what to know before citing them."""
    return "\n\n".join(_parts(inputs)) + "\n"


def _parts(inputs: Inputs) -> Iterator[str]:
    study, findings = inputs.tree.study, inputs.findings
    yield f"## {escaped(study.question or findings.question or study.name)}"
    yield f"{escaped(study.name)}: {escaped(size_of(inputs.tree))}"
    screen = first_screen(inputs, groups_of(inputs, runs_of(inputs)))
    if screen.conclusions:
        yield bullets(f"{each.protocol}: {each.sentence or each.verdict}" for each in screen.conclusions)
    shown = {view.id for headline in screen.headlines for view in (headline.hero, *headline.rest)}
    claims = [claim for claim in findings.claims if claim.id in shown]
    if not claims:
        yield NOTHING
    elif not screen.is_declared:
        yield NOT_DECLARED
    if claims:
        yield "### Verdicts"
        yield bullets(claim.sentence or f"{claim.contrast}: {verdict_of(claim)}" for claim in claims[:MAX_CLAIMS])
        yield claims_table(inputs, claims[:MAX_CLAIMS])
    if len(claims) > MAX_CLAIMS:
        yield f"{len(claims) - MAX_CLAIMS} more stand in the report."
    if screen.strength:
        yield "### Strength of the evidence"
        yield bullets(f"{fact.name}: {fact.value}" for fact in screen.strength)
    yield "### What is missing"
    yield bullets(screen.missing or ("No gate failed, no warning was raised, no control is absent.",))


def claims_table(inputs: Inputs, claims: Sequence[Claim]) -> str:
    """Return the claims as a table."""
    rows = [
        (
            claim.contrast,
            inputs.label(claim.measure),
            on_scale(claim, signed(number.estimate)),
            interval(number.low, number.high) or DASH,
            plain(claim.margin),
            f"{VERDICT_MARKS[verdict_of(claim)]} {VERDICT_WORDS[verdict_of(claim)]}",
            claim.level,
            f"{claim.units.seeds} × {claim.units.items}",
        )
        for claim in claims
        for number in (of_claim(claim),)
    ]
    note = "n: independent seeds × questions. Intervals are paired, and not corrected for how much was asked."
    if any(claim.corrected is not None for claim in claims):
        note += " Where people labelled answers, numbers are corrected for the judge's errors."
    return table(COLUMNS, rows, numbers=(2, 3, 4, 7)) + f"\n\n{note}"
