"""Where and how a study is built, and what is fixed of it before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.devices import accelerator_groups, usable_accelerators
from upbringing.data.stream import StreamInfo
from upbringing.formats.record import BuildProfile
from upbringing.lab.building.executor import Event, Job, Outcome, run_jobs
from upbringing.lab.storage.checkpoints import Checkpoints
from upbringing.lab.storage.store import Store
from upbringing.study.recipes import DataBook

KEY_CHARACTERS = 40  # of a sha256; collisions are out of reach
PROFILE_CHARACTERS = 8


@dataclass(frozen=True)
class Workshop:
    """Where and how a study is built."""

    store: Store
    book: DataBook
    profile: BuildProfile
    slots: int
    checkpoints: Checkpoints

    @property
    def is_here(self) -> bool:
        """Whether jobs run on this machine, whose processors can be counted."""
        return True

    def run(
        self, jobs: Sequence[Job], on_event: Callable[[Event], None], on_done: Callable[[Outcome], None]
    ) -> dict[str, Outcome]:
        """Run jobs in the workshop's slots, each with the accelerators of its slot."""
        return run_jobs(
            jobs,
            slots=self.slots,
            threads=self.profile.threads,
            on_event=on_event,
            on_done=on_done,
            devices=_devices(self.profile),
        )


def _devices(profile: BuildProfile) -> tuple[str, ...]:
    """Return the accelerators of each slot; none on a CPU, and none where they are too few: data needs no model."""
    return () if profile.device == "cpu" else accelerator_groups(usable_accelerators(), profile.world_size)


@dataclass(frozen=True)
class Prepared:
    """A tree whose data is fixed. ``keys``: store key per node; ``folders``: of existing checkpoints;
    ``streams``: store key and facts per stream recipe; ``tokenizers``: folder per start.
    """

    keys: dict[str, str]
    folders: dict[str, Path]
    streams: dict[str, tuple[str, StreamInfo]]
    tokenizers: dict[str, Path]
