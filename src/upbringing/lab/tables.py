"""What the commands print of findings: a short table, always safe for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from upbringing.base.terminal import visible
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import read_tree

MAX_CLAIMS_SHOWN = 12
MAX_NOTES_SHOWN = 12  # of findings, and as many of their tree: a leak there must not hide behind many of the others


def print_findings(findings: Findings, console: Console, of_tree: Iterable[str] = ()) -> None:
    """Print the primary claims as a table (all claims where none is primary), then conclusions and warnings.

    ``of_tree``: what the tree of the findings warns of (``tree_warnings``).
    """
    claims = [claim for claim in findings.claims if claim.role == "primary"] or list(findings.claims)
    table = Table(show_header=True, header_style="bold", pad_edge=False)
    for name, side in (("claim", "left"), ("difference", "right"), ("95% interval", "right"), ("verdict", "left")):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    shown = claims[:MAX_CLAIMS_SHOWN]
    reasons = list(dict.fromkeys(claim.blocked_by[0] for claim in shown if claim.blocked_by))
    names = Counter(_name(claim) for claim in claims)
    for claim in shown:
        several = names[_name(claim)] > 1
        table.add_row(*(Text(visible(cell)) for cell in _cells(claim, reasons, says_where=several)))
    console.print(table)
    for number, reason in enumerate(reasons, start=1):
        console.print(Text(visible(f"[{number}] {reason}")))
    if len(claims) > MAX_CLAIMS_SHOWN:
        console.print(f"(and {len(claims) - MAX_CLAIMS_SHOWN} more in the report)")
    for conclusion in findings.conclusions:
        console.print(Text(visible(f"{conclusion.protocol}: {conclusion.sentence}"), style="bold"))
        for line in (*(part.sentence for part in conclusion.parts.values()), *conclusion.qualifiers):
            console.print(Text(visible(f"  {line}")))
    print_notes(findings.warnings, of_tree, console)


def print_notes(of_findings: Iterable[str], of_tree: Iterable[str], console: Console) -> None:
    """Print what findings and their tree warn of, a line each and each once; of many how many more there are."""
    notes = list(dict.fromkeys(of_findings))
    others = [each for each in dict.fromkeys(of_tree) if each not in notes]
    for note in (*notes[:MAX_NOTES_SHOWN], *others[:MAX_NOTES_SHOWN]):
        console.print(Text(f"note: {visible(' '.join(note.split()))}", style="yellow"))
    more = sum(max(len(each) - MAX_NOTES_SHOWN, 0) for each in (notes, others))
    if more:
        console.print(f"(and {more} more notes in the report)" if more > 1 else "(and 1 more note in the report)")


def tree_warnings(results: Path) -> tuple[str, ...]:
    """Return what the tree of a folder of results warns of; rows that carry their tree warn of nothing."""
    path = results / "tree.json"
    return read_tree(path).warnings if path.exists() else ()


def _name(claim: Claim) -> str:
    return f"{claim.contrast} [{claim.measure}]"


def _cells(claim: Claim, reasons: list[str], *, says_where: bool) -> tuple[str, str, str, str]:
    """Return a row; ``reasons``: why claims are blocked, each said once below the table, by its number.

    ``says_where``: other claims have the same name, and only condition and split tell them apart.
    """
    where = " ".join(each for each in (claim.condition, claim.split) if each) if says_where else ""
    name = f"{_name(claim)} {where}".rstrip()
    verdict = f"{claim.verdict or '-'} ({claim.level})"
    if claim.blocked_by:
        verdict += f" [{reasons.index(claim.blocked_by[0]) + 1}]"
    if claim.estimate is None:
        return name, "-", "-", verdict
    interval = "-" if claim.low is None or claim.high is None else f"[{claim.low:+.3f}, {claim.high:+.3f}]"
    return name, f"{claim.estimate:+.3f}", interval, verdict
