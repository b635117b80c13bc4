"""Arms: the counterfactual words of a study, and the ordered stages each arm comes to.

An arm starts from the study's stages (or from another arm, ``of``) and says what is different. The words are
applied in one fixed order: ``stages``, ``replace``, ``placebo``, ``delay``, ``dose``, ``drop``, ``swap``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Place, Share
from upbringing.study.doses import delayed, kept_dose, mix_of, phases_of, reshared
from upbringing.training.settings import DataReference, Mixture
from upbringing.training.start import Start

Control = Literal["none", "positive", "placebo", "copy", "reference"]
StageState = Literal["on", "off", "placebo", "replaced"]
RawStages = dict[str, dict[str, Any]]


class Delay(Description):
    """Start a stage's data intervention later: before ``until`` the stage reads the study's own data.

    ``until``: a share of the stage's tokens, or tokens from its start; 0 is no delay, the stage's end is never.
    ``keep: density`` leaves the intervention's share as it is; ``keep: dose`` raises the share of ``component`` (one,
    or several together) so that as many of its windows are read as without the delay. ``continues``: from ``until`` on
    the arm goes on in data that it has read before, instead of reading it from the beginning again.
    """

    of: str
    stage: str
    until: Place
    keep: Literal["density", "dose"] = "density"
    component: str | tuple[str, ...] | None = None
    continues: bool = Field(default=False, exclude_if=lambda value: not value)

    @property
    def components(self) -> tuple[str, ...]:
        """The components whose dose is kept."""
        return self.component if isinstance(self.component, tuple) else (self.component,) if self.component else ()


class Dose(Description):
    """Set the share of one component of a stage's mixture; the others keep their proportions."""

    stage: str
    component: str
    share: Share


class Placebo(Description):
    """Replace a stage's data (one data set, or a whole mixture) with neutral data: same tokens, format and steps."""

    stage: str
    data: DataReference


class Arm(Description):
    """One branch of a study. An empty arm is the study's stages as they stand.

    ``of``: the arm this one starts from. ``stages``: fields of stages that differ, merged before validation.
    ``replace``: the same, but the cell is marked as replaced (a counterfactual of what happened). ``drop``: stages
    left out. ``swap``: two stages that change places. ``same_as``: this arm is meant to coincide with another
    (a copy control). ``windows_of``: the arm whose windows this one's stages have, as many and in the same order, so
    that the two are matched token by token and differ in content only. ``control``: what the arm is for; ``factors``:
    its levels in a factorial design.
    """

    of: str | None = None
    start: Start | None = None
    stages: RawStages = Field(default_factory=dict)
    replace: RawStages = Field(default_factory=dict)
    placebo: Placebo | None = None
    delay: Delay | None = None
    dose: Dose | None = None
    drop: str | tuple[str, ...] = ()
    swap: tuple[str, str] | None = None
    same_as: str | None = None
    windows_of: str | None = None
    stands_for: str | None = None
    control: Control = "none"
    factors: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        changes = [self.of, self.start, self.stages, self.replace, self.placebo, self.delay, self.dose, self.drop]
        if self.same_as is not None and (any(changes) or self.swap is not None):
            raise ValueError("same_as says that an arm changes nothing: remove its other words, or same_as")
        if self.same_as is not None and self.stands_for is not None:
            raise ValueError("same_as says that an arm changes nothing: only edited weights stand for others")
        if self.swap is not None and self.swap[0] == self.swap[1]:
            raise ValueError(f"swap names {self.swap[0]!r} twice, which changes nothing: name two stages")
        if self.of is not None and self.delay is not None:
            raise ValueError("delay names the arm it starts from itself: remove the arm's own 'of'")
        return self

    @property
    def base(self) -> str | None:
        """Name of the arm this one starts from, or ``None`` for the study's own stages."""
        return self.same_as or self.of or (self.delay.of if self.delay is not None else None)


class Resolved(Description):
    """An arm after its words were applied: raw stages in order (not yet validated), and each stage's state."""

    stages: RawStages
    states: dict[str, StageState]
    start: Start | None = None


def resolve(arm: Arm, base: Resolved, study_stages: RawStages) -> Resolved:
    """Return ``base`` with the words of ``arm`` applied. Raises ``ValueError`` naming what does not fit."""
    stages = {name: dict(fields) for name, fields in base.stages.items()}
    states = dict(base.states)
    _merge(stages, arm.stages, states, state=None)
    _merge(stages, arm.replace, states, state="replaced")
    if arm.placebo is not None:
        fields = _known(stages, arm.placebo.stage, "placebo")
        data = arm.placebo.data
        stages[arm.placebo.stage] = _with_data(fields, data.model_dump() if isinstance(data, Mixture) else data)
        states[arm.placebo.stage] = "placebo"
    if arm.delay is not None:
        _known(study_stages, arm.delay.stage, "delay")
        fields = _known(stages, arm.delay.stage, "delay")
        stages[arm.delay.stage] = _delayed(fields, study_stages[arm.delay.stage], arm.delay)
    if arm.dose is not None:
        stages[arm.dose.stage] = _dosed(_known(stages, arm.dose.stage, "dose"), arm.dose)
    for name in (arm.drop,) if isinstance(arm.drop, str) else arm.drop:
        _known(stages, name, "drop")
        del stages[name]
        states[name] = "off"
    if arm.swap is not None:
        stages = _swapped(stages, *arm.swap)
    return Resolved(stages=stages, states=states, start=arm.start or base.start)


def windows_problem(name: str, arms: Mapping[str, tuple[Arm, Mapping[str, object]]]) -> str | None:
    """Return why the arm ``name`` cannot have the windows that it names, if so. ``arms``: words and stages by name."""
    arm, stages = arms[name]
    if arm.windows_of is None:
        return None
    where = f"arm {name!r}: windows_of names {arm.windows_of!r}"
    if arm.windows_of not in arms or arm.windows_of == name:
        return f"{where}, which is no other arm ({', '.join(arms)})"
    other, theirs = arms[arm.windows_of]
    if other.windows_of is not None:
        return f"{where}, which has the windows of {other.windows_of!r} itself: name that arm"
    missing = [stage for stage in stages if stage not in theirs]
    return f"{where}, which has no stage {missing[0]!r}: the stages of both have to match" if missing else None


def _known(stages: Mapping[str, dict[str, Any]], name: str, word: str) -> dict[str, Any]:
    if name not in stages:
        raise ValueError(f"{word} names the stage {name!r}, which this arm does not have ({', '.join(stages)})")
    return stages[name]


def _merge(stages: RawStages, changes: RawStages, states: dict[str, StageState], state: StageState | None) -> None:
    for name, fields in changes.items():
        same_kind = name in stages and fields.get("kind", stages[name].get("kind")) == stages[name].get("kind")
        if name not in stages and "kind" not in fields:
            raise ValueError(f"the stage {name!r} is not in the study ({', '.join(stages)}): give it a kind to add it")
        stages[name] = {**stages[name], **fields} if same_kind else dict(fields)
        states[name] = state or "on"


def _with_data(fields: dict[str, Any], data: Any) -> dict[str, Any]:
    if "phases" in fields:
        return {**fields, "phases": [{"data": data}]}
    return {**fields, "data": data}


def _delayed(fields: dict[str, Any], study_fields: dict[str, Any], delay: Delay) -> dict[str, Any]:
    intervention = phases_of(fields, "delay")
    before = phases_of(study_fields, "delay")[0]["data"]
    if len(intervention) != 1:
        raise ValueError(f"delay starts from an arm whose stage has one phase; {delay.of!r} has {len(intervention)}")
    data = intervention[0]["data"]
    if data == before:
        raise ValueError(
            f"delay: the stage {delay.stage!r} of {delay.of!r} reads the study's own data: nothing to delay"
        )
    if delay.keep == "dose":
        data = kept_dose(fields, before, data, delay.components, delay.until)
    later = {"data": data, "continues": True} if delay.continues else {"data": data}
    return delayed(fields, before, delay.until, later)


def _dosed(fields: dict[str, Any], dose: Dose) -> dict[str, Any]:
    shares = {dose.component: dose.share}
    if "phases" in fields:
        phases = phases_of(fields, "dose")
        found = [phase for phase in phases if dose.component in mix_of(phase["data"])]
        if not found:
            raise ValueError(f"dose: no phase of {dose.stage!r} mixes {dose.component!r}")
        changed = [{**phase, "data": reshared(phase["data"], shares)} if phase in found else phase for phase in phases]
        return {**fields, "phases": changed}
    if dose.component not in mix_of(fields.get("data")):
        raise ValueError(f"dose: the data of {dose.stage!r} is no mixture with {dose.component!r}")
    return {**fields, "data": reshared(fields["data"], shares)}


def _swapped(stages: RawStages, first: str, second: str) -> RawStages:
    for name in (first, second):
        _known(stages, name, "swap")
    order = list(stages)
    left, right = order.index(first), order.index(second)
    order[left], order[right] = order[right], order[left]
    return {name: stages[name] for name in order}
