"""The verbs that help to write a study: ``studies`` and ``retarget``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.errors import StudyError
from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.lab.retargeting import Retargeted

JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
EXIT_UNANSWERED = 1
SHOWN_UNANSWERED = 20
DEFAULT_STORE = Path("store")
DEFAULT_MAX_TOKENS = 256  # as lab.retargeting says, which is loaded only when it is used


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


def retarget(
    data: Annotated[str, typer.Argument(help="A file of chats (docs/formats.md); with --study, the name of its data.")],
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher",
            help="A checkpoint's folder, or the YAML file of an endpoint; with --study, a cell of it (main@rl).",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            help="Where the retargeted chats go (JSON Lines); with --study, a name with {root}: one file per root run.",
        ),
    ],
    study: Annotated[
        Path | None, typer.Option("--study", help="A built study: each root run's checkpoint answers its own chats.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Changes of the study: key=value, or @FILE; repeat it."),
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="The study's folder of checkpoints.")] = DEFAULT_STORE,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest reply; longer ones are left out.")] = (
        DEFAULT_MAX_TOKENS
    ),
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Write the same prompts with another teacher's replies; exit code 1 if some were not answered.

    What was answered is kept: the same command goes on where it stopped.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("replies")

        def shown(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found: tuple[Retargeted, ...]
        if study is None:
            from upbringing.lab.retargeting import retarget as retarget_chats

            found = (retarget_chats(Path(data), Path(teacher), Path(output), max_tokens=max_tokens, on_progress=shown),)
        else:
            from upbringing.lab.own_teachers import retarget_roots
            from upbringing.lab.session import open_session

            session = open_session(study, store=store, overrides=tuple(overrides or ()), reads_only=True)
            found = retarget_roots(session, data, teacher, output, max_tokens=max_tokens, on_progress=shown)
    if as_json:
        plain = [asdict(each) for each in found]
        print(json.dumps(plain[0] if study is None else plain, indent=1, sort_keys=True, default=str))
    else:
        for each in found:
            _print_retargeted(each)
    if any(each.unanswered for each in found):
        raise typer.Exit(EXIT_UNANSWERED)


def _print_retargeted(found: Retargeted) -> None:
    print(f"{found.num_answered} of {found.num_chats} chats answered by {visible(found.teacher)}")
    for each in found.unanswered[:SHOWN_UNANSWERED]:
        print(visible(f"row {each.row}, reply {each.turn}: not answered ({each.reason})"))
    if len(found.unanswered) > SHOWN_UNANSWERED:
        print(f"(and {len(found.unanswered) - SHOWN_UNANSWERED} more: {visible(str(found.report))})")
    print(visible(str(found.output)))


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (studies, retarget):
        app.command()(verb)
