"""Runs the suite: checks without chance first, then all simulated studies, and judges every gate."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upbringing.base.errors import FormatError
from upbringing.validation.exact import CHECKS, read_check
from upbringing.validation.gates import Experiment, Outcomes, Performance, Result, performance, read_gate
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.suite import experiments, not_run

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a run of the suite found. ``share``: of a full run's studies. ``only``: what was selected, if not all."""

    seed: int
    share: float
    only: tuple[str, ...]
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
    only: Sequence[str] = (),
    processes: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Validation:
    """Return the results of the whole suite on simulated studies with planted truth.

    ``share`` below 1 runs fewer studies, with thresholds widened by what that adds in Monte Carlo error. ``only``:
    gates (``I8``) or parts of the names of experiments; nothing = all. ``processes`` ``None`` = one per processor;
    their number changes no result. Draws from the streams ``(seed, "validation", ...)``.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}: it is the part of a full run's studies")
    num = processes if processes is not None else os.cpu_count() or 1
    chosen = selected(only)
    found = simulate(chosen, seed=seed, share=share, processes=num, watch=watch)
    return judge(found, seed=seed, share=share, only=only)


def selected(only: Sequence[str]) -> tuple[Experiment, ...]:
    """Return the experiments that have one of these gates, or texts in their name; all where nothing is asked.

    Raises ``FormatError`` for a text that selects nothing, checks without chance included.
    """
    suite = experiments()
    for text in only:
        if not any(_is_selected(each, [text]) for each in suite) and text not in {check.id for check in CHECKS}:
            raise FormatError(
                f"{text!r} selects nothing: name a gate, such as I8, or a part of an experiment's name, such as "
                f"{suite[0].name!r}"
            )
    return tuple(each for each in suite if not only or _is_selected(each, only))


def _is_selected(experiment: Experiment, only: Sequence[str]) -> bool:
    gates = {gate.id for gate in experiment.gates}
    return any(text in gates or text in experiment.name for text in only)


def judge(found: Sequence[Outcomes], *, seed: int, share: float, only: Sequence[str] = ()) -> Validation:
    """Return the results of all gates, given the outcomes of each selected experiment, in the suite's order."""
    suite = selected(only)
    judged = [
        read_gate(gate, each, outcomes) for each, outcomes in zip(suite, found, strict=True) for gate in each.gates
    ]
    performances = [performance(each, outcomes) for each, outcomes in zip(suite, found, strict=True)]
    checks = [check for check in CHECKS if not only or check.id in only]
    return Validation(
        seed=seed,
        share=share,
        only=tuple(only),
        results=(*(read_check(check) for check in checks), *judged, *(() if only else not_run())),
        performances=tuple(each for each in performances if each is not None),
    )
