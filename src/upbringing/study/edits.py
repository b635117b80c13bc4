"""What a study may ask of edits of weights and of emulated tuning: deltas that exist, retrained cells to stand for,
nothing decided by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from upbringing.base.errors import Keys
from upbringing.formats.tree import ContrastSpec, Protocol
from upbringing.study.arms import Arm
from upbringing.training.emulate_tuning import DeltaStage, EmulateTuning
from upbringing.training.reward_model import RewardModel
from upbringing.training.stage import Stage

Arms = Mapping[str, tuple[Arm, Mapping[str, Stage]]]
"""Every arm's words and its stages in order, by name."""

START = "start"  # what a lineage begins with, as a position and as an end of a delta
DECIDES_NOTHING = "an edit of weights supports what retrained arms show and decides nothing (L4)"
EMULATION_DECIDES_NOTHING = "emulated tuning supports what retrained arms show and decides nothing (L4)"


def edited_stages(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Return the stages from the first that moves a delta on: their checkpoints are edited, come from edited ones, or
    are emulated.
    """
    names = list(stages)
    first = next((place for place, name in enumerate(names) if isinstance(stages[name], DeltaStage)), len(names))
    return tuple(names[first:])


def edits_problem(arms: Arms, contrasts: Iterable[ContrastSpec], protocol: Protocol | None) -> tuple[str, Keys] | None:
    """Return what does not fit about stages that move a delta, with its place in the file; ``None`` if all does."""
    for name in arms:
        for problem in (*_of_deltas(name, arms), *_of_emulations(name, arms), *_of_stand_in(name, arms)):
            return f"arm {name!r}: {problem}", ("arms", name)
    for place, contrast in enumerate(contrasts):
        cell = next((each for each in contrast.weights if _is_edited(each, arms)), None)
        is_stated = "level" in contrast.model_fields_set and contrast.level in ("L2", "L3")
        if cell is not None and (is_stated or contrast.role == "primary"):
            said = f"level: {contrast.level}" if is_stated else "role: primary"
            why = _decides_nothing(cell, arms)
            return f"contrast {contrast.name!r} has {said} and the cell {cell!r}, but {why}", ("contrasts", place)
    for role, cell in ({} if protocol is None else protocol.cells).items():
        if _is_edited(cell, arms):
            return f"protocol: {role} names the cell {cell!r}, but {_decides_nothing(cell, arms)}", (
                "protocol",
                "cells",
                role,
            )
    return None


def engine_problem(arms: Arms, engine: str) -> str | None:
    """Return why the arms cannot be asked by ``engine``, ``None`` if they can."""
    for name, (_, stages) in arms.items():
        emulated = next((each for each, stage in stages.items() if isinstance(stage, EmulateTuning)), None)
        if emulated is not None and engine != "transformers":
            return (
                f"engine: {engine} answers from one checkpoint's weights, and {emulated!r} of arm {name!r} is emulated "
                "by three at once: use engine: transformers"
            )
    return None


def _decides_nothing(cell: str, arms: Arms) -> str:
    arm, _, position = cell.partition("@")
    stage = arms[arm][1][position.partition(":")[0]]
    return EMULATION_DECIDES_NOTHING if isinstance(stage, EmulateTuning) else DECIDES_NOTHING


def _is_edited(cell: str, arms: Arms) -> bool:
    arm, _, position = cell.partition("@")
    return arm in arms and position.partition(":")[0] in edited_stages(arms[arm][1])


def _of_deltas(name: str, arms: Arms) -> Iterator[str]:
    _, stages = arms[name]
    for place, (edit, stage) in enumerate(stages.items()):
        if not isinstance(stage, DeltaStage):
            continue
        other = stage.delta.arm or name
        if other not in arms:
            yield f"the delta of {edit!r} is of the arm {other!r}, which is no arm ({', '.join(arms)})"
            continue
        theirs = list(arms[other][1].items())
        known = [each for each, found in (theirs[:place] if other == name else theirs) if _has_weights(found)]
        for end in (stage.delta.start, stage.delta.to):
            if end is not None and end not in (START, *known):
                where = "before it" if other == name else f"of {other!r}"
                yield (
                    f"the delta of {edit!r} names {end!r}, which is no stage {where} with a checkpoint "
                    f"({', '.join((START, *known))})"
                )
        if stage.delta.start == stage.delta.to:
            yield f"the delta of {edit!r} begins and ends at {stage.delta.to!r}: it is nothing"


def _has_weights(stage: Stage) -> bool:
    """Return whether a stage leaves weights that answer."""
    return not isinstance(stage, RewardModel | EmulateTuning)


def _of_emulations(name: str, arms: Arms) -> Iterator[str]:
    """Yield why a stage of an arm cannot stand behind one that leaves no weights."""
    stages = arms[name][1]
    emulated = next((each for each, stage in stages.items() if isinstance(stage, EmulateTuning)), None)
    behind = [] if emulated is None else list(stages)[list(stages).index(emulated) + 1 :]
    if behind:
        yield (
            f"the stage {behind[0]!r} stands behind {emulated!r}, which leaves no weights to go on from "
            "(kind: emulate_tuning): make that the last stage"
        )


def _of_stand_in(name: str, arms: Arms) -> Iterator[str]:
    """Yield why an arm cannot stand for the retrained cell that it names."""
    arm, stages = arms[name]
    cell = arm.stands_for
    if cell is None:
        return
    last = list(stages.values())[-1] if stages else None
    if not isinstance(last, DeltaStage):
        yield (
            f"stands_for names {cell!r}, but the arm does not end in an edit of weights (kind: edit_weights) or in "
            "emulated tuning (kind: emulate_tuning)"
        )
    elif last.identity or last.delta.random:
        yield f"stands_for names {cell!r}, but {'strength 0' if last.identity else 'a random delta'} predicts nothing"
    other, _, position = cell.partition("@")
    theirs: Mapping[str, Stage] = arms[other][1] if other in arms and other != name else {}
    if position not in theirs or isinstance(theirs[position], RewardModel):
        yield f"stands_for names {cell!r}, which is no cell (arm@stage) of another arm"
    elif _is_edited(cell, arms):
        yield f"stands_for names {cell!r}, whose weights are edited too: name a cell that was trained"
    kind = _last_kind(stages)  # an edit and an emulation may both stand for one cell
    alike = (each for each, (words, theirs) in arms.items() if words.stands_for == cell and _last_kind(theirs) == kind)
    twin = next(alike, name)
    if twin != name:
        yield f"stands_for names {cell!r}, and {twin!r} stands for it already: one edit, one retrained cell"


def _last_kind(stages: Mapping[str, Stage]) -> str | None:
    return list(stages.values())[-1].kind if stages else None
