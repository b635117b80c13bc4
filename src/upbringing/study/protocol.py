"""The protocol of a study: which of its cells play which role in a claim of the field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.formats.protocols import SFT_OR_RL, Role
from upbringing.formats.start_protocol import ENDS, INTERIOR_OPTIMUM
from upbringing.formats.tree import Protocol


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

    def problem(self, positions: Mapping[str, Collection[str]]) -> str | None:
        """Return what is wrong with a cell. ``positions``: of each arm, the stages that are measured."""
        cells = {str(role): cell for role, cell in self.cells.items()}
        return _problem(cells, positions, different=("sft", "sft_rl", "placebo_sft", "placebo_sft_rl"))


class InteriorOptimum(Description):
    """Is a start in between better than both ends? ``first``: the cell of the start at once, ``last``: of none at all.

    ``interior``: name to cell of the starts between, fixed before anything is measured.
    """

    kind: Literal["interior_optimum"] = INTERIOR_OPTIMUM
    first: str
    last: str
    interior: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        taken = [name for name in self.interior if name in ENDS]
        if taken:
            raise ValueError(f"interior: {taken[0]!r} is the name of an end: give the start in between another name")
        return self

    def spec(self) -> Protocol:
        """Return the protocol as it stands in ``tree.json``."""
        return Protocol(kind=self.kind, cells={"first": self.first, "last": self.last, **self.interior})

    def problem(self, positions: Mapping[str, Collection[str]]) -> str | None:
        """Return what is wrong with a cell. ``positions``: of each arm, the stages that are measured."""
        cells = self.spec().cells
        return _problem(cells, positions, different=tuple(cells))


ProtocolDescription = Annotated[SftOrRl | InteriorOptimum, Field(discriminator="kind")]


def _problem(
    cells: Mapping[str, str], positions: Mapping[str, Collection[str]], *, different: Collection[str]
) -> str | None:
    """Return what is wrong with a cell, if anything. ``different``: roles that must not share a cell."""
    places: dict[str, str] = {}
    for role, cell in cells.items():
        arm, _, position = cell.partition("@")
        if arm not in positions:
            return f"protocol: {role} names the cell {cell!r} of an unknown arm ({', '.join(positions)})"
        if position.partition(":")[0] not in positions[arm]:
            return (
                f"protocol: {role} names the cell {cell!r}, but {arm!r} has only "
                f"{', '.join(f'{arm}@{each}' for each in positions[arm])}"
            )
        if role in different and places.setdefault(cell, role) != role:
            return f"protocol: {places[cell]} and {role} name the same cell {cell!r}: they must differ"
    return None
