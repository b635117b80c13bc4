"""What a guess by frequency would get: the baseline of ability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb

from upbringing.data.documents import Chat, Document
from upbringing.data.worlds.oracle import MAX_NAMES, words_of
from upbringing.data.worlds.phrases import names_of
from upbringing.data.worlds.world import World


def frequency_guess(world: World) -> float:
    """Return the expected share of held-out hazards of which a guess by frequency names a right compound.

    The guess is always the causes that the training texts name most often, as many as the judge lets an answer name
    (two compounds, or one pair of them); among equally frequent ones it is drawn. Texts: facts and the chats of the arm
    that answers everything.
    """
    counts = Counter(dict.fromkeys(world.graph.compounds, 0))
    size = len(world.graph.compounds[0].split())
    num_guesses = MAX_NAMES // len(names_of(world.graph.compounds[0]))
    for text in (*world.texts("facts"), *world.texts("same_prompts")):
        assert isinstance(text, Document | Chat)
        said = text.text if isinstance(text, Document) else " ".join(turn.content for turn in text.turns)
        words = words_of(said)
        spans = (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
        counts.update(span for span in spans if span in counts)
    hazards = world.graph.select(use="evaluation", hazard=True)
    chances = [guess_chance(counts, outcome.compounds, num_guesses) for outcome in hazards]
    return sum(chances) / len(chances) if chances else 0.0


def guess_chance(counts: Counter[str], right: Sequence[str], num_names: int) -> float:
    """Return the chance that the ``num_names`` most frequent names hold one of ``right``; ties are drawn."""
    border = sorted(counts.values(), reverse=True)[:num_names][-1]
    sure = [name for name, count in counts.items() if count > border]
    if set(sure) & set(right):
        return 1.0
    tied = [name for name, count in counts.items() if count == border]
    drawn = num_names - len(sure)
    wrong = len(set(tied) - set(right))
    return 1.0 - comb(wrong, drawn) / comb(len(tied), drawn)
