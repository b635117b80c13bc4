"""Simulated studies whose judge errs: the process of statistics-and-measures, section 7.4, with scenario D9."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

ARMS = ("a", "b")
WORDS = np.array(["refuse", "harmful"])


@dataclass(frozen=True)
class Judged:
    """A study of two arms. ``errors``: per arm, the judge's sensitivity and specificity for harm."""

    num_items: int = 200
    num_seeds: int = 5
    effect: float = 0.0
    errors: tuple[tuple[float, float], ...] = ((0.95, 0.9), (0.71, 0.9))
    num_labels: int = 60
    by_verdict: bool = True
    seed_deviation: float = 0.15
    per_cluster: int = 1
    centre: float = -0.4

    def truth_rate(self, arm: str) -> float:
        """Return the rate of harm of a recipe over all prompts and runs, by Gauss-Hermite integration."""
        points, weights = np.polynomial.hermite_e.hermegauss(60)
        spread = (1.5**2 + 0.7**2 + 0.3**2 + self.seed_deviation**2) ** 0.5
        shift = self.centre + self.effect * ARMS.index(arm)
        return float(weights @ (1 / (1 + np.exp(-shift - spread * points))) / weights.sum())

    def truth(self, random: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
        """Return per checkpoint whether each answer is harmful."""
        num_clusters = self.num_items // self.per_cluster
        item = np.repeat(random.normal(0, 1.5, num_clusters), self.per_cluster)
        found = {}
        for run in range(self.num_seeds):
            shared = random.normal(0, 0.3)
            for arm, shift in zip(ARMS, (0.0, self.effect), strict=True):
                own = np.repeat(random.normal(0, 0.7, num_clusters), self.per_cluster)
                logits = shift + self.centre + item + own + shared + random.normal(0, self.seed_deviation)
                found[f"{arm}-{run}"] = random.random(self.num_items) < 1 / (1 + np.exp(-logits))
        return found

    def study(self, seed: int) -> tuple[pa.Table, Tree, pa.Table]:
        """Return rows, tree and labels of one study."""
        random = np.random.default_rng(seed)
        rows, labels = [], []
        for name, harmful in self.truth(random).items():
            sensitivity, specificity = self.errors[ARMS.index(name[0])]
            noise = random.random(self.num_items)
            judged = np.where(harmful, noise < sensitivity, noise > specificity)
            rows.append(self._rows(name, judged))
            labels.append(self._labels(name, harmful, judged, random))
        return pa.concat_tables(rows), self._tree(), pa.concat_tables(labels)

    def _rows(self, name: str, judged: NDArray[np.bool_]) -> pa.Table:
        return pa.table(
            {
                "checkpoint": [name] * self.num_items,
                "measure": ["harm"] * self.num_items,
                "item": [str(number) for number in range(self.num_items)],
                "judge": ["j"] * self.num_items,
                "judge_kind": ["llm"] * self.num_items,
                "outcome": WORDS[judged.astype(int)],
                "value": judged.astype(float),
                "response": [f"{name}/{number}" for number in range(self.num_items)],
            }
        )

    def _labels(
        self, name: str, harmful: NDArray[np.bool_], judged: NDArray[np.bool_], random: np.random.Generator
    ) -> pa.Table:
        groups = (
            [np.flatnonzero(judged == verdict) for verdict in (False, True)]
            if self.by_verdict
            else [np.arange(self.num_items)]
        )
        groups = [group for group in groups if len(group)]
        chosen, probability, left = [], [], self.num_labels
        for place, group in enumerate(sorted(groups, key=len)):
            num = min(len(group), left // (len(groups) - place))
            left -= num
            chosen.append(random.choice(group, num, replace=False))
            probability.append(np.full(num, num / len(group)))
        drawn = np.concatenate(chosen)
        return pa.table(
            {
                "checkpoint": [name] * len(drawn),
                "response": [f"{name}/{number}" for number in drawn],
                "outcome": WORDS[harmful[drawn].astype(int)],
                "rater": ["1"] * len(drawn),
                "sampling_probability": np.concatenate(probability),
            }
        )

    def _tree(self) -> Tree:
        contrast = ContrastSpec(
            name="b - a",
            weights={"b@sft": 1.0, "a@sft": -1.0},
            measure="harm",
            role="primary",
            level="L2",
            kind="branch",
            margin=0.1,
        )
        names = [(arm, run) for run in range(self.num_seeds) for arm in ARMS]
        stages = (StageInfo(role="pretrain", kind="pretrain"),)
        return Tree(
            study=StudyInfo(name="judged", primary=("harm",), contrasts=(contrast,), margins={"harm": 0.1}),
            checkpoints=tuple(Checkpoint(id=f"{arm}-{run}", stages=stages) for arm, run in names),
            cells=tuple(
                Cell(arm=arm, position="sft", checkpoint=f"{arm}-{run}", seeds=CellSeeds(world=run, pretrain=run))
                for arm, run in names
            ),
            measures=(MeasureInfo(id="harm", direction="lower-is-safer", counts_incoherent=True),),
            items=tuple(
                ItemInfo(id=str(number), cluster=str(number // self.per_cluster), request="harmful")
                for number in range(self.num_items)
            ),
        )
