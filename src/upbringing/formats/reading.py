"""Reading the public JSON files: what does not follow its format is named, with the field, before anything is used."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self, TypeVar

from pydantic import ValidationError

from upbringing.base.errors import FormatError


class Versioned(Protocol):
    """A model of a file that states the version of its schema."""

    @property
    def schema_version(self) -> int:
        """The version that the file states."""
        ...

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self:
        """Return the model in the bytes of a file; raise ``ValidationError``."""
        ...


File = TypeVar("File", bound=Versioned)


def read_versioned(path: Path, model: type[File], *, what: str, version: int) -> File:
    """Return the ``model`` in ``path``; raise ``FormatError`` naming the field that is wrong.

    ``what``: the kind of file, as in "a findings file". ``version``: the only one that this program reads.
    """
    try:
        found = model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in (".".join(map(str, first["loc"])),) if part)
        raise FormatError(f"{path.name} is not {what}: {where}{first['msg']}") from None
    if found.schema_version != version:
        raise FormatError(
            f"{path.name} has schema version {found.schema_version}; this program reads version {version}"
        )
    return found
