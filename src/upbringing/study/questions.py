"""What a study asks and compares, held against what it declares: mistakes that else only a finished run shows."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import get_args

from upbringing.base.errors import Keys
from upbringing.base.nearest import did_you_mean
from upbringing.formats.items import Split
from upbringing.formats.rows import DEFAULT_CONDITION
from upbringing.formats.tree import ContrastSpec

ROUNDING = 1e-9  # of sums of weights such as 1/3
Problem = tuple[str, Keys]


def prompts_problem(prompts: Sequence[str], data: Collection[str]) -> Problem | None:
    """Return which of ``prompts`` is no data of the study, with its place in the file; ``None`` if all are."""
    for place, name in enumerate(prompts):
        if name not in data:
            known = ", ".join(data) or "none is declared"
            return f"prompts names {name!r}, which is no data of the study ({known}){did_you_mean(name, data)}", (
                "prompts",
                place,
            )
    return None


def contrasts_problem(contrasts: Iterable[ContrastSpec], measures: Collection[str]) -> Problem | None:
    """Return what of a contrast could never be computed, or is no word of one, with its place; ``None`` if all fits.

    The public format keeps words that it does not know; in a study such a word is a mistake.
    """
    for place, contrast in enumerate(contrasts):
        if found := _of_contrast(contrast, measures):
            said, key = found
            return f"contrast {contrast.name!r}: {said}", ("contrasts", place, key)
    return None


def conditions_problem(contrasts: Iterable[ContrastSpec], known: Mapping[str, Sequence[str]]) -> Problem | None:
    """Return which contrast is asked under a condition that its measure does not have, with its place; else ``None``.

    ``known``: the conditions of measures by their ids; contrasts of measures that it lacks are not looked at.
    """
    for place, contrast in enumerate(contrasts):
        conditions = known.get(contrast.measure, ())
        if conditions and contrast.condition not in (DEFAULT_CONDITION, *conditions):
            return (
                f"contrast {contrast.name!r}: condition {contrast.condition!r} is none of those that "
                f"{contrast.measure!r} is measured under ({', '.join(conditions)})"
                f"{did_you_mean(contrast.condition, (DEFAULT_CONDITION, *conditions))}",
                ("contrasts", place, "condition"),
            )
    return None


def _of_contrast(contrast: ContrastSpec, measures: Collection[str]) -> tuple[str, str] | None:
    for key in contrast.model_extra or {}:
        if key != "against":
            return f"unknown key {key!r}{did_you_mean(key, type(contrast).model_fields)}", key
    if contrast.measure not in measures:
        named = f"measure {contrast.measure!r} is no measure of the battery ({', '.join(measures)})"
        return f"{named}{did_you_mean(contrast.measure, measures)}", "measure"
    splits = get_args(Split)
    if contrast.split is not None and contrast.split not in splits:
        named = f"split {contrast.split!r} is none of {', '.join(splits)}"
        return f"{named}{did_you_mean(contrast.split, splits)}", "split"
    for word, weights in (("weights", contrast.weights), *contrast.beside):
        total = math.fsum(weights.values())
        if not abs(total) <= ROUNDING or not any(weights.values()):
            return f"{word} sum to {total:g}: they must sum to 0, and compare something", word
    return None
