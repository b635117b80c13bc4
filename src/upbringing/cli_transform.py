"""``upbringing data transform``: a recipe over a corpus."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.lab.corpus.run import CorpusReport

BYTES_PER_MEGABYTE = 1e6


def add_to(app: typer.Typer) -> None:
    """Add the verb to ``upbringing data``."""
    app.command()(transform)


def transform(
    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML, docs/interventions.md).")],
    output: Annotated[Path, typer.Argument(help="The folder to write; it appears when all of it is there.")],
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; all cores if not said.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Score, route and transform the documents of a corpus; the same command goes on after any interruption."""
    from upbringing.lab.corpus.run import transform_corpus

    report = transform_corpus(recipe, output, workers=workers or os.cpu_count() or 1, quiet=quiet)
    if as_json:
        plain = {"folder": str(report.folder), "accounts": report.accounts, "was_done": report.was_done}
        print(json.dumps({**plain, "seconds": report.seconds}, indent=1, sort_keys=True))
    else:
        _print(report)


def _print(report: CorpusReport) -> None:
    found = report.accounts
    if report.was_done:
        print("nothing to do: the corpus was written before, whole, by this recipe from this input")
    print(
        f"{found['read']:,} rows read: {found['kept']:,} kept, {found['rewritten']:,} rewritten into {found['made']:,}"
    )
    for code, count in found["rejected"].items():
        print(f"  {count:,} rejected: {visible(code)}")
    for label, dose in found["doses"].items():
        done = "something was left out" if "parts" in dose else "something came"
        print(f"  {visible(label)}: {done} of {dose['made']:,} of {dose['eligible']:,} eligible documents")
        if parts := dose.get("parts"):
            print(f"    {', '.join(f'{visible(what)}: {times:,}' for what, times in parts.items())}")
        if facts := dose.get("facts"):
            kept = ", ".join(f"{visible(what)}: {times:,}" for what, times in facts.items())
            print(f"    facts of the sources in what was accepted: {kept}")
    for label, counts in found["labels"].items():
        print(
            f"  {visible(label)}: of {counts['parts']:,} parts {counts['unsafe']:,} are unsafe and "
            f"{counts['called_unsafe']:,} are called so, {counts['rightly']:,} of them rightly"
        )
    if noise := found.get("noise"):
        print(
            f"noise: {noise['unsafe']:,} are unsafe, {noise['called_unsafe']:,} called so, {noise['rightly']:,} rightly"
        )
    if found["scores"]:
        print("scores: " + ", ".join(f"{score}: {count:,}" for score, count in found["scores"].items()))
    if not report.was_done:
        speed = found["read"] / report.seconds, found["bytes_read"] / BYTES_PER_MEGABYTE / report.seconds
        print(f"{report.seconds:,.1f} s, {speed[0]:,.0f} documents/s, {speed[1]:,.1f} MB/s")
    print(f"corpus: {visible(str(report.folder))}")
