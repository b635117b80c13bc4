"""The verb ``look``: what a contrast comes to while prompts are still being added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.formats.looks import Look


def look(
    results: Annotated[Path, typer.Argument(help="A folder with rows.parquet and tree.json.")],
    measure: Annotated[str, typer.Option("--measure", help="The measure.")],
    contrast: Annotated[str, typer.Option("--contrast", help="The contrast, by its name.")],
    tuned_for: Annotated[
        int | None,
        typer.Option("--tuned-for", min=1, help="Prompt clusters at which intervals are narrowest; at the first look."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")] = False,
) -> None:
    """Look at a contrast while prompts are added: an interval that holds at every look, logged in looks.json.

    Seeds are fixed at the first look: a look after seeds were added is refused (exit code 2).
    """
    from upbringing.lab.looking import look as look_at

    found = look_at(results, measure, contrast, tuned_for=tuned_for)
    print(found.model_dump_json(indent=1) if as_json else visible(_sentence(found)))


def _sentence(found: Look) -> str:
    where = f"look {found.number}, {found.clusters} prompt clusters: {found.contrast} on {found.measure}"
    if found.low is None or found.high is None:
        return f"{where}: {found.estimate:+.3f}, no interval yet: too few clusters, or nothing varied"
    is_told = found.low > 0 or found.high < 0
    told = "told from zero, so that stopping here is sound" if is_told else "not told from zero yet"
    return (
        f"{where}: {found.estimate:+.3f} [{found.low:+.3f}, {found.high:+.3f}] at {found.confidence:.0%} over all "
        f"looks, about these {len(found.checkpoints)} checkpoints: {told}"
    )


def add_to(app: typer.Typer) -> None:
    """Give ``app`` this verb."""
    app.command()(look)
