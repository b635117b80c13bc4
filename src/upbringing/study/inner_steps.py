"""Steps inside a stage: where it is measured, and whose weights are averaged."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.base.errors import StudyError
from upbringing.base.quantities import steps_at
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.rl import Rl
from upbringing.training.settings import TrainedStage
from upbringing.training.stage import Stage


def measured_steps(name: str, stage: Stage, total_steps: int | None) -> dict[int, str]:
    """Return the steps at which a stage is measured inside, with their names (``60%`` or tokens).

    ``total_steps``: updates of the whole stage, ``None`` until known. Raises ``StudyError`` for a stage whose length is
    in epochs, for places that are its beginning, its end or beyond it, and for two that are one step.
    """
    if not isinstance(stage, TrainedStage) or not stage.measure_at:
        return {}
    field = ("stages", name, "measure_at")
    if total_steps is None or not isinstance(stage, Pretrain | Midtrain | Rl):
        raise StudyError(
            f"stage {name!r}: measure_at needs a stage whose length is given in tokens or steps; {stage.kind} has "
            "epochs. A midtrain reads chats too (kind: midtrain, tokens: ..., phases: [{data: ...}])",
            field,
        )
    steps = _steps(f"stage {name!r}: measure_at", stage, stage.measure_at, field)
    names = [_shown(place) for place in stage.measure_at]
    _require_inside(name, names, steps, total_steps)
    return dict(zip(steps, names, strict=True))


def _require_inside(name: str, names: Sequence[str], steps: Sequence[int], total_steps: int) -> None:
    """Raise ``StudyError`` unless each place is a step of its own between the beginning and the end of the stage."""
    first: dict[int, str] = {}
    for number, (place, step) in enumerate(zip(names, steps, strict=True)):
        where = ("stages", name, "measure_at", number)
        if not 0 < step < total_steps:
            at = "its end, which is measured without being listed" if step else "its beginning, not inside the stage"
            raise StudyError(
                f"stage {name!r}: measure_at lists {place}, which comes to step {step} of {total_steps} updates: {at}. "
                "Leave it out, or give the stage more updates",
                where,
            )
        if step in first:
            raise StudyError(
                f"stage {name!r}: measure_at lists {first[step]} and {place}, which are both step {step} of "
                f"{total_steps} updates: leave one out, or give the stage more updates",
                where,
            )
        first[step] = place


def averaged_steps(
    name: str, average: AverageCheckpoints, before: Pretrain | Midtrain | Rl, total_steps: int
) -> tuple[int, ...]:
    """Return the steps of the stage ``before`` whose weights ``average`` takes besides those of its end, in order.

    ``total_steps``: updates of that stage. Raises ``StudyError`` for places that are one step, the beginning, the end
    or beyond it.
    """
    field = ("stages", name, "at")
    steps = _steps(f"stage {name!r}: at", before, average.at, field)
    outside = [place for place, step in zip(average.at, steps, strict=True) if not 0 < step < total_steps]
    if outside:
        raise StudyError(
            f"stage {name!r}: at lists {_shown(outside[0])}, which is no step inside the {total_steps} updates of the "
            "stage before it; its end counts without being listed",
            field,
        )
    if len(set(steps)) < len(steps):
        raise StudyError(
            f"stage {name!r}: two places of at are one step of the {total_steps} updates of the stage before it, and "
            "each checkpoint counts once: leave one out",
            field,
        )
    return tuple(sorted(steps))


def nothing_to_average(name: str, before: str | None) -> StudyError:
    """Return the error for a stage that averages and has no stage before it with places inside, but ``before``."""
    return StudyError(
        f"stage {name!r}: average_checkpoints takes the mean along the stage before it, and that is "
        f"{before or 'the start'}: it needs pretrain, midtrain or rl, whose length is given in tokens or steps",
        ("stages", name),
    )


def _steps(
    what: str, stage: Pretrain | Midtrain | Rl, places: Sequence[int | float], field: tuple[str, ...]
) -> list[int]:
    length, unit = (stage.steps, 1) if isinstance(stage, Rl) else (stage.tokens, stage.context * stage.batch_size)
    try:
        return [steps_at(place, total_tokens=length, tokens_per_step=unit) for place in places]
    except ValueError as error:
        raise StudyError(f"{what}: {error}", field) from None


def _shown(place: int | float) -> str:
    return f"{place:.4g}" if isinstance(place, int) else f"{place * 100:g}%"
