"""Check every byte of a store."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from upbringing.lab.storage.contents import existing_store
from upbringing.lab.storage.store import ROOMS


@dataclass(frozen=True)
class VerifyReport:
    """``damaged``: room and key of everything that was moved to quarantine."""

    num_whole: int
    damaged: tuple[str, ...]


def verify(store: Path | str) -> VerifyReport:
    """Re-hash everything published in ``store``; what is damaged is quarantined and named.

    Raises ``StudyError`` where there is no store: in a new one everything would be whole.
    """
    opened = existing_store(store)
    whole, damaged = 0, []
    for room in ROOMS:
        for key in opened.keys(room):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the report says it
                found = opened.find(room, key, full=True)
            if found is None:
                damaged.append(f"{room}/{key}")
            else:
                whole += 1
    return VerifyReport(whole, tuple(damaged))
