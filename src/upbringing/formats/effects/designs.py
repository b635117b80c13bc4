"""Designs for the stages of a pipeline: which pipelines to run, how many stages to train, and what each answers.

A run gives every stage a state: on, a placebo (same size, neutral data), or skipped. Runs that begin alike share their
beginning, so each distinct prefix is trained once per seed. Source: statistics-and-measures 4.1 and 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from upbringing.formats.effects.coalitions import Coalition
from upbringing.formats.effects.fractions import aliases
from upbringing.formats.effects.generators import (
    MAX_FACTORS,
    STANDARD,
    Generators,
    alias_lines,
    fraction_runs,
    resolution,
    standard_generators,
)

State = Literal["on", "placebo", "skipped"]
Run = tuple[State, ...]
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII"}


@dataclass(frozen=True)
class StageDesign:
    """A set of pipelines. ``cells``: places that its effects compare; ``squares``: the sum of their squared weights.

    ``level``: of evidence (L1 to L3). ``alias_table``: empty where nothing is aliased.
    """

    name: str
    stages: tuple[str, ...]
    runs: tuple[Run, ...]
    level: Literal["L1", "L2", "L3"]
    cells: int
    squares: float
    answers: str
    blind_to: str
    alias_table: tuple[str, ...] = ()

    @property
    def num_trained(self) -> int:
        """Stages to train per seed: distinct prefixes."""
        return len({prefix for run in self.runs for prefix in _prefixes(self.stages, run)})

    @property
    def num_unshared(self) -> int:
        """Stages to train per seed if every pipeline were trained on its own."""
        return sum(len(_prefixes(self.stages, run)) for run in self.runs)


def _prefixes(stages: Sequence[str], run: Run) -> tuple[tuple[tuple[str, State], ...], ...]:
    """Return what a run trains, one prefix per stage that it does not skip."""
    trained = [(stage, state) for stage, state in zip(stages, run, strict=True) if state != "skipped"]
    return tuple(tuple(trained[: end + 1]) for end in range(len(trained)))


def designs_for(stages: Sequence[str]) -> tuple[StageDesign, ...]:
    """Return the designs for 2 to 8 stages in the order of training; raise ``ValueError`` for other numbers."""
    if not 2 <= len(stages) <= MAX_FACTORS or len(set(stages)) < len(stages):
        raise ValueError(f"designs have 2 to {MAX_FACTORS} stages with different names, found {', '.join(stages)}")
    halvings = [less for num, less in STANDARD if num == len(stages)]
    fractions = [factorial(stages, standard_generators(stages, less)) for less in sorted(halvings, reverse=True)]
    return (path(stages), pairwise(stages), leave_one_out(stages), only_one(stages), *fractions, factorial(stages))


def path(stages: Sequence[str]) -> StageDesign:
    """Return the pipeline itself, measured after every stage."""
    return StageDesign(
        name="path",
        stages=tuple(stages),
        runs=(_all("on", stages),),
        level="L1",
        cells=len(stages) + 1,
        squares=2.0,
        answers="what changed during each stage, in this order",
        blind_to="whether the stage was needed; every interaction",
    )


def pairwise(stages: Sequence[str]) -> StageDesign:
    """Return the pipeline, and for every stage one with its placebo: the usual arms around one control."""
    return StageDesign(
        name="pairwise arms, placebo",
        stages=tuple(stages),
        runs=(_all("on", stages), *_one(stages, "placebo", "on")),
        level="L2",
        cells=len(stages) + 1,
        squares=2.0,
        answers="necessity of each stage's data",
        blind_to="redundancy, interactions, the effect of training at all",
    )


def leave_one_out(stages: Sequence[str]) -> StageDesign:
    """Return the pipeline, and for every stage one without it and one with its placebo."""
    return StageDesign(
        name="leave one out + placebo",
        stages=tuple(stages),
        runs=(_all("on", stages), *_one(stages, "skipped", "on"), *_one(stages, "placebo", "on")),
        level="L2",
        cells=2 * len(stages) + 1,
        squares=2.0,
        answers="necessity of each stage; effect of its data, effect of training at all",
        blind_to="redundancy: two stages that each suffice both look unneeded",
    )


def only_one(stages: Sequence[str]) -> StageDesign:
    """Return every stage left out, and every stage alone, with placebos for the rest."""
    return StageDesign(
        name="leave one out + only one",
        stages=tuple(stages),
        runs=tuple(
            dict.fromkeys(
                (
                    _all("on", stages),
                    *_one(stages, "placebo", "on"),
                    *_one(stages, "on", "placebo"),
                    _all("placebo", stages),
                )
            )
        ),
        level="L2",
        cells=len({*_one(stages, "placebo", "on"), *_one(stages, "on", "placebo")}) + 2,
        squares=2.0,
        answers="necessity and sufficiency of each stage; redundancy and synergy",
        blind_to="which stages interact",
    )


def factorial(stages: Sequence[str], generators: Generators | None = None) -> StageDesign:
    """Return all combinations of on and placebo, or the fraction of them that ``generators`` name."""
    num = len(stages)
    if not generators:
        runs: Sequence[Coalition] = [
            frozenset(name for name, is_on in zip(stages, states, strict=True) if is_on)
            for states in product((True, False), repeat=num)
        ]
        name, blind = f"2^{num}, full factorial", "nothing among these stages"
    else:
        runs = fraction_runs(stages, generators)
        found = resolution(generators)
        name = f"2^({num}-{len(generators)}), resolution {ROMAN[found]}"
        blind = {3: "main effects are aliased with two-way interactions", 4: "two-way interactions are aliased"}.get(
            found, "interactions of three stages and more"
        )
    return StageDesign(
        name=name,
        stages=tuple(stages),
        runs=tuple(tuple("on" if stage in run else "placebo" for stage in stages) for run in runs),
        level="L3",
        cells=len(runs),
        squares=4.0 / len(runs),
        answers=_answers(stages, runs) if generators else "share of each stage (Shapley), all interactions",
        blind_to=blind,
        alias_table=alias_lines(stages, runs) if generators else (),
    )


def _answers(stages: Sequence[str], runs: Sequence[Coalition]) -> str:
    """Return which main effects and two-way interactions a fraction tells apart from each other."""
    confounded = {
        effect
        for group in aliases(stages, runs)
        for effect in group
        if len([other for other in group if len(other) <= 2]) > 1
    }
    mains = sum(frozenset((stage,)) not in confounded for stage in stages)
    pairs = [frozenset((one, two)) for index, one in enumerate(stages) for two in stages[index + 1 :]]
    clear = sum(pair not in confounded for pair in pairs)
    return f"{mains} of {len(stages)} main effects, {clear} of {len(pairs)} two-way interactions"


def _all(state: State, stages: Sequence[str]) -> Run:
    return (state,) * len(stages)


def _one(stages: Sequence[str], state: State, rest: State) -> Iterable[Run]:
    """Yield the runs in which one stage has ``state`` and all others have ``rest``."""
    for index in range(len(stages)):
        yield tuple(state if number == index else rest for number in range(len(stages)))
