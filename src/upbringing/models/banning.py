"""Tokens that no answer goes on with: their logits are minus infinity at every step."""

from __future__ import annotations

from typing import Any

from upbringing.base.errors import MeasurementError
from upbringing.models.answer_tokens import Ends
from upbringing.models.decoding import Decoding


def allowed(logits: Any, decoding: Decoding, ends: Ends) -> Any:
    """Return logits (..., vocabulary) with those of the banned tokens at minus infinity; untouched where none is.

    Raises ``MeasurementError`` where ``ends`` does not know the tokens that ``decoding`` bans, or where all are banned.
    """
    if len(ends.banned) != len(decoding.banned):
        raise MeasurementError(
            f"{list(decoding.banned)} are to be banned, and the ids of {len(ends.banned)} tokens are known: take what "
            "ends an answer from the model that is asked"
        )
    if not ends.banned:
        return logits
    if len(set(ends.banned)) >= logits.shape[-1]:
        raise MeasurementError(f"all {logits.shape[-1]} tokens are banned, so nothing can be said: ban fewer")
    import torch

    return logits.index_fill(-1, torch.tensor(ends.banned, device=logits.device), -torch.inf)


def refuse_bans(decoding: Decoding, who: str) -> None:
    """Raise ``MeasurementError`` where ``decoding`` bans tokens and ``who`` answers, which cannot."""
    if decoding.banned:
        raise MeasurementError(
            f"{who} cannot ban tokens, and {list(decoding.banned)} are to be banned: ask the weights, with "
            "engine: transformers, or ban nothing"
        )
