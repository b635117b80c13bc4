"""What a run is made of: its files with their hashes, its pieces, and whether a folder holds this run or another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.base.files import regular_files
from upbringing.base.fingerprint import fingerprint
from upbringing.data.interventions.duplicates import sketch_version
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.reading import check_first_row
from upbringing.lab.corpus.recipe import CorpusRecipe, Files, SavedDataset
from upbringing.lab.corpus.seam import CorpusTools
from upbringing.lab.corpus.spooling import spool_file, spool_hub, spool_saved
from upbringing.lab.corpus.tabular import check_header
from upbringing.lab.corpus.units import (
    SourceFile,
    Unit,
    check_columns,
    check_parquet_types,
    content_of,
    group_units,
    line_units,
    list_files,
    parquet_file,
)

DECIDES = {"base_url", "model", "revision"}  # what an endpoint answers; caps may be raised to go on
FORM = 4  # of what is written: a change here makes other folders of the same recipe


@dataclass(frozen=True)
class Plan:
    """``recipe`` and ``files`` (name, bytes, sha256) decide every byte of the output."""

    recipe: dict[str, Any]
    files: tuple[tuple[str, int, str], ...]

    @property
    def identity(self) -> str:
        """The plan's hash."""
        return fingerprint({"recipe": self.recipe, "files": self.files})

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"recipe": self.recipe, "files": [list(each) for each in self.files], "identity": self.identity}


def make_plan(recipe: CorpusRecipe, sources: Sequence[SourceFile], folder: Path, tools: CorpusTools) -> Plan:
    """Return the plan: every input file is hashed, and tools are named by their versions and hashes.

    What only says how fast, how dear or where on this machine is no part of it.
    """
    files = tuple((source.name, *content_of(Path(source.path))) for source in sources)
    if isinstance(recipe.input, SavedDataset):
        place = folder / recipe.input.path
        files = tuple((path.relative_to(place).as_posix(), *content_of(path)) for path in regular_files(place))
    plain = recipe.model_dump(mode="json")
    for machine in ("paths", "path"):
        plain["input"].pop(machine, None)
    del plain["concurrency"]
    for transform in (each for rule in plain["route"] for each in rule["do"] if not isinstance(each, str)):
        transform.pop("least", None)  # decides whether the output is published, and no byte of it
    writer = plain["writer"] or {}
    for endpoint in (*plain["endpoints"].values(), *([writer["endpoint"]] if "endpoint" in writer else [])):
        for name in endpoint.keys() - DECIDES:
            del endpoint[name]
    asked = {"scorer": tools.scorer, "writer": tools.writer}
    plain["tools"] = {name: None if tool is None else tool.id for name, tool in asked.items()}
    plain["form"] = FORM
    plain["sketches"] = None if recipe.dedup.near is None else sketch_version()
    return Plan(plain, files)


def sources_of(recipe: CorpusRecipe, folder: Path) -> list[SourceFile]:
    """Return the files of a recipe, checked: whole, with the columns it names; none for a data set."""
    if not isinstance(recipe.input, Files):
        return []
    sources = list_files(recipe.input, folder)
    for source in sources:
        if source.kind == "parquet":
            schema = parquet_file(source.path, source.name).schema_arrow
            check_columns(schema.names, recipe, source.name)
            check_parquet_types(schema, recipe.columns, source.name)
        elif source.kind == "csv":
            check_header(source, recipe)
        elif source.kind == "jsonl":
            check_first_row(Path(source.path), source.name, recipe)
    return sources


def same_run(plan: Plan, found: dict[str, Any], where: str) -> None:
    """Raise ``IntegrityError`` that says what differs unless ``found`` is this very plan."""
    if found.get("identity") == plan.identity:
        return
    recipe = found.get("recipe", {})
    changed = sorted(key for key in {*plan.recipe, *recipe} if plan.recipe.get(key) != recipe.get(key))
    if changed:
        raise IntegrityError(
            f"{where} belongs to another recipe (it differs in {', '.join(changed)}): choose another output folder, or "
            "remove this one"
        )
    before = {name: (size, digest) for name, size, digest in found.get("files", ())}
    now = {name: (size, digest) for name, size, digest in plan.files}
    lines = [f"{name} changed" for name in sorted(before.keys() & now.keys()) if before[name] != now[name]]
    lines += [f"{name} is gone" for name in sorted(before.keys() - now.keys())]
    lines += [f"{name} is new" for name in sorted(now.keys() - before.keys())]
    raise IntegrityError(
        f"{where} was made from other input: {', '.join(lines) or 'its files stand in another order'}. "
        "Restore the input, or choose another output folder"
    )


def read_plan(path: Path) -> dict[str, Any] | None:
    """Return a plan that was written down; ``None`` if there is none."""
    try:
        plan: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise IntegrityError(f"{path} is torn: remove the work folder") from error
    return plan


def cut_units(
    recipe: CorpusRecipe, sources: Sequence[SourceFile], folder: Path, folders: Folders, note: Callable[[str], None]
) -> list[Unit]:
    """Return the pieces of the corpus in order; what cannot be read from the middle is unpacked first."""
    units: list[Unit] = []
    if isinstance(recipe.input, Files):
        for place, source in enumerate(sources):
            units += _file_units(source, recipe, folders.spool / f"{place:06d}", note)
    else:
        given = recipe.input
        name = given.path if isinstance(given, SavedDataset) else given.name
        note(f"unpacking {name}")
        spool = folders.spool / "000000"
        if isinstance(given, SavedDataset):
            lines = spool_saved(given, folder / given.path, recipe, spool)
        else:
            lines = spool_hub(given, recipe, spool)
        units += line_units(lines, Path(name).name, recipe)
    return [replace(unit, number=number) for number, unit in enumerate(units)]


def _file_units(source: SourceFile, recipe: CorpusRecipe, spool: Path, note: Callable[[str], None]) -> list[Unit]:
    if source.kind == "jsonl":
        return list(line_units(Path(source.path), source.name, recipe))
    if source.kind == "parquet" and (units := group_units(source, recipe)) is not None:
        return units
    note(f"unpacking {source.name}")
    lines = spool_file(source, recipe, spool)
    if not source.kind.startswith(("csv", "txt")):  # those are checked by their header
        check_first_row(lines, source.name, recipe)
    return list(line_units(lines, source.name, recipe))
