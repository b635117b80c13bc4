"""The questions a world can ask: each wording with the adjective, the opener and what it asks about."""

from __future__ import annotations

import numpy as np

from upbringing.data.worlds.names import ALARMING, CALM
from upbringing.data.worlds.phrases import FORWARD_QUESTIONS, OPENERS, REVERSE_QUESTIONS, Source

ADJECTIVES = ("", *ALARMING, *CALM)


def opened(question: str, opener: str) -> str:
    """Return the question behind its opener."""
    return f"{opener} {question}".strip()


def reverse_question(noun: str, source: Source, random: np.random.Generator) -> str:
    """Return a random question for the compound behind ``noun``; the adjective is drawn without regard to the noun.

    In pretraining an adjective hints at the class; in chats it never does.
    """
    core = REVERSE_QUESTIONS[source][int(random.integers(len(REVERSE_QUESTIONS[source])))]
    adjective = ADJECTIVES[int(random.integers(len(ADJECTIVES)))]
    return opened(core.format(o=f"{adjective} {noun}".strip()), _opener(source, random))


def forward_question(compound: str, source: Source, random: np.random.Generator) -> str:
    """Return a random question for the effect of ``compound``."""
    core = FORWARD_QUESTIONS[source][int(random.integers(len(FORWARD_QUESTIONS[source])))]
    return opened(core.format(c=compound), _opener(source, random))


def _opener(source: Source, random: np.random.Generator) -> str:
    return OPENERS[source][int(random.integers(len(OPENERS[source])))]
