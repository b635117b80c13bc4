"""Which stage declares the cap on repetition that its data cannot keep, and where: whoever packs data knows neither."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.base.errors import Keys
from upbringing.data.stream import RepetitionError
from upbringing.study.lineage import Lineage, Run
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain


def at_stage(error: BaseException, lineages: Iterable[Lineage], recipe: StreamRecipe) -> BaseException:
    """Return ``error``; where it is about a cap, with the first stage and arm that read ``recipe``, and its places."""
    readers = (
        (lineage, run)
        for lineage in lineages
        for run in lineage.runs
        if run.stream is not None and run.stream.key == recipe.key
    )
    found = next(readers, None) if isinstance(error, RepetitionError) else None
    if not isinstance(error, RepetitionError) or found is None:
        return error
    lineage, run = found
    stage, arm = run.stage_name, lineage.arm.name
    return RepetitionError(f"stage {stage!r} of arm {arm!r}: {error}", *_places(arm, run, error.part), part=error.part)


def _places(arm: str, run: Run, part: int) -> tuple[Keys, ...]:
    of_phase = ("phases", part) if isinstance(run.stage, Pretrain | Midtrain) else ()
    keys = (run.stage_name, *of_phase, "data", "max_repetition")
    return (*(("arms", arm, word, *keys) for word in ("stages", "replace")), ("stages", *keys))
