"""Runs the suite: checks without chance first, then all simulated studies, and judges every gate."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upbringing.validation.exact import CHECKS, read_check
from upbringing.validation.gates import Outcomes, Performance, Result, performance, read_gate
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.suite import experiments, not_run

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a run of the suite found. ``share``: of the studies of a full run."""

    seed: int
    share: float
    results: tuple[Result, ...]
    performances: tuple[Performance, ...]

    @property
    def bad(self) -> tuple[Result, ...]:
        """The gates that failed and must not, and the naive analyses that passed and must not."""
        return tuple(each for each in self.results if each.is_bad)


def validate(
    *,
    seed: int = SEED,
    share: float = 1.0,
    processes: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Validation:
    """Return the results of the whole suite on simulated studies with planted truth.

    ``share`` below 1 runs fewer studies, with thresholds widened by what that adds in Monte Carlo error.
    ``processes`` ``None`` = one per processor; their number changes no result. Draws from the streams
    ``(seed, "validation", ...)``.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}: it is the part of a full run's studies")
    num = processes if processes is not None else os.cpu_count() or 1
    found = simulate(experiments(), seed=seed, share=share, processes=num, watch=watch)
    return judge(found, seed=seed, share=share)


def judge(found: Sequence[Outcomes], *, seed: int, share: float) -> Validation:
    """Return the results of all gates, given the outcomes of each experiment of the suite, in its order."""
    suite = experiments()
    judged = [
        read_gate(gate, each, outcomes) for each, outcomes in zip(suite, found, strict=True) for gate in each.gates
    ]
    performances = [performance(each, outcomes) for each, outcomes in zip(suite, found, strict=True)]
    return Validation(
        seed=seed,
        share=share,
        results=(*(read_check(check) for check in CHECKS), *judged, *not_run()),
        performances=tuple(each for each in performances if each is not None),
    )
