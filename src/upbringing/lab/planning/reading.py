"""Read a study's data before anything is trained: how long stages in epochs are, and who wrote their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from upbringing.base.description import Description
from upbringing.base.errors import StudyError, UpbringingError
from upbringing.data.stream import StreamInfo, read_info
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.lab.building.build import stream_key, tokenizer_jobs, tokenizer_key
from upbringing.lab.building.cap_places import at_stage
from upbringing.lab.building.data_teachers import read_teachers
from upbringing.lab.building.executor import Event, Outcome
from upbringing.lab.building.filling import fill_stream
from upbringing.lab.building.library import Library
from upbringing.lab.building.own_answers import answers_key, parts_of
from upbringing.lab.building.template_checks import require_templates
from upbringing.lab.session import Session
from upbringing.lab.storage.remembered import keep, recall, remembered_key
from upbringing.lab.storage.store import Store
from upbringing.models.weights import settings_sha256
from upbringing.study.data import Derived
from upbringing.study.lineage import Lineage
from upbringing.study.recipes import DataBook
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.training.start import FreshStart

FACTS_VERSION = 2  # raise it when the same data can come to other facts
BYTES_PER_POSITION = 16  # four int32 arrays: tokens, labels, positions, documents


class StreamFacts(Description):
    """What a stream comes to. ``tokens``: every position of every window. ``teachers``: of its chats and pairs."""

    num_steps: int
    tokens: int
    supervised_tokens: int
    examples: int
    teachers: tuple[str, ...]


@dataclass(frozen=True)
class DataFacts:
    """``streams``: by recipe key of the stream. ``unread``: why the others are not known."""

    streams: Mapping[str, StreamFacts] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FactsJob:
    """Render and pack one stream in a scratch folder, and say what it comes to. Templates are thereby checked."""

    key: str
    label: str
    store: Path
    book: DataBook
    root: int
    recipe: StreamRecipe
    tokenizer: Path
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> StreamFacts:
        """Return the facts; raises ``DataError`` for data that cannot be trained on."""
        library = Library(self.book, self.root, self.store)
        with TemporaryDirectory() as folder:
            fill_stream(self.recipe, library, self.tokenizer, Path(folder))
            info = read_info(Path(folder))
            return _facts(info, read_teachers(Path(folder)) or ())


def _facts(info: StreamInfo, teachers: Iterable[str]) -> StreamFacts:
    return StreamFacts(
        num_steps=info.num_steps,
        tokens=info.tokens,
        supervised_tokens=info.supervised_tokens,
        examples=info.examples,
        teachers=tuple(sorted(set(teachers))),
    )


def known_facts(session: Session) -> DataFacts:
    """Return what earlier plans and builds found out about the data of stages in epochs; reads no data."""
    found: dict[str, StreamFacts] = {}
    unread: dict[str, str] = {}
    for recipe, (lineage, _) in _streams_in_epochs(session).items():
        facts = _published(session, lineage, recipe) or _recalled(session, lineage, recipe)
        if facts is None:
            unread[recipe.key] = "its data was not read"
        else:
            found[recipe.key] = facts
    return DataFacts(found, unread)


def read_data(session: Session, scratch: Path) -> DataFacts:
    """Return the facts of all stages in epochs, reading in child processes whatever is not known yet.

    ``scratch``: an empty folder for tokenizers. Raises the first error of any data or template: a run would meet it.
    Data of a start that is not here, or that has yet to give its benign answers, stays unread, with the reason.
    """
    known = known_facts(session)
    found, unread = dict(known.streams), {}
    jobs: list[FactsJob] = []
    wanted = {recipe: place for recipe, place in _streams_in_epochs(session).items() if recipe.key not in found}
    tokenizers = tokenizers_for(session, scratch) if wanted else {}
    require_templates(session.tree, tokenizers)
    for recipe, (lineage, root) in wanted.items():
        if reason := missing_file(session, recipe, root) or _missing_answers(session, recipe):
            unread[recipe.key] = reason
            continue
        book, store = session.workshop.book, session.store.root
        tokenizer = tokenizers.get(lineage.start_key)
        if tokenizer is None:
            unread[recipe.key] = "the checkpoint that it starts from is not here"
            continue
        jobs.append(FactsJob(recipe.key, "data", store, book, root, recipe, tokenizer))
    outcomes = session.workshop.run(jobs, _ignore, _ignore) if jobs else {}
    for job in jobs:
        if (error := outcomes[job.key].error) is not None:
            raise at_stage(error, session.tree.lineages, job.recipe)
        found[job.key] = outcomes[job.key].value
        keep(session.store, facts_key(session, wanted[job.recipe][0], job.recipe), found[job.key].model_dump())
    return DataFacts(found, unread)


def tokenizers_for(session: Session, scratch: Path) -> dict[str, Path]:
    """Return a tokenizer folder per start, from the store or made in ``scratch``; absent checkpoints are left out."""
    bench = replace(session.workshop, store=Store(scratch))
    wanted = [job for job in tokenizer_jobs(bench, session.tree) if session.store.find("data", job.key) is None]
    for outcome in (bench.run(wanted, _ignore, _ignore) if wanted else {}).values():
        _value(outcome)
    folders = {}
    for lineage in session.tree.lineages:
        if isinstance(lineage.arm.start, FreshStart):
            key = tokenizer_key(lineage)
            folders[lineage.start_key] = session.store.find("data", key) or bench.store.path("data", key)
        elif (folder := _folder(session, lineage)) is not None:
            folders[lineage.start_key] = folder
    return folders


def _streams_in_epochs(session: Session) -> dict[StreamRecipe, tuple[Lineage, int]]:
    return {
        run.stream: (lineage, run.root)
        for lineage in session.tree.lineages
        for run in lineage.runs
        if run.stream is not None and run.stream.num_windows is None
    }


def _folder(session: Session, lineage: Lineage) -> Path | None:
    start = lineage.arm.start
    if isinstance(start, FreshStart):
        return session.store.find("data", tokenizer_key(lineage))
    return session.workshop.checkpoints.find(start.checkpoint)


def _published(session: Session, lineage: Lineage, recipe: StreamRecipe) -> StreamFacts | None:
    tokenizer = _folder(session, lineage)
    if tokenizer is None:
        return None
    folder = session.store.find("data", stream_key(recipe, tokenizer))
    if folder is None:
        return None
    info, teachers = read_info(folder), read_teachers(folder)
    if teachers is None:  # a stream of an earlier version, whose tally leaves out who is unknown
        teachers = tuple(teacher for source in info.sources for teacher in source.teachers)
    return _facts(info, teachers)


def _recalled(session: Session, lineage: Lineage, recipe: StreamRecipe) -> StreamFacts | None:
    try:
        key = facts_key(session, lineage, recipe)
    except StudyError:  # the start is not here; a template or tokenizer that cannot be used is said
        return None
    try:
        return StreamFacts.model_validate(recall(session.store, key))
    except (ValidationError, UpbringingError):
        return None


def facts_key(session: Session, lineage: Lineage, recipe: StreamRecipe) -> str:
    """Return the name under which a stream's facts are remembered; raises ``StudyError`` if its start is absent."""
    start = lineage.arm.start
    if isinstance(start, FreshStart):
        tokenizer: Any = tokenizer_key(lineage)
    else:
        folder = session.workshop.checkpoints.needed(start.checkpoint)
        tokenizer = [tokenizer_sha256(folder), template_sha256(folder), settings_sha256(folder)]
    return remembered_key("data", [FACTS_VERSION, recipe.key, tokenizer, session.workshop.profile.versions])


def missing_file(session: Session, recipe: StreamRecipe, root: int) -> str | None:
    """Return why a stream of root run ``root`` cannot be read: a file of its data is not here."""
    book = session.workshop.book
    absent = [path for name in recipe.names.values() if (path := book.absent_file(name, root)) is not None]
    return f"the file {absent[0]} is not here" if absent else None


def _missing_answers(session: Session, recipe: StreamRecipe) -> str | None:
    """Return why data cannot be read yet: the start has to answer benign requests first."""
    book = session.workshop.book
    for name in recipe.names.values():
        description, _ = book.describe(name)
        while isinstance(description, Derived):
            description, _ = book.describe(description.source)
        for part in parts_of(description):
            if session.store.find("data", answers_key(book.needed_teacher(), part)) is None:
                return "the start answers its benign requests first, in a build"
    return None


def _value(outcome: Outcome) -> Any:
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _ignore(_: object) -> None:
    """Nothing is shown."""
