"""The score that a text came with: a controlled world knows it, a labelled file states it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from upbringing.base.description import Description
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.meanings import SCORES
from upbringing.data.interventions.scoring.tools import ScoringTools


class OracleScorer(Description):
    """Read ``Document.harm``; a text without one is unscored."""

    kind: Literal["oracle"] = "oracle"

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer; needs nothing."""
        return Oracle()


@dataclass(frozen=True)
class Oracle:
    """Repeats what is known. A number off the scale is unscored too: it is no score of this scale."""

    @property
    def id(self) -> str:
        """Name and version."""
        return "oracle/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the known score of each document."""
        return [_known(document.harm) for document in documents]


def _known(harm: int | None) -> HarmScore:
    if harm is None:
        return HarmScore(None, "no-oracle-score")
    if harm not in SCORES:
        return HarmScore(None, f"off-scale: {harm}")
    return HarmScore(int(harm), "known", 1.0)
