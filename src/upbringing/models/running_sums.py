"""Running sums of probabilities, to the same bits at every run on whatever device."""

from __future__ import annotations

from typing import Any

from upbringing.models.devices import is_accelerator

UNITS = 2.0**52  # a probability in whole units; sums of them up to 2 are exact in fp64


def running_sums(probabilities: Any) -> Any:
    """Return the running sums of ``probabilities`` (rows, vocabulary) in fp64, rows whose sum is at most about one.

    An accelerator adds in an order that differs from run to run, and refuses to where determinism is asked for; so it
    adds whole units of 2^-52, whose sum no order changes. The difference is that of rounding in fp64.
    """
    if not is_accelerator(probabilities.device):
        return probabilities.cumsum(dim=-1)
    return (probabilities * UNITS).round().long().cumsum(dim=-1).double() / UNITS
