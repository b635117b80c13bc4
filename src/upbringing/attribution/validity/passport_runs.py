"""The scores that a measure's passport rests on: one per checkpoint that may be read, by the places of the design."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.sources import first_condition, first_judge, format_conditions, ordered_splits
from upbringing.attribution.validity.validity import Validity
from upbringing.formats.tree import Tree

Matrix = NDArray[np.float64]
Recipes = tuple[tuple[str, tuple[str, ...]], ...]
MIN_HALF = 5  # prompt clusters in each half of a split


@dataclass(frozen=True)
class Runs:
    """A measure's headline scores. ``recipes``: the checkpoints of each place of the design, equal places once.

    ``formats``: conditions that ask the same with another template; ``in_formats``: the checkpoints that may be read
    under all of them. ``by_seed``: per recipe, the checkpoints of each first seed.
    """

    evidence: Evidence
    source: Source
    recipes: Recipes
    formats: tuple[str, ...] = ()
    in_formats: tuple[str, ...] = ()
    by_seed: tuple[Mapping[int, tuple[str, ...]], ...] = ()

    @property
    def measure(self) -> str:
        """The measure's id."""
        return self.source.measure

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """All checkpoints, each once."""
        return tuple(dict.fromkeys(name for _, names in self.recipes for name in names))

    @property
    def num_independent(self) -> int:
        """How many checkpoints count as independent: one per recipe, because runs of one are alike."""
        return len(self.recipes)

    def score(self, checkpoint: str, condition: str | None = None) -> float | None:
        """Return the score of a checkpoint, under another condition if given; ``None`` where it has none."""
        source = self.source
        if condition is not None:
            source = replace(source, condition=condition)
        values = self.evidence.values(checkpoint, source)
        if values is None or np.isnan(values.value).all():
            return None
        return float(np.nanmean(values.value))

    def scores(self, checkpoints: Iterable[str]) -> list[float]:
        """Return the scores of those of ``checkpoints`` that may be read."""
        readable = set(self.checkpoints)
        found = [self.score(name) for name in dict.fromkeys(checkpoints) if name in readable]
        return [score for score in found if score is not None]

    def pairs(self, one: Sequence[str], other: Sequence[str]) -> tuple[list[float], list[float]] | None:
        """Return the scores of two groups of checkpoints by seed; ``None`` where their seeds are not the same."""
        sides = []
        for names in (one, other):
            by_seed: dict[int, list[str]] = {}
            for seeds in self.by_seed:
                for seed, checkpoints in seeds.items():
                    by_seed.setdefault(seed, []).extend(name for name in checkpoints if name in names)
            sides.append({seed: self.scores(own) for seed, own in sorted(by_seed.items()) if own})
        if sides[0].keys() != sides[1].keys():
            return None
        first, second = ([float(np.mean(scores)) for scores in side.values()] for side in sides)
        return first, second

    def paired(self) -> Matrix:
        """Return the scores (recipes, first seeds) of the recipes that have all seeds; none if seeds are not shared."""
        several = [seeds for seeds in self.by_seed if len(seeds) > 1]
        shared = set(several[0]).intersection(*several) if several else set()
        rows = [[float(np.mean(self.scores(seeds[seed]))) for seed in sorted(shared)] for seeds in several]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(shared))

    def halves(self) -> tuple[Matrix, Matrix]:
        """Return the scores of each checkpoint on its odd and on its even prompt clusters."""
        pairs = []
        for name in self.checkpoints:
            values = self.evidence.values(name, self.source)
            known = np.zeros(0) if values is None else values.value[~np.isnan(values.value)]
            if len(known) >= 2 * MIN_HALF:
                pairs.append((float(known[::2].mean()), float(known[1::2].mean())))
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def repeats(self) -> Matrix:
        """Return the scores (checkpoints, repeated answers) of the checkpoints whose prompts were all repeated alike.

        Without repeats the table has one column.
        """
        columns = self.evidence.scores.columns
        if not columns.sample.any():
            return np.zeros((0, 1))
        named = (columns.measure, columns.condition, columns.judge)
        wanted = (self.source.measure, self.source.condition, self.source.judge)
        lines = ~np.isnan(columns.value)
        for text, label in zip(named, wanted, strict=True):
            lines &= text.codes == text.labels.index(label)
        facts = self.evidence.facts
        lines &= facts.eligible[columns.item.codes]
        if self.source.split is not None:
            lines &= facts.split[columns.item.codes] == facts.splits.index(self.source.split)
        num = int(columns.sample[lines].max(initial=0)) + 1
        place = columns.checkpoint.codes[lines].astype(np.int64) * num + columns.sample[lines]
        size = len(columns.checkpoint.labels) * num
        counts = np.bincount(place, minlength=size).reshape(-1, num)
        sums = np.bincount(place, columns.value[lines], minlength=size).reshape(-1, num)
        kept = [columns.checkpoint.labels.index(name) for name in self.checkpoints]
        even = [code for code in kept if counts[code, 0] and (counts[code] == counts[code, 0]).all()]
        means: Matrix = sums[even] / np.maximum(counts[even], 1)
        return means

    def by_format(self) -> Matrix:
        """Return the scores (checkpoints, prompt formats) of the checkpoints that were asked in all formats."""
        names = (self.source.condition, *self.formats)
        rows = [[self.score(checkpoint, name) for name in names] for checkpoint in self.in_formats]
        whole = [row for row in rows if None not in row]
        return np.array(whole, dtype=np.float64).reshape(-1, len(names))


def runs_of(tree: Tree, evidence: Evidence, design: Design, validity: Validity) -> tuple[Runs, ...]:
    """Return the scores of every measure, without the places of the design on which it may not be read."""
    found = []
    for measure in evidence.scores.columns.measure.labels:
        condition, judge = first_condition(tree, evidence, measure), first_judge(evidence, measure)
        source = Source(measure, condition, judge, ordered_splits(evidence, measure)[0])
        recipes = _recipes(evidence, design, validity, source)
        formats = _templates(tree, evidence, source)
        others = [_recipes(evidence, design, validity, replace(source, condition=name)) for name in formats]
        shared = set(recipes).intersection(*others)
        in_formats = dict.fromkeys(name for recipe in recipes if recipe in shared for name in recipe[1])
        by_seed = tuple(_by_seed(design, name) for name, _ in recipes)
        found.append(Runs(evidence, source, recipes, formats, tuple(in_formats), by_seed))
    return tuple(found)


def _by_seed(design: Design, cell: str) -> Mapping[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for seeds, checkpoint in design.cells[cell].replicates:
        found[seeds[0]] = (*found.get(seeds[0], ()), checkpoint)
    return found


def _templates(tree: Tree, evidence: Evidence, source: Source) -> tuple[str, ...]:
    """Return the conditions that differ from the headline in nothing but the template, as far as the tree says so."""
    described = {each.id: each for each in tree.conditions}
    own = described.get(source.condition)
    return tuple(
        name
        for name in format_conditions(tree, evidence, source.measure)
        if own is not None and name in described and described[name].elicitation == own.elicitation
    )


def _recipes(evidence: Evidence, design: Design, validity: Validity, source: Source) -> Recipes:
    by_checkpoints: dict[tuple[str, ...], str] = {}
    for name, cell in design.cells.items():
        if _is_read(evidence, cell.checkpoints, source) and not validity.reasons([(name, source)]):
            by_checkpoints.setdefault(cell.checkpoints, name)
    return tuple((name, checkpoints) for checkpoints, name in by_checkpoints.items())


def _is_read(evidence: Evidence, checkpoints: Sequence[str], source: Source) -> bool:
    found = [evidence.values(name, source) for name in checkpoints]
    return all(values is not None and not np.isnan(values.value).all() for values in found)
