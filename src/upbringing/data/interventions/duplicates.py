"""Duplicates of a corpus: equal texts by hash, alike texts by MinHash and locality-sensitive hashing.

Source: Broder, "On the resemblance and containment of documents" (1997); bands and rows as in Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3. The sketches are those of the library rensa. Departures: the shingles'
hashes are computed over a whole batch at once; documents of one connected component of collisions are one group.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import MissingExtraError

HASH_WORDS = 2  # 128 bits: no two of 10^12 different texts are expected to meet
SKETCH_SEED = 1
TEXTS_AT_ONCE = 64  # what is computed on fits the processor's cache
Hashes = NDArray[np.uint64]

_BREAKS = re.compile(r"\W+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
_BYTE_BASE, _WORD_BASE = np.uint64(0x100000001B3), np.uint64(0xD6E8FEB86659FD93)


class NearDuplicates(Description):
    """Alike texts. A text is its runs of ``words`` words; two texts meet if one of ``bands`` bands of ``rows`` minima
    is equal, which happens with probability ``1 - (1 - s**rows)**bands`` at a Jaccard similarity ``s``: the defaults
    find half at 0.68, 0.99 at 0.85 and 0.01 at 0.41.
    """

    words: int = Field(default=5, ge=1, le=50)
    bands: int = Field(default=14, ge=1, le=128)
    rows: int = Field(default=8, ge=1, le=64)


def text_hash(text: str) -> bytes:
    """Return 16 bytes that are equal for texts which differ in case, white space or Unicode composition alone."""
    if text.isascii():
        return _digest(_single_spaced(text.encode("ascii").translate(_LOWER_AND_SPACE)))
    return key_hash(" ".join(unicodedata.normalize("NFC", text).lower().split()))


# Of ASCII, as ``str.lower`` and ``str.split`` see it: capitals become small, white space becomes a space.
_LOWER_AND_SPACE = bytes(ord(" ") if chr(byte).isspace() else ord(chr(byte).lower()) for byte in range(128)) * 2


def _single_spaced(data: bytes) -> bytes:
    """Return what joining the words of ``data`` by one space gives, without making words of it."""
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.strip(b" ")


def key_hash(text: str) -> bytes:
    """Return 16 bytes that name ``text``."""
    return _digest(text.encode("utf-8"))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8 * HASH_WORDS).digest()


def band_hashes(texts: Sequence[str], near: NearDuplicates) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return ``(texts, bands)`` hashes, and which texts have words at all: one without words is like no other."""
    if len(texts) > TEXTS_AT_ONCE:
        parts = [
            band_hashes(texts[start : start + TEXTS_AT_ONCE], near) for start in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        return np.concatenate([bands for bands, _ in parts]), np.concatenate([words for _, words in parts])
    shingles, offsets = shingle_hashes(texts, near.words)
    has_words = np.diff(offsets.astype(np.int64)) > 0
    matrix = _rensa().RMinHash.digest_matrix_from_flat_token_hashes(
        shingles, offsets, num_perm=near.bands * near.rows, seed=SKETCH_SEED
    )
    minima = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), near.bands, near.rows)
    bands = np.zeros((len(texts), near.bands), dtype=np.uint64)
    for row in range(near.rows):
        bands = (bands ^ minima[:, :, row]) * _MULTIPLIER
        bands ^= bands >> np.uint64(29)
    return bands, has_words


def sketch_version() -> str:
    """Return the version of the sketches: two versions may disagree, so it enters a corpus's identity."""
    return f"rensa/{_rensa().RMinHash.ALGORITHM_VERSION}"


def _rensa() -> Any:
    try:
        import rensa
    except ImportError as error:
        raise MissingExtraError("near duplicates need the package rensa: pip install 'upbringing[corpus]'") from error
    return rensa


def shingle_hashes(texts: Sequence[str], words: int) -> tuple[Hashes, Hashes]:
    """Return the hashes of all runs of ``words`` words, text after text, and where each text's begin (and end).

    A text of fewer words is one run. Case and punctuation do not count.
    """
    encoded = [_words_only(text).encode("utf-8") for text in texts]
    buffer = np.frombuffer(b" ".join([*encoded, b""]), dtype=np.uint8)
    ends = np.cumsum([len(each) + 1 for each in encoded])
    hashes, starts = _word_hashes(buffer)
    counts = np.diff(np.searchsorted(starts, np.concatenate(([0], ends))))
    return _runs(hashes, counts, words)


def _words_only(text: str) -> str:
    # ASCII punctuation is told apart byte by byte below; what else is no letter is cut out here.
    return text.lower() if text.isascii() else _BREAKS.sub(" ", unicodedata.normalize("NFC", text).lower())


_IS_WORD = np.zeros(256, dtype=bool)
_IS_WORD[[*b"abcdefghijklmnopqrstuvwxyz0123456789_", *range(128, 256)]] = True


def _word_hashes(buffer: NDArray[np.uint8]) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the hash of every word in ``buffer`` and the place of its first byte."""
    inside = _IS_WORD[buffer]
    edges = np.diff(inside.astype(np.int8), prepend=np.int8(0))
    starts = np.flatnonzero(edges == 1).astype(np.int64)
    if not len(starts):
        return np.zeros(0, dtype=np.uint64), starts
    lengths = np.flatnonzero(edges == -1) - starts  # the buffer ends in a space, so every word ends
    firsts = np.cumsum(lengths) - lengths
    within = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _BYTE_BASE, dtype=np.uint64))
    terms = (buffer[inside].astype(np.uint64) + np.uint64(1)) * powers[within]
    return _mixed(np.add.reduceat(terms, firsts)), starts


def _runs(hashes: Hashes, counts: NDArray[np.int64], words: int) -> tuple[Hashes, Hashes]:
    """Return the hashes of runs of ``words`` words inside each text of ``counts`` words, and the texts' offsets."""
    per_text = np.where(counts == 0, 0, np.maximum(counts - words + 1, 1))
    offsets = np.concatenate(([0], np.cumsum(per_text))).astype(np.uint64)
    first_word = np.concatenate(([0], np.cumsum(counts)[:-1]))
    begin = (
        np.repeat(first_word, per_text) + np.arange(int(offsets[-1])) - np.repeat(offsets[:-1].astype(int), per_text)
    )
    stop = np.repeat(first_word + counts, per_text)
    total = np.zeros(len(begin), dtype=np.uint64)
    for step in range(words):
        at = begin + step
        word = hashes[np.minimum(at, max(len(hashes) - 1, 0))] if len(hashes) else total
        total = np.where(at < stop, total * _WORD_BASE + word, total)
    return _mixed(total), offsets


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def first_of_equal(hashes: Hashes) -> NDArray[np.int64]:
    """Return, for each row of ``(n, words)`` hashes, the first row that equals it."""
    order = np.lexsort(hashes.T[::-1])  # stable: among equals the first stands first
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    leader = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[leader]
    return first


def first_of_alike(columns: Iterable[Hashes], eligible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each document, the first of its group: documents that meet in a band, directly or through others.

    ``columns``: one ``(n,)`` array per band, read one at a time. Documents that are not ``eligible`` stand alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size, places = len(eligible), np.flatnonzero(eligible)
    ones, others = [], []
    for column in columns:
        first = places[first_of_equal(column[places, None])]
        moved = first != places
        ones.append(first[moved])
        others.append(places[moved])
    one, other = np.concatenate([*ones, []]).astype(np.int64), np.concatenate([*others, []]).astype(np.int64)
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1]
    smallest = np.full(int(labels.max(initial=-1)) + 1, size, dtype=np.int64)
    np.minimum.at(smallest, labels, np.arange(size))
    result: NDArray[np.int64] = smallest[labels]
    return result
