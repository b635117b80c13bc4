"""Recipes of data: what a name in a study stands for, as a value that can be hashed.

A recipe holds descriptions, seeds and the hashes of files; names, paths and comments never enter it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from upbringing.base.errors import StudyError
from upbringing.base.fingerprint import file_sha256, fingerprint
from upbringing.base.nearest import did_you_mean
from upbringing.base.places import about
from upbringing.base.streams import derived_seed
from upbringing.data.item_files import ItemFile
from upbringing.data.packages.source import PackageData
from upbringing.data.planted.source import Planted
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.data.sources import FileSource
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.data.transforms import (
    Transform,
    inserted_strings,
    may_ask,
    misplaced,
    needed_tokens,
    refused_marks,
)
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.scorer import SCORER_ID
from upbringing.data.worlds.told import elsewhere
from upbringing.data.worlds.writer import WRITER_ID
from upbringing.models.weights import settings_sha256, weights_sha256
from upbringing.study.data import CIRCLE, DataDescription, Derived, circle


@dataclass(frozen=True)
class Teacher:
    """The existing checkpoint that a study starts from, as the one who answers benign requests.

    ``precision``: that of its answers; bf16 and fp32 answers differ.
    """

    folder: Path
    precision: Literal["fp32", "bf16"]

    @cached_property
    def identity(self) -> dict[str, str]:
        """What decides its answers: the bytes of its weights, tokenizer, template and settings, and the precision."""
        return {
            "weights": weights_sha256(self.folder),
            "tokenizer": tokenizer_sha256(self.folder),
            "template": template_sha256(self.folder),
            "settings": settings_sha256(self.folder),
            "precision": self.precision,
        }

    @property
    def name(self) -> str:
        """Name for records: the beginning of the hash of the weights."""
        return f"start-{self.identity['weights'][:12]}"  # as short as git's and as unlikely to collide


@dataclass(frozen=True)
class DataBook:
    """The data section of a study: names to descriptions. ``folder``: where relative file paths start.

    ``packages``: the folder of fetched wheels. ``teacher``: the study's start, where it is an existing checkpoint.
    ``allows_absent``: files that are not here yet have a key of their own, so that a study can be planned before them.
    """

    entries: Mapping[str, DataDescription]
    folder: Path
    seed: int
    packages: Path | None = None
    teacher: Teacher | None = None
    allows_absent: bool = False
    _keys: dict[tuple[str, int], str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ``StudyError`` for data that is made of itself, which would be read for ever."""
        if named := circle(self.entries):
            raise StudyError(CIRCLE.format(circle=" needs ".join(named)), ("data", named[0]))

    def describe(self, reference: str) -> tuple[DataDescription, str | None]:
        """Return the description behind ``name`` or ``name.part``, and the part; raise ``StudyError`` if unknown."""
        name, _, part = reference.partition(".")
        if name not in self.entries:
            raise StudyError(f"the data {reference!r} is not declared under data ({', '.join(self.entries) or 'none'})")
        return self.entries[name], part or None

    def origin(self, reference: str) -> DataDescription:
        """Return what ``reference`` is derived from in the end."""
        description, _ = self.describe(reference)
        while isinstance(description, Derived):
            description, _ = self.describe(description.source)
        return description

    def marks(self, reference: str) -> tuple[str, ...]:
        """Return the special tokens that the texts of ``reference`` hold on purpose and must have, each once.

        Transforms put them in, or the file says that it holds them.
        """
        return self._put_in(reference, needed_tokens)

    def refused_marks(self, reference: str) -> tuple[str, ...]:
        """Return the marks of ``reference`` that other texts which are read with it may not hold, each once."""
        return self._put_in(reference, refused_marks)

    def inserted(self, reference: str) -> tuple[str, ...]:
        """Return all strings that the texts of ``reference`` hold on purpose, whether or not they must be tokens."""
        return self._put_in(reference, inserted_strings)

    def _put_in(self, reference: str, of: Callable[[Transform], tuple[str, ...]]) -> tuple[str, ...]:
        description, _ = self.describe(reference)
        found: list[str] = []
        while isinstance(description, Derived):
            found += [token for each in description.transforms for token in of(each)]
            found += [token for each in description.mixed_in for token in self._put_in(each.data, of)]
            description, _ = self.describe(description.source)
        found += description.marks if isinstance(description, FileSource) else ()
        return tuple(dict.fromkeys(found))

    def _tools(self, description: Derived) -> dict[str, Any]:
        """Return the versions of what its transforms ask, where they ask anything: other versions write other texts."""
        if not any(may_ask(each) for each in description.transforms):
            return {}
        is_world = isinstance(self.origin(description.source), CausesWorld)
        return {"tools": [WRITER_ID, SCORER_ID] if is_world else []}

    def world_seed(self, root: int) -> int:
        """Seed of the world that root run ``root`` draws."""
        return derived_seed(self.seed, "world", root)

    def recipe(self, reference: str, root: int) -> dict[str, Any]:
        """Return the recipe of ``reference`` for root run ``root``, as plain JSON values."""
        description, part = self.describe(reference)
        entry = ("data", reference.partition(".")[0])
        if isinstance(description, Derived):
            with about((*entry, "source")):
                source = self.recipe(description.source, root)
            with about((*entry, "mixed_in")):
                mixed = [[self.recipe(each.data, root), each.number] for each in description.mixed_in]
            if problem := misplaced(description.transforms, self.inserted(description.source)):
                raise StudyError(f"the data {reference!r}: {problem}", (*entry, "transforms"))
            transforms = [transform.model_dump(mode="json") for transform in description.transforms]
            seed = derived_seed(self.seed, "transforms", root)
            made = {"source": source, "transforms": transforms, "seed": seed, **self._tools(description)}
            return {**made, **({"mixed_in": mixed} if mixed else {})}
        if isinstance(description, PackageData | PromptSet):
            if part is not None:
                raise StudyError(f"the data {reference!r}: a {description.kind} has no parts")
            answered = {"teacher": self.needed_teacher().identity} if description.requests() else {}
            return {**description.recipe(), **answered}
        if isinstance(description, FileSource):
            description = description.of_root(root)
        plain = description.model_dump(mode="json")
        if isinstance(description, CausesWorld | Planted):
            _require_part(reference, description, part)
            made = {"description": plain, "version": description.version}
            return {**made, "part": part, "seed": self.world_seed(root)}
        if isinstance(description, FileSource | ItemFile):
            path = self.folder / description.path
            if not path.is_file():
                if self.allows_absent:
                    return {"description": plain, "absent": True, "part": part}
                raise StudyError(
                    f"the data {reference!r} names the file {description.path}, which does not exist in {self.folder}: "
                    "put it there, or change its path",
                    (*entry, "path"),
                )
            plain.pop("path")
            return {"description": plain, "sha256": file_sha256(path), "part": part}
        return {"description": plain, "part": part}

    def absent_file(self, reference: str, root: int) -> str | None:
        """Return the path of the file of ``reference``, as declared, if root run ``root`` has none here."""
        path, description = self.file_of(reference, root), self.origin(reference)
        if path is None or (self.folder / path).is_file():
            return None
        return description.path if isinstance(description, FileSource | ItemFile) else None

    def file_of(self, reference: str, root: int) -> str | None:
        """Return the path, from the study's folder, of the file that ``reference`` is or is derived from."""
        description = self.origin(reference)
        if isinstance(description, FileSource):
            return description.of_root(root).path
        return description.path if isinstance(description, ItemFile) else None

    def needed_teacher(self) -> Teacher:
        """Return the start that answers benign requests; raises ``StudyError`` if the study starts from nothing."""
        if self.teacher is None:
            raise StudyError(
                "the benign requests need a start that answers them: "
                "start: {kind: existing, checkpoint: <a folder that exists here>}",
                ("start",),
            )
        return self.teacher

    def key(self, reference: str, root: int) -> str:
        """Return the fingerprint of the recipe of ``reference`` for root run ``root``."""
        if (reference, root) not in self._keys:  # a memo: files are hashed once per plan
            self._keys[reference, root] = fingerprint(self.recipe(reference, root))
        return self._keys[reference, root]


@lru_cache(maxsize=8)  # a plan asks for every root run, and drawing a world takes a moment
def _parts(world: CausesWorld | Planted) -> tuple[str, ...]:
    return world.build(0).parts()


def _require_part(reference: str, world: CausesWorld | Planted, part: str | None) -> None:
    """Raise ``StudyError`` for a part that no world of this kind has: before anything is drawn, read or trained."""
    parts = () if part is None else _parts(world)
    if part is not None and part not in parts:
        hint = did_you_mean(part, parts) or ("" if isinstance(world, Planted) else elsewhere(part))
        raise StudyError(f"the data {reference!r}: the world has no part {part!r} ({', '.join(parts)}){hint}")
