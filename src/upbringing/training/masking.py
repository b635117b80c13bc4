"""How a stage masks its updates, in either form."""

from __future__ import annotations

from upbringing.base.description import Description
from upbringing.training.detachable_modules import DetachableModules
from upbringing.training.gradient_masking import GradientMasking

Masking = GradientMasking | DetachableModules


def masking_of(stage: Description) -> Masking | None:
    """Return how a stage of any kind masks its updates, ``None`` where it does not."""
    found: Masking | None = getattr(stage, "masking", None) or getattr(stage, "routing", None)
    return found


def require_one_masking(masking: GradientMasking | None, routing: DetachableModules | None) -> None:
    """Raise ``ValueError`` where a stage is asked for both forms: a window has one mode."""
    if masking is not None and routing is not None:
        raise ValueError("masking and routing both say what a window moves: keep one of them")
