"""What a measure is; the built-in ones are named in ``built_in``.

One whose conditions depend on what it found (the layers of a network) says them by ``conditions``. A measure of another
package is an ``OwnPart`` that meets the same protocol, given to a study in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from upbringing.battery.needs import Evidence, Need
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo, MeasureInfo


class Measure(Protocol):
    """A frozen description of what is asked of a model and how the answers become rows."""

    @property
    def kind(self) -> str:
        """The word in the study file."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever the same answers would give other values."""
        ...

    @property
    def id(self) -> str:
        """The name of its rows, claims and margin: one per study."""
        ...

    @property
    def judged(self) -> bool:
        """Whether it reads what judges said of answers."""
        ...

    def info(self) -> MeasureInfo:
        """Return how its values are read."""
        ...

    def needs(self, items: Sequence[Item]) -> Sequence[Need]:
        """Return what it asks of a model; what several measures need is asked once."""
        ...

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield its rows; what could not be scored is a row without a value and with a reason."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return every field that decides its rows."""
        ...


@runtime_checkable
class NamesConditions(Protocol):
    """A measure whose rows have conditions that no need names."""

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Return the conditions of its rows."""
        ...
