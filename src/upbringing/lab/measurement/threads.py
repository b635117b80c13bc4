"""How many threads a measurement gets: more than one only where processors would idle and a probe finds it faster.

One-thread processes side by side use processors best, so checkpoints come first; what they leave idle can help each.
Whether it does depends on the machine and on who else uses it: two threads can be ten times slower than one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeVar

from upbringing.base.errors import UpbringingError
from upbringing.lab.building.executor import Event, Job, Outcome
from upbringing.lab.measurement.measure_jobs import with_weights
from upbringing.lab.measurement.measuring import MeasureJob
from upbringing.lab.session import Session
from upbringing.lab.storage.remembered import keep, machine_facts, recall, remembered_key
from upbringing.models.loading import check_folder, opening
from upbringing.models.weights import num_weights

PROBE_VERSION = 1  # raise it when the same probe would be timed differently
WEIGHTS_WORTH_SHARING = 20_000_000  # products of smaller models end before threads have met
WORTH = 1.1  # times as fast as one thread; less is noise
READING, DECODING = 512, 16  # rows of the products that are timed: prompts that are read, answers that grow
ROUNDS = 4  # the first warms up
USUAL_WIDTH = 1024  # of a network whose configuration does not say
AnyJob = TypeVar("AnyJob", bound=MeasureJob)


@dataclass(frozen=True)
class ThreadProbe:
    """Time products as large as those of the model in ``folder`` with each number of threads of ``counts``."""

    key: str
    folder: Path
    precision: Literal["fp32", "bf16"]
    counts: tuple[int, ...]
    label: str = "try threads"
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> dict[int, float]:
        """Return the seconds of the fastest round by number of threads."""
        import torch

        width = _width(self.folder)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        up, down = torch.ones(width, 4 * width, dtype=dtype), torch.ones(4 * width, width, dtype=dtype)
        texts = [torch.ones(rows, width, dtype=dtype) for rows in (READING, *[DECODING] * (READING // DECODING))]
        seconds: dict[int, list[float]] = {count: [] for count in self.counts}
        for _ in range(ROUNDS):
            for count in self.counts:
                torch.set_num_threads(count)
                began = time.perf_counter()
                for text in texts:
                    torch.softmax(text @ up, dim=-1) @ down
                seconds[count].append(time.perf_counter() - began)
        report(Event(self.key, 1, 1))
        return {count: min(found[1:]) for count, found in seconds.items()}


def _width(folder: Path) -> int:
    from transformers import AutoConfig

    check_folder(folder)
    with opening(folder):
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return int(getattr(config.get_text_config(), "hidden_size", None) or USUAL_WIDTH)


def with_threads(
    session: Session, jobs: Sequence[AnyJob], run: Callable[[Sequence[Job]], Mapping[str, Outcome]]
) -> list[AnyJob]:
    """Return ``jobs`` with the threads that are fastest where there are more processors than jobs, else as they are.

    ``run``: runs probes, as many at once as there are jobs, unless what they found is remembered in the store. Models
    below ``WEIGHTS_WORTH_SHARING``, accelerators and clusters, which share their processors out themselves, keep one.
    """
    each = _processors_for_each(session, len(jobs))
    if each < 2:
        return list(jobs)
    sizes = {
        folder: size for job in with_weights(jobs) if (folder := job.folder_if_built()) and (size := _size(folder))
    }
    largest = max(sizes, key=lambda folder: sizes[folder], default=None)
    if largest is None or sizes[largest] < WEIGHTS_WORTH_SHARING:
        return list(jobs)
    precision = session.study.measure_precision
    key = remembered_key("threads", [PROBE_VERSION, machine_facts(), len(jobs), sizes[largest], precision])
    counts = tuple(sorted({1, each // 2, each} - {0}))
    found = recall(session.store, key)
    if not (isinstance(found, dict) and {str(count) for count in counts} <= found.keys()):
        outcomes = run([ThreadProbe(f"threads-{number}", largest, precision, counts) for number in range(len(jobs))])
        values = [outcome.value for outcome in outcomes.values()]
        found = {str(count): fmean(value[count] for value in values) for count in counts}
        keep(session.store, key, found)
    threads = fastest({count: float(found[str(count)]) for count in counts})
    return [replace(job, threads=threads) for job in jobs]


def _size(folder: Path) -> int:
    """Return the number of weights; 0 for files that cannot be read, of which the measurement will say why."""
    try:
        return num_weights(folder)
    except (UpbringingError, OSError):
        return 0


def fastest(seconds: Mapping[int, float]) -> int:
    """Return the number of threads with the fewest seconds; one, unless that is slower by more than noise."""
    best = min(seconds, key=lambda count: seconds[count])
    return best if seconds[1] > WORTH * seconds[best] else 1


def _processors_for_each(session: Session, num_jobs: int) -> int:
    """Return how many processors of this machine each job could have to itself."""
    workshop = session.workshop
    if workshop.profile.device != "cpu" or not workshop.is_here or not num_jobs:
        return 1
    return (os.cpu_count() or 1) // num_jobs
