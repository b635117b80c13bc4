"""What every transform of texts shares: its tools, what came out of it, and the name a text draws its randomness by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Document, Preference, TrainingText
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.writing import Writer

Metadata = Mapping[str, str | int | float | bool | None]
FoundLabels = list[list[bool] | str]  # per text, whether each of its parts is unsafe, or why that is not known

WRITTEN_AS = "written_as"  # metadata of a synthetic text: the task it was written for
SHOWN_BESIDE = 20  # characters before and behind a mark that should not be there
ID = "id"  # metadata that names a text, where it has a name
SOURCE_ID = "source_id"  # metadata of a synthetic text: the name of the text it was written from
REPLACED_BY = "replaced_by"  # metadata of a source that leaves, because something was written from it
NOT_REPLACED = "not_replaced"  # metadata of a source that leaves as a reject, and why nothing was written from it


class CorpusLabels(Protocol):
    """Labels that compare all texts of a corpus, for a transform that is given one text of it at a time."""

    def of(self, what: str, names: Sequence[str], truth: Callable[[], FoundLabels]) -> FoundLabels:
        """Return the labels of the texts ``names``, in order. ``truth`` asks for the true ones, where that is needed.

        ``what``: which of a transform's labels these are; those of documents and of chats are shuffled apart.
        """
        ...


@dataclass(frozen=True)
class Tools:
    """What a transform may ask: ``writer`` for texts, ``scorer`` for harm scores. ``None`` = there is none.

    ``reserved``: strings that nothing which is written may hold, because they are marks. ``labels``: those of a corpus
    of which a transform is given one text at a time; ``None`` = the texts that it is given are all.
    ``takes_bounds``: whether a score that is only a lower bound passes for the score of a part of a text.
    """

    writer: Writer | None = None
    scorer: Scorer | None = None
    reserved: tuple[str, ...] = ()
    labels: CorpusLabels | None = None
    takes_bounds: bool = False

    def needed_writer(self, kind: str) -> Writer:
        """Return the writer; raises ``DataError`` naming the transform that needs one."""
        if self.writer is None:
            raise DataError(
                f"{kind}: needs a writer and has none: use the data of a world, which brings its own, or write the "
                "documents first with upbringing data transform, whose recipe names a writer"
            )
        return self.writer

    def needed_scorer(self, kind: str) -> Scorer:
        """Return the scorer; raises ``DataError`` naming the transform that needs one."""
        if self.scorer is None:
            raise DataError(
                f"{kind}: needs a scorer and has none: use the data of a world, which brings its own; or write the "
                "documents first, shuffled labels and noise too, with upbringing data transform, whose recipe names a "
                "scorer; or, for chats of your own, call apply_transforms with Tools(scorer=...) from Python"
            )
        return self.scorer


NO_TOOLS = Tools()


@dataclass(frozen=True)
class Dose:
    """Of how many texts a transform could have made something, and of how many it did. ``least``: share it must.

    ``failures``: how often nothing acceptable was written, by reason, each attempt counted.
    ``facts``: how many accepted texts kept all facts of their sources, lost some, or show nothing of it (unknown); of
    rephrasings alone. ``parts``: how many parts and words were looked at and left out; of filters that count them.
    """

    kind: str
    eligible: int
    made: int
    least: float = 0.0
    failures: tuple[tuple[str, int], ...] = ()
    facts: tuple[tuple[str, int], ...] = ()
    parts: tuple[tuple[str, int], ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the counts as JSON values; ``facts`` and ``parts`` only where there are some."""
        some = {name: dict(counts) for name, counts in (("facts", self.facts), ("parts", self.parts)) if counts}
        return {"eligible": self.eligible, "made": self.made, "failures": dict(self.failures), **some}

    def problem(self) -> str | None:
        """Return what to say where the dose was not met, ``None`` where it was (or where nothing was eligible).

        A filter that left nothing out has met its dose: its labels may say so.
        """
        if self.parts or not self.eligible or (self.made and self.made >= self.least * self.eligible):
            return None
        return (
            f"{self.kind}: of {self.eligible} eligible texts {self.made} came out, "
            f"{max(1, round(self.least * self.eligible))} are needed: read the rejects' reasons, or lower least"
        )


@dataclass(frozen=True)
class Transformed:
    """What came out. ``rejects``: (text, reason) of everything that was left out. ``doses``: what was made of what.

    A text that was replaced by what was written from it is no reject: the written one has its name as ``source_id``.
    Such sources are among ``texts`` until ``settled``, because several things may be written from one, and a tag may
    keep it.
    """

    texts: tuple[TrainingText, ...]
    rejects: tuple[tuple[TrainingText, str], ...]
    doses: tuple[Dose, ...] = ()


def text_name(text: TrainingText) -> str:
    """Return the name of a text: its metadata's ``id``, else a hash of its content. Never its place."""
    named = text.metadata.get(ID)
    if named is not None:
        return str(named)
    if isinstance(text, Document):
        return _hash(text.text)
    if isinstance(text, Preference):
        turns = [(turn.role, turn.content) for turn in text.prompt]
        return _hash(json.dumps([turns, text.chosen, text.rejected]))
    return _hash(json.dumps([(turn.role, turn.content) for turn in text.turns]))


def _hash(text: str) -> str:
    """Return the sha256 of ``text``, which may hold what is no character (half a surrogate pair)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def refuse_marks(texts: Sequence[TrainingText], marks: Sequence[str], kind: str) -> None:
    """Raise ``DataError`` for a text of any kind that holds one of ``marks`` before ``kind`` has put any in.

    Texts that the transform leaves alone are no exception: their tokens are read with its marks, so a mark that they
    only spell would be learned as one.
    """
    for text in texts:
        for part in said_in(text):
            if found := next((mark for mark in marks if mark in part), None):
                place = part.index(found)
                shown = part[max(0, place - SHOWN_BESIDE) : place + len(found) + SHOWN_BESIDE]
                raise DataError(
                    f"{kind}: {found!r} occurs in a text of {text.source!r} already ({text_name(text)}: {shown!r}): "
                    "take it out, or choose another mark"
                )


def said_in(text: TrainingText) -> list[str]:
    """Return every string of a text that is read or learned."""
    if isinstance(text, Document):
        return [text.text]
    if isinstance(text, Chat):
        return [turn.content for turn in text.turns]
    return [*(turn.content for turn in text.prompt), text.chosen, text.rejected]


def is_synthetic(text: TrainingText) -> bool:
    """Return whether a transform wrote this text."""
    return text.metadata.get(WRITTEN_AS) is not None


def harm_of(text: TrainingText, kind: str) -> int:
    """Return the harm score of a text; raises ``DataError`` where it has none."""
    if isinstance(text, Preference) or text.harm is None:
        raise DataError(f"{kind}: a text of {text.source!r} has no harm score: score the data first")
    return text.harm


def eligible_places(texts: Sequence[TrainingText], scores: Sequence[int], kind: str) -> list[int]:
    """Return the places of documents whose harm is one of ``scores`` and which no transform wrote.

    Raises ``DataError`` for a document without a score. Chats are never eligible.
    """
    return [
        place
        for place, text in enumerate(texts)
        if isinstance(text, Document) and not is_synthetic(text) and harm_of(text, kind) in scores
    ]


def with_id(text: TrainingText, extra: Metadata) -> dict[str, str | int | float | bool | None]:
    """Return the metadata of ``text`` with its name and ``extra``."""
    return {**text.metadata, ID: text_name(text), **extra}


def leaving(text: TrainingText, problem: str | None, kind: str) -> TrainingText:
    """Return a source marked as one that leaves: replaced by ``kind``, or with the ``problem`` why it was not.

    What was written once counts: a later failure changes nothing.
    """
    assert isinstance(text, Document)
    if REPLACED_BY in text.metadata:
        return text
    marks = {key: value for key, value in text.metadata.items() if key != NOT_REPLACED}
    added = {REPLACED_BY: kind} if problem is None else {NOT_REPLACED: text.metadata.get(NOT_REPLACED, problem)}
    return replace(text, metadata={**marks, **added})


def staying(text: TrainingText) -> TrainingText:
    """Return a text without the marks of one that leaves."""
    if not {REPLACED_BY, NOT_REPLACED} & set(text.metadata):
        return text
    kept = {key: value for key, value in text.metadata.items() if key not in (REPLACED_BY, NOT_REPLACED)}
    return replace(text, metadata=kept)


def settled(found: Transformed) -> Transformed:
    """Return ``found`` without the sources that leave; those from which nothing was written become rejects."""
    texts, rejects = [], list(found.rejects)
    for text in found.texts:
        if REPLACED_BY in text.metadata:
            continue
        if NOT_REPLACED in text.metadata:
            rejects.append((staying(text), str(text.metadata[NOT_REPLACED])))
        else:
            texts.append(text)
    return Transformed(tuple(texts), tuple(rejects), found.doses)
