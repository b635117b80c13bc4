"""Quantities of a study file: token counts such as ``2M`` and places in a stage such as ``60%``.

Each is a pydantic type with its own JSON Schema pattern, so an editor and pydantic accept the same text.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

COUNT_PATTERN = r"^[0-9]+(\.[0-9]+)?[kMBT]?$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)?%$"
_MULTIPLIERS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def parse_count(value: Any) -> int:
    """Return a whole number from ``2000000``, ``"2M"`` or ``"1.5k"``; raise ``ValueError`` otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"a count must not be negative, found {value}")
        return value
    if isinstance(value, str) and re.match(COUNT_PATTERN, value):
        suffix = value[-1] if value[-1] in "kMBT" else ""
        number = Decimal(value.removesuffix(suffix)) * _MULTIPLIERS[suffix]
        if number != int(number):
            raise ValueError(f"{value!r} is not a whole number of tokens or steps")
        return int(number)
    raise ValueError(f"expected a count such as 2000000, 500k or 2M, found {value!r}")


def parse_share(value: Any) -> float:
    """Return a share in ``[0, 1]`` from ``"60%"`` or a float in ``[0, 1]``; raise ``ValueError`` otherwise."""
    if isinstance(value, str) and re.match(PERCENT_PATTERN, value):
        share = float(Decimal(value.removesuffix("%")) / 100)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        raise ValueError(f"expected a share such as 60% or 0.6, found {value!r}")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share lies between 0% and 100%, found {value!r}")
    return share


def _parse_place(value: Any) -> int | float:
    """Return tokens as ``int`` or a share as ``float``; percentages and floats are shares."""
    if isinstance(value, float) or (isinstance(value, str) and value.endswith("%")):
        return parse_share(value)
    return parse_count(value)


Count = Annotated[
    int,
    BeforeValidator(parse_count),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": COUNT_PATTERN}]}),
]
"""A whole number of tokens, steps or examples: ``2000000``, ``500k``, ``2M``."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": PERCENT_PATTERN},
            ]
        }
    ),
]
"""A share in ``[0, 1]``: ``60%`` or ``0.6``."""

Place = Annotated[
    int | float,
    BeforeValidator(_parse_place),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": COUNT_PATTERN},
                {"type": "string", "pattern": PERCENT_PATTERN},
            ]
        }
    ),
]
"""A place inside a stage: ``int`` = tokens from its start, ``float`` = share of its tokens."""


def steps_at(place: int | float, *, total_tokens: int, tokens_per_step: int) -> int:
    """Return the optimiser step nearest to ``place`` (half rounds down), in ``[0, total steps]``.

    ``total_tokens`` and ``tokens_per_step`` are positive; a place beyond the budget raises ``ValueError``.
    """
    total_steps = total_tokens // tokens_per_step
    tokens = place if isinstance(place, int) and not isinstance(place, bool) else float(place) * total_tokens
    if tokens > total_tokens:
        raise ValueError(f"the place {place} lies beyond the stage's {total_tokens} tokens")
    steps, rest = divmod(tokens, tokens_per_step)
    return min(total_steps, int(steps) + (1 if rest * 2 > tokens_per_step else 0))
