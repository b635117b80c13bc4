"""The study: what is declared, as one frozen value. YAML and Python build the same object."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, WithJsonSchema, model_validator

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.battery.judge import JudgeDescription
from upbringing.battery.measure import Measure
from upbringing.formats.tree import ContrastSpec
from upbringing.models.openvino import Engine
from upbringing.study.arms import Arm, RawStages, Resolved, StageState, resolve
from upbringing.study.data import DataDescription
from upbringing.study.protocol import SftOrRl
from upbringing.study.seeds import SeedLevel
from upbringing.training.existing import Existing
from upbringing.training.settings import TrainedStage
from upbringing.training.stage import Stage
from upbringing.training.start import Start

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ARM_PATTERN = r"^[a-z0-9][a-z0-9._+-]{0,127}$"


def _check_name(value: Any) -> Any:
    if isinstance(value, str) and not re.match(NAME_PATTERN, value):
        raise ValueError(f"a name matches {NAME_PATTERN}, found {value!r}")
    return value


Name = Annotated[str, BeforeValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
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


class Study(Description):
    """A study. ``seeds``: whole pipelines, or nested counts per level.

    ``matrix``: factors to levels to the words of an arm; every combination becomes the arm ``level+level``.
    ``primary``: ids of the measures whose claims are confirmatory. ``margins``: per measure id, in its unit,
    hashed into the study before anything is measured. ``precision``, ``attention``, ``compile``: of training, the
    same for all nodes. ``processes``: how many train a stage together. ``measure_precision``: in fp32
    no answer depends on its batch. ``engine``: what generates answers; likelihoods are always transformers'.
    ``protocol``: the claim of the field that the study asks about, and the cells that play its roles.
    ``engine_agreement``: least share of verdicts in which another engine must agree with transformers.
    """

    name: Name
    question: str = ""
    seed: int = 0
    seeds: Annotated[int, Field(ge=1)] | dict[SeedLevel, Annotated[int, Field(ge=1)]] = 3
    start: Start
    data: dict[Name, DataDescription] = Field(default_factory=dict)
    stages: dict[Name, Stage] = Field(default_factory=dict)
    matrix: dict[str, dict[str, Arm]] = Field(default_factory=dict)
    arms: dict[str, Arm] = Field(default_factory=dict)
    battery: tuple[Annotated[Measure, BareWord()], ...] = ()
    prompts: tuple[str, ...] = ()
    judges: tuple[Annotated[JudgeDescription, BareWord()], ...] = ()
    primary: tuple[str, ...] = ()
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    contrasts: tuple[ContrastSpec, ...] = ()
    protocol: SftOrRl | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    processes: int = Field(default=1, ge=1)
    measure_precision: Literal["fp32", "bf16"] = "fp32"
    engine: Engine = "transformers"
    engine_agreement: Annotated[float, Field(ge=0, le=1)] = (
        0.9  # in bf16 another batch alone moves about 4 % of verdicts
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        ids = [measure.id for measure in self.battery]
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            raise ArmProblem(f"two measures have the id {twice!r}: give one another id", ("battery",))
        for word in ("primary", "margins"):
            for name in getattr(self, word):
                if name not in ids:
                    raise ArmProblem(
                        f"{word} names {name!r}, which is no measure of the battery ({', '.join(ids)})", (word,)
                    )
        resolved = self.resolved_arms()
        self._check_batches(resolved)
        for contrast in self.contrasts:
            for cell in contrast.weights:
                if cell.partition("@")[0] not in resolved:
                    raise ArmProblem(
                        f"contrast {contrast.name!r} names the cell {cell!r} of an unknown arm", ("contrasts",)
                    )
        self._check_protocol(resolved)
        return self

    def _check_protocol(self, arms: dict[str, ResolvedArm]) -> None:
        if self.protocol is None:
            return
        if not self.primary:
            raise ArmProblem("protocol: it is about the primary measures: name them (primary: [...])", ("protocol",))
        starts = {name: ("start",) if isinstance(arm.start, Existing) else () for name, arm in arms.items()}
        problem = self.protocol.problem({name: (*starts[name], *arm.stages) for name, arm in arms.items()})
        if problem is not None:
            raise ArmProblem(problem, ("protocol",))

    def _check_batches(self, arms: dict[str, ResolvedArm]) -> None:
        for name, arm in arms.items():
            for stage_name, stage in arm.stages.items():
                if isinstance(stage, TrainedStage) and stage.batch_size % (stage.accumulate * self.processes):
                    raise ArmProblem(
                        f"arm {name!r}: stage {stage_name!r}: batch_size {stage.batch_size} cannot be split into "
                        f"accumulate {stage.accumulate} micro-batches in each of {self.processes} processes",
                        ("processes",),
                    )

    def declared_arms(self) -> dict[str, tuple[Arm, tuple[str | int, ...]]]:
        """Return every arm with its place in the file: the matrix's combinations, then the named arms."""
        arms: dict[str, tuple[Arm, tuple[str | int, ...]]] = {}
        for name, arm in self._matrix_arms().items():
            arms[name] = (arm, ("matrix",))
        for name, arm in self.arms.items():
            if not re.match(ARM_PATTERN, name):
                raise ArmProblem(f"an arm's name matches {ARM_PATTERN}, found {name!r}", ("arms",))
            if name in arms:
                raise ArmProblem(
                    f"the matrix already makes an arm {name!r}: give this one another name", ("arms", name)
                )
            arms[name] = (arm, ("arms", name))
        return arms or {"main": (Arm(), ("stages",))}

    def _matrix_arms(self) -> dict[str, Arm]:
        combined: dict[str, Arm] = {"": Arm()} if self.matrix else {}
        for factor, levels in self.matrix.items():
            combined = {
                f"{name}+{level}" if name else level: _combine(arm, words, factor, level)
                for name, arm in combined.items()
                for level, words in levels.items()
            }
        return combined

    def resolved_arms(self) -> dict[str, ResolvedArm]:
        """Return all arms with their validated stages; raise ``ArmProblem`` for what does not fit."""
        study_stages: RawStages = {
            name: stage.model_dump(mode="python", exclude_unset=True) | {"kind": stage.kind}
            for name, stage in self.stages.items()
        }
        root = Resolved(stages=study_stages, states=dict.fromkeys(study_stages, "on"), start=self.start)
        declared = self.declared_arms()
        done: dict[str, Resolved] = {}

        def raw(name: str, asking: tuple[str, ...]) -> Resolved:
            if name in asking:
                raise ArmProblem(
                    f"the arms {' -> '.join((*asking, name))} start from each other", declared[asking[0]][1]
                )
            if name not in declared:
                raise ArmProblem(f"arm {asking[-1]!r} starts from {name!r}, which is no arm", declared[asking[-1]][1])
            if name not in done:
                arm, path = declared[name]
                base = raw(arm.base, (*asking, name)) if arm.base else root
                try:
                    done[name] = resolve(arm, base, study_stages)
                except ArmProblem:
                    raise
                except ValueError as error:
                    raise ArmProblem(f"arm {name!r}: {error}", path) from None
            return done[name]

        return {name: _validated(name, arm, raw(name, ()), path) for name, (arm, path) in declared.items()}


def _combine(arm: Arm, words: Arm, factor: str, level: str) -> Arm:
    """Return ``arm`` with another factor's level added; two factors may not set the same field of a stage."""
    fields = {name: getattr(words, name) for name in words.model_fields_set}
    merged = {name: getattr(arm, name) for name in arm.model_fields_set}
    for name, value in fields.items():
        if name in ("stages", "replace") and name in merged:
            stages = {**merged[name]}
            for stage, changes in value.items():
                twice = set(stages.get(stage, {})) & set(changes)
                if twice:
                    raise ArmProblem(f"two factors set {stage}.{sorted(twice)[0]}", ("matrix", factor, level))
                stages[stage] = {**stages.get(stage, {}), **changes}
            merged[name] = stages
        elif name == "control" and merged.get("control", "none") != "none":
            merged["control"] = value if value != "none" else merged["control"]
        elif name in merged and name != "factors":
            raise ArmProblem(f"two factors of the matrix both say {name!r}", ("matrix", factor, level))
        else:
            merged[name] = value
    merged["factors"] = {**arm.factors, factor: level}
    return Arm(**merged)


def _validated(name: str, arm: Arm, resolved: Resolved, path: tuple[str | int, ...]) -> ResolvedArm:
    stages: dict[str, Stage] = {}
    for stage, fields in resolved.stages.items():
        try:
            stages[stage] = _STAGE.validate_python(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            raise ArmProblem(
                f"arm {name!r}: stage {stage!r}: {where}: {first['msg']}", (*path, "stages", stage)
            ) from None
    assert resolved.start is not None
    return ResolvedArm(name=name, start=resolved.start, stages=stages, states=resolved.states, arm=arm)
