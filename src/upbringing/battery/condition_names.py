"""What conditions are called: how something was asked, and what an attack added."""

from __future__ import annotations

from upbringing.base.short_names import short_name
from upbringing.models.asking import Elicitation

ELICITATION_NAMES: dict[Elicitation, str] = {
    "E0": "completion",
    "E1": "chat",
    "E2": "examples",
    "E2r": "examples-with-refusal",
}

LIKELIHOOD_NAMES = {
    "chat": "chat",
    "neutral": "chat",
    "question": "question",
    "neutral-question": "question",
    "completion": "completion",
    "nothing": "text",
}


def answer_condition(
    elicitation: Elicitation,
    decoding: str,
    *,
    prefill: int = 0,
    characters: int = 0,
    opening: str = "",
    suffix: str = "",
) -> str:
    """Return the name of how an answer was elicited. ``decoding`` and ``suffix``: what they are called, "" = none.

    ``prefill`` tokens, or ``characters``, of a complying answer, or ``opening``, stand before it.
    """
    parts = [ELICITATION_NAMES[elicitation], decoding]
    parts += [f"prefill-{prefill}"] if prefill else []
    parts += [f"prefill-{characters}-characters"] if characters else []
    parts += [f"behind-{short_name(opening)}"] if opening else []
    parts += [f"suffix-{suffix}"] if suffix else []
    return "-".join(parts)
