"""What the names of a study stand for, read: texts to train on, items to ask, judges that know the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

from upbringing.base.errors import DataError, StudyError
from upbringing.base.streams import derived_seed, stream
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, refuse_marks
from upbringing.data.item_files import ItemFile, read_items
from upbringing.data.packages.source import PackageData
from upbringing.data.planted.source import Planted
from upbringing.data.planted.world import PlantedWorld
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.data.prompts import Exactness
from upbringing.data.sources import read_file_source
from upbringing.data.transforms import apply_transforms, refused_marks
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.world import World
from upbringing.formats.items import Item, Judge
from upbringing.lab.building.own_answers import parts_of, read_own_answers
from upbringing.study.data import DataDescription, Derived, MixedIn
from upbringing.study.recipes import DataBook

WORLDS_KEPT = 4  # a worker meets few worlds at a time; each holds some ten megabytes


@lru_cache(maxsize=WORLDS_KEPT)
def built_world(description: CausesWorld, seed: int) -> World:
    """Return the world of ``description`` and ``seed``; the same object while it is remembered."""
    return description.build(seed)


@dataclass(frozen=True)
class Library:
    """Reads a study's data section for one root run. ``store``: where generated answers lie.

    ``wants_pairs``: rows of files that are a chat and a preference are read as preferences.
    """

    book: DataBook
    root: int
    store: Path | None = None
    wants_pairs: bool = False

    def texts(self, reference: str) -> Sequence[TrainingText]:
        """Return the texts behind ``name`` or ``name.part``; raises ``StudyError`` or ``DataError``."""
        return self.transformed(reference).texts

    def transformed(self, reference: str) -> Transformed:
        """Return the texts behind ``reference`` with what its transforms, and those of its sources, left out."""
        description, part = self.book.describe(reference)
        if not isinstance(description, Derived):
            return Transformed(tuple(self._read(reference, description, part)), ())
        seed = derived_seed(self.book.seed, "transforms", self.root)
        source, tools = self.transformed(description.source), self._tools(description.source)
        found = apply_transforms(source.texts, description.transforms, seed=seed, tools=tools)
        drawn = [(each.data, self._drawn(each, seed)) for each in description.mixed_in]
        if drawn:
            put_in = (mark for each in description.transforms for mark in refused_marks(each))
            own = {*self.book.refused_marks(description.source), *put_in}
            self._refuse_foreign_marks(reference, own, found.texts)
        for name, each in drawn:
            self._refuse_foreign_marks(reference, set(self.book.refused_marks(name)), each)
        texts = (*found.texts, *(text for _, each in drawn for text in each))
        return Transformed(texts, (*source.rejects, *found.rejects), (*source.doses, *found.doses))

    def _refuse_foreign_marks(self, reference: str, own: set[str], texts: Sequence[TrainingText]) -> None:
        """Raise ``DataError`` where one of ``texts`` spells a mark of ``reference`` that is not among its ``own``."""
        refuse_marks(texts, [mark for mark in self.book.refused_marks(reference) if mark not in own], "mixed_in")

    def _read(self, reference: str, description: DataDescription, part: str | None) -> Sequence[TrainingText]:
        assert not isinstance(description, Derived)
        entry = ("data", reference.partition(".")[0])
        if isinstance(description, CausesWorld | Planted):
            world = self._world(description)
            if part not in world.parts():
                raise StudyError(f"the world has no part {part!r} ({', '.join(world.parts())})", entry)
            return world.texts(part)
        if isinstance(description, PackageData | PromptSet):
            return self._with_own_answers(description)
        if isinstance(description, ItemFile):
            raise StudyError(f"the data {reference!r} holds items to ask, no texts to train on", entry)
        if part is not None:
            raise StudyError(f"the data {reference!r}: a file has no parts", entry)
        if (absent := self.book.absent_file(reference, self.root)) is not None:
            said = f"the data {reference!r} names the file {absent}, which is not here yet"
            raise StudyError(said, (*entry, "path"))
        source = description.of_root(self.root)
        return read_file_source(source, self.book.folder, wants_pairs=self.wants_pairs).texts

    def _tools(self, reference: str) -> Tools:
        """Return what transforms of ``reference`` may ask: the writer and scorer of the world behind it, if one is."""
        description = self.book.origin(reference)
        return self._world(description).tools() if isinstance(description, CausesWorld) else NO_TOOLS

    def _drawn(self, mixed: MixedIn, seed: int) -> Sequence[TrainingText]:
        """Return the texts that are mixed into others; draws from the stream ``mixed_in`` and the data's name."""
        texts = self.texts(mixed.data)
        if mixed.number > len(texts):
            raise DataError(
                f"mixed_in asks for {mixed.number} texts of {mixed.data!r}, which has {len(texts)}: lower number"
            )
        order = stream(seed, "mixed_in", mixed.data).permutation(len(texts))
        return [texts[int(place)] for place in order[: mixed.number]]

    def _with_own_answers(self, description: PackageData | PromptSet) -> Sequence[TrainingText]:
        answers: Mapping[str, str] = {}
        teacher = "none"
        if parts := parts_of(description):
            assert self.store is not None
            answers = read_own_answers(self.store, self.book.needed_teacher(), parts)
            teacher = self.book.needed_teacher().name
        if isinstance(description, PromptSet):
            return description.read(answers, teacher)
        return description.read(self._packages(), answers, teacher)

    def _packages(self) -> Path:
        if self.book.packages is None:
            raise DataError("this study reads packages: run `upbringing data fetch` first and give its store")
        return self.book.packages

    def items(self, name: str) -> Sequence[Item]:
        """Return the items of the data set ``name``; raises ``DataError`` if it has none to ask."""
        description, _ = self.book.describe(name)
        if isinstance(description, CausesWorld | Planted):
            return self._world(description).items()
        if isinstance(description, ItemFile):
            return read_items(description, self.book.folder)
        if isinstance(description, PackageData):
            return description.items(self._packages()).items
        if isinstance(description, PromptSet):
            return description.items().items
        raise DataError(f"the data {name!r} holds texts to train on, no items to ask")

    def exactness(self, reference: str) -> Exactness | None:
        """Return how the world behind ``name`` judges answers to its texts, or ``None`` where no world is behind it."""
        description = self.book.origin(reference)
        if not isinstance(description, CausesWorld):
            return None
        world = built_world(description, self.book.world_seed(self.root))
        return Exactness(world.item_of, world.judge())

    def oracles(self) -> dict[str, Judge]:
        """Return the exact judge of every world of the study, by the world's name in the study."""
        return {
            name: self._world(entry).judge()
            for name, entry in self.book.entries.items()
            if isinstance(entry, CausesWorld | Planted)
        }

    @overload
    def _world(self, description: CausesWorld) -> World: ...

    @overload
    def _world(self, description: CausesWorld | Planted) -> World | PlantedWorld: ...

    def _world(self, description: CausesWorld | Planted) -> World | PlantedWorld:
        seed = self.book.world_seed(self.root)
        return description.build(seed) if isinstance(description, Planted) else built_world(description, seed)
