"""The verbs of the store and of folders of weights: ``status``, ``show``, ``export``, ``gc``, ``add-tokens``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from upbringing.base.terminal import visible

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of checkpoints, data, rows and results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
Key = Annotated[str, typer.Argument(help="A checkpoint's key, or its first characters.")]
DEFAULT_STORE = Path("store")
BYTES_PER_MEGABYTE = 1e6
SHOWN = ("id", "stage", "kind", "parent", "steps", "tokens", "supervised_tokens", "seconds", "weights_sha256")


def status(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Say what lies in the store and which studies are whole."""
    from upbringing.lab.storage.contents import status as store_status

    found = store_status(store)
    if as_json:
        print(json.dumps(asdict(found), indent=1, sort_keys=True))
        return
    for room, each in found.rooms.items():
        print(f"{room}: {each.num_entries} entries, {each.num_bytes / BYTES_PER_MEGABYTE:,.1f} MB")
    for name, (present, needed) in found.studies.items():
        print(f"study {visible(name)}: {present} of {needed} checkpoints")
    print(f"{found.num_unfinished} unfinished, {found.num_quarantined} in quarantine")


def show(key: Key, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show how a checkpoint was made: its record."""
    from upbringing.lab.storage.contents import show as show_record

    record = show_record(store, key)
    if as_json:
        print(record.model_dump_json(indent=1))
        return
    for name in SHOWN:
        print(f"{name}: {visible(str(getattr(record, name)))}")
    for warning in record.warnings:
        print(f"warning: {visible(warning)}")


def export(
    key: Key,
    folder: Annotated[Path, typer.Argument(help="The new folder.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Copy a checkpoint out of the store, as a folder that transformers opens."""
    from upbringing.lab.storage.contents import export as export_checkpoint

    _print_folder(export_checkpoint(store, key, folder), as_json=as_json)


def gc(
    store: StoreOption = DEFAULT_STORE,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is deleted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list (the default).")] = False,
    hours: Annotated[float, typer.Option("--older-than", min=0, help="Hours that nobody touched it.")] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """List what no study in the store needs any more; --yes deletes it."""
    from upbringing.lab.storage.contents import gc as collect

    if yes and dry_run:
        raise typer.BadParameter("--yes deletes and --dry-run does not: give one of them")
    found = collect(store, remove=yes, older_than_hours=hours)
    if as_json:
        print(json.dumps(asdict(found), indent=1, sort_keys=True))
        return
    for entry in found.entries:
        print(visible(entry))
    done = "deleted" if found.removed else "not needed by any study (--yes deletes them)"
    print(f"{len(found.entries)} entries, {found.num_bytes / BYTES_PER_MEGABYTE:,.1f} MB {done}")


def add_tokens(
    checkpoint: Annotated[Path, typer.Argument(help="The folder of an existing checkpoint.")],
    output: Annotated[Path, typer.Argument(help="The new folder.")],
    tokens: Annotated[list[str], typer.Option("--token", help="A special token that it gets; repeatable.")],
    as_json: JsonOption = False,
) -> None:
    """Copy an existing checkpoint and give the copy special tokens, such as a tag that data is to be marked with."""
    from upbringing.training.added_tokens import add_tokens as add

    _print_folder(add(checkpoint, tokens, output), as_json=as_json)


def _print_folder(folder: Path, *, as_json: bool) -> None:
    print(json.dumps({"folder": str(folder)}, indent=1) if as_json else visible(str(folder)))


def add_to(app: typer.Typer) -> None:
    """Give ``app`` these verbs."""
    for verb in (status, show, export, gc):
        app.command()(verb)
    app.command(name="add-tokens")(add_tokens)
