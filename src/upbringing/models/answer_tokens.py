"""Prompts and answers as token ids, and what ends an answer: what every way of decoding shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHECK_STOP_EVERY = 8  # tokens between looks at the text; decoding text at every token would cost more than it saves
SHORT_CIRCUIT = "short-circuit"  # how an answer ended that the decoding itself broke off as unsafe
LEAVE_SHARE = 0.125  # ended rows leave once they are an eighth of the batch: each leave copies the cache


@dataclass(frozen=True)
class TokenPrompt:
    """A prompt as token ids. ``name`` seeds its random stream: the item and the condition, never a position."""

    name: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Generated:
    """One answer as token ids without the end token. ``finish``: ``stop``, ``length`` or ``short-circuit``.

    ``details``: what a decoding that weighs risks has to say of them, as JSON.
    """

    ids: tuple[int, ...]
    finish: str
    details: str | None = None


@dataclass(frozen=True)
class Ends:
    """What ends an answer. ``padding`` fills rows; ``stopped`` looks at the ids of an answer so far.

    ``tag``: the token that says that what stands there is unsafe, for decodings that look out for it. ``banned``: the
    ids of the tokens that a decoding bans, which no answer goes on with.
    """

    tokens: tuple[int, ...]
    padding: int
    stopped: Callable[[Sequence[int]], bool] | None = None
    tag: int | None = None
    banned: tuple[int, ...] = ()


def finished(answer: Sequence[int], ends: Ends) -> Generated:
    """Return ``answer`` up to its first end token, and how it ended."""
    for place, token in enumerate(answer):
        if token in ends.tokens:
            return Generated(tuple(answer[:place]), "stop")
    stopped = ends.stopped is not None and ends.stopped(answer)
    return Generated(tuple(answer), "stop" if stopped else "length")
