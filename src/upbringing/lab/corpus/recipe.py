"""The recipe of a corpus: what is read, how it is scored, routed and transformed, and what is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import StudyError
from upbringing.base.quantities import Count
from upbringing.base.strict_yaml import load_yaml
from upbringing.data.interventions.duplicates import NearDuplicates
from upbringing.data.interventions.routing import Route, check_cover
from upbringing.data.interventions.scoring.scorers import AnyScorer
from upbringing.data.transforms import ASKING, Transform
from upbringing.lab.corpus.seam import AnyWriter, no_placebo, unfit
from upbringing.lab.scoring.opening import refuse_uncapped
from upbringing.models.endpoint import Endpoint
from upbringing.study.loading import validated


class Columns(Description):
    """Which columns are read. ``id``: names a document, and all that is drawn for it; ``None`` = a hash of its text.
    ``score``: a column of harm scores 0..5 or nothing. ``source``: a column that names the component of the corpus a
    document belongs to; ``None``, or nothing in the column = the name of its file.
    """

    text: str = "text"
    id: str | None = None
    score: str | None = None
    source: str | None = None


class Files(Description):
    """Files, folders of them, or patterns. ``format``: ``None`` = what each name says (.jsonl, .csv, .tsv, .txt, each
    also .gz and .zst; .parquet), but of a folder no csv and txt. A line of ``txt`` is a row of the column ``text``.
    """

    kind: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1)
    format: Literal["jsonl", "parquet", "csv", "txt"] | None = None


class SavedDataset(Description):
    """A folder that the library ``datasets`` saved (``save_to_disk``). ``split``: of a folder that holds several."""

    kind: Literal["dataset"] = "dataset"
    path: str
    split: str | None = None


class HubDataset(Description):
    """A data set of a hub, streamed. ``revision`` is a full commit, so that the same recipe reads the same rows."""

    kind: Literal["hub"] = "hub"
    name: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    config: str | None = None
    split: str = "train"


class Dedup(Description):
    """Which duplicates are rejected; the first of a group in the corpus's order is kept."""

    exact: bool = True
    near: NearDuplicates | None = None


class Output(Description):
    """What is written. ``columns``: further columns of the input that a document carries along."""

    format: Literal["jsonl", "parquet"] = "jsonl"
    columns: tuple[str, ...] = ()


class CorpusRecipe(Description):
    """One run over a corpus. ``seed`` and a document's id name everything that is drawn for it.

    ``scorer`` scores the documents, unless ``columns.score`` does, and whatever transforms write. ``endpoints``: by the
    names under which scorers ask them. ``unscored``: what happens to a document without a score; ``stop``, the default,
    because keeping lets harm through and dropping biases what is left, and neither should happen unasked.
    ``lower_bounds``: a score that is only a lower bound is none where a higher one would be routed otherwise;
    ``scores`` takes it as it is. ``bad_rows``: rows that are no document (broken UTF-8, wrong types, too long).
    ``reserved``: strings that must not occur, such as a tag that is to be inserted. ``shard_bytes``: how much text is
    read, held and written as one piece. ``concurrency``: paid calls at once.
    """

    input: Annotated[Files | SavedDataset | HubDataset, Field(discriminator="kind")]
    columns: Columns = Columns()
    scorer: AnyScorer | None = None
    endpoints: Mapping[str, Endpoint] = Field(default_factory=dict)
    writer: AnyWriter | None = None
    dedup: Dedup = Dedup()
    route: tuple[Route, ...] = ()
    unscored: Literal["stop", "keep", "drop"] = "stop"
    lower_bounds: Literal["unscored", "scores"] = "unscored"
    bad_rows: Literal["reject", "stop"] = "reject"
    max_document_bytes: Count = Field(default=10_000_000, ge=1)
    reserved: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    output: Output = Output()
    shard_bytes: Count = Field(default=32_000_000, ge=1)
    concurrency: int = Field(default=8, ge=1, le=1024)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.route:
            check_cover(self.route)
            if self.scorer is None and self.columns.score is None:
                raise ValueError("route needs scores: give a scorer or columns.score")
        refuse_uncapped(self.endpoints)
        if problem := unfit(self.transforms(), has_scorer=self.scorer is not None, has_writer=self.writer is not None):
            raise ValueError(problem)
        for rule in self.route:
            if not isinstance(rule.do, str) and (problem := no_placebo(rule.do, rule.covered())):
                raise ValueError(problem)
        asks = any(isinstance(each, ASKING) for each in self.transforms())
        if self.scorer is not None and self.columns.score is not None and not asks:
            raise ValueError("scorer and columns.score both give scores: keep one")
        taken = {"id", "text", "spans", "messages", "harm", "made_from", "source", "loss", "teacher", "metadata"}
        clashing = sorted(taken & set(self.output.columns))
        if clashing:
            raise ValueError(f"output.columns may not name {', '.join(clashing)}: these are written anyway")
        return self

    def transforms(self) -> tuple[Transform, ...]:
        """Return all transforms of the routes."""
        return tuple(transform for route in self.route if not isinstance(route.do, str) for transform in route.do)

    @property
    def has_scores(self) -> bool:
        """Whether documents are scored at all."""
        return self.scorer is not None or self.columns.score is not None

    def needed_columns(self) -> tuple[str, ...]:
        """Return the columns that are read."""
        columns = self.columns
        named = (columns.text, columns.id, columns.score, columns.source, *self.output.columns)
        return tuple(dict.fromkeys(name for name in named if name is not None))


def load_recipe(path: Path) -> CorpusRecipe:
    """Return the recipe in the YAML file ``path``; raise ``StudyError`` naming file and line."""
    located = load_yaml(path)
    if not isinstance(located.value, dict):
        raise StudyError(f"{path.name}:1: a recipe is a mapping with input, route, output ..., found {located.value!r}")
    return validated(CorpusRecipe, located)
