"""Whose turn it is to write a study's files: one run of a study at a time, and short turns for what several may do.

Nodes have locks of their own, so builds of one study may work side by side. All locks are the kernel's: a process
that dies frees its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from upbringing.lab.storage.store import Store, notes_key

if TYPE_CHECKING:
    from upbringing.lab.session import Session

RESULTS, STUDIES, LOCKS = "results", "studies", "locks"


@contextmanager
def only_run(session: Session) -> Iterator[None]:
    """Hold the study for one run that measures it; raises ``HeldError`` that names who holds it and since when.

    Two runs of one study would write one folder of results, and ask judges behind endpoints twice within one cap.
    """
    name = session.study.name
    with session.store.claim(f"study-{name}", wait=False, said=f"the study {name!r} is being run"):
        yield


@contextmanager
def notes_turn(session: Session) -> Iterator[None]:
    """Wait for the turn to read and rewrite what a study notes down: its lock, its references, what was built."""
    with session.store.claim(notes_key(session.study.name)):
        yield


@contextmanager
def results_turn(folder: Path) -> Iterator[None]:
    """Wait for the turn to read or write a folder of results as a whole.

    Only the results of a study in a store have several writers; a folder elsewhere, or in a store that cannot be
    written, has none that could be waited for.
    """
    place = folder.absolute()
    root = place.parent.parent.parent
    is_of_study = place.name == RESULTS and place.parent.parent.name == STUDIES and (root / LOCKS).is_dir()
    if not is_of_study or not os.access(root / LOCKS, os.W_OK):
        yield
        return
    with Store(root, reads_only=True).claim(f"{RESULTS}-{place.parent.name}"):
        yield
