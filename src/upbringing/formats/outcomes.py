"""Outcomes of a claim protocol: where each is read among the rows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Outcome(BaseModel):
    """Where an outcome is read: a measure, under a condition, on a split (``None`` = the one that stands first)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    measure: str
    condition: str = "default"
    split: str | None = None
