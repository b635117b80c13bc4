"""What a study may ask of masked updates: data that is read, in one mode each, and slices that fit."""

from __future__ import annotations

from upbringing.base.errors import StudyError, TrainingError
from upbringing.study.recipes import DataBook
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.training.ablate import Ablate
from upbringing.training.forget_slice import ForgetSlice
from upbringing.training.fresh import feed_forward_width
from upbringing.training.gradient_masking import GradientMasking
from upbringing.training.masking import masking_of
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
    masking = masking_of(stage)
    if masking is None:
        return ()
    field = "masking" if stage.masking is not None else "routing"
    if isinstance(stage.weights, Lora):
        raise StudyError(
            f"stage {name!r}: {field} masks the gradients of the model's own weights, and weights: lora trains others: "
            "use weights: {kind: full}",
            ("stages", name, field),
        )
    place = ("stages", name, "masking") if field == "masking" else ("stages", name, "routing", "modules")
    modes: dict[str, int] = {}
    owners: dict[str, str] = {}
    for what, names, mode in masking.labels:
        for data in names:
            key = book.key(data, root)
            if key not in recipe.read:
                raise StudyError(
                    f"stage {name!r}: {field} has {what}: {data!r}, which the stage does not read "
                    f"({', '.join(sorted(recipe.read.values()))}): the label of a text is the data set that it comes "
                    "from, so make one of the texts to label (a filter, a file) and name it in a phase too",
                    (*place, what),
                )
            if modes.setdefault(key, mode) != mode:
                said = f"stage {name!r}: {field} calls the same data {owners[key]} and {what} ({data!r})"
                raise StudyError(said, (*place, what))
            owners[key] = what
    return tuple(sorted(modes.items()))


def require_slice(start: Start, name: str, stage: Stage) -> None:
    """Raise ``StudyError``, before anything is trained, for a slice that a fresh start has no room for."""
    slices, field = _slices(stage)
    if not isinstance(start, FreshStart):
        return
    for each in slices:
        try:
            each.require_room(
                f"stage {name!r}", layers=range(start.layers), heads=start.heads, hidden=feed_forward_width(start)
            )
        except TrainingError as error:
            raise StudyError(str(error), ("stages", name, *field)) from None


def _slices(stage: Stage) -> tuple[tuple[ForgetSlice, ...], tuple[str, ...]]:
    """Return the slices of a stage and where they stand in it."""
    if isinstance(stage, Ablate):
        return (stage.slice,), ("slice",)
    masking = masking_of(stage)
    if masking is None:
        return (), ()
    return masking.slices, ("masking", "slice") if isinstance(masking, GradientMasking) else ("routing", "modules")
