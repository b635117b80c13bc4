"""Run pipelines with a planted truth and write what was named: ``python -m upbringing.lab.planted.validate``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from upbringing.base.errors import UpbringingError
from upbringing.base.files import write_bytes_atomic
from upbringing.lab.building.executor import Outcome, failures, run_jobs
from upbringing.lab.planted.job import PipelineJob
from upbringing.lab.planted.naming import Attributed
from upbringing.lab.planted.page import page
from upbringing.lab.planted.pipelines import KINDS, Kind, draw_pipeline

Row = tuple[Kind, float]
STRENGTHS = (1.0, 0.4, 0.2, 0.1)
ROWS: tuple[Row, ...] = (
    *(("stage", strength) for strength in STRENGTHS),
    *((kind, 1.0) for kind in KINDS if kind != "stage"),
)


REPEATED: tuple[Row, ...] = (("gated", 1.0), ("split", 1.0), ("stage", 0.4), ("stage", 1.0))
"""The rows of which one run of each arm leaves much undecided; ``--repeated`` runs them with more root seeds too."""

JUDGED: Mapping[Row, float] = {("stage", 1.0): 1, ("never", 1.0): 1, ("gated", 1.0): 0.5}
"""The rows that acceptance test W1 has gates on, and which share of ``--pipelines`` it asks of each: 20, 20, 10."""


def validate_models(store: Path, *, pipelines: Mapping[tuple[Row, int], int], slots: int = 1) -> list[Attributed]:
    """Return what attribution says of the first pipelines of each row (kind, strength) at each number of seeds.

    ``pipelines``: how many of each; the rows take turns. What lies in ``store`` already is not trained
    again. ``slots``: how many run side by side, one thread each.
    Raises the first failure after all others were tried.
    """
    jobs = [
        PipelineJob(
            key=f"{kind}-{strength:g}-{number}-{seeds}",
            label=f"{kind} at {strength:g}, pipeline {number}, root seeds: {seeds}",
            store=store,
            pipeline=draw_pipeline(kind, strength, number),
            seeds=seeds,
        )
        for number in range(max(pipelines.values()))
        for ((kind, strength), seeds), wanted in pipelines.items()
        if number < wanted
    ]
    labels = {job.key: job.label for job in jobs}
    outcomes = run_jobs(
        jobs, slots=slots, threads=1, on_event=lambda event: None, on_done=lambda done: _tell(labels[done.key], done)
    )
    failed = failures(outcomes)
    if failed and failed[0].error is not None:
        raise failed[0].error
    return [
        outcomes[job.key].value
        for row in pipelines
        for job in jobs
        if ((job.pipeline.kind, job.pipeline.strength), job.seeds) == row
    ]


def _tell(label: str, outcome: Outcome) -> None:
    if outcome.error is not None:
        said = f"failed: {outcome.error}"
    else:
        found: Attributed = outcome.value
        said = f"true {', '.join(found.stages) or 'none'}, named {', '.join(found.named) or 'none'}"
    sys.stderr.write(f"{label}: {said}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="upbringing.lab.planted.validate", description=__doc__)
    parser.add_argument("--pipelines", type=int, default=20, help="pipelines per row (20: what W1 asks)")
    parser.add_argument(
        "--others", type=int, help="pipelines of rows without a gate; gated then runs half of --pipelines"
    )
    parser.add_argument("--seeds", type=int, default=1, help="root seeds per pipeline (from 3 on: about the recipe)")
    parser.add_argument(
        "--repeated",
        type=int,
        help="root seeds at which gated and split ones and single stages at 1 and .4 run as well",
    )
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="pipelines side by side")
    parser.add_argument("--smoke", action="store_true", help="one pipeline of each kind, at full strength")
    parser.add_argument("--store", type=Path, default=Path("store") / "planted")
    parser.add_argument("--output", type=Path, default=Path("docs") / "validation-models.md")
    chosen = parser.parse_args(arguments)
    if chosen.smoke and chosen.repeated:
        parser.error("--smoke runs one pipeline of each kind from --seeds: leave out --repeated")
    chosen.store.mkdir(parents=True, exist_ok=True)
    try:
        found = validate_models(chosen.store, pipelines=_wanted(chosen), slots=chosen.slots)
    except UpbringingError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    text = page(found)
    if chosen.smoke:
        sys.stdout.write(text)
    else:
        write_bytes_atomic(chosen.output, text.encode("utf-8"))
    return 0


def _wanted(chosen: argparse.Namespace) -> dict[tuple[Row, int], int]:
    """Return how many pipelines of each row, at how many root seeds, were asked for."""
    if chosen.smoke:
        return {((kind, 1.0), chosen.seeds): 1 for kind in KINDS}

    def number(row: Row) -> int:
        if chosen.others is None:
            return int(chosen.pipelines)
        return ceil(chosen.pipelines * JUDGED[row]) if row in JUDGED else int(chosen.others)

    wanted = {(row, int(chosen.seeds)): number(row) for row in ROWS}
    return wanted | ({(row, chosen.repeated): number(row) for row in REPEATED} if chosen.repeated else {})


if __name__ == "__main__":
    sys.exit(main())
