"""Simulated studies for the measure passport: arms, runs, repeats and templates with planted scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Findings
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ConditionInfo,
    ContrastSpec,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """An arm of one stage. ``means``: per measure, the mean score of each of its runs."""

    name: str
    means: dict[str, Sequence[float]]
    control: str = "none"
    known: str | None = None
    factors: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    base: str | None = None  # the arm whose runs came before, at position "base"


@dataclass(frozen=True)
class Measured:
    """A study of arms. ``answers``: how a run's mean becomes scores (items, repeats, templates)."""

    arms: Sequence[Arm]
    num_items: int = 40
    num_repeats: int = 1
    num_templates: int = 1
    margin: float | None = 0.1
    default_margins: Literal["strict", "loose"] | None = None
    contrasts: Sequence[ContrastSpec] = ()
    directions: dict[str, str] = field(default_factory=dict)
    judged: frozenset[str] = frozenset()
    template_noise: float = 0.0
    weights_sha256: str | None = None
    describes_conditions: bool = True
    answers: Callable[[np.random.Generator, float, tuple[int, int]], Numbers] | None = None

    def findings(self, seed: int = 0) -> Findings:
        """Return the findings of one simulated study."""
        return attribute(*self.tables(seed), other_estimators=False)

    def tables(self, seed: int = 0) -> tuple[pa.Table, Tree]:
        """Return the rows and the tree of one simulated study."""
        random = np.random.default_rng(seed)
        parts = [
            self._rows(f"{arm.name}-{run}", measure, mean, random)
            for arm in self.arms
            for measure, means in arm.means.items()
            for run, mean in enumerate(means)
        ]
        return pa.concat_tables(parts), self._tree()

    def _rows(self, checkpoint: str, measure: str, mean: float, random: np.random.Generator) -> pa.Table:
        tables = []
        for template in range(self.num_templates):
            own = mean + (random.normal(0, self.template_noise) if self.template_noise else 0.0)
            if self.answers is None:
                scores = (random.random((self.num_items, self.num_repeats)) < own).astype(float)
            else:
                scores = self.answers(random, own, (self.num_items, self.num_repeats))
            num = scores.size
            item, sample = np.indices(scores.shape)
            judge = {"judge": ["o"] * num, "judge_kind": ["oracle"] * num, "outcome": ["harmless"] * num}
            tables.append(
                pa.table(
                    {
                        "checkpoint": [checkpoint] * num,
                        "measure": [measure] * num,
                        "condition": [f"t{template}"] * num,
                        "item": [f"{number:03d}" for number in item.ravel()],
                        "sample": sample.ravel(),
                        "value": scores.ravel(),
                        **(judge if measure in self.judged else dict.fromkeys(judge, pa.nulls(num, pa.string()))),
                    }
                )
            )
        return pa.concat_tables(tables, promote_options="permissive")

    def _tree(self) -> Tree:
        stage = (StageInfo(role="pretrain", kind="pretrain"),)
        runs = [(arm, run) for arm in self.arms for run in range(len(next(iter(arm.means.values()))))]
        measures = dict.fromkeys(measure for arm in self.arms for measure in arm.means)
        return Tree(
            study=StudyInfo(
                name="passport",
                contrasts=tuple(self.contrasts),
                primary=tuple(measures)[:1],
                margins={} if self.margin is None else dict.fromkeys(measures, self.margin),
                default_margins=self.default_margins,
            ),
            checkpoints=tuple(
                Checkpoint(
                    id=f"{arm.name}-{run}",
                    stages=stage,
                    parent=f"{arm.base}-{run}" if arm.base else None,
                    weights_sha256=self.weights_sha256,
                )
                for arm, run in runs
            ),
            cells=tuple(
                Cell.model_validate(
                    {
                        "arm": arm.name.partition("/")[0],
                        "position": arm.name.partition("/")[2] or "sft",
                        "checkpoint": f"{arm.name}-{run}",
                        "control": arm.control,
                        "known": arm.known,
                        "factors": arm.factors,
                        "state": arm.state,
                        "seeds": CellSeeds(world=run, pretrain=run),
                    }
                )
                for arm, run in runs
            ),
            measures=tuple(
                MeasureInfo.model_validate(
                    {"id": measure, "direction": self.directions.get(measure, "lower-is-safer"), "unit": "share"}
                )
                for measure in measures
            ),
            conditions=tuple(
                ConditionInfo(id=f"t{number}", elicitation="E1", template=f"t{number}")
                for number in range(self.num_templates if self.describes_conditions else 0)
            ),
        )


def steady(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Numbers:
    """Return scores around ``mean``, the same at every repeat, that depend on the item alone."""
    items = np.linspace(-0.2, 0.2, shape[0])[:, None]
    return np.clip(np.repeat(mean + items, shape[1], axis=1), 0, 1)
