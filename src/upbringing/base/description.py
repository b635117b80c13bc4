"""The frozen pydantic base of everything that can be written in a study file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Description(BaseModel):
    """A frozen, strict, closed value: unknown fields are errors and nothing is coerced silently.

    Constructing it from Python keywords or from YAML gives the same object.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
