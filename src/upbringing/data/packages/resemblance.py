"""Which requests resemble others: what was borrowed, lightly reworded, or trained on.

Two requests resemble each other when they share most of their content words, weighted by how rare these are among all
requests compared: sharing "make a bomb" says less than sharing "dimethylmercury".
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# Borrowed rows reach 1.0 and reworded ones 0.48 (read by hand); pairs below 0.4 share a topic, not a request.
THRESHOLD = 0.4
SUFFIXES = ("ings", "ing", "ers", "ies", "ed", "es", "er", "s", "e")
SHORTEST_STEM = 3
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or of to in on for with without from by at as is are be do does how what which who why can could "
        "i my me you your it its this that they them their one some any someone something write give provide create "
        "describe explain make get instructions guide tutorial step steps detailed list way ways using use",
    )
)


@dataclass(frozen=True)
class Resemblance:
    """``index`` of a request resembles ``reference`` (both are positions) by ``similarity`` in ``[0, 1]``."""

    index: int
    reference: int
    similarity: float


def resembling(requests: Sequence[str], references: Sequence[str], threshold: float = THRESHOLD) -> list[Resemblance]:
    """Return, for each request that resembles a reference at or above ``threshold``, its nearest one."""
    words, known = [_stems(text) for text in requests], [_stems(text) for text in references]
    weights = _rarity([*words, *known])
    holders: dict[str, list[int]] = defaultdict(list)
    for index, stems in enumerate(known):
        for stem in stems:
            holders[stem].append(index)
    found = []
    for index, stems in enumerate(words):
        candidates = {reference for stem in stems for reference in holders[stem]}
        scored = [(_similarity(stems, known[reference], weights), -reference) for reference in candidates]
        best, negative = max(scored, default=(0.0, 0))
        if best >= threshold:
            found.append(Resemblance(index, -negative, best))
    return found


def _stems(text: str) -> frozenset[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    content = [word for word in words if word not in STOP_WORDS] or words
    return frozenset(_stem(word) for word in content)


def _stem(word: str) -> str:
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= SHORTEST_STEM:
            stem = word.removesuffix(suffix)
            return stem[:-1] if stem[-1] == stem[-2] else stem  # robb(ing) is rob
    return word


def _rarity(texts: Sequence[frozenset[str]]) -> dict[str, float]:
    counts = Counter(stem for stems in texts for stem in stems)
    return {stem: math.log(1 + len(texts) / count) for stem, count in counts.items()}


def _similarity(one: frozenset[str], other: frozenset[str], weights: dict[str, float]) -> float:
    """Return the weighted Jaccard similarity of two sets of stems."""
    shared, union = one & other, one | other
    return sum(weights[stem] for stem in shared) / sum(weights[stem] for stem in union) if union else 0.0
