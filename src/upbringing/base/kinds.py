"""Bare words for kinds: ``over_refusal`` means ``{kind: over_refusal}`` with all defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class BareWord:
    """Annotation for a discriminated union of kinds that may be written as a bare word.

    ``default_kind``: the kind meant by a mapping that names none; ``None`` = naming one is required. ``words``: which
    words the JSON Schema lists, for a union whose kinds hold the union itself; ``None`` = read off the kinds.
    """

    default_kind: str | None = None
    words: tuple[str, ...] | None = None

    def _expand(self, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if self.default_kind is not None and isinstance(value, dict) and "kind" not in value:
            return {"kind": self.default_kind, **value}
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Expand bare words before the union is told apart."""
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow, besides the union, the word of each kind whose other fields all have defaults."""
        union = handler(schema)
        if self.words is not None:
            return {"anyOf": [union, {"enum": sorted(self.words)}]}
        words = []
        for reference in union.get("discriminator", {}).get("mapping", {}).values():
            model = handler.resolve_ref_schema({"$ref": reference})
            if set(model.get("required", ())) <= {"kind"}:
                words.append(model["properties"]["kind"].get("const") or model["properties"]["kind"]["default"])
        return {"anyOf": [union, {"enum": sorted(words)}]} if words else union
