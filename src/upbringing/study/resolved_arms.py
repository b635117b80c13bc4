"""Arms ready to be trained: the stages that an arm's words came to, validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from upbringing.base.description import Description
from upbringing.base.nearest import did_you_mean
from upbringing.study.arms import Arm, Resolved, StageState
from upbringing.training.stage import Stage
from upbringing.training.start import Start

_STAGE = TypeAdapter[Stage](Stage)


class ArmProblem(ValueError):  # noqa: N818 - carries a place, is turned into a StudyError by the loader
    """Something an arm asks for does not fit. ``path`` is the place in the study file."""

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.path = path


class ResolvedArm(Description):
    """An arm ready to be trained: validated stages in order, and what was done to each."""

    name: str
    start: Start
    stages: dict[str, Stage]
    states: dict[str, StageState]
    arm: Arm


def validated_arm(name: str, arm: Arm, resolved: Resolved, path: tuple[str | int, ...]) -> ResolvedArm:
    """Return the arm ``name`` with its stages validated; raises ``ArmProblem`` naming what does not fit."""
    stages: dict[str, Stage] = {}
    for stage, fields in resolved.stages.items():
        try:
            stages[stage] = _STAGE.validate_python(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            said = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                key = str(first["loc"][-1])
                said = f"unknown key {key!r}{did_you_mean(key, _keys_of(fields))}"
            raise ArmProblem(f"arm {name!r}: stage {stage!r}: {where}: {said}", (*path, "stages", stage)) from None
    assert resolved.start is not None
    return ResolvedArm(name=name, start=resolved.start, stages=stages, states=resolved.states, arm=arm)


def _keys_of(fields: Mapping[str, Any]) -> Iterable[str]:
    """Return the keys that a stage of the kind of ``fields`` may have."""
    union, _ = get_args(Stage)
    kinds = [kind for kind in get_args(union) if kind.model_fields["kind"].default == fields.get("kind")]
    return (key for kind in kinds for key in kind.model_fields)
