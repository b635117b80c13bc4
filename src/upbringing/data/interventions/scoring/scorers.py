"""The typed union of scorers: adding one is one file with its description and one name here.

Descriptions are to be imported from here: those that hold scorers are complete only once all are known.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upbringing.base.kinds import BareWord
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.scoring.chunked import ChunkedScorer
from upbringing.data.interventions.scoring.classifier import ClassifierScorer
from upbringing.data.interventions.scoring.ensemble import EnsembleScorer
from upbringing.data.interventions.scoring.keywords import KeywordScorer
from upbringing.data.interventions.scoring.noisy import NoisyScorer
from upbringing.data.interventions.scoring.oracle import OracleScorer
from upbringing.data.interventions.scoring.rubric import RubricScorer
from upbringing.data.interventions.scoring.sequence_classifier import SequenceClassifierScorer
from upbringing.data.interventions.scoring.tools import ScoringTools

__all__ = [
    "AnyScorer",
    "ChunkedScorer",
    "ClassifierScorer",
    "EnsembleScorer",
    "KeywordScorer",
    "NoisyScorer",
    "OracleScorer",
    "RubricScorer",
    "SequenceClassifierScorer",
    "open_scorer",
]

AnyScorer = Annotated[
    OracleScorer
    | KeywordScorer
    | ClassifierScorer
    | SequenceClassifierScorer
    | RubricScorer
    | EnsembleScorer
    | ChunkedScorer
    | NoisyScorer,
    Field(discriminator="kind"),
    BareWord(words=("oracle",)),
]

for _description in (
    KeywordScorer,
    EnsembleScorer,
    ChunkedScorer,
    NoisyScorer,
):  # they hold scorers, which are known only now
    _description.model_rebuild(_types_namespace={"AnyScorer": AnyScorer})


def open_scorer(description: AnyScorer, tools: ScoringTools | None = None) -> Scorer:
    """Return the opened scorer, ready to score any number of batches.

    Raises ``DataError`` where a file, checkpoint or endpoint it names is not what it must be.
    """
    return description.open(tools or ScoringTools())
