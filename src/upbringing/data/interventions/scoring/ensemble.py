"""Several scorers at once: the highest score counts, so that a text must pass all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.highest import highest
from upbringing.data.interventions.scoring.tools import ScoringTools

if TYPE_CHECKING:
    from upbringing.data.interventions.scoring.scorers import AnyScorer


class EnsembleScorer(Description):
    """Take the maximum over ``members``. Source: Maini et al. 2025, chosen for recall.

    ``partial``: what becomes of a text that a member could not score, unless another gave it the highest score:
    a ``lower_bound``, marked as such, or ``unscored``.
    """

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[AnyScorer, ...] = Field(min_length=2)
    partial: Literal["lower_bound", "unscored"] = "lower_bound"

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer with its members opened."""
        return Ensemble(self, tuple(member.open(tools) for member in self.members))


@dataclass(frozen=True)
class Ensemble:
    """Opened members."""

    description: EnsembleScorer
    members: tuple[Scorer, ...]

    @property
    def id(self) -> str:
        """Names of all members, and what becomes of partly scored texts."""
        return f"maximum/1:{self.description.partial}({', '.join(member.id for member in self.members)})"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the highest score of each document over the members."""
        columns = [member.score(documents) for member in self.members]
        names = [member.id for member in self.members]
        unscored = self.description.partial == "unscored"
        return [highest(scores, names, partial_is_unscored=unscored) for scores in zip(*columns, strict=True)]
