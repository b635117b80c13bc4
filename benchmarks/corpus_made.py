"""A corpus for benchmarks: words by Zipf's law, lengths as on the web, with planted words and planted duplicates."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

VOCABULARY, LISTED = 30_000, 100  # words, and those of them that a list bans
MEDIAN_WORDS, SPREAD = 230, 0.9  # log-normal; the mean is about 345 words, 2.3 kB
BANNED, COPIED, NEAR = 0.06, 0.08, 0.06  # shares of documents
CHANGED_WORDS = 2  # of a near copy of at least LONG words: a Jaccard similarity of at least 0.9
LONG = 220
LETTERS = np.array(list("etaoinshrdlcumwfgypbvk"))


def word_list(seed: int) -> list[str]:
    """Return distinct words of 2 to 11 letters; the last ``LISTED`` are the banned ones."""
    random = np.random.default_rng(seed)
    words: dict[str, None] = {}
    while len(words) < VOCABULARY + LISTED:
        words["".join(random.choice(LETTERS, size=int(random.integers(2, 12))))] = None
    return list(words)


def banned_words(seed: int) -> list[str]:
    """Return the words of the list."""
    return word_list(seed)[VOCABULARY:]


def write_corpus(path: Path, num_documents: int, seed: int, median_words: int = MEDIAN_WORDS) -> Counter[str]:
    """Write JSON Lines with ``id`` and ``text``; return how many documents of each planted kind there are."""
    words = word_list(seed)
    plain, banned = np.array(words[:VOCABULARY]), np.array(words[VOCABULARY:])
    odds = 1.0 / (np.arange(VOCABULARY) + 2.7)
    places = np.cumsum(odds / odds.sum())
    random = np.random.default_rng(seed + 1)
    counts: Counter[str] = Counter()
    earlier: list[list[str]] = []
    with path.open("w", encoding="utf-8") as handle:
        for number in range(num_documents):
            kind = _kind(random.random(), bool(earlier))
            counts[kind] += 1
            if kind in ("copied", "near"):
                chosen = list(earlier[int(random.integers(len(earlier)))])
                for _ in range(CHANGED_WORDS if kind == "near" else 0):
                    chosen[int(random.integers(len(chosen)))] = f"changed{number}"
            else:
                size = max(5, int(random.lognormal(np.log(median_words), SPREAD)))
                chosen = plain[np.minimum(np.searchsorted(places, random.random(size)), VOCABULARY - 1)].tolist()
                if kind == "banned":
                    chosen[int(random.integers(size))] = str(random.choice(banned))
                elif size >= min(LONG, median_words) and len(earlier) < 2000:
                    earlier.append(chosen)
            handle.write(
                json.dumps({"id": f"d{number}", "text": _text(chosen, kind, number)}, ensure_ascii=False) + "\n"
            )
    return counts


def _kind(draw: float, has_earlier: bool) -> str:
    if draw < BANNED:
        return "banned"
    if has_earlier and draw < BANNED + COPIED:
        return "copied"
    return "near" if has_earlier and draw < BANNED + COPIED + NEAR else "plain"


def _text(words: list[str], kind: str, number: int) -> str:
    """Return sentences of a dozen words; every other copy differs in case and white space, which do not count."""
    sentences = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
    text = ". ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences) + "."
    text = text.replace("e. ", "é. ") if number % 20 == 0 and kind == "plain" else text
    return text.replace(". ", ".\n").title() if kind == "copied" and number % 2 else text
