"""The frozen pydantic base of everything that can be written in a study file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Description(BaseModel):
    """A frozen, strict, closed value: unknown fields are errors, no scalar is coerced silently, numbers are finite.

    Constructing it from Python keywords or from YAML gives the same object. Lists are accepted where a
    tuple is stored, because YAML knows only lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _lists_become_tuples(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return data
