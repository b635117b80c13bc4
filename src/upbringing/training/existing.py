"""``existing``: a checkpoint that somebody else trained, taken into the tree as it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Count

LABEL_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"  # that of stages, beside which it stands


class Existing(Description):
    """A local Hugging Face folder, or a hub id pinned to a revision (``org/name@revision``).

    ``template``: text of a chat template to use instead of the folder's own (per-stage templates of public
    families differ); ``None`` = the folder's own. ``parameters``: how many weights it has, for plans made before it is
    here; it enters no id. ``label``: what cells call the checkpoint where an arm starts with it (``main@base``); absent
    = ``start``. It enters no id either. Nothing is trained.
    """

    kind: Literal["existing"] = "existing"
    checkpoint: str
    template: str | None = None
    parameters: Count | None = None
    # studies without one keep their bytes
    label: str | None = Field(default=None, pattern=LABEL_PATTERN, exclude_if=lambda value: value is None)
