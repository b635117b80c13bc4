"""Guards: a stage that trained nothing, or trained on nonsense, is stopped or blocks the verdicts on it."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.base.errors import TrainingError

OK = "ok"


def check_supervision(supervised_tokens: int, stage: str) -> None:
    """Raise ``TrainingError`` before training if nothing of the stage's data would be learned."""
    if supervised_tokens == 0:
        raise TrainingError(
            f"stage {stage!r}: no token of its data carries a loss: check the chat template and the roles of the turns"
        )


def guard_text(*, updates: int, losses: Sequence[float], weights_changed: bool, identity: bool) -> str:
    """Return ``ok``, or the sentence that blocks every verdict resting on the checkpoint."""
    if identity:
        return OK if not weights_changed else "the stage is declared an identity, but its weights changed"
    if updates == 0:
        return "the stage made no optimiser update"
    if not losses:
        return "the stage recorded no loss"
    if not weights_changed:
        return "the stage changed no weight"
    return OK


def loss_warnings(losses: Sequence[float]) -> tuple[str, ...]:
    """Return a warning if the training loss did not fall; never a block, or true nulls would vanish."""
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    return (f"the training loss did not fall ({first:.4f} to {last:.4f})",) if losses and last >= first else ()
