"""The documents of a piece that are left after the first pass, with their scores and what their rules do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.interventions.routing import Route, decided, route_of
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE, HarmScore
from upbringing.data.transforms import Transform, marks_of
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.given_labels import GivenLabels
from upbringing.lab.corpus.journal import Journal
from upbringing.lab.corpus.reading import BadRow, Row, rows_of
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.resolving import Decisions, read_decisions
from upbringing.lab.corpus.seam import CorpusTools
from upbringing.lab.corpus.units import Unit

BATCH = 1024  # scorers that compile something for a batch do so once for many documents
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Piece:
    """A piece while it is worked on. ``labels``: of its documents, where they compare all texts of the corpus."""

    unit: Unit
    recipe: CorpusRecipe
    tools: CorpusTools
    decisions: Decisions
    journal: Journal | None
    labels: GivenLabels
    _rules: dict[tuple[int, str], tuple[int, Route]] = field(default_factory=dict)

    def rule(self, score: int, source: str) -> tuple[int, Route]:
        """Return number (from 0) and rule for a score in a source, looked up once."""
        if (score, source) not in self._rules:
            rule = route_of(self.recipe.route, score, source)
            self._rules[score, source] = self.recipe.route.index(rule), rule
        return self._rules[score, source]


class Named(NamedTuple):
    """A document that is left after the first pass. ``name``: its id, made distinct."""

    row: Row
    name: str
    document: Document


@dataclass(frozen=True)
class LeftOut:
    """A row that is no document, which has no name, or a duplicate, and why it is left out."""

    row: Row | BadRow
    name: str | None
    code: str
    reason: str


class Routed(NamedTuple):
    """A document with its score. ``do``: keep, drop, or the transforms of the rule that has the number ``rule``."""

    named: Named
    score: HarmScore
    do: str | tuple[Transform, ...]
    rule: int | None

    @property
    def document(self) -> Document:
        """The document, which knows its score."""
        return replace(self.named.document, harm=self.score.score)


def open_piece(
    unit: Unit, recipe: CorpusRecipe, tools: CorpusTools, folders: Folders, labels: GivenLabels | None = None
) -> Piece:
    """Return ``unit`` ready to be worked on; paid results that were had before are in its journal."""
    marks, takes_bounds = (*recipe.reserved, *marks_of(recipe.transforms())), recipe.lower_bounds == "scores"
    tools = replace(tools, reserved=marks, takes_bounds=takes_bounds)
    journal = Journal(folders.journal / f"{unit.number:06d}.jsonl") if tools.paid else None
    return Piece(unit, recipe, tools, read_decisions(unit, folders.decisions), journal, labels or GivenLabels())


def routed_batches(piece: Piece, leave: Callable[[LeftOut], None]) -> Iterator[list[Routed]]:
    """Yield the documents of a piece in order, scored and routed; ``leave`` is told of every other row.

    Raises ``DataError`` for a document without a score if the recipe says stop.
    """
    scores = iter(piece.labels.scores)
    for batch in _batches(piece, leave):
        found = [next(scores) for _ in batch] if piece.labels.scores else _scores(piece, batch)
        yield [_routed(piece, named, score) for named, score in zip(batch, found, strict=True)]


def _batches(piece: Piece, leave: Callable[[LeftOut], None]) -> Iterator[list[Named]]:
    batch: list[Named] = []
    place = 0
    for row in rows_of(piece.unit, piece.recipe):
        if isinstance(row, BadRow):
            leave(LeftOut(row, None, row.code, row.reason))
            continue
        named = _named(piece, row, str(place))
        place += 1
        if isinstance(named, LeftOut):
            leave(named)
            continue
        batch.append(named)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _named(piece: Piece, row: Row, place: str) -> Named | LeftOut:
    """Return the document, unless it is a duplicate."""
    repeat = piece.decisions.repeat.get(place)
    name = row.id if repeat is None else f"{row.id}#{repeat}"
    for code, found in (("exact duplicate", piece.decisions.exact), ("near duplicate", piece.decisions.near)):
        if place in found:
            return LeftOut(row, name, code, f"{code} of {found[place]}")
    document = Document(text=row.text, source=row.source, harm=row.score, metadata={"id": name}, spans=row.spans)
    return Named(row, name, document)


def _scores(piece: Piece, batch: Sequence[Named]) -> list[HarmScore]:
    scorer, recipe = piece.tools.scorer, piece.recipe
    if scorer is None or recipe.columns.score is not None:
        reason = "of the score column" if recipe.has_scores else "nothing scores this corpus"
        found = [HarmScore(named.row.score, reason) for named in batch]
    elif piece.tools.paid_scorer:
        found = mapped(piece, lambda named: _paid_score(piece, named), batch)
    else:
        found = scorer.score([named.document for named in batch])
    if recipe.lower_bounds == "unscored":
        found = [decided(recipe.route, score, named.row.source) for named, score in zip(batch, found, strict=True)]
    for named, score in zip(batch, found, strict=True):
        if score.score is None:
            if recipe.route and recipe.unscored == "stop":
                raise DataError(
                    f"{piece.unit.file} row {named.row.number} ({named.name}) has no score: {score.reason}. Say what "
                    "happens to such documents: unscored: keep or drop"
                )
        elif not LOWEST_SCORE <= score.score <= HIGHEST_SCORE:
            raise DataError(f"the scorer gave {named.name} the score {score.score}, expected 0 to 5")
    return found


def _paid_score(piece: Piece, named: Named) -> HarmScore:
    assert piece.journal is not None
    assert piece.tools.scorer is not None
    known = piece.journal.score(named.name)
    if known is None:
        [known] = piece.tools.scorer.score([named.document])
        piece.journal.note(named.name, known)
    return known


def _routed(piece: Piece, named: Named, score: HarmScore) -> Routed:
    if not piece.recipe.route:
        return Routed(named, score, "keep", None)
    if score.score is None:
        return Routed(named, score, piece.recipe.unscored, None)
    number, rule = piece.rule(score.score, named.row.source)
    return Routed(named, score, rule.do, number)


def mapped(piece: Piece, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``function`` of each item, in order; paid calls run beside each other, as many as the recipe allows."""
    if piece.journal is None or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(piece.recipe.concurrency) as threads:
        futures = [threads.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
