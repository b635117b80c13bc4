"""The verbs that read results: ``attribute`` and ``report``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from upbringing.base.terminal import visible

JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]


def attribute(
    folder: Annotated[Path | None, typer.Argument(help="A folder with rows.parquet and tree.json.")] = None,
    inspect: Annotated[Path | None, typer.Option("--inspect", help="Inspect logs: a file or a folder.")] = None,
    lm_eval: Annotated[Path | None, typer.Option("--lm-eval", help="Folder of lm-evaluation-harness samples.")] = None,
    tree: Annotated[Path | None, typer.Option("--tree", help="What the models of the logs are (YAML).")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Where rows of logs and findings go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn rows.parquet and tree.json of FOLDER, or the logs of another harness, into findings.json."""
    from rich.console import Console

    from upbringing.lab.logs import results_folder
    from upbringing.lab.run import attribute as attribute_results
    from upbringing.lab.tables import print_findings, tree_warnings

    results = results_folder(folder, tree=tree, inspect=inspect, lm_eval=lm_eval, output=output)
    for warning in results.warnings:
        print(f"note: {visible(warning)}", file=sys.stderr)
    findings = attribute_results(results.folder)
    if as_json:
        print(findings.model_dump_json(indent=1))
    else:
        said = (each for each in tree_warnings(results.folder) if each not in results.warnings)
        print_findings(findings, Console(), said)


def report(
    folder: Path,
    output: Annotated[Path | None, typer.Option("--output", help="Where the HTML file goes.")] = None,
    shareable: Annotated[bool, typer.Option("--shareable", help="Leave out every prompt and answer.")] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write tables, figures, a summary and a model card here too."),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Export figures as PNG too (extra png).")] = False,
    inspect: Annotated[bool, typer.Option("--inspect", help="Export Inspect logs too (extra inspect).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the self-contained HTML report of a results FOLDER, and with --export what other tools read."""
    from rich.console import Console

    from upbringing.cli_export import exported
    from upbringing.formats.findings import read_findings
    from upbringing.lab.run import report as report_results
    from upbringing.lab.tables import print_notes, tree_warnings

    files = exported(folder, export, png=png, inspect=inspect, shareable=shareable)
    written = report_results(folder, output, shareable=shareable)
    if as_json:
        named = {"report": written} if export is None else {"report": written, "exported": files}
        print(json.dumps(named, indent=1, sort_keys=True, default=str))
    else:
        print(written)
        if export is not None:
            print(f"{len(files)} files in {visible(str(export))}")
        found = folder / "findings.json"
        notes = read_findings(found).warnings if found.exists() else ()
        print_notes(notes, tree_warnings(folder), Console(stderr=True))  # standard output is the path, for scripts


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(attribute)
    app.command()(report)
