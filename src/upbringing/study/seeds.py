"""Replicates: how many whole pipelines a study trains, and which seed each level of a pipeline has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from upbringing.base.errors import StudyError

SeedLevel = Literal["pretrain", "midtrain", "sft", "rl"]
LEVELS: tuple[SeedLevel, ...] = ("pretrain", "midtrain", "sft", "rl")
LEVEL_OF_KIND: Mapping[str, SeedLevel] = {
    "pretrain": "pretrain",
    "midtrain": "midtrain",
    "sft": "sft",
    "dpo": "rl",
    "reward_model": "rl",
    "rl": "rl",
}


@dataclass(frozen=True)
class Replicate:
    """One pipeline. ``indices`` holds the seed index at each level; equal indices share the run up to there.

    ``number`` counts the pipelines of a study from 0.
    The world and the initial weights follow the ``pretrain`` level, because they belong to the root run.
    """

    number: int
    indices: Mapping[str, int]

    @property
    def root(self) -> int:
        """Index of the root run: its world, its initial weights, its pretraining."""
        return self.indices["pretrain"]


def replicates(seeds: int | Mapping[SeedLevel, int]) -> tuple[Replicate, ...]:
    """Return every pipeline of ``seeds``: a number of whole pipelines, or nested ``{pretrain: 3, sft: 2}``.

    A level that is not listed takes the index of the nearest listed level above it, and 0 where there is
    none: ``{sft: 3}`` trains three SFT runs on one root.
    """
    if isinstance(seeds, int):
        return tuple(Replicate(index, dict.fromkeys(LEVELS, index)) for index in range(seeds))
    listed = [level for level in LEVELS if level in seeds]
    if not listed:
        raise StudyError(f"seeds name no level: use a number, or some of {', '.join(LEVELS)}", ("seeds",))
    result: list[Replicate] = []
    for choice in product(*(range(seeds[level]) for level in listed)):
        indices: dict[str, int] = {}
        current = 0
        for level in LEVELS:
            if level in listed:
                position = listed.index(level)
                current = 0
                for upper, chosen in zip(listed[: position + 1], choice[: position + 1], strict=True):
                    current = current * seeds[upper] + chosen
            indices[level] = current
        result.append(Replicate(len(result), indices))
    return tuple(result)
