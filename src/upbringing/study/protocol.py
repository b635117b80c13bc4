"""The protocol of a study: which of its cells play which role in a claim of the field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import Keys
from upbringing.formats.chat_protocol import (
    DEFAULT_RETAINED,
    DOCUMENTS_AND_CHATS,
    RETAINED,
    ChatRole,
    OutcomeKind,
    outcome_name,
)
from upbringing.formats.effects.trends import QUADRATIC, trend
from upbringing.formats.outcomes import Outcome
from upbringing.formats.protocols import SFT_OR_RL, Role
from upbringing.formats.start_protocol import ENDS, INTERIOR_OPTIMUM, SAFETY_AWARE, TOP_K
from upbringing.formats.tree import Protocol

Problem = tuple[str, tuple[Keys, ...]]
"""What is wrong, and where in the study file it may stand, the likeliest first."""


class SftOrRl(Description):
    """ "SFT alone is like SFT with RL; SFT drives safety": parts CA0 to CA6 on every primary measure.

    ``cells``: role to cell (``arm@position``). A part whose roles are absent is not decided. Fixed before anything is
    measured. Roles: ``base``, ``sft``, ``sft_rl``, ``placebo_sft``, ``placebo_sft_rl``, ``rl_alone``,
    ``other_teacher``, ``rl_teacher``, ``other_pretraining_sft``, ``other_pretraining_placebo_sft``,
    ``positive_control_erodes`` (compared with ``sft``), ``positive_control_installs`` (with ``placebo_sft``).
    """

    kind: Literal["sft_or_rl"] = SFT_OR_RL
    cells: dict[Role, str] = Field(min_length=1)

    def spec(self) -> Protocol:
        """Return the protocol as it stands in ``tree.json``."""
        return Protocol(kind=self.kind, cells=dict(self.cells))

    def problem(self, positions: Mapping[str, Collection[str]]) -> Problem | None:
        """Return what is wrong with a cell, and where. ``positions``: of each arm, the stages that are measured."""
        cells = {str(role): cell for role, cell in self.cells.items()}
        return _problem(cells, positions, different=("sft", "sft_rl", "placebo_sft", "placebo_sft_rl"))

    def unmeasured(self, primary: Collection[str], measures: Collection[str]) -> Problem | None:
        """Return nothing: the primary measures are all that it reads."""
        return None


class OutcomeDescription(Description):
    """Where an outcome is read: a measure of the battery, on a split (absent = the one that stands first)."""

    measure: str
    condition: str = "default"
    split: str | None = None

    def outcome(self) -> Outcome:
        """Return the outcome as it stands in ``tree.json``."""
        return Outcome(measure=self.measure, condition=self.condition, split=self.split)


class InteriorOptimum(Description):
    """Is a start in between better than both ends? ``first``: the cell of the start at once, ``last``: of none at all.

    ``interior``: name to cell of the starts between, fixed before anything is measured. ``curves``: by name, the places
    of three starts or more (``first`` and ``last`` among them, or not), over which a trend without a bend is asked
    (v1). ``top_k`` and ``safety_aware``: the measures under the two decodings of which v2 speaks.
    """

    kind: Literal["interior_optimum"] = INTERIOR_OPTIMUM
    first: str
    last: str
    interior: dict[str, str] = Field(min_length=1)
    # studies without versions keep their registration
    curves: dict[str, dict[str, float]] = Field(default_factory=dict, exclude_if=lambda value: not value)
    top_k: OutcomeDescription | None = Field(default=None, exclude_if=lambda value: value is None)
    safety_aware: OutcomeDescription | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        taken = [name for name in self.interior if name in ENDS]
        if taken:
            raise ValueError(f"interior: {taken[0]!r} is the name of an end: give the start in between another name")
        starts = (*ENDS, *self.interior)
        for curve, places in self.curves.items():
            if unknown := [start for start in places if start not in starts]:
                raise ValueError(f"curves: {curve!r} names {unknown[0]!r}, which is no start ({', '.join(starts)})")
            try:
                trend(tuple(places.values()), QUADRATIC)
            except ValueError as error:
                raise ValueError(f"curves: {curve!r}: {error}") from None
        return self

    def _outcomes(self) -> dict[str, OutcomeDescription]:
        named = {TOP_K: self.top_k, SAFETY_AWARE: self.safety_aware}
        return {name: outcome for name, outcome in named.items() if outcome is not None}

    def spec(self) -> Protocol:
        """Return the protocol as it stands in ``tree.json``."""
        return Protocol(
            kind=self.kind,
            cells={"first": self.first, "last": self.last, **self.interior},
            outcomes={name: outcome.outcome() for name, outcome in self._outcomes().items()},
            curves=self.curves,
        )

    def problem(self, positions: Mapping[str, Collection[str]]) -> Problem | None:
        """Return what is wrong with a cell, and where. ``positions``: of each arm, the stages that are measured."""
        cells = self.spec().cells
        return _problem(cells, positions, different=tuple(cells))

    def unmeasured(self, primary: Collection[str], measures: Collection[str]) -> Problem | None:
        """Return which decoding names no measure of the battery."""
        for name, outcome in self._outcomes().items():
            if outcome.measure not in measures:
                return _no_measure(name, outcome.measure, measures, (name,))
        return None


class DocumentsAndChats(Description):
    """Do chats that show a trait carry it beyond their own distribution, and do documents about it amplify that?

    ``cells``: role to cell of the two factors: ``neither``, ``documents``, ``chats``, ``both``; and a
    ``positive_control``. ``outside`` and ``inside``: by primary measure, where its questions out of the chats'
    distribution and in it stand (absent = its splits ``ood`` and ``held-out-item``). ``answered``: by primary measure,
    whether the same answers also answer. ``knowledge`` and ``pressure``: outcomes that are asked apart. ``retained``:
    the share of the effect in distribution that counts as most of it.
    """

    kind: Literal["documents_and_chats"] = DOCUMENTS_AND_CHATS
    cells: dict[ChatRole, str] = Field(min_length=1)
    outside: dict[str, OutcomeDescription] = Field(default_factory=dict)
    inside: dict[str, OutcomeDescription] = Field(default_factory=dict)
    answered: dict[str, OutcomeDescription] = Field(default_factory=dict)
    knowledge: dict[str, OutcomeDescription] = Field(default_factory=dict)
    pressure: dict[str, OutcomeDescription] = Field(default_factory=dict)
    retained: float = Field(default=DEFAULT_RETAINED, gt=0)

    def _outcomes(self) -> Iterator[tuple[OutcomeKind, str, OutcomeDescription]]:
        for kind in get_args(OutcomeKind):
            yield from ((kind, name, outcome) for name, outcome in getattr(self, kind).items())

    def spec(self) -> Protocol:
        """Return the protocol as it stands in ``tree.json``."""
        return Protocol(
            kind=self.kind,
            cells=dict(self.cells),
            outcomes={outcome_name(kind, name): each.outcome() for kind, name, each in self._outcomes()},
            settings={RETAINED: self.retained},
        )

    def problem(self, positions: Mapping[str, Collection[str]]) -> Problem | None:
        """Return what is wrong with a cell, and where. ``positions``: of each arm, the stages that are measured."""
        cells = {str(role): cell for role, cell in self.cells.items()}
        return _problem(cells, positions, different=tuple(cells))

    def unmeasured(self, primary: Collection[str], measures: Collection[str]) -> Problem | None:
        """Return which outcome names no measure of the battery, or belongs to no primary measure."""
        for kind, name, outcome in self._outcomes():
            if kind in ("outside", "inside", "answered") and name not in primary:
                known = ", ".join(primary)
                place = ("protocol", kind, name)
                return f"protocol: {kind} names {name!r}, which is no primary measure ({known})", (place,)
            if outcome.measure not in measures:
                return _no_measure(kind, outcome.measure, measures, (kind, name))
        return None


ProtocolDescription = Annotated[SftOrRl | InteriorOptimum | DocumentsAndChats, Field(discriminator="kind")]


def _no_measure(word: str, measure: str, measures: Collection[str], keys: Keys) -> Problem:
    known = ", ".join(measures)
    place = ("protocol", *keys, "measure")
    return f"protocol: {word} names {measure!r}, which is no measure of the battery ({known})", (place,)


def _problem(
    cells: Mapping[str, str], positions: Mapping[str, Collection[str]], *, different: Collection[str]
) -> Problem | None:
    """Return what is wrong with a cell, if anything, and where. ``different``: roles that must not share a cell."""
    taken: dict[str, str] = {}
    for role, cell in cells.items():
        arm, _, position = cell.partition("@")
        places = tuple(("protocol", *word, role) for word in (("cells",), ("interior",), ()))
        if arm not in positions:
            return f"protocol: {role} names the cell {cell!r} of an unknown arm ({', '.join(positions)})", places
        if position.partition(":")[0] not in positions[arm]:
            return (
                f"protocol: {role} names the cell {cell!r}, but {arm!r} has only "
                f"{', '.join(f'{arm}@{each}' for each in positions[arm])}"
            ), places
        if role in different and taken.setdefault(cell, role) != role:
            return f"protocol: {taken[cell]} and {role} name the same cell {cell!r}: they must differ", places
    return None
