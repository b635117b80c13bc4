"""A section for a model card: what was measured on every checkpoint, what changed it, and what that does not show."""

from __future__ import annotations

from collections.abc import Iterator

from upbringing.attribution.evidence.cells import Source
from upbringing.base.markdown import bullets, escaped, table
from upbringing.reporting.chart import Interval
from upbringing.reporting.exports.summary import claims_table
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import cell_levels, note_of, sources_of, title_of
from upbringing.reporting.lineage import positions_of
from upbringing.reporting.provenance import DIGEST_CHARACTERS
from upbringing.reporting.runs import Runs, runs_of
from upbringing.reporting.words import DASH, decimals, interval, plain

COLUMNS = ("checkpoint", "estimate", "95% interval", "questions", "unscored")


def card_of(inputs: Inputs) -> str:
    """Return the section; its heading is of the second order, as in a model card."""
    return "\n\n".join(_parts(inputs)) + "\n"


def _parts(inputs: Inputs) -> Iterator[str]:
    study, findings = inputs.tree.study, inputs.findings
    yield "## Evaluation of safety along training"
    yield escaped(study.question or findings.question or f"What happened in {study.name}?")
    registered = study.registered
    if registered.sha256 is not None:
        times = {True: "before the first answer", False: "after the first answer", None: "at a time that is not stated"}
        digest = escaped(registered.sha256[:DIGEST_CHARACTERS])
        when = times[registered.before_first_row]
        yield f"Margins, primary measures and contrasts were fixed {when} (sha256 {digest}…)."
    primary = [claim for claim in findings.claims if claim.role == "primary"]
    if primary:
        yield "### What changed"
        yield bullets(claim.sentence or claim.contrast for claim in primary)
        yield claims_table(inputs, primary)
    runs = runs_of(inputs)
    tables = [part for source in sources_of(inputs) for part in _levels(inputs, runs, source)]
    if tables:
        yield "### Levels"
        yield from tables
    notes = list(dict.fromkeys((*findings.warnings, *inputs.tree.warnings)))
    failed = dict.fromkeys(f"Gate failed: {gate.sentence}" for gate in inputs.tree.gates if not gate.passed)
    yield "### Limits"
    yield bullets((*failed, *notes)) or "No warning was raised and no gate failed."


def _levels(inputs: Inputs, runs: Runs, source: Source) -> Iterator[str]:
    """Yield a measure's name and its table, one line per cell in the order of training."""
    levels = cell_levels(inputs, runs, source)
    order = positions_of(inputs.tree)
    cells = sorted(
        levels, key=lambda cell: order.index(place) if (place := cell.partition("@")[2]) in order else len(order)
    )
    known = [found for level in levels.values() if (found := level.found) is not None]
    if not known:
        return
    places = decimals(max(each.high for each in known) - min(each.low for each in known))
    rows = []
    for cell in cells:
        found = levels[cell].found
        text = (DASH, "not measurable") if found is None else (
            plain(found.estimate, places), interval(found.low, found.high, places, difference=False) + _corrected(found)
        )  # fmt: skip
        rows.append((cell, *text, *levels[cell].counts))
    yield f"**{escaped(title_of(inputs, source))}** ({escaped(note_of(inputs, source))})"
    yield table(COLUMNS, rows, numbers=(1, 2, 3, 4))


def _corrected(found: Interval) -> str:
    return "" if found.judged is None else " (corrected by human labels)"
