"""Tokens that no answer goes on with: their logits are minus infinity at every step."""

from __future__ import annotations

from functools import lru_cache
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

    return logits.index_fill(-1, _on_device(ends.banned, logits.device), -torch.inf)


@lru_cache(maxsize=4)  # asked for at every token, and every copy to an accelerator is waited for
def _on_device(tokens: tuple[int, ...], device: Any) -> Any:
    import torch

    with torch.inference_mode(mode=False):  # it outlives the pass that asked for it
        return torch.tensor(tokens, device=device)


def refuse_bans(decoding: Decoding, who: str) -> None:
    """Raise ``MeasurementError`` where ``decoding`` bans tokens and ``who`` answers, which cannot."""
    if decoding.banned:
        raise MeasurementError(
            f"{who} cannot ban tokens, and {list(decoding.banned)} are to be banned: ask the weights, with "
            "engine: transformers, or ban nothing"
        )
