"""The verbs that help to write a study: ``studies`` and ``retarget``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from upbringing.base.errors import StudyError
from upbringing.base.terminal import visible

JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
EXIT_UNANSWERED = 1


def studies(
    name: Annotated[str | None, typer.Argument(help="A built-in study; without one they are listed.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder for a copy of the study file and its README.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the built-in studies, or copy one into a folder to edit and run it."""
    from upbringing.lab.templates import copy_study
    from upbringing.lab.templates import studies as templates

    if name is None:
        if to is not None:
            raise StudyError("--to needs the name of a built-in study; `upbringing studies` lists them")
        found = templates()
        if as_json:
            print(json.dumps([asdict(each) for each in found], indent=1, sort_keys=True))
            return
        for each in found:
            print(f"{each.name}: {each.question}")
            print(f"    {each.num_arms} arms, {each.num_seeds} seeds, {each.num_trainings} trainings. {each.needs}")
        return
    if to is None:
        raise StudyError(f"say where the copy goes: upbringing studies {name} --to FOLDER")
    copied = copy_study(name, to)
    if as_json:
        print(json.dumps([str(path) for path in copied], indent=1))
        return
    for path in copied:
        print(visible(str(path)))


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(studies)
