"""How a condition names what is done along the refusal direction while answers are decoded: for writers and readers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DIRECTION_UNIT: Final = "spreads"  # of the length of a refusal direction, and of no other measure
CHOSEN_LAYER: Final = "last-token-chosen-layer"  # where its length is read, in the layer chosen on other families
RANDOM: Final = "-random-control"  # at the end: the control never stands first
_LABEL = re.compile(
    rf"(?P<edit>ablate|add)-refusal-direction-(?P<where>middle-block|block-\d+)(?:-x(?P<strength>[^-]+))?"
    rf"(?P<random>{RANDOM})?"
)


@dataclass(frozen=True)
class SteeringLabel:
    """A direction taken out of every block (``ablate``) or put in where one begins (``add``).

    ``is_random``: a random direction of equal length instead, which is the control.
    """

    edit: str
    where: str
    strength: float = 1.0
    is_random: bool = False

    @property
    def text(self) -> str:
        """The label as it stands in conditions."""
        strength = "" if self.strength == 1.0 else f"-x{self.strength:g}"
        return f"{self.edit}-refusal-direction-{self.where}{strength}{RANDOM if self.is_random else ''}"


def steering_label(text: str | None) -> SteeringLabel | None:
    """Return the label that ``text`` is; ``None`` for anything else."""
    found = _LABEL.fullmatch(text or "")
    if found is None:
        return None
    try:
        strength = 1.0 if found["strength"] is None else float(found["strength"])
    except ValueError:
        return None
    return SteeringLabel(found["edit"], found["where"], strength, found["random"] is not None)
