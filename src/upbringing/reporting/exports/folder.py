"""A results folder as files for other tools: tables, figures, a summary, a model card's section, Inspect logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from upbringing.base.errors import StudyError
from upbringing.base.files import write_bytes_atomic
from upbringing.reporting.exports.card import card_of
from upbringing.reporting.exports.figures import figures_of, png_of, require_png
from upbringing.reporting.exports.inspect_logs import require_inspect, write_inspect_logs
from upbringing.reporting.exports.names import FileNames
from upbringing.reporting.exports.summary import summary_of
from upbringing.reporting.exports.tables import csv_text, tables_of
from upbringing.reporting.inputs import Inputs, read_inputs

SUMMARY_NAME, CARD_NAME = "summary.md", "model-card.md"
TABLES, FIGURES, LOGS = "tables", "figures", "inspect"


def export_results(
    results: Path | str,
    folder: Path | str,
    *,
    png: bool = False,
    inspect: bool = False,
    shareable: bool = False,
    watch: Callable[[Path], None] = lambda written: None,
) -> list[Path]:
    """Write what the folder ``results`` holds into ``folder`` and return the paths of the files, sorted.

    ``tables/*.csv``, ``figures/*.svg``, ``summary.md`` for a pull request and ``model-card.md``; with ``png`` every
    figure as PNG too (extra ``png``), with ``inspect`` the answers and scores as ``inspect/*.eval`` (extra
    ``inspect``). Only the logs hold prompts and answers, so ``shareable`` contradicts them (``StudyError``). Files of
    these names are replaced, others are left alone. Needs are checked before anything is written. ``watch`` is called
    with the path of each file as it stands there: logs of many answers take minutes.
    """
    if inspect and shareable:
        raise StudyError("an Inspect log holds every prompt and answer, and a shareable export none: choose one")
    if png:
        require_png()
    if inspect:
        require_inspect()
    inputs = read_inputs(Path(results))
    written = []
    for path in _written(inputs, Path(folder), png=png, inspect=inspect):
        watch(path)
        written.append(path)
    return sorted(written)


def _written(inputs: Inputs, folder: Path, *, png: bool, inspect: bool) -> Iterator[Path]:
    for name, content in _contents(inputs, png=png):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, content)
        yield path
    if inspect:
        yield from write_inspect_logs(inputs, folder / LOGS)


def _contents(inputs: Inputs, *, png: bool) -> Iterator[tuple[str, bytes]]:
    names = FileNames()
    for name, lines in tables_of(inputs).items():
        yield f"{TABLES}/{names.of(name)}.csv", csv_text(lines).encode("utf-8")
    for name, figure in figures_of(inputs).items():
        yield f"{FIGURES}/{name}.svg", figure.encode("utf-8")
        if png:
            yield f"{FIGURES}/{name}.png", png_of(figure)
    yield SUMMARY_NAME, summary_of(inputs).encode("utf-8")
    yield CARD_NAME, card_of(inputs).encode("utf-8")
