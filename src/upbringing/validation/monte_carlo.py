"""Runs experiments: many simulated studies, in several processes, each study from a stream of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from upbringing.base.streams import stream
from upbringing.base.surroundings import poor_context
from upbringing.validation.gates import Experiment, Outcomes
from upbringing.validation.process import Array

BLOCK = 250  # studies that one process takes at a time
MIN_REPLICATES = 20

Job = tuple[Experiment, int, int, int]


def num_replicates(experiment: Experiment, share: float) -> int:
    """Return how many studies of an experiment a run with this share of a full run takes."""
    return experiment.replicates if share >= 1 else max(MIN_REPLICATES, round(experiment.replicates * share))


def simulate(
    experiments: Sequence[Experiment],
    *,
    seed: int,
    share: float = 1.0,
    processes: int = 1,
    watch: Callable[[int, int], None] | None = None,
) -> list[Outcomes]:
    """Return the outcomes of each experiment, one number per study and name.

    Study ``k`` of an experiment is drawn from the stream ``(seed, "validation", experiment.name, k)``, so that neither
    the number of processes nor other experiments change it. ``watch`` is told how many studies of how many are done.
    """
    jobs = [
        (experiment, seed, first, min(first + BLOCK, num))
        for experiment in experiments
        for num in (num_replicates(experiment, share),)
        for first in range(0, num, BLOCK)
    ]
    total = sum(last - first for _, _, first, last in jobs)
    parts: dict[str, list[Outcomes]] = {experiment.name: [] for experiment in experiments}
    if len(parts) < len(experiments):
        raise ValueError("two experiments have one name, so their studies would be the same: give each its own")
    done = 0
    for job, found in zip(jobs, _results(jobs, processes), strict=True):
        parts[job[0].name].append(found)
        done += job[3] - job[2]
        if watch is not None:
            watch(done, total)
    return [_joined(parts[experiment.name]) for experiment in experiments]


def _results(jobs: Sequence[Job], processes: int) -> Iterable[Outcomes]:
    if processes <= 1:
        yield from map(run_block, jobs)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the children: one thread each
    with ProcessPoolExecutor(processes, mp_context=poor_context()) as pool:
        yield from pool.map(run_block, jobs)


def run_block(job: Job) -> Outcomes:
    """Return the outcomes of one experiment's studies from ``first`` to before ``last``."""
    experiment, seed, first, last = job
    found: list[Mapping[str, float]] = [
        experiment.trial(stream(seed, "validation", experiment.name, number)) for number in range(first, last)
    ]
    return {name: np.array([each[name] for each in found], dtype=np.float64) for name in found[0]}


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    joined: dict[str, Array] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return joined
