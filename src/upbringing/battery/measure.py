"""The typed union of measures: adding one is one class and one name here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upbringing.battery.measures.correctness import Ability, BenignAccuracy
from upbringing.battery.measures.likelihood import BitsPerByte, Discrimination, Knowledge, RefusalMargin
from upbringing.battery.measures.outcomes import AttackSuccess, OverRefusal, PrefillAttack, Willingness

Measure = Annotated[
    AttackSuccess
    | PrefillAttack
    | Willingness
    | Ability
    | OverRefusal
    | BenignAccuracy
    | Knowledge
    | RefusalMargin
    | Discrimination
    | BitsPerByte,
    Field(discriminator="kind"),
]
