"""How far two engines agree on the same checkpoint: answers, common beginnings, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from upbringing.attribution.statistics.rates import Rate, simple_rate
from upbringing.base.errors import MeasurementError
from upbringing.formats.items import Item, Judge
from upbringing.models.asking import Model, Prompt
from upbringing.models.decoding import Greedy


@dataclass(frozen=True)
class Agreement:
    """What two engines share on the same prompts. Shares have Wilson intervals, over prompts.

    ``identical``: answers with the same text. ``common_prefix`` and ``length``: mean tokens of the common beginning
    and of the first engine's answer. ``verdicts``: per judge, the share of answers with the same outcome.
    """

    identical: Rate
    common_prefix: float
    length: float
    verdicts: Mapping[str, Rate]

    @property
    def weakest(self) -> tuple[str, float] | None:
        """The judge whose verdicts agree least, and their share; ``None`` without a judge."""
        shares = [(each.share, name) for name, each in self.verdicts.items() if each.share is not None]
        return None if not shares else (min(shares)[1], min(shares)[0])

    @property
    def sentence(self) -> str:
        """The agreement in words."""
        verdicts = "".join(f", {_said(each)} the same verdict of {name}" for name, each in self.verdicts.items())
        return (
            f"of {self.identical.num} greedy answers {_said(self.identical)} are identical{verdicts}; the first "
            f"{self.common_prefix:.1f} of {self.length:.1f} tokens agree on average"
        )


def _said(found: Rate) -> str:
    if found.share is None or found.low is None or found.high is None:
        return "-"
    return f"{found.share:.1%} [{found.low:.1%}, {found.high:.1%}]"


Verdicts = Callable[[Sequence[str]], Sequence[str | None]]
"""Turns the answers to the prompts, in order, into outcomes."""


def compare(
    first: Sequence[str],
    second: Sequence[str],
    *,
    tokens: Callable[[str], Sequence[int]],
    judges: Mapping[str, Verdicts],
) -> Agreement:
    """Return the agreement of two engines' answers to the same prompts. ``tokens`` cuts an answer into tokens.

    An answer that a judge could not judge agrees with another only if that one could not be judged either.
    """
    if len(first) != len(second) or not first:
        raise MeasurementError(f"two engines' answers to the same prompts: found {len(first)} and {len(second)}")
    pairs = [(tokens(one), tokens(other)) for one, other in zip(first, second, strict=True)]
    verdicts = {
        name: simple_rate([one == other for one, other in zip(judge(first), judge(second), strict=True)])
        for name, judge in judges.items()
    }
    return Agreement(
        identical=simple_rate([one == other for one, other in zip(first, second, strict=True)]),
        common_prefix=sum(_common(one, other) for one, other in pairs) / len(pairs),
        length=sum(len(one) for one, _ in pairs) / len(pairs),
        verdicts=verdicts,
    )


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two answers begin with alike."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def greedy_answers(model: Model, prompts: Sequence[Prompt], decoding: Greedy) -> list[str]:
    """Return the answer to each prompt, asked in the model's canonical batches."""
    answers = [""] * len(prompts)
    for batch in model.batches(prompts, decoding):
        replies = model.answer([prompts[place] for place in batch], decoding, 0)
        for place, samples in zip(batch, replies, strict=True):
            answers[place] = samples[0].text
    return answers


def outcomes_of(judge: Judge, items: Sequence[Item]) -> Verdicts:
    """Return ``judge`` as what turns answers to ``items``, in order, into outcomes."""

    def outcomes(answers: Sequence[str]) -> list[str | None]:
        return [found.outcome for found in judge.judge(list(items), list(answers))]

    return outcomes
