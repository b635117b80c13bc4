"""Workers keep the memory they free: real processes of the pool, with the page faults that the system counts."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from upbringing.base.memory import KEEPING, VARIABLE, children_keep_memory
from upbringing.lab.building.executor import Event, run_jobs


@dataclass(frozen=True)
class Faults:
    """A job that takes and frees 4 MB a hundred times and returns how many pages were fetched for it."""

    key: str = "faults"
    after: tuple[str, ...] = ()
    label: str = "faults"

    def run(self, report: Callable[[Event], None]) -> Any:
        """Count minor page faults after two rounds that do not count."""
        import resource

        for number in range(102):
            if number == 2:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            block = bytearray(b"x") * 4_000_000
            del block
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_workers_of_the_pool_do_not_fetch_the_same_pages_again() -> None:
    outcome = run_jobs([Faults()], slots=1, threads=1, on_event=lambda event: None)["faults"]
    assert outcome.value < 1_000  # a hundred blocks of 976 pages: 97,600 where each is fetched anew
    assert VARIABLE not in os.environ or "top_pad" not in os.environ[VARIABLE]


def test_what_a_person_set_goes_before_and_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "glibc.malloc.top_pad=7:glibc.malloc.check=1")
    with children_keep_memory():
        parts = os.environ[VARIABLE].split(":")
        assert parts[:2] == ["glibc.malloc.top_pad=7", "glibc.malloc.check=1"]
        assert len(parts) == len(KEEPING) + 1
    assert os.environ[VARIABLE] == "glibc.malloc.top_pad=7:glibc.malloc.check=1"
    monkeypatch.delenv(VARIABLE)
    with children_keep_memory():
        assert os.environ[VARIABLE].count("=") == len(KEEPING)
    assert VARIABLE not in os.environ
