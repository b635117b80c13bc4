"""``edit_weights``: take away, add, go part of the way or graft what training changed; trains nothing itself."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from upbringing.base.description import Description

Edit = Literal["subtract", "add", "interpolate", "graft"]
ENDING_AT_LATER = ("interpolate", "graft")  # edits that go from the edited weights towards those of ``to``


class Delta(Description):
    """What training changed: the weights of the checkpoint ``to`` minus those of ``from``, tensor by tensor.

    Both are stages of ``arm`` (absent = this arm) with all that came before them, or ``start``. Absent ``from`` = the
    checkpoint that is edited. ``random``: in place of the difference a random one with the same norm in each tensor.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    arm: str | None = None
    start: str | None = Field(default=None, alias="from")
    to: str
    random: bool = False


class EditWeights(Description):
    """Edit the weights of the checkpoint before it, theta, by a delta D, without training.

    ``subtract``: theta - strength D. ``add``: theta + strength D. ``interpolate``: theta + strength D, where theta is
    the delta's ``from``, so that 1 is its ``to``, bit for bit. ``graft``: the same in the ``modules`` named, which then
    are those of ``to``. ``modules``: names of tensors or of the modules that hold them (``*``, ``?`` as in a shell);
    all others stay. Strength 0 returns theta, bit for bit. Sums are taken in fp32 and saved in the checkpoint's type;
    in fp32 where the delta's checkpoints have another one, so that rounding does not undo the edit. A random delta
    draws each tensor from a stream of its name.

    Source: Ilharco et al. 2023 (task arithmetic); Panigrahi et al. 2023 (grafting). Departures: modules are named, not
    learned.
    """

    kind: Literal["edit_weights"] = "edit_weights"
    delta: Delta
    edit: Edit
    strength: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    modules: tuple[str, ...] = Field(default=("*",), min_length=1)

    @model_validator(mode="after")
    def _a_graft_names_its_modules(self) -> Self:
        if self.edit == "graft" and "modules" not in self.model_fields_set:
            raise ValueError("a graft names the modules that it takes: modules: [model.layers.0, ...]")
        return self

    @property
    def identity(self) -> bool:
        """Whether the edit is declared to change nothing."""
        return self.strength == 0

    @property
    def ends_at_later(self) -> bool:
        """Whether strength 1 is the checkpoint ``to`` itself, where the modules match."""
        return self.edit in ENDING_AT_LATER and not self.delta.random

    def concerns(self, tensor: str) -> bool:
        """Return whether the tensor of this name is edited."""
        return any(matches(tensor, pattern) for pattern in self.modules)


def matches(tensor: str, pattern: str) -> bool:
    """Return whether a pattern names a tensor, or a module that holds it."""
    return fnmatchcase(tensor, pattern) or fnmatchcase(tensor, f"{pattern}.*")
