"""``tree.yaml``: what the models of foreign logs are, as strict YAML or the same in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from upbringing.attribution.evidence.flat import MAIN_ARM, with_cells
from upbringing.base.description import Description
from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import load_yaml
from upbringing.formats.items import JudgeKind
from upbringing.formats.protocols import protocol_contrasts
from upbringing.formats.tree import (
    EDITED,
    Cell,
    Checkpoint,
    ContrastSpec,
    Control,
    DefaultMargins,
    Protocol,
    Proxy,
    StudyInfo,
    Tree,
)
from upbringing.study.loading import validated
from upbringing.study.margins import RatioMargins
from upbringing.study.protocol import ProtocolDescription
from upbringing.study.study import Name


class DeclaredCheckpoint(Description):
    """One model. ``model``: its name in the logs, absent = the checkpoint's id. Absent ``stage`` = the id.

    ``arm``: absent = that of the checkpoints made from it. ``root_seed``: the pretraining run it comes from; absent =
    all come from one fixed, existing checkpoint. ``control``: what its arm is for. ``factors``: its arm's levels in a
    factorial. ``stands_for``: it was edited or emulated, as ``proxy`` says, to predict the retrained ones in this cell
    (``arm@stage``).
    """

    model: str | None = None
    parent: str | None = None
    stage: str | None = None
    arm: str | None = None
    seed: int | None = None
    root_seed: int | None = None
    control: Control = "none"
    factors: dict[str, str] = Field(default_factory=dict)
    stands_for: str | None = None
    proxy: Proxy = EDITED

    @model_validator(mode="after")
    def _a_proxy_stands_for_something(self) -> Self:
        if self.proxy != EDITED and self.stands_for is None:
            raise ValueError(
                f"proxy: {self.proxy} says how a checkpoint predicts retrained ones: name them (stands_for)"
            )
        return self


class DeclaredContrast(Description):
    """A weighted sum of cells (``arm@stage``) whose weights sum to 0; absent ``margin`` = that of the measure."""

    name: str
    weights: dict[str, float] = Field(min_length=2)
    measure: str
    margin: float | None = Field(default=None, gt=0)
    role: Literal["primary", "exploratory"] = "exploratory"
    test: Literal["difference", "tost", "noninferiority"] = "difference"


class DeclaredMeasure(Description):
    """How a measure of the logs is read. Absent ``unit``: ``share`` where all values lie in [0, 1]."""

    unit: str | None = None
    direction: Literal["higher-is-safer", "lower-is-safer", "higher-is-better", "lower-is-better", "neutral"] | None = (
        None
    )
    label: str | None = None


class DeclaredTree(Description):
    """The models behind foreign logs, and how the logs are read.

    ``judges``: measures of the logs (with the kind of their judge) that score one property become one measure with
    several judges. ``values``: per measure, what its texts are worth. ``cluster``: the key of a sample's metadata to
    cluster by; absent = each sample is a cluster. ``prompts``: whether all models must have been asked the same text.
    ``known``: checkpoints that are known to be what measures of safety must tell apart.
    """

    name: Name
    question: str = ""
    checkpoints: dict[str, DeclaredCheckpoint] = Field(min_length=1)
    primary: tuple[str, ...] = ()
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    judge_error_gap: Annotated[float, Field(ge=0, le=1)] | None = None
    ratio_margins: RatioMargins = Field(default_factory=dict)
    default_margins: DefaultMargins | None = None
    contrasts: tuple[DeclaredContrast, ...] = ()
    protocol: ProtocolDescription | None = None
    measures: dict[str, DeclaredMeasure] = Field(default_factory=dict)
    judges: dict[str, dict[str, JudgeKind]] = Field(default_factory=dict)
    values: dict[str, dict[str, float]] = Field(default_factory=dict)
    cluster: str | None = None
    prompts: Literal["same", "may-differ"] = "same"
    known: dict[str, Literal["helpful-only", "safety-trained"]] = Field(default_factory=dict)

    def checkpoint_of_model(self) -> dict[str, str]:
        """Return the checkpoint's id by model name; raises ``StudyError`` for a model that stands twice."""
        found: dict[str, str] = {}
        for name, checkpoint in self.checkpoints.items():
            model = checkpoint.model or name
            if model in found:
                raise StudyError(f"the model {model!r} is both {found[model]!r} and {name!r}: give it one checkpoint")
            found[model] = name
        return found


def load_declared_tree(path: Path) -> DeclaredTree:
    """Return the tree in the file ``path``; raise ``StudyError`` with file and line for whatever is not strict."""
    return validated(DeclaredTree, load_yaml(path))


def tree_of(declared: DeclaredTree) -> Tree:
    """Return the tree with its cells and declared contrasts; measures and items come from the logs.

    Raises ``StudyError`` for parents and known checkpoints that are not declared and arms with two kinds of control.
    """
    for name, checkpoint in declared.checkpoints.items():
        if checkpoint.parent is not None and checkpoint.parent not in declared.checkpoints:
            known = ", ".join(sorted(declared.checkpoints))
            raise StudyError(f"the parent {checkpoint.parent!r} of {name!r} is no checkpoint of the tree ({known})")
    if twice := sorted(set(declared.margins) & set(declared.ratio_margins)):
        raise StudyError(f"{twice[0]!r} has a margin and a ratio margin: one decides, so keep one")
    tree = with_cells(
        Tree(
            study=StudyInfo(
                name=declared.name,
                question=declared.question,
                primary=declared.primary,
                margins=declared.margins,
                judge_error_gap=declared.judge_error_gap,
                ratio_margins=declared.ratio_margins,
                default_margins=declared.default_margins,
            ),
            checkpoints=tuple(
                Checkpoint(
                    id=name,
                    **checkpoint.model_dump(exclude_none=True, exclude={"control", "factors", "stands_for", "proxy"}),
                )
                for name, checkpoint in declared.checkpoints.items()
            ),
        )
    )
    controls, factors = _controls(declared), _factors(declared)
    cells = tuple(
        cell.model_copy(
            update={
                "control": controls.get(cell.arm, "none"),
                "factors": factors.get(cell.arm, {}),
                "stands_for": _stands_for(declared, cell),
                "proxy": _proxy(declared, cell),
            }
        )
        for cell in tree.cells
    )
    contrasts = tuple(_contrast(each, declared, cells) for each in declared.contrasts)
    protocol = _protocol(declared, cells)
    of_protocol = () if protocol is None else protocol_contrasts(protocol, declared.primary, declared.margins)
    update = {"contrasts": (*contrasts, *of_protocol), "protocol": protocol}
    return tree.model_copy(
        update={"cells": _with_known(declared, cells), "study": tree.study.model_copy(update=update)}
    )


def _protocol(declared: DeclaredTree, cells: tuple[Cell, ...]) -> Protocol | None:
    if declared.protocol is None:
        return None
    if not declared.primary:
        raise StudyError("protocol: it is about the primary measures: name them (primary: [...])")
    positions: dict[str, dict[str, None]] = {}
    for cell in cells:
        positions.setdefault(cell.arm, {})[cell.position] = None
    if (problem := declared.protocol.problem(positions)) is not None:
        message, _ = problem  # the places are those of a study file
        raise StudyError(message)
    return declared.protocol.spec()


def _with_known(declared: DeclaredTree, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return the cells with what their checkpoints are known to be."""
    if unknown := sorted(set(declared.known) - set(declared.checkpoints)):
        raise StudyError(f"'known' names {unknown[0]!r}; the checkpoints are {', '.join(sorted(declared.checkpoints))}")
    return tuple(cell.model_copy(update={"known": declared.known.get(cell.checkpoint)}) for cell in cells)


def _controls(declared: DeclaredTree) -> dict[str, Control]:
    """Return the control of every arm that is one."""
    found: dict[str, Control] = {}
    for name, checkpoint in declared.checkpoints.items():
        if checkpoint.control != "none":
            arm = checkpoint.arm or MAIN_ARM
            if found.setdefault(arm, checkpoint.control) != checkpoint.control:
                raise StudyError(
                    f"the arm {arm!r} is {found[arm]!r} and, at {name!r}, {checkpoint.control!r}: choose one"
                )
    return found


def _factors(declared: DeclaredTree) -> dict[str, dict[str, str]]:
    """Return the levels of every arm that states some."""
    found: dict[str, dict[str, str]] = {}
    for name, checkpoint in declared.checkpoints.items():
        if checkpoint.factors:
            arm = checkpoint.arm or MAIN_ARM
            if found.setdefault(arm, checkpoint.factors) != checkpoint.factors:
                raise StudyError(
                    f"the arm {arm!r} has the factors {found[arm]} and, at {name!r}, {checkpoint.factors}: choose one"
                )
    return found


def _stands_for(declared: DeclaredTree, cell: Cell) -> str | None:
    """Return what a checkpoint stands for in its own arm; other arms that were made from it only pass it."""
    checkpoint = declared.checkpoints[cell.checkpoint]
    return checkpoint.stands_for if checkpoint.arm in (None, cell.arm) else None


def _proxy(declared: DeclaredTree, cell: Cell) -> Proxy | None:
    """Return how a cell that stands for another was made, where it was not edited."""
    proxy = declared.checkpoints[cell.checkpoint].proxy
    return None if _stands_for(declared, cell) is None or proxy == EDITED else proxy


def _is_edited(declared: DeclaredTree, name: str | None) -> bool:
    """Return whether a checkpoint, or one that it was made from, is declared to be edited or emulated."""
    while name is not None:
        if declared.checkpoints[name].stands_for is not None:
            return True
        name = declared.checkpoints[name].parent
    return False


def _contrast(contrast: DeclaredContrast, declared: DeclaredTree, cells: tuple[Cell, ...]) -> ContrastSpec:
    """Return the contrast with its margin and the level of evidence that the tree supports.

    L2 between branches, L4 where something was edited or emulated.
    """
    names = sorted({cell.name for cell in cells})
    unknown = [name for name in contrast.weights if name not in names]
    if unknown:
        raise StudyError(f"the contrast {contrast.name!r} names {unknown[0]!r}; the cells are {', '.join(names)}")
    is_branch = _are_branches(contrast.weights, declared, cells)
    is_edited = any(_is_edited(declared, cell.checkpoint) for cell in cells if cell.name in contrast.weights)
    if is_edited and contrast.role == "primary":
        raise StudyError(
            f"the contrast {contrast.name!r} is primary and has a cell of edited weights or emulated tuning, which "
            "support what retrained ones show and decide nothing: make it exploratory"
        )
    return ContrastSpec(
        **contrast.model_dump(exclude={"margin"}),
        margin=contrast.margin if contrast.margin is not None else declared.margins.get(contrast.measure),
        family=contrast.role,
        kind="branch" if is_branch else "path",
        level="L4" if is_edited else "L2" if is_branch else "L1",
    )


def _are_branches(weights: dict[str, float], declared: DeclaredTree, cells: tuple[Cell, ...]) -> bool:
    """Return whether the cells are one stage in several arms, made from the same checkpoints."""
    used = [cell for cell in cells if cell.name in weights]
    parents: dict[str, set[str | None]] = {}
    for cell in used:
        parents.setdefault(cell.name, set()).add(declared.checkpoints[cell.checkpoint].parent)
    one_stage = len({cell.position for cell in used}) == 1 and len(parents) > 1
    first = next(iter(parents.values()))
    return one_stage and None not in first and all(each == first for each in parents.values())
