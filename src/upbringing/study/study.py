"""The study: what is declared, as one frozen value. YAML and Python build the same object."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import Keys, StudyError
from upbringing.base.kinds import BareWord
from upbringing.base.own_part import OrOwn
from upbringing.battery.built_in import BuiltInMeasure
from upbringing.battery.judge import BuiltInJudge, JudgeDescription
from upbringing.battery.measure import Measure
from upbringing.formats.health import HealthCriteria
from upbringing.formats.tree import ContrastSpec, DefaultMargins
from upbringing.models.openvino import Engine
from upbringing.study.arms import Arm, RawStages, Resolved, resolve, windows_problem
from upbringing.study.components import Components
from upbringing.study.data import CIRCLE, DataDescription, circle
from upbringing.study.edits import edits_problem, engine_problem
from upbringing.study.fractions import check_fraction, confounded_effects, is_in_fraction
from upbringing.study.margins import RatioMargins, margins_problem
from upbringing.study.places import arm_places, stage_places
from upbringing.study.protocol import ProtocolDescription
from upbringing.study.questions import contrasts_problem, prompts_problem
from upbringing.study.resolved_arms import ResolvedArm, validated_arm
from upbringing.study.seeds import SeedLevel
from upbringing.study.start_names import start_name_problem, start_position
from upbringing.training.existing import Existing
from upbringing.training.masking import masking_of
from upbringing.training.reward_model import RewardModel
from upbringing.training.rewards import ModelReward
from upbringing.training.rl import Rl
from upbringing.training.settings import TrainedStage
from upbringing.training.stage import Stage
from upbringing.training.start import Start

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ARM_PATTERN = r"^[a-z0-9][a-z0-9._+-]{0,127}$"
LEVEL_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,127}$"  # of a matrix, whose arms are level+level


def _check_name(value: Any) -> Any:
    if isinstance(value, str) and not re.match(NAME_PATTERN, value):
        raise ValueError(f"a name matches {NAME_PATTERN}, found {value!r}")
    return value


Name = Annotated[str, BeforeValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]


class Study(Description):
    """A study. ``seeds``: whole pipelines, or nested counts per level.

    ``matrix``: factors to levels to the words of an arm; every combination becomes the arm ``level+level``.
    ``fraction``: run only a part of the matrix, by its generators: ``{rl: [pretrain, midtrain, sft]}`` keeps the
    combinations in which the sign of ``rl`` (first level +, second -) is the product of the others'.
    ``primary``: ids of the measures whose claims are confirmatory. ``margins``: per measure id, in its unit,
    hashed into the study before anything is measured; ``ratio_margins``: of rare harm, as a ratio of rates;
    ``default_margins``: the rule for measures that have neither. ``health_criteria``: per stage, what shows that a run
    trained well; results stand with and without those that miss one. ``components``: per measure id, what ``plan`` and
    ``power`` are to expect of its noise; absent = not known, or read from earlier results.
    ``precision``, ``attention``, ``compile``, ``device``, ``activation_checkpointing``: of training, the same for all
    nodes; measuring takes place on the same device. ``attention: varlen``: packed windows are trained document by
    document, all else is computed with a mask. ``processes``: how many train a stage together, on as many devices.
    ``measure_precision``: in fp32 no answer depends on its batch. ``engine``: what generates answers;
    likelihoods are always transformers'. ``engine_agreement``: least share of verdicts in which another engine must
    agree with transformers. ``protocol``: the claim of the field that the study asks about, and the cells that play its
    roles. ``judge_error_gap``: how far a rule's error rates are taken to differ between checkpoints where no labels
    show it; 0 = not at all, absent = 0.24.
    """

    name: Name
    question: str = ""
    seed: int = 0
    seeds: Annotated[int, Field(ge=1)] | dict[SeedLevel, Annotated[int, Field(ge=1)]] = 3
    start: Start
    data: dict[Name, DataDescription] = Field(default_factory=dict)
    stages: dict[Name, Stage] = Field(default_factory=dict)
    matrix: dict[str, dict[str, Arm]] = Field(default_factory=dict)
    fraction: dict[str, Annotated[tuple[str, ...], Strict(False)]] = Field(default_factory=dict)
    arms: dict[str, Arm] = Field(default_factory=dict)
    battery: tuple[Annotated[Measure, OrOwn(BuiltInMeasure, Measure), BareWord()], ...] = ()
    prompts: tuple[str, ...] = ()
    judges: tuple[Annotated[JudgeDescription, OrOwn(BuiltInJudge, JudgeDescription), BareWord()], ...] = ()
    primary: tuple[str, ...] = ()
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    ratio_margins: RatioMargins = Field(default_factory=dict, exclude_if=lambda value: not value)  # studies keep ids
    default_margins: DefaultMargins | None = Field(default=None, exclude_if=lambda value: value is None)
    health_criteria: HealthCriteria = Field(default_factory=dict, exclude_if=lambda value: not value)
    components: dict[str, Components] = Field(default_factory=dict)
    contrasts: tuple[ContrastSpec, ...] = ()
    protocol: ProtocolDescription | None = None
    judge_error_gap: Annotated[float, Field(ge=0, le=1)] | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    attention: Literal["auto", "eager", "sdpa", "varlen"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", exclude_if=lambda value: value == "auto")
    activation_checkpointing: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    processes: int = Field(default=1, ge=1)
    measure_precision: Literal["fp32", "bf16"] = "fp32"
    engine: Engine = "transformers"
    # in bf16 another batch alone moves about 4 % of verdicts
    engine_agreement: Annotated[float, Field(ge=0, le=1)] = 0.9

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        ids = [measure.id for measure in self.battery]
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            second = len(ids) - 1 - ids[::-1].index(twice)
            raise StudyError(f"two measures have the id {twice!r}: give one another id", ("battery", second))
        for word in ("primary", "margins", "ratio_margins", "components"):
            for place, name in enumerate(getattr(self, word)):
                if name not in ids:
                    raise StudyError(
                        f"{word} names {name!r}, which is no measure of the battery ({', '.join(ids)})",
                        (word, place if word == "primary" else name),
                    )
        if wrong := margins_problem(self.battery, self.margins, self.ratio_margins, self.contrasts):
            raise StudyError(*wrong)
        if wrong := prompts_problem(self.prompts, self.data) or contrasts_problem(self.contrasts, ids):
            raise StudyError(*wrong)
        if named := circle(self.data):
            raise StudyError(CIRCLE.format(circle=" needs ".join(named)), ("data", named[0]))
        self._check_factors()
        self._check_fraction()
        resolved = self.resolved_arms()
        self._check_stage_names(resolved)
        self._check_batches(resolved)
        self._check_masking(resolved)
        arms = {name: (each.arm, each.stages) for name, each in resolved.items()}
        declared = self.declared_arms()
        for arm in resolved.values():
            self._check_rewards(arm)
            if problem := windows_problem(arm.name, arms):
                raise StudyError(problem, *((*each, "windows_of") for each in arm_places(declared, arm.name)))
        if found := edits_problem(arms, self.contrasts, None if self.protocol is None else self.protocol.spec()):
            raise StudyError(*found)
        if problem := engine_problem(arms, self.engine):
            raise StudyError(problem, ("engine",))
        for place, contrast in enumerate(self.contrasts):
            for cell in (*contrast.weights, *(cell for _, weights in contrast.beside for cell in weights)):
                if cell.partition("@")[0] not in resolved:
                    words = ("weights", "share_of", "counterpart")
                    raise StudyError(
                        f"contrast {contrast.name!r} names the cell {cell!r} of an unknown arm",
                        *(("contrasts", place, word, cell) for word in words),
                    )
        for stage in self.health_criteria:
            if not any(stage in arm.stages for arm in resolved.values()):
                raise StudyError(
                    f"health_criteria names {stage!r}, which is no stage of any arm", ("health_criteria", stage)
                )
        self._check_protocol(resolved)
        return self

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """The levels of every factor of the matrix, "on" first."""
        return {factor: tuple(levels) for factor, levels in self.matrix.items()}

    def _check_factors(self) -> None:
        """Raise for a factor without levels, which leaves no combination, and for levels that arms cannot be named by.

        A level with a + could make two combinations one arm, and one would be lost.
        """
        for factor, levels in self.matrix.items():
            if not levels:
                raise StudyError(f"the factor {factor!r} of the matrix has no levels: name some", ("matrix", factor))
            for level in levels:
                if not re.match(LEVEL_PATTERN, level):
                    raise StudyError(
                        f"a level's name matches {LEVEL_PATTERN}, as it is part of its arms', found {level!r}",
                        ("matrix", factor, level),
                    )

    def _check_stage_names(self, arms: dict[str, ResolvedArm]) -> None:
        """Raise for a stage whose cells would be taken for those of the start."""
        for name, arm in arms.items():
            if wrong := start_name_problem(arm.start, arm.stages):
                said, keys = wrong
                raise StudyError(f"arm {name!r}: {said}", *stage_places(self.declared_arms(), name, *keys))

    def _check_fraction(self) -> None:
        """Raise for generators that do not fit the matrix, and for contrasts that are several effects at once."""
        if not self.fraction:
            return
        try:
            check_fraction(self.levels, self.fraction)
        except ValueError as error:
            raise StudyError(f"fraction: {error}", ("fraction",)) from None
        for place, contrast in enumerate(self.contrasts):
            found = confounded_effects(contrast.weights, self.levels, self.fraction)
            if found:
                raise StudyError(
                    f"contrast {contrast.name!r} asks for {found[0]}, which this fraction cannot tell from "
                    f"{', '.join(found[1:])}: run the whole matrix, or another fraction",
                    ("contrasts", place, "weights"),
                )

    def _check_protocol(self, arms: dict[str, ResolvedArm]) -> None:
        if self.protocol is None:
            return
        if not self.primary:
            raise StudyError("protocol: it is about the primary measures: name them (primary: [...])", ("protocol",))
        starts = {
            name: (start_position(arm.start),) if isinstance(arm.start, Existing) else () for name, arm in arms.items()
        }
        problem = self.protocol.problem({name: (*starts[name], *arm.stages) for name, arm in arms.items()})
        problem = problem or self.protocol.unmeasured(self.primary, [measure.id for measure in self.battery])
        if problem is not None:
            message, places = problem
            raise StudyError(message, *places)

    def _check_batches(self, arms: dict[str, ResolvedArm]) -> None:
        for name, arm in arms.items():
            for stage_name, stage in arm.stages.items():
                if isinstance(stage, TrainedStage) and stage.batch_size % (stage.accumulate * self.processes):
                    raise StudyError(
                        f"arm {name!r}: stage {stage_name!r}: batch_size {stage.batch_size} cannot be split into "
                        f"accumulate {stage.accumulate} micro-batches in each of {self.processes} processes",
                        ("processes",),
                        *stage_places(self.declared_arms(), name, stage_name, "batch_size"),
                    )

    def _check_masking(self, arms: dict[str, ResolvedArm]) -> None:
        for name, arm in arms.items():
            for stage_name, stage in arm.stages.items():
                asked, needed = ("compile", "off") if self.compile == "on" else ("processes", "1")
                if masking_of(stage) is not None and (self.compile == "on" or self.processes > 1):
                    raise StudyError(
                        f"arm {name!r}: the stage {stage_name!r} masks its updates, which needs {asked}: {needed}",
                        (asked,),
                    )

    def _check_rewards(self, arm: ResolvedArm) -> None:
        """Raise ``StudyError`` for a reward that the arm does not train before it needs it."""
        trained: list[str] = []
        for name, stage in arm.stages.items():
            if isinstance(stage, RewardModel):
                trained.append(name)
            if not isinstance(stage, Rl):
                continue
            if self.processes > 1:
                raise StudyError(f"arm {arm.name!r}: the rl stage {name!r} needs processes: 1", ("processes",))
            if isinstance(stage.reward, ModelReward) and stage.reward.stage not in trained:
                raise StudyError(
                    f"arm {arm.name!r}: stage {name!r} is paid by the reward model {stage.reward.stage!r}, which no "
                    f"stage before it trains ({', '.join(trained) or 'there is none'}): keep that stage, or give "
                    "another reward",
                    *stage_places(self.declared_arms(), arm.name, name, "reward", "stage"),
                )

    def declared_arms(self) -> dict[str, tuple[Arm, Keys]]:
        """Return every arm with its place in the file: the matrix's combinations, then the named arms."""
        arms: dict[str, tuple[Arm, Keys]] = {}
        for name, arm in self._matrix_arms().items():
            arms[name] = (arm, ("matrix",))
        for name, arm in self.arms.items():
            if not re.match(ARM_PATTERN, name):
                raise StudyError(f"an arm's name matches {ARM_PATTERN}, found {name!r}", ("arms", name))
            if name in arms:
                raise StudyError(
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
        if not self.fraction:
            return combined
        return {name: arm for name, arm in combined.items() if is_in_fraction(arm.factors, self.levels, self.fraction)}

    def resolved_arms(self) -> dict[str, ResolvedArm]:
        """Return all arms with their validated stages; raise ``StudyError`` for what does not fit."""
        study_stages: RawStages = {
            name: stage.model_dump(mode="python", exclude_unset=True) | {"kind": stage.kind}
            for name, stage in self.stages.items()
        }
        root = Resolved(stages=study_stages, states=dict.fromkeys(study_stages, "on"), start=self.start)
        declared = self.declared_arms()
        done: dict[str, Resolved] = {}

        def raw(name: str, asking: tuple[str, ...]) -> Resolved:
            if name in asking:
                raise StudyError(
                    f"the arms {' -> '.join((*asking, name))} start from each other", declared[asking[0]][1]
                )
            if name not in declared:
                raise StudyError(f"arm {asking[-1]!r} starts from {name!r}, which is no arm", declared[asking[-1]][1])
            if name not in done:
                arm, path = declared[name]
                base = raw(arm.base, (*asking, name)) if arm.base else root
                try:
                    done[name] = resolve(arm, base, study_stages)
                except StudyError:
                    raise
                except ValueError as error:
                    raise StudyError(f"arm {name!r}: {error}", path) from None
            return done[name]

        return {
            name: validated_arm(name, arm, raw(name, ()), arm_places(declared, name))
            for name, (arm, _) in declared.items()
        }


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
                    raise StudyError(f"two factors set {stage}.{sorted(twice)[0]}", ("matrix", factor, level))
                stages[stage] = {**stages.get(stage, {}), **changes}
            merged[name] = stages
        elif name == "control" and merged.get("control", "none") != "none":
            merged["control"] = value if value != "none" else merged["control"]
        elif name in merged and name != "factors":
            raise StudyError(f"two factors of the matrix both say {name!r}", ("matrix", factor, level))
        else:
            merged[name] = value
    merged["factors"] = {**arm.factors, factor: level}
    return Arm(**merged)
