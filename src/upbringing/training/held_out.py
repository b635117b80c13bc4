"""The loss of a stage on texts of its own data that it never read, before and after; measured when training ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from upbringing.data.collation import collate, require_float_mask
from upbringing.data.held_out import HeldOut
from upbringing.formats.record import BuildProfile, HeldOutLoss
from upbringing.models.loading import load_model
from upbringing.training.isolation import isolated

NO_UNREAD_TEXT = "every text of its data was trained on"
NO_WINDOWS = "preference pairs are not scored as text"
NO_TARGETS = "the stage learns from its own answers, no text of its data is a target"


def held_out_loss(
    held_out: HeldOut, places: Sequence[int], before: Path, after: Path, profile: BuildProfile
) -> HeldOutLoss:
    """Return the loss of both checkpoints on the windows ``places``, in nats per learned token, computed in fp32.

    ``standard_error``: of the mean difference over windows; ``None`` for a single one.
    """
    if not places:
        return HeldOutLoss(reason=NO_UNREAD_TEXT)
    with isolated(profile):
        first, last = (_losses(folder, held_out, places, profile) for folder in (before, after))
    differences = [late - early for early, late in zip(first, last, strict=True)]
    error = stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else None
    return HeldOutLoss(before=fmean(first), after=fmean(last), standard_error=error, num_windows=len(places))


def held_out_warnings(found: HeldOutLoss) -> tuple[str, ...]:
    """Return a warning if the loss did not fall by more than its standard error; never a block: it may be true."""
    if found.before is None or found.after is None:
        return ()
    error = found.standard_error or 0.0
    if found.before - found.after > error:
        return ()
    return (
        f"the loss on unread texts of its data did not fall by more than its standard error ({found.before:.4f} to "
        f"{found.after:.4f}, standard error {error:.4f}, windows {found.num_windows})",
    )


def _losses(folder: Path, held_out: HeldOut, places: Sequence[int], profile: BuildProfile) -> list[float]:
    """Return the mean loss of each window (nats per learned token)."""
    import torch

    model = load_model(folder, profile=profile, check=False).model
    require_float_mask(held_out.arrays, model.config._attn_implementation)
    with torch.no_grad():
        windows = (collate(held_out.arrays, place, place + 1, torch.float32, model.device) for place in places)
        return [float(model(**window, use_cache=False).loss) for window in windows]
