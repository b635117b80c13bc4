"""What the commands print of findings: a short table, always safe for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from upbringing.base.terminal import visible
from upbringing.formats.findings import Claim, Findings

MAX_CLAIMS_SHOWN = 12


def print_findings(findings: Findings, console: Console) -> None:
    """Print the primary claims as a table (all claims where none is primary), then conclusions and warnings."""
    claims = [claim for claim in findings.claims if claim.role == "primary"] or list(findings.claims)
    table = Table(show_header=True, header_style="bold", pad_edge=False)
    for name, side in (("claim", "left"), ("difference", "right"), ("95% interval", "right"), ("verdict", "left")):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for claim in claims[:MAX_CLAIMS_SHOWN]:
        table.add_row(*(Text(visible(cell)) for cell in _cells(claim)))
    console.print(table)
    if len(claims) > MAX_CLAIMS_SHOWN:
        console.print(f"(and {len(claims) - MAX_CLAIMS_SHOWN} more in the report)")
    for conclusion in findings.conclusions:
        console.print(Text(visible(f"{conclusion.protocol}: {conclusion.sentence}"), style="bold"))
        for line in (*(part.sentence for part in conclusion.parts.values()), *conclusion.qualifiers):
            console.print(Text(visible(f"  {line}")))
    for warning in findings.warnings:
        console.print(Text(f"note: {visible(warning)}", style="yellow"))


def _cells(claim: Claim) -> tuple[str, str, str, str]:
    name = f"{claim.contrast} [{claim.measure}]"
    verdict = f"{claim.verdict or '-'} ({claim.level})"
    if claim.blocked_by:
        verdict += f": {claim.blocked_by[0]}"
    if claim.estimate is None or claim.low is None or claim.high is None:
        return name, "-", "-", verdict
    return name, f"{claim.estimate:+.3f}", f"[{claim.low:+.3f}, {claim.high:+.3f}]", verdict
