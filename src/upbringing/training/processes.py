"""Several processes training one segment: who they are, and what they must agree on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.formats.record import BuildProfile


@dataclass(frozen=True)
class Processes:
    """This process (``rank``) among ``size`` that a launcher such as ``torchrun`` started; alone if none did."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the element-wise mean over all processes; every process must call it."""
        return [sum(column) / self.size for column in zip(*self.gather(list(values)), strict=True)]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes by rank; every process must call it."""
        if self.size == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.mean([0.0])


def current_processes(profile: BuildProfile) -> Processes:
    """Return the processes of this run, connected; raises ``TrainingError`` if the profile says another number."""
    launched = int(os.environ.get("LOCAL_RANK", "-1")) >= 0
    rank = int(os.environ.get("RANK", "0")) if launched else 0
    size = int(os.environ.get("WORLD_SIZE", "1")) if launched else 1
    if size != profile.world_size:
        raise TrainingError(
            f"the build profile says {profile.world_size} processes per stage, {size} are running: start as many "
            "(for example with torchrun --nproc-per-node), or choose another profile"
        )
    if size > 1:
        import torch

        if profile.device != "cpu":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # what is gathered goes through the current device
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo" if profile.device == "cpu" else "nccl")
    return Processes(rank, size)
