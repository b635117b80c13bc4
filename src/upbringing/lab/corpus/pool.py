"""Pieces worked on side by side, in processes that end with the one that started them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from upbringing.base.errors import InterruptedRunError
from upbringing.base.parent import end_with_parent
from upbringing.base.surroundings import poor_context

Result = TypeVar("Result")
WAITING_PER_WORKER = 2  # enough to keep all busy; more would hold results that nobody has taken


def each_result(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield the place and the result of each call as it is done; one worker works here, in order.

    ``function`` and its arguments can be pickled. An error in one call stops all; what was written before stays.
    """
    if workers == 1 or len(calls) < 2:
        for place, arguments in enumerate(calls):
            yield place, function(*arguments)
        return
    number = min(workers, len(calls))
    executor = ProcessPoolExecutor(number, mp_context=poor_context(), initializer=_start_worker)
    try:
        yield from _results(executor, function, calls, workers * WAITING_PER_WORKER)
    except BrokenProcessPool:
        raise InterruptedRunError(
            "a worker process died, perhaps for want of memory: run the same command again, with fewer workers"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _results(
    executor: ProcessPoolExecutor, function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], ahead: int
) -> Iterator[tuple[int, Result]]:
    waiting: dict[Future[Result], int] = {}
    coming = iter(enumerate(calls))
    while True:
        for place, arguments in islice(coming, ahead - len(waiting)):
            waiting[executor.submit(function, *arguments)] = place
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future.result()


def _start_worker() -> None:
    os.environ["RAYON_NUM_THREADS"] = "1"  # the sketches' library would start a thread per core in each worker
    end_with_parent()
