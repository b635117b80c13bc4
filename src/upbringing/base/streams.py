"""Named random streams: all randomness is a pure function of the study's seed and a name.

``stream(seed, "world", 3)`` never changes when another stream is added or drawn from.
"""

from __future__ import annotations

import hashlib

import numpy as np

SEED_BITS = 63  # fits a signed 64-bit integer, which torch and pyarrow accept


def derived_seed(seed: int, *names: str | int) -> int:
    """Return the integer seed in ``[0, 2**63)`` of the stream with these names under ``seed``."""
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in (seed, *names))
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a fresh generator (PCG64) for the stream with these names under ``seed``."""
    return np.random.Generator(np.random.PCG64(derived_seed(seed, *names)))
