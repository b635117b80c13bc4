"""Guards: a stage that trained nothing, or trained on nonsense, is stopped or blocks the verdicts on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import TrainingError
from upbringing.formats.record import Record
from upbringing.formats.tree import ABLATED, AVERAGED, EDITED

OK = "ok"


def check_supervision(learned_tokens: NDArray[np.int64], stage: str, *, first: int) -> None:
    """Raise ``TrainingError`` before training if an update after step ``first`` would learn nothing.

    ``learned_tokens``: tokens with a loss in each update of the stage, shape ``(updates,)``.
    """
    if not learned_tokens.any():
        raise TrainingError(
            f"stage {stage!r}: no token of its data carries a loss: check the chat template and the roles of the "
            "turns, or the spans of its documents"
        )
    empty = np.flatnonzero(learned_tokens[first:] == 0)
    if empty.size:
        raise TrainingError(
            f"stage {stage!r}: no token of update {first + int(empty[0]) + 1} carries a loss, so it has no mean: "
            "raise the batch size, or mix text that is only read with text that is learned"
        )


def guard_text(
    *, updates: int, losses: Sequence[float], weights_changed: bool, identity: bool, num_varied: int | None = None
) -> str:
    """Return ``ok``, or the sentence that blocks every verdict resting on the checkpoint.

    ``num_varied``: of an rl stage, the updates in which some prompt's answers got different rewards.
    """
    if identity:
        return _guard_of_identity(weights_changed=weights_changed)
    if updates == 0:
        return "the stage made no optimiser update"
    if not losses:
        return "the stage recorded no loss"
    if num_varied == 0:
        return "the reward has no variance: no prompt's answers ever got different rewards, so nothing was reinforced"
    if not weights_changed:
        return "the stage changed no weight"
    return OK


def edit_guard_text(*, weights_changed: bool, identity: bool) -> str:
    """Return ``ok``, or the sentence that blocks every verdict resting on an edited checkpoint."""
    if identity:
        return _guard_of_identity(weights_changed=weights_changed)
    return OK if weights_changed else "the edit changed no weight"


def _guard_of_identity(*, weights_changed: bool) -> str:
    return OK if not weights_changed else "the stage is declared an identity, but its weights changed"


def record_guard(record: Record, *, identity: bool) -> str:
    """Return the guard of a trained or edited checkpoint under a declaration that may not be the one it was made under.

    Whether a stage is declared an identity is no part of what is trained, so one checkpoint may serve both.
    """
    if record.weights_changed is None:
        return record.guard
    if record.kind in (EDITED, ABLATED, AVERAGED):
        return edit_guard_text(weights_changed=record.weights_changed, identity=identity)
    losses = [loss for _, loss in record.loss_curve]
    return guard_text(
        updates=record.updates,
        losses=losses,
        weights_changed=record.weights_changed,
        identity=identity,
        num_varied=None if record.rl is None else record.rl.num_varied,
    )


def loss_warnings(losses: Sequence[float]) -> tuple[str, ...]:
    """Return a warning if the training loss did not fall; never a block, or true nulls would vanish."""
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    return (f"the training loss did not fall ({first:.4f} to {last:.4f})",) if losses and last >= first else ()
