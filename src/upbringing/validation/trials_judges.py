"""Trials of judges that err: corrected by human labels through ``attribute``, and a difference corrected alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from upbringing.attribution.attribute import attribute
from upbringing.attribution.statistics.inference import CONFIDENCE, t_quantile
from upbringing.attribution.statistics.prediction_powered import Labelled, prediction_powered
from upbringing.formats.items import JudgeKind
from upbringing.validation.drawing import draw
from upbringing.validation.process import Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import labels_of, rows_of, tree_of
from upbringing.validation.trials_attribute import UNDECIDED
from upbringing.validation.trials_contrast import NAN


@dataclass(frozen=True, kw_only=True)
class CorrectedTrial:
    """A study whose judge errs more on one cell, with labels of each checkpoint; and the same study without labels."""

    scenario: Scenario
    design: Design
    labels: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = draw(self.scenario, self.design, random)
        rows, tree = rows_of(drawn), tree_of(self.scenario, self.design, 0.10)
        claim = attribute(rows, tree, labels_of(drawn, self.labels, random), other_estimators=False).claims[0]
        truth = self.scenario.truth(self.scenario.contrasts[0])
        number = claim.corrected
        has_interval = number is not None and number.low is not None and number.high is not None
        return {
            "is_corrected": float(has_interval),
            "error": NAN if number is None else number.estimate - truth,
            "standard_error": NAN,
            "covered": float(_holds(number.low, number.high, truth)) if number is not None else NAN,
            "changed": float(claim.verdict == "changed"),
        }


def _holds(low: float | None, high: float | None, truth: float) -> bool:
    return low is not None and high is not None and low <= truth <= high


@dataclass(frozen=True, kw_only=True)
class UncalibratedTrial:
    """The same study without any labels, of a judge of some ``kind``: is anything decided?"""

    scenario: Scenario
    design: Design
    kind: JudgeKind = "llm"

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        rows, tree = rows_of(draw(self.scenario, self.design, random)), tree_of(self.scenario, self.design, 0.10)
        kinds = pa.repeat(self.kind, rows.num_rows)
        rows = rows.set_column(rows.column_names.index("judge_kind"), "judge_kind", kinds)
        findings = attribute(rows, tree, other_estimators=False)
        return {
            "changed": float(findings.claims[0].verdict == "changed"),
            "undecided": float(findings.claims[0].verdict in UNDECIDED),
            "said": float(any("calibrate" in warning for warning in findings.warnings)),
        }


@dataclass(frozen=True, kw_only=True)
class PredictionPoweredTrial:
    """The difference of two checkpoints, some prompts labelled on both: labels and verdicts together, t interval."""

    scenario: Scenario
    num_items: int
    labels: int
    form: Literal["included", "excluded"]

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study, about these two checkpoints over all prompts."""
        drawn = draw(self.scenario, Design(num_items=self.num_items, num_seeds=1), random)
        human = np.diff(drawn.harmful[:, 0].astype(np.float64), axis=0)[0]
        judged = np.diff(drawn.value[:, 0], axis=0)[0]
        chosen = Labelled(human[: self.labels], judged[: self.labels], np.ones(self.labels))
        whole = judged if self.form == "included" else judged[self.labels :]
        found = prediction_powered(chosen, whole, self.form)
        reach = t_quantile(self.labels - 1, CONFIDENCE) * found.standard_error
        error = found.estimate - float(drawn.here[1] - drawn.here[0])
        return {
            "error": error,
            "standard_error": found.standard_error,
            "covered": float(abs(error) <= reach),
            "changed": float(abs(found.estimate) > reach),
        }
