"""What a study may ask of edited weights: deltas that exist, retrained cells to stand for, nothing decided by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from upbringing.formats.tree import ContrastSpec, Protocol
from upbringing.study.arms import Arm
from upbringing.training.edit_weights import EditWeights
from upbringing.training.reward_model import RewardModel
from upbringing.training.stage import Stage

Arms = Mapping[str, tuple[Arm, Mapping[str, Stage]]]
"""Every arm's words and its stages in order, by name."""

START = "start"  # what a lineage begins with, as a position and as an end of a delta
DECIDES_NOTHING = "an edit of weights supports what retrained arms show and decides nothing (L4)"


def edited_stages(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Return the stages from the first edit of weights on: their checkpoints are edited, or come from edited ones."""
    names = list(stages)
    first = next((place for place, name in enumerate(names) if isinstance(stages[name], EditWeights)), len(names))
    return tuple(names[first:])


def edits_problem(
    arms: Arms, contrasts: Iterable[ContrastSpec], protocol: Protocol | None
) -> tuple[str, tuple[str, ...]] | None:
    """Return what does not fit about edits of weights, with its place in the study file; ``None`` if all does."""
    for name in arms:
        for problem in (*_of_deltas(name, arms), *_of_stand_in(name, arms)):
            return f"arm {name!r}: {problem}", ("arms", name)
    for contrast in contrasts:
        cell = next((each for each in contrast.weights if _is_edited(each, arms)), None)
        is_stated = "level" in contrast.model_fields_set and contrast.level in ("L2", "L3")
        if cell is not None and (is_stated or contrast.role == "primary"):
            said = f"level: {contrast.level}" if is_stated else "role: primary"
            return f"contrast {contrast.name!r} has {said} and the cell {cell!r}, but {DECIDES_NOTHING}", ("contrasts",)
    for role, cell in ({} if protocol is None else protocol.cells).items():
        if _is_edited(cell, arms):
            return f"protocol: {role} names the cell {cell!r}, but {DECIDES_NOTHING}", ("protocol",)
    return None


def _is_edited(cell: str, arms: Arms) -> bool:
    arm, _, position = cell.partition("@")
    return arm in arms and position.partition(":")[0] in edited_stages(arms[arm][1])


def _of_deltas(name: str, arms: Arms) -> Iterator[str]:
    _, stages = arms[name]
    for place, (edit, stage) in enumerate(stages.items()):
        if not isinstance(stage, EditWeights):
            continue
        other = stage.delta.arm or name
        if other not in arms:
            yield f"the delta of {edit!r} is of the arm {other!r}, which is no arm ({', '.join(arms)})"
            continue
        theirs = list(arms[other][1].items())
        known = [each for each, found in (theirs[:place] if other == name else theirs) if not _is_asked_nothing(found)]
        for end in (stage.delta.start, stage.delta.to):
            if end is not None and end not in (START, *known):
                where = "before it" if other == name else f"of {other!r}"
                yield (
                    f"the delta of {edit!r} names {end!r}, which is no stage {where} with a checkpoint "
                    f"({', '.join((START, *known))})"
                )
        if stage.delta.start == stage.delta.to:
            yield f"the delta of {edit!r} begins and ends at {stage.delta.to!r}: it is nothing"


def _is_asked_nothing(stage: Stage) -> bool:
    return isinstance(stage, RewardModel)


def _of_stand_in(name: str, arms: Arms) -> Iterator[str]:
    """Yield why an arm cannot stand for the retrained cell that it names."""
    arm, stages = arms[name]
    cell = arm.stands_for
    if cell is None:
        return
    last = list(stages.values())[-1] if stages else None
    if not isinstance(last, EditWeights):
        yield f"stands_for names {cell!r}, but the arm does not end in an edit of weights (kind: edit_weights)"
    elif last.identity or last.delta.random:
        yield f"stands_for names {cell!r}, but {'strength 0' if last.identity else 'a random delta'} predicts nothing"
    other, _, position = cell.partition("@")
    theirs: Mapping[str, Stage] = arms[other][1] if other in arms and other != name else {}
    if position not in theirs or _is_asked_nothing(theirs[position]):
        yield f"stands_for names {cell!r}, which is no cell (arm@stage) of another arm"
    elif _is_edited(cell, arms):
        yield f"stands_for names {cell!r}, whose weights are edited too: name a cell that was trained"
    twin = next((each for each, (words, _) in arms.items() if words.stands_for == cell), name)
    if twin != name:
        yield f"stands_for names {cell!r}, and {twin!r} stands for it already: one edit, one retrained cell"
