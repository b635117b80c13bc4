"""What a measure is, and the typed union of the built-in ones: adding one is one class and one name here.

One whose conditions depend on what it found (the layers of a network) says them by ``conditions``. A measure of another
package is an ``OwnPart`` that meets the same protocol, given to a study in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Field

from upbringing.battery.measures.ability import Ability
from upbringing.battery.measures.answer_kinds import AnswerKinds
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.benign_accuracy import BenignAccuracy
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.completion_margin import CompletionMargin
from upbringing.battery.measures.direction_cosine import DirectionCosine
from upbringing.battery.measures.discrimination import BehaviouralDiscrimination, Discrimination
from upbringing.battery.measures.divergence_depth import DivergenceDepth
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
from upbringing.battery.measures.token_divergence import TokenDivergence
from upbringing.battery.measures.willingness import Willingness
from upbringing.battery.measures.worst_of_n import WorstOfN
from upbringing.battery.needs import Evidence, Need
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo, MeasureInfo

BuiltInMeasure = Annotated[
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
    | DirectionCosine
    | TokenDivergence
    | DivergenceDepth
    | WorstOfN
    | AnswerKinds
    | Steerability
    | TagCalibration
    | TagDetection,
    Field(discriminator="kind"),
]


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
