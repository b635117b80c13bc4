"""The typed union of data a study may name: adding a kind is one file and one name here."""

from __future__ import annotations

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
