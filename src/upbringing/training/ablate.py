"""``ablate``: take a slice of heads and hidden units out of the weights; trains nothing itself."""

from __future__ import annotations

from typing import Literal

from upbringing.base.description import Description
from upbringing.training.forget_slice import ForgetSlice


class Ablate(Description):
    """Set every weight of ``slice`` to zero in the checkpoint before it: it then adds nothing to any layer.

    After a stage with ``masking`` the same slice removes what the data to forget taught; after one with ``routing`` the
    slice of a module removes what that module learned, and the others stay. On any other checkpoint it is
    the null: what is lost without masking. All other weights stay, bit for bit, in the checkpoint's own type. Later
    training leaves the slice at zero: what reads it and what writes it are both zero, so no gradient reaches either
    (biases of queries, keys, values, gates and up projections included).

    Source: Shilov et al. 2025 (SGTM). Departures: none; its other form, drawing the slice anew, is not here.
    """

    kind: Literal["ablate"] = "ablate"
    slice: ForgetSlice

    @property
    def identity(self) -> bool:
        """Whether the ablation is declared to change nothing: never."""
        return False
