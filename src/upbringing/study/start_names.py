"""What the cells of a start are called, and which stages would be taken for it."""

from __future__ import annotations

from collections.abc import Mapping

from upbringing.study.edits import START
from upbringing.training.existing import Existing
from upbringing.training.stage import Stage
from upbringing.training.start import Start


def start_position(start: Start) -> str:
    """Return the position of cells that hold ``start`` itself: its label, else ``start``."""
    return start.label if isinstance(start, Existing) and start.label is not None else START


def start_name_problem(start: Start, stages: Mapping[str, Stage]) -> tuple[str, tuple[str, ...]] | None:
    """Return what is wrong with the names of an arm's start and stages, with the stage and field; ``None`` if nothing.

    ``start`` stays the word for it in deltas, so that no stage can have that name either.
    """
    for name in dict.fromkeys((START, start_position(start))):
        if name in stages:
            return f"a stage cannot be called {name!r}, which is where each arm begins: rename it", (name,)
    for name, stage in stages.items():
        if isinstance(stage, Existing) and stage.label is not None:
            return f"stage {name!r} has a label, which only a start needs: a stage has its name", (name, "label")
    return None
