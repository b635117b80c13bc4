"""The typed union of measures: adding one is one class and one name here.

A measure is a frozen description with ``kind``, ``version``, ``id`` and ``judged`` (whether it needs judges), and
three methods: ``info`` says how its values are read, ``needs`` what it asks of a model, ``rows`` what it makes of it.
One whose conditions depend on what it found (the layers of a network) says them by ``conditions``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field

from upbringing.battery.measures.ability import Ability
from upbringing.battery.measures.answer_kinds import AnswerKinds
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.benign_accuracy import BenignAccuracy
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.completion_margin import CompletionMargin
from upbringing.battery.measures.discrimination import BehaviouralDiscrimination, Discrimination
from upbringing.battery.measures.knowledge import CompletionAccuracy, Knowledge
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.probe import Probe
from upbringing.battery.measures.probe_detection import ProbeDetection
from upbringing.battery.measures.probe_gain import ProbeGain
from upbringing.battery.measures.refusal_direction import RefusalDirection
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.battery.measures.refusal_steering import RefusalSteering
from upbringing.battery.measures.steerability import Steerability
from upbringing.battery.measures.tag_calibration import TagCalibration, TagDetection
from upbringing.battery.measures.willingness import Willingness
from upbringing.battery.measures.worst_of_n import WorstOfN
from upbringing.battery.needs import Evidence
from upbringing.formats.tree import ConditionInfo

Measure = Annotated[
    AttackSuccess
    | NonRefusal
    | PrefillAttack
    | Willingness
    | Ability
    | OverRefusal
    | Coherence
    | BenignAccuracy
    | Knowledge
    | CompletionAccuracy
    | CompletionMargin
    | RefusalMargin
    | Discrimination
    | BehaviouralDiscrimination
    | BitsPerByte
    | Probe
    | ProbeDetection
    | ProbeGain
    | RefusalDirection
    | RefusalSteering
    | WorstOfN
    | AnswerKinds
    | Steerability
    | TagCalibration
    | TagDetection,
    Field(discriminator="kind"),
]


@runtime_checkable
class NamesConditions(Protocol):
    """A measure whose rows have conditions that no need names."""

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Return the conditions of its rows."""
        ...
