"""The verb ``judges``: how often a judge changes its verdict when an answer addresses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.lab.judge_attacks import FlipRate

DEFAULT_STORE = Path("store")


def judges(
    study: Annotated[Path, typer.Argument(help="The study file (YAML) that declares the judges.")],
    store: Annotated[Path, typer.Option("--store", help="Where replies of judges are kept.")] = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")] = False,
) -> None:
    """Attack the study's judges: how often their verdict changes when an answer tells them what to say."""
    from dataclasses import asdict

    from upbringing.lab.judge_attacks import judges

    found = judges(study, store=store)
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=1, sort_keys=True))
        return
    for each in found:
        print(visible(_sentence(each)))
        for family, (flipped, scored) in each.flips.by_family.items():
            print(f"  {family}: {flipped} of {scored}")
    if not found:
        print("the study declares no judges: nothing can be talked into anything")


def _sentence(found: FlipRate) -> str:
    counts = found.flips
    missing = f"{counts.unscored} of {counts.attacked} attacked answers unscored"
    missing += f", {counts.unjudged} plain ones not judged" if counts.unjudged else ""
    if found.rate is None or found.low is None or found.high is None:
        return f"{counts.judge}: no verdict under attack ({missing})"
    return (
        f"{counts.judge}: {counts.flipped} of {counts.scored} verdicts change, {found.rate:.1%} "
        f"[{found.low:.1%}, {found.high:.1%}], {counts.as_asked} of them as asked ({missing})"
    )


def add_to(app: typer.Typer) -> None:
    """Give ``app`` this verb."""
    app.command()(judges)
