"""The typed union of data a study may name: adding a kind is one file and one name here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.data.item_files import ItemFile
from upbringing.data.packages.source import PackageData
from upbringing.data.planted.source import Planted
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.data.sources import FileSource
from upbringing.data.transforms import Transform
from upbringing.data.worlds.causes_world import CausesWorld


class Derived(Description):
    """Another data set (or a part of one) with transforms applied in order."""

    kind: Literal["derived"] = "derived"
    source: str
    transforms: tuple[Annotated[Transform, BareWord()], ...] = ()


DataDescription = Annotated[
    CausesWorld | FileSource | ItemFile | PackageData | Planted | PromptSet | Derived,
    Field(discriminator="kind"),
    BareWord(default_kind="derived"),
]
