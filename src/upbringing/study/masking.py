"""What a study may ask of selective gradient masking: data that is read, in one mode each, and a slice that fits."""

from __future__ import annotations

from upbringing.base.errors import StudyError, TrainingError
from upbringing.data.modes import FORGET, RETAIN
from upbringing.study.recipes import DataBook
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.training.ablate import Ablate
from upbringing.training.fresh import feed_forward_width
from upbringing.training.gradient_masking import masking_of
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Lora
from upbringing.training.stage import Stage
from upbringing.training.start import FreshStart, Start


def stream_modes(
    book: DataBook, name: str, stage: Pretrain | Midtrain, recipe: StreamRecipe, root: int
) -> tuple[tuple[str, int], ...]:
    """Return the key of each data set of ``recipe`` whose windows have another mode than the default, and that mode.

    Raises ``StudyError`` for data that the stage does not read or that would have two modes, and for adapters.
    """
    masking = stage.masking
    if masking is None:
        return ()
    if isinstance(stage.weights, Lora):
        raise StudyError(
            f"stage {name!r}: masking masks the gradients of the model's own weights, and weights: lora trains others: "
            "use weights: {kind: full}",
            ("stages", name, "masking"),
        )
    modes: dict[str, int] = {}
    for what, names, mode in (("forget", masking.forget, FORGET), ("retain", masking.retain, RETAIN)):
        for data in names:
            key = book.key(data, root)
            if key not in recipe.read:
                raise StudyError(
                    f"stage {name!r}: masking has {what}: {data!r}, which the stage does not read "
                    f"({', '.join(sorted(recipe.read.values()))}): the label of a text is the data set that it comes "
                    "from, so make one of the texts to label (a filter, a file) and name it in a phase too",
                    ("stages", name, "masking", what),
                )
            if modes.setdefault(key, mode) != mode:
                said = f"stage {name!r}: masking calls the same data forget and retain ({data!r})"
                raise StudyError(said, ("stages", name, "masking", what))
    return tuple(sorted(modes.items()))


def require_slice(start: Start, name: str, stage: Stage) -> None:
    """Raise ``StudyError``, before anything is trained, for a slice that a fresh start has no room for."""
    cut = stage if isinstance(stage, Ablate) else masking_of(stage)
    if cut is None or not isinstance(start, FreshStart):
        return
    try:
        cut.slice.require_room(
            f"stage {name!r}", layers=range(start.layers), heads=start.heads, hidden=feed_forward_width(start)
        )
    except TrainingError as error:
        place = ("stages", name) if isinstance(stage, Ablate) else ("stages", name, "masking")
        raise StudyError(str(error), (*place, "slice")) from None
