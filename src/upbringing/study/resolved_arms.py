"""Arms ready to be trained: the stages that an arm's words came to, validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from upbringing.base.description import Description
from upbringing.base.errors import Keys, StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.study.arms import Arm, Resolved, StageState
from upbringing.study.problems import path_in_file, telling
from upbringing.training.stage import Stage
from upbringing.training.start import Start

_STAGE = TypeAdapter[Stage](Stage)


class ResolvedArm(Description):
    """An arm ready to be trained: validated stages in order, and what was done to each."""

    name: str
    start: Start
    stages: dict[str, Stage]
    states: dict[str, StageState]
    arm: Arm


def validated_arm(name: str, arm: Arm, resolved: Resolved, places: Sequence[Keys]) -> ResolvedArm:
    """Return the arm ``name`` with its stages validated; raises ``StudyError`` naming what does not fit.

    ``places``: where the study file may say what its stages are.
    """
    stages: dict[str, Stage] = {}
    for stage, fields in resolved.stages.items():
        try:
            stages[stage] = _STAGE.validate_python(fields)
        except ValidationError as error:
            first = telling(fields, error.errors())[0]
            path, lost = path_in_file(fields, first["loc"][1:])
            where = ".".join(str(part) for part in (*path, *([lost] if lost and first["type"] == "missing" else [])))
            said = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                key = str(first["loc"][-1])
                said = f"unknown key {key!r}{did_you_mean(key, _keys_of(fields))}"
            parts = [(word, stage, *path) for word in ("stages", "replace")]
            found = [(*place, *part) for place in places for part in parts]
            raise StudyError(f"arm {name!r}: stage {stage!r}: {f'{where}: ' if where else ''}{said}", *found) from None
    assert resolved.start is not None
    return ResolvedArm(name=name, start=resolved.start, stages=stages, states=resolved.states, arm=arm)


def _keys_of(fields: Mapping[str, Any]) -> Iterable[str]:
    """Return the keys that a stage of the kind of ``fields`` may have."""
    union, _ = get_args(Stage)
    kinds = [kind for kind in get_args(union) if kind.model_fields["kind"].default == fields.get("kind")]
    return (key for kind in kinds for key in kind.model_fields)
