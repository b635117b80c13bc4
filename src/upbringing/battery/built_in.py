"""The typed union of the built-in measures: adding one is one class and one name here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upbringing.battery.measures.ability import Ability
from upbringing.battery.measures.answer_kinds import AnswerKinds
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.benign_accuracy import BenignAccuracy
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.completion_margin import CompletionMargin
from upbringing.battery.measures.direction_cosine import DirectionCosine
from upbringing.battery.measures.direction_entanglement import DirectionEntanglement
from upbringing.battery.measures.discrimination import BehaviouralDiscrimination, Discrimination
from upbringing.battery.measures.divergence_depth import DivergenceDepth
from upbringing.battery.measures.keyword_match import KeywordMatch
from upbringing.battery.measures.knowledge import CompletionAccuracy, Knowledge
from upbringing.battery.measures.multiple_choice import MultipleChoice
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
from upbringing.battery.measures.suffix_attack import SuffixAttack
from upbringing.battery.measures.tag_calibration import TagCalibration, TagDetection
from upbringing.battery.measures.token_divergence import TokenDivergence
from upbringing.battery.measures.willingness import Willingness
from upbringing.battery.measures.worst_of_n import WorstOfN

BuiltInMeasure = Annotated[
    AttackSuccess
    | NonRefusal
    | PrefillAttack
    | SuffixAttack
    | Willingness
    | Ability
    | OverRefusal
    | Coherence
    | BenignAccuracy
    | KeywordMatch
    | Knowledge
    | CompletionAccuracy
    | CompletionMargin
    | MultipleChoice
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
    | DirectionEntanglement
    | TokenDivergence
    | DivergenceDepth
    | WorstOfN
    | AnswerKinds
    | Steerability
    | TagCalibration
    | TagDetection,
    Field(discriminator="kind"),
]
