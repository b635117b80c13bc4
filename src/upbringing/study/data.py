"""The typed union of data a study may name: adding a kind is one file and one name here."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.base.own_part import OrOwn
from upbringing.data.item_files import ItemFile
from upbringing.data.packages.source import PackageData
from upbringing.data.planted.source import Planted
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.data.sources import FileSource
from upbringing.data.transforms import BuiltInTransform, Transform, misplaced
from upbringing.data.worlds.causes_world import CausesWorld

CIRCLE = "data cannot be made of itself: {circle} (as its source, or mixed in); leave one of these out"


class MixedIn(Description):
    """``number`` texts of ``data``, drawn without repetition: so many safety samples in a fine-tuning set."""

    data: str
    number: int = Field(ge=1)


class Derived(Description):
    """Another data set (or a part of one) with transforms applied in order, and texts of others mixed in behind it.

    ``mixed_in`` is not transformed: texts that should be are a derived data set of their own.
    """

    kind: Literal["derived"] = "derived"
    source: str
    transforms: tuple[Annotated[Transform, OrOwn(BuiltInTransform, Transform), BareWord()], ...] = ()
    mixed_in: tuple[MixedIn, ...] = ()

    @model_validator(mode="after")
    def _writes_before_it_marks(self) -> Self:
        if problem := misplaced(self.transforms):
            raise ValueError(problem)
        return self


DataDescription = Annotated[
    CausesWorld | FileSource | ItemFile | PackageData | Planted | PromptSet | Derived,
    Field(discriminator="kind"),
    BareWord(default_kind="derived"),
]


def circle(entries: Mapping[str, DataDescription]) -> tuple[str, ...]:
    """Return the names of data of which each needs the next, the first again at the end; empty if there is no circle.

    Data needs its ``source`` and all that is ``mixed_in``.
    """
    needs = {name: _needed(description) for name, description in entries.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))  # it lists what is needed first
    return ()


def _needed(description: DataDescription) -> list[str]:
    if not isinstance(description, Derived):
        return []
    references = (description.source, *(each.data for each in description.mixed_in))
    return [reference.partition(".")[0] for reference in references]
