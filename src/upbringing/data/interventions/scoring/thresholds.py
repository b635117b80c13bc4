"""Thresholds of probability that a description may set, one for each score from 1 to 5."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Threshold = Annotated[float, Field(gt=0, le=1)]
Thresholds = tuple[Threshold, Threshold, Threshold, Threshold, Threshold]
"""For 1 or more, 2 or more, .. 5."""
