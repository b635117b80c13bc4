"""What a contrast could find: now, with more prompts, with more seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from upbringing.attribution.evidence.design import ENOUGH_UNITS
from upbringing.attribution.power.needed import margin_floor, prompts_needed, seeds_needed
from upbringing.attribution.power.power import TESTS, Goal, Test, is_decided, power_of, smallest_decided
from upbringing.attribution.power.sampling import SampleSize, Sampling, floor, sampling
from upbringing.attribution.statistics.inference import POWER
from upbringing.attribution.statistics.variance import VarianceComponents
from upbringing.base.errors import FormatError

Known = Literal["rows", "stated", "not-known"]
Hours = Callable[[SampleSize], float | None]
NO_SIZE = (
    "the margin of {contrast!r} on {measure!r} is {margin:g}, and power is planned for a margin above 0, the smallest "
    "change that matters: state that, or leave the margin out to plan the smallest detectable change alone"
)
RATIO_UNPLANNED = "its margin is a risk ratio of {:g}, and power is planned for differences alone"
SEED_CHOICES = (3, 5, 8, 10, 15, 20)


@dataclass(frozen=True)
class ContrastFacts:
    """A contrast to plan. ``num_tests``: of the family that it is corrected with; ``num_measures``: primary ones.

    ``unscored``: how far answers without a score may move the estimate; ``unchecked``: how far errors of a rule that no
    labels check may. ``is_corrected``: labels correct the claim, and their own noise is not planned. ``largest``: the
    most that rates can differ. ``no_margin``: why a declared margin is not planned.
    """

    measure: str
    contrast: str
    margin: float | None
    condition: str = "default"
    split: str | None = None
    role: str = "primary"
    num_tests: int = 1
    num_measures: int = 1
    unscored: float = 0.0
    unchecked: float = 0.0
    is_corrected: bool = False
    largest: float | None = None
    no_margin: str | None = None

    @property
    def bias(self) -> float:
        """How far the estimate may be moved by what no number of prompts or seeds shrinks."""
        return self.unscored + self.unchecked


@dataclass(frozen=True)
class Option:
    """Enough prompts, and no fewer than there are, for a number of seeds.

    ``hours``: of all that is still to do then; ``None`` = not known.
    """

    prompts: int
    seeds: int
    hours: float | None = None


@dataclass(frozen=True)
class Cautious:
    """The same decision if seeds differ as much as the pilot allows (``VarianceComponents.seed_high``)."""

    power: float
    prompts: int | None
    seeds: int | None


@dataclass(frozen=True)
class Decision:
    """Whether one test decides the margin. ``prompts``: fewest at the present seeds; ``seeds``: the other way round.

    ``None`` for either: no number does, or it is not known (then ``seed`` is none of the known components).
    ``is_safe``: decided with that power also if seeds differ as much as the pilot allows; few runs show their spread
    badly. ``power`` is averaged over what that spread may be. ``cautious``: ``None`` where the
    components were stated, or only one run was seen. ``smallest``: the margin that would be decided as things are;
    ``reachable``: with any number of prompts, where none of them decides.
    ``options``: this and other numbers of seeds, each with its prompts; empty where it is decided as things are.
    """

    test: Test
    margin: float
    power: float
    is_decided: bool
    is_safe: bool
    smallest: float
    reachable: float | None
    prompts: int | None
    seeds: int | None
    cautious: Cautious | None
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Outlook:
    """What a contrast could find at ``size``. ``known``: where its components are from; ``why`` says why they are not.

    ``minimum_detectable``: corrected for the family, if seeds differ as estimated. ``seed_floor``: the standard error
    that no number of prompts goes below. ``estimand``: ``artefact`` below three seeds.
    """

    facts: ContrastFacts
    known: Known
    why: str | None = None
    components: VarianceComponents | None = None
    size: SampleSize | None = None
    estimand: Literal["recipe", "artefact"] | None = None
    standard_error: float | None = None
    df: float | None = None
    seed_floor: float | None = None
    minimum_detectable: float | None = None
    decisions: tuple[Decision, ...] = ()


def largest_of(weights: Mapping[str, float], *, is_share: bool) -> float | None:
    """Return the most that a contrast can come to: rates lie between 0 and 1."""
    return max(sum(weight for weight in weights.values() if weight > 0), 0.0) if is_share else None


def unknown_outlook(facts: ContrastFacts, why: str) -> Outlook:
    """Return the outlook of a contrast of whose noise nothing is known."""
    return Outlook(facts, "not-known", why)


def outlook(
    facts: ContrastFacts,
    components: VarianceComponents,
    size: SampleSize,
    *,
    known: Known,
    power: float = POWER,
    hours: Hours = lambda size: None,
) -> Outlook:
    """Return what the contrast could find with ``power``. ``hours``: what a size would cost from here on.

    Raises ``FormatError`` for a margin that is not above 0, within which no number of prompts or seeds keeps anything.
    """
    if facts.margin is not None and not 0 < facts.margin < math.inf:
        raise FormatError(NO_SIZE.format(contrast=facts.contrast, measure=facts.measure, margin=facts.margin))
    found, estimated = sampling(components, size), sampling(replace(components, seed_likely=()), size)
    if found is None or estimated is None:
        why = "only one run was seen, which shows no spread between runs: state it, or pilot with more seeds"
        return Outlook(facts, "not-known", why, components, size)
    decisions: Iterable[Decision] = ()
    if facts.margin is not None:
        goals = (_goal(facts, test, facts.margin, power) for test in TESTS)
        decisions = (_decision(components, size, found, goal, hours) for goal in goals)
    return Outlook(
        facts=facts,
        known=known,
        components=components,
        size=size,
        estimand="recipe" if size.is_recipe else "artefact",
        standard_error=found.standard_error,
        df=found.df,
        seed_floor=floor(components, size),
        minimum_detectable=smallest_decided(estimated, _goal(facts, "difference", 1.0, power)),
        decisions=tuple(decisions),
    )


def _goal(facts: ContrastFacts, test: Test, margin: float, power: float) -> Goal:
    return Goal(test, margin, power, facts.num_tests, facts.num_measures, facts.bias)


def _decision(components: VarianceComponents, size: SampleSize, found: Sampling, goal: Goal, hours: Hours) -> Decision:
    decided = is_decided(found, goal)
    prompts = prompts_needed(components, size, goal)
    cautious = _cautious(components, size, goal)
    return Decision(
        test=goal.test,
        margin=goal.margin,
        power=power_of(found, goal),
        is_decided=decided,
        is_safe=decided and (cautious is None or cautious.power >= goal.needed),
        smallest=smallest_decided(found, goal),
        reachable=margin_floor(components, size, goal) if prompts is None else None,
        prompts=prompts,
        seeds=seeds_needed(components, size, goal),
        cautious=cautious,
        options=() if decided else tuple(_options(components, size, goal, hours)),
    )


def _cautious(components: VarianceComponents, size: SampleSize, goal: Goal) -> Cautious | None:
    if components.seed_high is None:
        return None
    worst = components.with_seed(components.seed_high)
    found = sampling(worst, size)
    assert found is not None  # the seeds' spread is known
    return Cautious(power_of(found, goal), prompts_needed(worst, size, goal), seeds_needed(worst, size, goal))


def _options(components: VarianceComponents, size: SampleSize, goal: Goal, hours: Hours) -> Iterable[Option]:
    """Yield, for the present and larger numbers of seeds, how many prompts decide, until those of ``size`` do."""
    enough = seeds_needed(components, size, goal)
    choices = {size.seeds, *SEED_CHOICES} | ({enough} if enough is not None else set())
    for seeds in sorted(each for each in choices if each >= max(size.seeds, ENOUGH_UNITS)):
        prompts = prompts_needed(components, replace(size, seeds=seeds), goal)
        if prompts is not None:
            kept = max(prompts, size.prompts)
            yield Option(kept, seeds, hours(replace(size, prompts=kept, seeds=seeds)))
            if prompts <= size.prompts:
                return
