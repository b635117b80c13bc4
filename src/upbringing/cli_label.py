"""The verbs of human labels: ``label draw``, ``label rate``, ``label read``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from upbringing.base.terminal import visible

app = typer.Typer(help="Let people label a sample of a study's own answers, to calibrate its judges.")

Results = Annotated[Path, typer.Argument(help="The results folder of a study.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
DEFAULT_STORE = Path("store")


@app.command()
def draw(
    study: Annotated[Path, typer.Argument(help="A study file that was run, or its results folder.")],
    judge: Annotated[str | None, typer.Option("--judge", help="Whose verdicts stratify the sample.")] = None,
    per_checkpoint: Annotated[int, typer.Option("--per-checkpoint", min=1, help="Answers of each checkpoint.")] = 60,
    raters: Annotated[int, typer.Option("--raters", min=1, help="How many people label the same answers.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample.")] = 0,
    store: Annotated[Path, typer.Option("--store", help="Where the study was run.")] = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Draw a blinded sample, stratified by verdict and length, and write a sheet per rater."""
    from upbringing.lab.labelling import draw_labels
    from upbringing.lab.session import open_session

    results = study if study.is_dir() else open_session(study, store=store).results
    sheets = draw_labels(results, judge=judge, per_checkpoint=per_checkpoint, raters=raters, seed=seed)
    if as_json:
        _print_json({"sheets": [str(sheet) for sheet in sheets]})
        return
    for sheet in sheets:
        print(visible(str(sheet)))


@app.command()
def rate(
    results: Results,
    rater: Annotated[int, typer.Option("--rater", min=1, help="Which rater.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Label at the terminal, one answer at a time; saved after each, resumed where it was left.

    With --json the answers are shown on standard error, and how many labels were given is printed at the end.
    """
    from upbringing.lab.labelling import rate_labels

    show = partial(print, file=sys.stderr) if as_json else print
    given = rate_labels(results, rater=rater, ask=typer.getchar, show=show)
    if as_json:
        _print_json({"given": given, "rater": rater})


@app.command()
def read(results: Results, as_json: JsonOption = False) -> None:
    """Check the sheets and write labels.parquet, which `upbringing attribute` and the report use."""
    from upbringing.lab.labelling import read_labelled

    labels = read_labelled(results)
    if as_json:
        _print_json({"labels": str(labels)})
    else:
        print(visible(str(labels)))


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, sort_keys=True))
