"""The curricula of a plan as people read them: one block per stage, and what sharing saves or a schedule forbids."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from upbringing.base.terminal import visible
from upbringing.lab.planning.planned import PlannedPhase, Sharing

SECONDS_PER_MINUTE, SECONDS_PER_HOUR = 60, 3600
MAX_ARMS = 6  # named in a line


def print_curricula(phases: Sequence[PlannedPhase], console: Console) -> None:
    """Print one line per phase: where it begins, at which rate, and what it is planned to read."""
    before: tuple[str, tuple[str, ...]] | None = None
    for phase in phases:
        if (phase.stage, phase.arms) != before:
            console.print(Text(visible(f"curriculum of {phase.stage} in {_arms(phase)}"), style="bold"))
            before = phase.stage, phase.arms
        console.print(Text(visible(f"  {phase_line(phase)}")))
        if phase.realised:
            console.print(Text(visible(f"    read: {_tokens(phase.realised)}"), style="dim"))


def _arms(phase: PlannedPhase) -> str:
    more = len(phase.arms) - MAX_ARMS
    return ", ".join(phase.arms[:MAX_ARMS]) + (f" and {more} more" if more > 0 else "")


def phase_line(phase: PlannedPhase) -> str:
    """Return a phase in one line; a start that was rounded to a step says what was asked."""
    begin = phase.first_step * phase.tokens_per_step
    asked = "" if phase.asked is None else f", {phase.first_step / phase.total_steps:.4%} (asked {phase.asked})"
    return (
        f"from step {phase.first_step:,} of {phase.total_steps:,} ({begin:,} tokens{asked}) at rate "
        f"{phase.rate_words}: {_tokens(phase.planned)}" + (f" (moving: {phase.anneal})" if phase.anneal else "")
    )


def _tokens(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {tokens:,}" for name, tokens in counts)


def sharing_lines(sharing: Sharing) -> list[tuple[str, str]]:
    """Return what shared prefixes save in tokens and hours, and what a schedule keeps from being shared."""
    saved = sharing.tokens_apart - sharing.tokens
    lines = []
    if saved > 0:
        text = (
            f"{sharing.num_pipelines} independent runs would train {sharing.tokens_apart:,} tokens, the tree trains "
            f"{sharing.tokens:,}: saves {saved:,} tokens ({saved / sharing.tokens_apart:.0%}){_hours(sharing)}"
        )
        lines.append(("sharing", text))
    return lines + [("", f"not shared: {visible(said)}") for said in sharing.forbidden]


def _hours(sharing: Sharing) -> str:
    if sharing.seconds is not None and sharing.seconds_apart is not None:
        return f" and {duration(max(sharing.seconds_apart - sharing.seconds, 0.0))} of one process"
    if sharing.accelerator_hours is not None and sharing.accelerator_hours_apart is not None:
        together, apart = sharing.accelerator_hours, sharing.accelerator_hours_apart
        return (
            f" and {apart - together:.3g} of {apart:.3g} GPU-hours at an assumed {sharing.sustained_flops:.1e} FLOP/s"
        )
    return ""


def duration(seconds: float) -> str:
    """Return ``seconds`` in the unit that people would use."""
    if seconds < 2 * SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * SECONDS_PER_HOUR:
        return f"{seconds / SECONDS_PER_MINUTE:.0f} min"
    return f"{seconds / SECONDS_PER_HOUR:.1f} h"
