"""Parts of other packages: an object of a study in Python whose class this package does not know. YAML stays closed."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, computed_field
from pydantic_core import CoreSchema, core_schema

from upbringing.base.description import Description

KIND = re.compile(r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$")


class OwnPart(Description):
    """The base of a part of another package: a frozen description whose ``kind`` is ``organisation/name``.

    It is identified by its kind, its version, its fields and the bytes of the file that defines its class, so that
    changed code is measured anew. The class must stand in a module that worker processes can import.
    """

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own idiom for a property that is written out
    @property
    def source_sha256(self) -> str:
        """SHA-256 of the file that defines the class."""
        return hashlib.sha256(_source_file(type(self)).read_bytes()).hexdigest()


@dataclass(frozen=True)
class OrOwn:
    """Annotation for a protocol: takes the ``built_in`` union, from YAML and Python, or an ``OwnPart`` meeting it."""

    built_in: Any
    protocol: type

    def _own(self, value: Any, built_in: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if not isinstance(value, OwnPart):
            return built_in(value)
        name = type(value).__name__
        kind = getattr(value, "kind", None)
        if not isinstance(kind, str) or not KIND.match(kind):
            raise ValueError(
                f"{name} is a part of another package, so its kind is organisation/name; found {kind!r}: "
                'give it kind: Literal["organisation/name"] = "organisation/name"'
            )
        _source_file(type(value))
        if missing := [word for word in _words(self.protocol) if not hasattr(value, word)]:
            raise ValueError(
                f"{name} ({kind}) lacks {', '.join(missing)}, which every {self.protocol.__name__.lower()} has"
            )
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pass parts of other packages through; everything else must be one of the built-in kinds."""
        built_in = handler.generate_schema(self.built_in)
        return core_schema.no_info_wrap_validator_function(
            self._own,
            built_in,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, known: value.model_dump(mode="json") if isinstance(value, OwnPart) else known(value),
                schema=built_in,
            ),
        )


def _words(protocol: type) -> list[str]:
    return sorted(word for word in vars(protocol) if not word.startswith("_"))


def _source_file(kind: type) -> Path:
    module = sys.modules.get(kind.__module__)
    file = None if module is None or kind.__module__ == "__main__" else inspect.getsourcefile(kind)
    if file is None or not Path(file).is_file():
        raise ValueError(
            f"{kind.__name__} is defined in {kind.__module__}, which has no file that worker processes can import: "
            "put the class into a module of its own"
        )
    return Path(file)
