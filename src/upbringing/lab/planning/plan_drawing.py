"""A plan as people read it: the tree with status, reasons and costs, then totals, unknowns and warnings."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console
from rich.text import Text
from rich.tree import Tree as Drawing

from upbringing.base.terminal import visible
from upbringing.lab.planning.curriculum_drawing import duration, print_curricula, sharing_lines
from upbringing.lab.planning.planned import TO_BUILD, NodePlan, Plan
from upbringing.lab.planning.power_drawing import power_lines, print_aliases

BYTES_WORTH_SAYING = 10**9  # of memory: the libraries alone take about as much
STATUS_STYLES = {"done": "green", "missing": "yellow", "stale": "red", "existing": "cyan", "absent": "magenta"}


def print_plan(plan: Plan, console: Console) -> None:
    """Draw the tree of a plan, then what it comes to and what it lacks."""
    children: dict[str | None, list[NodePlan]] = defaultdict(list)
    for node in plan.nodes:
        children[node.parent].append(node)
    root = Drawing(Text(f"study {visible(plan.study)}", style="bold"))
    for node in children[None]:
        _draw(root, node, children)
    console.print(root)
    print_curricula(plan.curricula, console)
    for name, text in _totals(plan):
        line = Text(f"{name:<10}", style="bold")
        line.append(text, style="not bold")
        console.print(line)
    if plan.power is not None:
        print_aliases(plan.power.aliases, console)
    powerless = () if plan.power is None else (each for each in plan.power.not_known if not each.startswith("hours"))
    for reason in (*plan.not_known, *powerless):
        console.print(Text(f"not known: {visible(reason)}", style="dim"))
    for warning in plan.warnings:
        console.print(Text(f"warning: {visible(warning)}", style="yellow"))


def _draw(branch: Drawing, node: NodePlan, children: dict[str | None, list[NodePlan]]) -> None:
    text = Text(f"{visible(node.label)}  ")
    text.append(node.status, style=STATUS_STYLES[node.status])
    costs = []
    if node.tokens:
        drawn = f" (up to {node.generated_tokens:,} of them its own)" if node.generated_tokens else ""
        costs.append(f"{node.tokens:,} tokens{drawn}")
    if node.status in TO_BUILD and node.steps != 0:
        costs.append(duration(node.seconds) if node.seconds is not None else "time unknown")
    if costs:
        text.append(f"  {', '.join(costs)}", style="dim")
    for reason in node.why:
        text.append(f"\n  {visible(reason)}", style="dim")
    below = branch.add(text)
    for child in children[node.key]:
        _draw(below, child, children)


def _totals(plan: Plan) -> list[tuple[str, str]]:
    to_build = [node for node in plan.nodes if node.status in TO_BUILD]
    tokens = sum(node.tokens or 0 for node in to_build)
    unknown = sum(node.tokens is None for node in to_build)
    more = f", and {unknown} stages of unknown length" if unknown else ""
    built = f"{plan.num_to_build} of {len(plan.nodes)} nodes: {tokens:,} tokens{more}, {_flops(to_build)}"
    lines = [("build", built), *sharing_lines(plan.sharing), ("measure", _measuring(plan))]
    slots = f"{plan.slots} process{'es' if plan.slots > 1 else ''} side by side"
    if plan.seconds is not None:
        lines.append(("time", f"{duration(plan.seconds)} on this machine, {slots}"))
    else:
        lines.append(("time", f"not known ({slots})"))
    measuring = plan.measuring
    if plan.seconds is None and measuring.accelerator_hours is not None:
        hours = f"{measuring.accelerator_hours:.2g} GPU-hours for measuring"
        formula = "2 FLOPs per weight and token, longest answers"
        lines.append(("", f"{hours} at an assumed {measuring.sustained_flops:.0e} FLOP/s ({formula})"))
    if plan.held_bytes is None:
        lines.append(("memory", "not known"))
    elif plan.held_bytes >= BYTES_WORTH_SAYING:
        lines.append(("memory", f"at least {size(plan.held_bytes)} in each process, activations aside"))
    lines.append(("disk", _disk(plan)))
    if plan.power is not None:
        lines += power_lines(plan.power)
    if plan.left_out:
        lines.append(("left out", ", ".join(visible(name) for name in plan.left_out)))
    return lines


def _flops(to_build: list[NodePlan]) -> str:
    known = [node.flops for node in to_build if node.flops is not None]
    if not any(known) and len(known) < len(to_build):
        return "FLOPs not known"
    return f"{'at least ' if len(known) < len(to_build) else ''}{sum(known):.2g} FLOPs"


def _disk(plan: Plan) -> str:
    free = f"{size(plan.free_bytes)} free"
    if plan.disk_bytes is None:
        return f"needed is not known, {free}"
    working = f" (and up to {size(plan.working_bytes)} while it trains)" if plan.working_bytes else ""
    short = "" if plan.free_bytes >= plan.disk_bytes + (plan.working_bytes or 0) else ": not enough"
    return f"{size(plan.disk_bytes)} needed{working}, {free}{short}"


def _measuring(plan: Plan) -> str:
    measuring = plan.measuring
    asked = f"{measuring.num_answers:,} answers and {measuring.num_likelihoods:,} likelihoods each"
    text = f"{measuring.num_to_measure} of {measuring.num_checkpoints} checkpoints, {asked}"
    if measuring.num_networks_to_ask > measuring.num_to_measure:
        text += f", {measuring.num_networks_to_ask} networks to ask"
    if measuring.seconds_per_checkpoint is not None:
        text += f", {duration(measuring.seconds_per_checkpoint)} per checkpoint"
    return text


def size(num_bytes: int) -> str:
    """Return ``num_bytes`` in the unit that people would use."""
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e10 else f"{num_bytes / 1e9:,.0f} GB"
