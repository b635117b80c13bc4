"""``transform_corpus``: score, route and transform the documents of a corpus, and write a corpus back.

Two passes over bounded pieces, side by side in processes: the first reads, checks and hashes, the last scores, routes,
transforms and writes. Between them duplicates are found over the whole corpus and, where transforms shuffle labels, a
pass for each such transform of a rule finds the labels. Each file is whole or not there, the output folder appears
whole, and all that is drawn for a document follows from the seed and its id: a run that was killed anywhere and is
started again, with any number of workers, writes the same bytes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from upbringing.base.errors import DataError, InterruptedRunError, StudyError
from upbringing.base.files import TEMPORARY_PREFIX, publish_folder, regular_files, remove_tree, write_json_atomic
from upbringing.base.manifest import MANIFEST_NAME, check_manifest, read_manifest, write_manifest
from upbringing.data.interventions.reserved import refuse_reserved
from upbringing.data.interventions.routing import named_sources
from upbringing.lab.corpus.accounts import Accounts, check_accounts, check_written
from upbringing.lab.corpus.board import CorpusBoard
from upbringing.lab.corpus.doses import check_doses
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.indexing import SHOWN_PLACES, SHOWN_SOURCES, Indexed, index_unit
from upbringing.lab.corpus.labelling import label_counts, label_unit, num_stages, settle_labels
from upbringing.lab.corpus.planning import Plan, cut_units, make_plan, read_plan, same_run, sources_of
from upbringing.lab.corpus.pool import each_result
from upbringing.lab.corpus.recipe import CorpusRecipe, load_recipe
from upbringing.lab.corpus.resolving import resolve
from upbringing.lab.corpus.seam import CorpusTools, ToolsOpener, ToolsRequest, open_tools, reserved_strings
from upbringing.lab.corpus.units import Unit
from upbringing.lab.corpus.writing import write_unit

Result = TypeVar("Result")


@dataclass(frozen=True)
class CorpusReport:
    """What a run made. ``was_done``: the output was there, whole, and nothing was computed."""

    folder: Path
    accounts: dict[str, Any]
    seconds: float
    was_done: bool


@dataclass(frozen=True)
class _Run:
    """What every step of a run needs. ``folder``: where the recipe's relative paths begin."""

    recipe: CorpusRecipe
    folder: Path
    folders: Folders
    workers: int
    opener: ToolsOpener
    board: CorpusBoard


def transform_corpus(
    recipe: CorpusRecipe | Path,
    output: Path,
    *,
    workers: int = 1,
    quiet: bool = True,
    opener: ToolsOpener = open_tools,
) -> CorpusReport:
    """Run ``recipe`` (or the YAML file of one, to whose folder its paths are relative) and write the folder ``output``.

    ``opener`` opens scorers and writers in every process; give it to use your own (a function of a module, so that
    processes can find it). More than one worker needs a script with ``if __name__ == "__main__":``.
    Raises ``DataError`` for an input that is not what was declared, ``IntegrityError`` for a folder of another run.
    """
    if workers < 1:
        raise StudyError(f"workers is {workers}, expected at least 1")
    folder = recipe.parent if isinstance(recipe, Path) else Path()
    read = load_recipe(recipe) if isinstance(recipe, Path) else recipe
    folders = Folders(output.absolute())
    folders.output.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        with FileLock(folders.lock, timeout=0), CorpusBoard(quiet=quiet) as board:
            accounts, was_done = _run(_Run(read, folder.absolute(), folders, workers, opener, board))
    except Timeout:
        raise InterruptedRunError(f"another process is writing {output}: wait for it, or end it") from None
    except KeyboardInterrupt:
        raise InterruptedRunError("stopped: the same command goes on where it was") from None
    return CorpusReport(output, accounts, time.monotonic() - began, was_done)


def _run(run: _Run) -> tuple[dict[str, Any], bool]:
    run.board.start("hashing the input")
    sources = sources_of(run.recipe, run.folder)
    tools = run.opener(tools_request(run.recipe, run.folder))
    plan = make_plan(run.recipe, sources, run.folder, tools)
    folders = run.folders
    if folders.output.exists():
        return _done_before(plan, run), True
    if (before := read_plan(folders.plan)) is not None:
        same_run(plan, before, folders.work.name)
    folders.make()
    write_json_atomic(folders.plan, plan.plain())
    units = cut_units(run.recipe, sources, run.folder, folders, run.board.start)
    if not units:
        raise DataError("the corpus has no rows: every file of it is empty")
    indexed = _first_pass(run, units)
    resolve(units, run.recipe, folders.index, folders.decisions)
    _labelling_passes(run, units, tools)
    accounts = _last_pass(run, units, tools)
    run.board.start("checking what was written")
    whole = check_accounts(accounts, indexed, folders.result)
    check_doses(run.recipe.route, whole.doses, f"{folders.work.name}/result/rejects")
    summary = {**whole.summary(), "labels": label_counts(run.recipe, folders)}
    facts = {**plan.plain(), "accounts": summary}
    _remove_torn(folders.result)
    write_manifest(folders.result, corpus=facts)
    check_written(whole, read_manifest(folders.result))
    publish_folder(folders.result, folders.output)
    remove_tree(folders.work)
    return summary, False


def _remove_torn(folder: Path) -> None:
    """Remove what a killed write left behind under a temporary name."""
    for path in regular_files(folder):
        if path.name.startswith(TEMPORARY_PREFIX):
            path.unlink()


def _done_before(plan: Plan, run: _Run) -> dict[str, Any]:
    folders = run.folders
    named = (folders.output / MANIFEST_NAME).is_file()
    found = read_manifest(folders.output)["facts"].get("corpus") if named else None
    if not isinstance(found, dict):
        raise StudyError(
            f"{folders.output} exists and is no corpus that this program wrote: choose another output folder"
        )
    same_run(plan, found, folders.output.name)
    check_manifest(folders.output, full=False)
    if folders.work.exists():  # a run that was killed after its output was whole
        remove_tree(folders.work)
    accounts: dict[str, Any] = found["accounts"]
    check_doses(run.recipe.route, accounts["doses"], f"{folders.output.name}/rejects")
    return accounts


def _first_pass(run: _Run, units: Sequence[Unit]) -> list[Indexed]:
    reserved = tuple(dict.fromkeys((*run.recipe.reserved, *reserved_strings(run.recipe.transforms()))))
    run.board.start("reading", sum(unit.num_bytes for unit in units))
    found: list[Indexed | None] = [None] * len(units)
    calls = [(unit, run.recipe, reserved, run.folders.index) for unit in units]
    for place, indexed in each_result(index_unit, calls, run.workers):
        found[place] = indexed
        run.board.advance(indexed.num_documents, indexed.num_bytes)
    whole = [each for each in found if each is not None]
    counts: Counter[str] = Counter()
    for each in whole:
        counts.update(each.reserved)
    _refuse_unknown_sources(run.recipe, whole)
    refuse_reserved(counts, [place for each in whole for place in each.places], SHOWN_PLACES)
    return whole


def _refuse_unknown_sources(recipe: CorpusRecipe, indexed: Sequence[Indexed]) -> None:
    found = {name for each in indexed for name in each.sources}
    unknown = [name for name in named_sources(recipe.route) if name not in found]
    if unknown:
        shown = ", ".join(repr(name) for name in sorted(found)[:SHOWN_SOURCES]) + (
            ", ..." * (len(found) > SHOWN_SOURCES)
        )
        raise DataError(
            f"route names the source {unknown[0]!r}, and no document of the corpus is of it; it has {shown or 'none'}: "
            "correct the rule, or name the column of sources as columns.source"
        )


def _labelling_passes(run: _Run, units: Sequence[Unit], tools: CorpusTools) -> None:
    for stage in range(num_stages(run.recipe)):
        run.board.start("labelling", sum(unit.num_bytes for unit in units))
        for place, number in _each_piece(run, label_unit, units, tools, stage):
            run.board.advance(number, units[place].num_bytes)
        run.board.start("settling labels")
        settle_labels(units, run.recipe, run.folders, stage)


def _last_pass(run: _Run, units: Sequence[Unit], tools: CorpusTools) -> list[Accounts]:
    run.board.start("scoring and writing", sum(unit.num_bytes for unit in units))
    found: list[Accounts | None] = [None] * len(units)
    for place, account in _each_piece(run, write_unit, units, tools):
        found[place] = account
        run.board.advance(account.read, units[place].num_bytes)
    return [each for each in found if each is not None]


def _each_piece(
    run: _Run, function: Callable[..., Result], units: Sequence[Unit], tools: CorpusTools, *more: Any
) -> Iterator[tuple[int, Result]]:
    """Yield the place and the result of ``function`` of each piece; paid calls are made here, where the keys are."""
    if tools.paid or run.workers == 1:
        for place, unit in enumerate(units):
            yield place, function(unit, run.recipe, tools, run.folders, *more)
        return
    plain = run.recipe.model_dump_json()
    calls = [(function, unit, plain, run.folder, run.opener, run.folders, *more) for unit in units]
    yield from each_result(_with_own_tools, calls, run.workers)


def _with_own_tools(
    function: Callable[..., Result],
    unit: Unit,
    recipe: str,
    folder: Path,
    opener: ToolsOpener,
    folders: Folders,
    *more: Any,
) -> Result:
    read, tools = _opened(recipe, folder, opener)
    return function(unit, read, tools, folders, *more)


def tools_request(recipe: CorpusRecipe, folder: Path) -> ToolsRequest:
    """Return what ``recipe``, whose relative paths begin in ``folder``, asks with."""
    return ToolsRequest(recipe.scorer, recipe.endpoints, recipe.writer, folder)


@lru_cache(maxsize=1)
def _opened(plain: str, folder: Path, opener: ToolsOpener) -> tuple[CorpusRecipe, CorpusTools]:
    """Return a recipe and its tools, opened once per process."""
    recipe = CorpusRecipe.model_validate_json(plain)
    return recipe, opener(tools_request(recipe, folder))
