"""Power as people read it: a block per contrast, a line per measure in the plan, a table of designs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from upbringing.attribution.power.design_power import DesignPower
from upbringing.attribution.power.outlook import Outlook
from upbringing.base.terminal import visible
from upbringing.lab.planning.planned import PowerReport
from upbringing.lab.planning.power_words import (
    NO_MARGIN,
    asked_words,
    decision_words,
    detectable_words,
    noise_words,
    open_words,
    options_words,
    size_words,
    summary,
)

MDE_NOTE = (
    "MDE: smallest effect found with 80 % power, in standard deviations between runs of one cell; pooled over all "
    "cells as in textbooks, or paired by seed as `upbringing attribute` does. Stages trained: shared beginnings once."
)
ALIASES_NOTE = "effects that this fraction cannot tell apart (contrasts that ask for them are refused):"


def power_lines(report: PowerReport) -> list[tuple[str, str]]:
    """Return one named line per measure, for the totals of a plan."""
    measures: dict[str, list[Outlook]] = {}
    for outlook in report.outlooks:
        measures.setdefault(outlook.facts.measure, []).append(outlook)
    return [
        ("power" if number == 0 else "", f"{visible(measure)}: {visible(summary(found))}")
        for number, (measure, found) in enumerate(measures.items())
    ]


def print_power(report: PowerReport, console: Console) -> None:
    """Print every contrast: its noise, what it can find, and what would decide its margin."""
    for outlook in report.outlooks:
        _print_outlook(outlook, console)
    print_aliases(report.aliases, console)
    for reason in report.not_known:
        console.print(Text(f"not known: {visible(reason)}", style="dim"))


def _print_outlook(outlook: Outlook, console: Console) -> None:
    facts = outlook.facts
    console.print(Text(f"{visible(facts.measure)}: {visible(facts.contrast)}", style="bold"))
    if outlook.minimum_detectable is None or outlook.size is None or outlook.components is None:
        console.print(Text(f"  not known: {visible(outlook.why or '')}"))
        return
    about = (
        "the recipe, given what all runs share"
        if outlook.estimand == "recipe"
        else "these checkpoints only (three seeds or more are needed)"
    )
    console.print(
        Text(f"  {size_words(outlook.size, is_nested=outlook.components.is_nested)}; about {about}", style="dim")
    )
    console.print(Text(f"  standard deviations: {noise_words(outlook)}", style="dim"))
    corrected = f", corrected for {facts.num_tests} tests" if facts.num_tests > 1 else ""
    floor = f" (never below {outlook.seed_floor:.3g})" if outlook.seed_floor else ""
    error = f"standard error {outlook.standard_error:.3g}{floor}"
    console.print(Text(f"  {error}; smallest detectable {detectable_words(outlook)}{corrected}"))
    if facts.bias:
        console.print(Text(f"  in it: {open_words(facts)}", style="dim"))
    if facts.margin is None:
        console.print(Text(f"  {visible(facts.no_margin or NO_MARGIN)}"))
    for decision in outlook.decisions:
        console.print(Text(f"  {asked_words(decision)}: {decision_words(decision, outlook)}"))
        if decision.options:
            console.print(Text(f"    enough: {options_words(decision.options)}", style="dim"))


def print_aliases(lines: Sequence[str], console: Console) -> None:
    """Print the alias table of a fraction, if there is one."""
    if lines:
        console.print(Text(ALIASES_NOTE))
        for line in lines:
            console.print(Text(f"  {visible(line)}"))


def print_designs(designs: Sequence[DesignPower], console: Console) -> None:
    """Print what each design costs, finds and answers, then the alias tables of the fractions."""
    table = Table(show_header=True, header_style="bold", pad_edge=False)
    for name in ("design", "seeds", "pipelines", "stages trained", "level", "MDE pooled", "MDE paired"):
        table.add_column(name, justify="left" if name in ("design", "level") else "right")
    for each in designs:
        design = each.design
        trained = f"{each.num_trained} of {each.seeds * design.num_unshared}"
        found = (_deviations(each.pooled), _deviations(each.paired))
        table.add_row(design.name, str(each.seeds), str(each.num_runs), trained, design.level, *found)
    console.print(table)
    console.print(Text(MDE_NOTE, style="dim"))
    for each in designs:
        console.print(Text(each.design.name, style="bold"))
        console.print(Text(f"  answers: {each.design.answers}"))
        console.print(Text(f"  blind to: {each.design.blind_to}"))
        for line in each.design.alias_table:
            console.print(Text(f"  alias: {line}"))


def _deviations(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
