"""The verb ``validate``: what the analysis finds in simulated studies, against what was planted in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def validate(
    share: Annotated[float, typer.Option(min=0.001, max=1.0, help="Part of the studies of a full run.")] = 1.0,
    only: Annotated[
        list[str] | None, typer.Option(help="A gate, such as I8, or a part of an experiment's name; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated studies.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Side by side; one per processor unless given.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Where the page goes, as Markdown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Check the analysis itself on simulated studies with planted truth: minutes, no model."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from upbringing.base.files import write_bytes_atomic
    from upbringing.validation.page import page_of
    from upbringing.validation.run import validate as run_suite

    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("studies", total=None)
        found = run_suite(
            seed=seed,
            share=share,
            only=only or (),
            processes=processes,
            watch=lambda done, total: progress.update(task, completed=done, total=total),
        )
    page = page_of(found)
    if output is not None:
        write_bytes_atomic(output, page.encode())
    print(json.dumps([asdict(each) for each in found.results], indent=1, sort_keys=True) if as_json else page)
    if found.bad:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(validate)
