"""``existing``: a checkpoint that somebody else trained, taken into the tree as it is."""

from __future__ import annotations

from typing import Literal

from upbringing.base.description import Description
from upbringing.base.quantities import Count


class Existing(Description):
    """A local Hugging Face folder, or a hub id pinned to a revision (``org/name@revision``).

    ``template``: text of a chat template to use instead of the folder's own (per-stage templates of public
    families differ); ``None`` = the folder's own. ``parameters``: how many weights it has, for plans made before it is
    here; it enters no id. Nothing is trained.
    """

    kind: Literal["existing"] = "existing"
    checkpoint: str
    template: str | None = None
    parameters: Count | None = None
