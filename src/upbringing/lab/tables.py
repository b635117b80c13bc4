"""What the commands print: plans as a tree, findings as a short table, always safe for a terminal."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as Drawing

from upbringing.base.terminal import visible
from upbringing.formats.findings import Claim, Findings
from upbringing.lab.plan import NodePlan, Plan

MAX_CLAIMS_SHOWN = 12
STATUS_STYLES = {"done": "green", "missing": "yellow", "stale": "red", "existing": "cyan"}


def print_plan(plan: Plan, console: Console) -> None:
    """Draw the tree of a plan with status, reasons and costs, then totals and warnings."""
    children: dict[str | None, list[NodePlan]] = defaultdict(list)
    for node in plan.nodes:
        children[node.parent].append(node)
    root = Drawing(Text(f"study {visible(plan.study)}"))
    for node in children[None]:
        _draw(root, node, children)
    console.print(root)
    known = [node for node in plan.nodes if node.status in ("missing", "stale")]
    tokens = sum(node.tokens or 0 for node in known)
    unknown = sum(node.tokens is None for node in known)
    later = f" and {unknown} stages whose length follows from their data" if unknown else ""
    console.print(f"{plan.num_to_build} of {len(plan.nodes)} nodes to build: {tokens:,} tokens{later}", highlight=False)
    flops = sum(node.flops or 0.0 for node in known)
    disk = sum(node.disk_bytes or 0 for node in known)
    console.print(f"about {flops:.2g} FLOPs, {disk / 1e6:,.0f} MB on disk", highlight=False)
    if plan.shared_tokens:
        console.print(f"shared prefixes save {plan.shared_tokens:,} tokens against separate runs", highlight=False)
    for warning in plan.warnings:
        console.print(Text(f"warning: {visible(warning)}", style="yellow"))


def _draw(branch: Drawing, node: NodePlan, children: dict[str | None, list[NodePlan]]) -> None:
    text = Text(f"{visible(node.label)}  ")
    text.append(node.status, style=STATUS_STYLES[node.status])
    if node.tokens:
        text.append(f"  {node.tokens:,} tokens", style="dim")
    for reason in node.why:
        text.append(f"\n  {visible(reason)}", style="dim")
    below = branch.add(text)
    for child in children[node.key]:
        _draw(below, child, children)


def print_findings(findings: Findings, console: Console) -> None:
    """Print the primary claims as a table (all claims where none is primary), then the warnings."""
    claims = [claim for claim in findings.claims if claim.role == "primary"] or list(findings.claims)
    table = Table(show_header=True, header_style="bold", pad_edge=False)
    for name, side in (("claim", "left"), ("difference", "right"), ("95% interval", "right"), ("verdict", "left")):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for claim in claims[:MAX_CLAIMS_SHOWN]:
        table.add_row(*(Text(visible(cell)) for cell in _cells(claim)))
    console.print(table)
    if len(claims) > MAX_CLAIMS_SHOWN:
        console.print(f"(and {len(claims) - MAX_CLAIMS_SHOWN} more in the report)")
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
