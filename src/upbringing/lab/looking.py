"""Looks at a folder of results while prompts are added, each of them logged beside the rows."""

from __future__ import annotations

from pathlib import Path

from upbringing.base.files import write_bytes_atomic
from upbringing.formats.looks import LOOKS_NAME, Look, Looks, read_looks
from upbringing.lab.turns import results_turn


def look(results: Path | str, measure: str, contrast: str, *, tuned_for: int | None = None) -> Look:
    """Return what the rows in ``results`` say of a contrast by now, and append the look to ``looks.json`` there.

    The interval holds at all looks together, about these checkpoints. A look at rows to which nothing was added is the
    last one again. ``tuned_for`` and errors: as in ``attribution.looks.look_at``; a refused look is not logged, as it
    shows nothing.
    """
    from upbringing.attribution.attribute import read_results  # scipy, which planning does not need
    from upbringing.attribution.looks import look_at

    folder = Path(results)
    with results_turn(folder):
        rows, tree, _ = read_results(folder)
        log = read_looks(folder / LOOKS_NAME)
        found = look_at(rows, tree, measure, contrast, log.looks, tuned_for=tuned_for)
        if found not in log.looks:
            longer: Looks = log.model_copy(update={"looks": (*log.looks, found)})
            write_bytes_atomic(folder / LOOKS_NAME, (longer.model_dump_json(indent=1) + "\n").encode("utf-8"))
    return found
