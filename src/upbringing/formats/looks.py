"""``looks.json``: every look at a contrast while prompts were added, beside the rows it was taken at."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from upbringing.formats.reading import read_versioned

LOOKS_NAME = "looks.json"
LOOKS_SCHEMA_VERSION = 1


class Open(BaseModel):
    """Frozen, keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Look(Open):
    """One look. It is about its ``checkpoints`` alone, whose runs were fixed before the first look.

    ``number``: from 1, within its contrast. ``items``: those that are new since the look before; ``clusters``: how many
    prompt clusters there are by now. ``low``, ``high``: hold at all looks together with probability ``confidence``;
    ``None`` where there is no interval yet. ``rows_sha256``: of all scores that the look rests on. ``tuned_for``: the
    number of clusters at which the interval is narrowest, fixed at the first look.
    """

    number: int
    measure: str
    contrast: str
    weights: dict[str, float]
    condition: str
    judge: str
    split: str | None = None
    checkpoints: tuple[str, ...]
    tuned_for: int
    clusters: int
    items: tuple[str, ...]
    estimate: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    rows_sha256: str

    @property
    def asked(self) -> tuple[str, str, str, str, str | None]:
        """What a series of looks is about: measure, contrast, condition, judge and split."""
        return self.measure, self.contrast, self.condition, self.judge, self.split


class Looks(Open):
    """The whole of ``looks.json``, in the order in which the looks were taken."""

    schema_version: int = LOOKS_SCHEMA_VERSION
    looks: tuple[Look, ...] = Field(default=())


def read_looks(path: Path) -> Looks:
    """Return the looks in ``path``, none where there is no such file; raise ``FormatError`` naming what is wrong."""
    if not path.exists():
        return Looks()
    return read_versioned(path, Looks, what="a file of looks", version=LOOKS_SCHEMA_VERSION)
