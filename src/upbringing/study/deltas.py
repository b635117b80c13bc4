"""The delta that a stage moves, as recipe keys: between which checkpoints, and on which seeds it depends."""

from __future__ import annotations

from dataclasses import dataclass

from upbringing.base.errors import StudyError
from upbringing.study.edits import START
from upbringing.study.resolved_arms import ResolvedArm
from upbringing.study.seeds import LEVELS, SeedLevel
from upbringing.training.edit_weights import ENDING_AT_LATER, EditWeights
from upbringing.training.emulate_tuning import DeltaStage

Asking = tuple[tuple[str, str], ...]
"""The stages, each (arm, stage), whose deltas are being looked for: the next one's needs the one before it."""


@dataclass(frozen=True)
class End:
    """One of the two checkpoints of a delta: its recipe key, and the levels of the seeds that it depends on."""

    key: str
    levels: frozenset[SeedLevel]


@dataclass(frozen=True)
class DeltaKeys:
    """Recipe keys of the two checkpoints of a delta. ``levels``: of the seeds that the delta depends on."""

    start: str
    to: str
    levels: tuple[SeedLevel, ...]


def delta_keys(name: str, stage: DeltaStage, start: End, to: End, edited: str) -> DeltaKeys:
    """Return the keys of the delta of the stage ``name``. ``edited``: recipe key of the checkpoint that it acts on.

    Raises ``StudyError`` for an edit that goes towards ``to`` and whose delta begins elsewhere.
    """
    if start.key != edited and isinstance(stage, EditWeights) and stage.edit in ENDING_AT_LATER:
        raise StudyError(
            f"stage {name!r}: {stage.edit} goes from the weights before it to those of {stage.delta.to!r}, but the "
            f"delta begins at {stage.delta.start!r}, which are other weights: leave from out, or use edit: add",
            ("stages", name, "delta"),
        )
    levels = start.levels | to.levels | ({LEVELS[-1]} if stage.delta.random else set())
    return DeltaKeys(start.key, to.key, tuple(level for level in LEVELS if level in levels))


def up_to(arm: ResolvedArm, last: str) -> ResolvedArm:
    """Return ``arm`` with nothing behind the stage ``last``; ``start`` names what comes before the first."""
    names = list(arm.stages)
    kept = names[: names.index(last) + 1] if last != START else []
    return arm.model_copy(update={"stages": {name: arm.stages[name] for name in kept}})


def require_no_loop(asking: Asking) -> None:
    """Raise ``StudyError`` where the last edit asked for is one of those that need it."""
    if asking[-1] in asking[:-1]:
        listed = ", which needs ".join(f"{arm}@{stage}" for arm, stage in asking)
        said = f"an edit needs its own weights for its delta ({listed}): name an earlier stage"
        raise StudyError(said, ("stages", asking[-1][1], "delta"))
