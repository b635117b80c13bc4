"""What is done with a document of each harm score: kept, dropped, or given to transforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE, HarmScore
from upbringing.data.transforms import BuiltInTransform, misplaced

Score = Annotated[int, Field(ge=LOWEST_SCORE, le=HIGHEST_SCORE)]


def _first_and_last(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return value


class Route(Description):
    """One rule: ``scores`` is a score or ``[first, last]``; ``do`` is keep, drop, or transforms applied in order.

    ``sources``: the components of the corpus that the rule is for, ahead of the rules that name none; empty = all.
    """

    scores: Annotated[tuple[Score, Score], BeforeValidator(_first_and_last)]
    sources: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    do: Literal["keep", "drop"] | tuple[Annotated[BuiltInTransform, BareWord()], ...]

    @model_validator(mode="after")
    def _writes_before_it_marks(self) -> Self:
        if problem := misplaced(() if isinstance(self.do, str) else self.do):
            raise ValueError(problem)
        return self

    def covered(self) -> range:
        """Return the scores this rule is for; empty where the first lies above the last."""
        return range(self.scores[0], self.scores[1] + 1)


def check_cover(routes: Sequence[Route]) -> None:
    """Raise ``ValueError`` unless every score 0..5 has exactly one rule for all sources, and every rule does something.

    A source that rules name has at most one of them for each score.
    """
    general = Counter(score for route in routes if not route.sources for score in route.covered())
    problems = [f"{route.scores[0]} lies above {route.scores[1]}" for route in routes if not route.covered()]
    for score in range(LOWEST_SCORE, HIGHEST_SCORE + 1):
        if general[score] != 1:
            problems.append(f"the score {score} has {general[score] or 'no'} rule{'s' if general[score] > 1 else ''}")
    named = Counter((name, score) for route in routes for name in route.sources for score in route.covered())
    problems += [
        f"the score {score} of the source {name!r} has {times} rules"
        for (name, score), times in sorted(named.items())
        if times > 1
    ]
    problems += [f"the rule of {route.scores} has no transforms: write keep" for route in routes if route.do == ()]
    if problems:
        raise ValueError(f"route needs exactly one rule for each score 0 to 5: {'; '.join(problems)}")


def route_of(routes: Sequence[Route], score: int, source: str | None = None) -> Route:
    """Return the rule for ``score`` in ``source``; ``routes`` have passed ``check_cover``."""
    fitting = [route for route in routes if score in route.covered()]
    return next(
        (route for route in fitting if source in route.sources), next(each for each in fitting if not each.sources)
    )


def named_sources(routes: Sequence[Route]) -> tuple[str, ...]:
    """Return the sources that ``routes`` name."""
    return tuple(dict.fromkeys(name for route in routes for name in route.sources))


def decided(routes: Sequence[Route], score: HarmScore, source: str | None = None) -> HarmScore:
    """Return ``score``, or none in its place where it is a lower bound and a higher score would be treated otherwise.

    A lower bound of 0 says nothing about harm. Without routes only the highest score decides.
    """
    if score.score is None or not score.lower_bound:
        return score
    own = route_of(routes, score.score, source) if routes else None
    higher = range(score.score + 1, HIGHEST_SCORE + 1)
    if all(own is not None and route_of(routes, each, source) is own for each in higher):
        return score
    return HarmScore(None, f"{score.score} is only a lower bound: {score.reason}", score.confidence, lower_bound=True)
