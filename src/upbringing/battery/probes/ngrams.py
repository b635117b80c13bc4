"""What the words of a prompt alone tell: the control that reads no hidden state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CHARACTER_LENGTHS = (3, 4, 5)
WORD_LENGTHS = (1, 2)
MOST_NGRAMS = 4096  # the most frequent; rarer ones stand in too few prompts to be learned from


def ngram_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return whether each text holds each n-gram (texts, n-grams): words and pairs of them, 3 to 5 characters.

    N-grams of a single text are left out: no other family can show them. Which n-grams there are is read from all
    texts, but one that no training text holds is constant there and counts for nothing, so nothing leaks.
    """
    found = [frozenset(_ngrams(text)) for text in texts]
    counts = Counter(ngram for each in found for ngram in each)
    ranked = sorted((ngram for ngram, count in counts.items() if count > 1), key=lambda ngram: (-counts[ngram], ngram))
    column = {ngram: place for place, ngram in enumerate(ranked[:MOST_NGRAMS])}
    features = np.zeros((len(texts), max(1, len(column))), dtype=np.float32)
    for row, each in enumerate(found):
        features[row, [column[ngram] for ngram in each if ngram in column]] = 1.0
    return features


def _ngrams(text: str) -> Iterator[str]:
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    for length in WORD_LENGTHS:
        for first in range(len(words) - length + 1):
            yield "w:" + " ".join(words[first : first + length])
    joined = f" {' '.join(words)} "
    for length in CHARACTER_LENGTHS:
        for first in range(len(joined) - length + 1):
            yield "c:" + joined[first : first + length]
