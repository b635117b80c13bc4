"""The passes before the last one, where transforms compare the labels of all texts: find them, then settle them.

Each pass finds the labels of one transform of every rule: what that is given may depend on those before it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from upbringing.base.files import write_json_atomic
from upbringing.data.interventions.relabelling import Block, Relabelling, Whole
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.transforms import Relabels
from upbringing.lab.corpus.chain import collected
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.given_labels import (
    GivenLabels,
    OfDocument,
    Population,
    PopulationName,
    UnitLabels,
    label_file,
    needed_unit_labels,
    read_unit_labels,
    write_unit_labels,
)
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.routed import mapped, open_piece, routed_batches
from upbringing.lab.corpus.seam import CorpusTools, compared_places
from upbringing.lab.corpus.units import Unit

Noted = list[tuple[str, str, list[bool] | str]]  # document, name of the text, its true labels or why it has none


def num_stages(recipe: CorpusRecipe) -> int:
    """Return how many passes find labels: the most transforms of one rule that compare those of all texts."""
    return max((len(compared_places(rule.do)) for rule in recipe.route if not isinstance(rule.do, str)), default=0)


def label_unit(unit: Unit, recipe: CorpusRecipe, tools: CorpusTools, folders: Folders, stage: int) -> int:
    """Find the true labels of ``unit`` that the pass ``stage`` is for, unless that is done; return its documents."""
    path = label_file(folders.labels, stage, unit.number)
    if (known := read_unit_labels(path)) is not None:
        return known.num_documents
    piece = open_piece(unit, recipe, tools, folders, given_labels(unit, recipe, folders, stage))
    scores: list[HarmScore] = []
    noted: defaultdict[PopulationName, Noted] = defaultdict(list)
    for batch in routed_batches(piece, lambda left: None):
        scores += [each.score for each in batch]
        found = mapped(piece, lambda each: collected(piece, each, stage), batch)
        for each, labels in zip(batch, found, strict=True):
            for population, name, label in labels:
                noted[population].append((each.named.name, name, label))
    populations = {name: _population(texts, _relabelling(recipe, name), recipe.seed) for name, texts in noted.items()}
    write_unit_labels(path, UnitLabels(len(scores), tuple(scores) if stage == 0 else (), populations))
    return len(scores)


def _population(texts: Noted, relabelling: Relabelling, seed: int) -> Population:
    entries = [(document, name, found if isinstance(found, str) else None) for document, name, found in texts]
    labelled = [(name, found) for _, name, found in texts if not isinstance(found, str)]
    block = relabelling.block([name for name, _ in labelled], [found for _, found in labelled], seed)
    return Population(tuple(entries), block)


def _relabelling(recipe: CorpusRecipe, name: PopulationName) -> Relabelling:
    transform = recipe.route[name.rule].do[name.place]
    assert isinstance(transform, Relabels)
    return transform.relabelling


def settle_labels(units: Sequence[Unit], recipe: CorpusRecipe, folders: Folders, stage: int) -> None:
    """Write what the labels of the pass ``stage`` depend on besides their own draws, unless that is done.

    Memory: one piece at a time. Raises ``DataError`` for a noise that the labels of the corpus do not allow.
    """
    if folders.settled(stage).exists():
        return
    files = [label_file(folders.labels, stage, unit.number) for unit in units]
    names = sorted({name for path in files for name in needed_unit_labels(path).populations})
    write_json_atomic(folders.settled(stage), [_settled(files, name, recipe) for name in names])


def _settled(files: Sequence[Path], name: PopulationName, recipe: CorpusRecipe) -> dict[str, Any]:
    relabelling = _relabelling(recipe, name)
    whole = relabelling.whole(lambda: _blocks(files, name))
    first_rows, called, rightly = [0], 0, 0
    for block in _blocks(files, name):
        labels = relabelling.labels(block, whole, first_rows[-1])
        called, rightly = called + int(labels.sum()), rightly + int((labels & block.truth).sum())
        first_rows.append(first_rows[-1] + len(block.names))
    counts = {"parts": whole.parts, "unsafe": whole.unsafe, "called_unsafe": called, "rightly": rightly}
    return {"name": asdict(name), "whole": asdict(whole), "first_rows": first_rows, "counts": counts}


def _blocks(files: Sequence[Path], name: PopulationName) -> Iterator[Block]:
    """Yield the block of every piece, an empty one where it has no text of the population."""
    for path in files:
        found = needed_unit_labels(path).populations.get(name)
        yield Relabelling().block((), (), 0) if found is None else found.block


def given_labels(unit: Unit, recipe: CorpusRecipe, folders: Folders, stages: int) -> GivenLabels:
    """Return what the first ``stages`` passes found and settled for ``unit``."""
    scores: tuple[HarmScore, ...] = ()
    labels: dict[tuple[int, int], dict[str, OfDocument]] = {}
    for stage in range(stages):
        found = needed_unit_labels(label_file(folders.labels, stage, unit.number))
        scores = scores or found.scores
        for settled in json.loads(folders.settled(stage).read_bytes()):
            name, plain = PopulationName(**settled["name"]), settled["whole"]
            if name not in found.populations:
                continue
            whole = Whole(**{**plain, "last": plain["last"] and tuple(plain["last"])})
            population = found.populations[name]
            called = _relabelling(recipe, name).labels(population.block, whole, settled["first_rows"][unit.number])
            _give(
                labels.setdefault((name.rule, name.place), {}), name.what, population, population.block.by_text(called)
            )
    return GivenLabels(scores, labels)


def _give(into: dict[str, OfDocument], what: str, population: Population, labels: Sequence[list[bool]]) -> None:
    """Note the settled ``labels`` of the texts that have some, and why the others have none, by their documents."""
    left = iter(labels)
    for document, name, reason in population.entries:
        found = into.setdefault(document, OfDocument({})).found
        found.setdefault(what, []).append((name, next(left) if reason is None else reason))


def label_counts(recipe: CorpusRecipe, folders: Folders) -> dict[str, dict[str, int]]:
    """Return, by transform, how many ``parts`` there are, how many the scorer calls ``unsafe``, how many are
    ``called_unsafe`` in the end, and how many of those ``rightly``.
    """
    counts = {}
    for stage in range(num_stages(recipe)):
        for settled in json.loads(folders.settled(stage).read_bytes()):
            name = PopulationName(**settled["name"])
            kind = recipe.route[name.rule].do[name.place].kind  # type: ignore[union-attr]
            label = f"{kind} of rule {name.rule + 1}, place {name.place + 1}, {name.what}"
            counts[label] = settled["counts"]
    return counts
