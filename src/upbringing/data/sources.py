"""Texts from files in the shapes that trainers use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.data.conversations import is_both, preference_of, prompt_of, text_of, turns_of
from upbringing.data.documents import Chat, Preference, TrainingText, Turn
from upbringing.data.file_formats import FileFormat, named_format
from upbringing.data.file_rows import SCORES, file_rows
from upbringing.data.interventions.scores import ESCALATED, HIGHEST_SCORE, is_escalated
from upbringing.data.interventions.scoring.meanings import check_score
from upbringing.data.interventions.tools import ID, NOT_REPLACED, REPLACED_BY
from upbringing.data.span_columns import document_of

CANARY = "upbringing-evaluation-canary"  # stands in a field of every prompt that comes with the program
NOT_FROM_FILES = (ID, REPLACED_BY, NOT_REPLACED)  # a name is a column; marks of leaving would take the text away
ROOT = "{root}"  # in a path: the number of the root run, so that each has a file of its own


class FileSource(Description):
    """A file of texts. The columns decide what a row is: ``text`` a document (with ``spans``, ``loss_spans`` or
    ``label_mask`` where not all of it is learned); ``messages``, or ``prompt`` with
    ``completion``, a chat; ``chosen`` and ``rejected``, texts with a ``prompt`` or lists of turns, a preference. A row
    that has ``messages`` as well is what the stage wants, where these are the prompt with the chosen answer.
    ``teacher``: who wrote the assistant's words, where it is known and no column ``teacher`` says it. Of a document or
    chat a column ``harm`` (or ``harm_score``, as ``upbringing data score`` writes it) is its score 0 to 5, of a
    document ``id`` is its name. ``metadata``, as ``upbringing data transform`` writes it, is carried along: texts,
    numbers and truth values by name. What ``harm_reason`` says was escalated has ``escalated`` among it.
    ``source_column``: names the component of the file a text belongs to, by which tokens are counted; ``None`` = the
    whole file is one. ``marks``: special tokens that its texts hold on purpose, such as the tags that
    ``upbringing data transform`` put in; all others that they spell are read as text. ``{root}`` in ``path`` stands for
    the number of the root run, from 0: each whole pipeline has a file of its own (its own teacher's answers).
    ``format``: where it is not said, what the name says (.jsonl, .csv, .tsv, .txt, each also .gz and .zst; .parquet).
    """

    kind: Literal["file"] = "file"
    path: str
    format: FileFormat = "jsonl"
    teacher: str | None = None
    source_column: str | None = Field(default=None, exclude_if=lambda value: value is None)  # studies without keep ids
    marks: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), exclude_if=lambda value: not value)

    @model_validator(mode="before")
    @classmethod
    def _format_of_its_name(cls, data: Any) -> Any:
        """Fill in the format that the name says: bytes are read as they are described, so it is part of the ids."""
        if not isinstance(data, dict) or "format" in data or not isinstance(data.get("path"), str):
            return data
        named = named_format(data["path"])
        return data if named is None else {**data, "format": named}

    def of_root(self, root: int) -> FileSource:
        """Return the file of root run ``root``: itself where all read one."""
        return self.model_copy(update={"path": self.path.replace(ROOT, str(root))}) if ROOT in self.path else self


@dataclass(frozen=True)
class FileTexts:
    """The texts of a file in order."""

    texts: tuple[TrainingText, ...]


def read_file_source(source: FileSource, folder: Path, *, wants_pairs: bool = False) -> FileTexts:
    """Return the texts of ``source``; raises ``DataError`` naming file and row for whatever is not as declared, and for
    rows with the canary of prompts that are to be asked, not learned.

    ``wants_pairs``: rows that are a chat and a preference are read as the latter (``conversations.is_both``).
    """
    path = folder / source.path
    rows = enumerate(file_rows(path, source.format), start=1)
    texts = tuple(_text(row, f"{path.name} row {number}", source, wants_pairs=wants_pairs) for number, row in rows)
    if not texts:
        raise DataError(f"{path.name} holds no rows")
    if len({type(text) for text in texts}) > 1:
        raise DataError(f"{path.name} mixes documents, chats and preferences: split it into one file each")
    return FileTexts(texts)


def _text(row: Mapping[str, Any], where: str, source: FileSource, *, wants_pairs: bool) -> TrainingText:
    if any(isinstance(value, str) and CANARY in value for value in row.values()):
        raise DataError(f"{where} holds a canary ({CANARY}): it is asked in evaluations and must not be learned from")
    origin = _origin(row, where, source)
    metadata = _metadata(row)
    if isinstance(reason := row.get("harm_reason"), str) and is_escalated(reason):
        metadata[ESCALATED] = True
    if "text" in row:
        document = document_of(text_of(row, "text", where), origin, row, where)
        return replace(document, harm=_harm(row, where), metadata={**metadata, **_name(row, where)})
    if "chosen" in row and "rejected" in row and (row.get("messages") is None or (is_both(row, where) and wants_pairs)):
        prompt, chosen, rejected = preference_of(row, where)
        return Preference(
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            source=origin,
            teacher=_teacher(row, where, source),
            metadata=metadata,
        )
    if "messages" in row or "completion" in row:
        return Chat(
            turns=_chat_turns(row, where),
            source=origin,
            harm=_harm(row, where),
            teacher=_teacher(row, where, source),
            metadata=metadata,
        )
    raise DataError(
        f"{where} has the columns {', '.join(row) or 'none'}; expected text, or messages, or prompt with completion, "
        "or chosen and rejected (with prompt, or lists of turns that begin with it)"
    )


def _chat_turns(row: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    if "messages" in row:
        return turns_of(row, "messages", where)
    return (*prompt_of(row, where), Turn("assistant", text_of(row, "completion", where)))


def _origin(row: Mapping[str, Any], where: str, source: FileSource) -> str:
    """Return the component a row belongs to: what the column says that the study names, else the file's name."""
    if source.source_column is None:
        return Path(source.path).stem
    if source.source_column not in row:
        raise DataError(f"{where} has no column {source.source_column!r}; it has {', '.join(map(repr, row)) or 'none'}")
    found = row[source.source_column]
    if not isinstance(found, str) or not found.strip() or not found.isprintable():
        raise DataError(f"{where}: {source.source_column} names a component by a text, found {found!r:.80}")
    return found


def _metadata(row: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Return what a row says of itself: an object, or JSON of one, as Parquet holds it; what is nested is left out."""
    given = row.get("metadata")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(given, dict):
        return {}
    return {
        name: value
        for name, value in given.items()
        if (value is None or isinstance(value, str | int | float)) and name not in NOT_FROM_FILES
    }


def _harm(row: Mapping[str, Any], where: str) -> int | None:
    """Return the score of a row. One that is only a lower bound is none, unless it is the highest there is."""
    given = {name: check_score(row[name], f"{where}, {name}") for name in SCORES if row.get(name) is not None}
    if len(set(given.values())) > 1:
        raise DataError(f"{where} has the columns {', '.join(given)}, which differ: remove one of them")
    if "harm" not in given and row.get("harm_lower_bound") and given.get("harm_score") != HIGHEST_SCORE:
        return None
    return next(iter(given.values()), None)


def _name(row: Mapping[str, Any], where: str) -> dict[str, str | int | float | bool | None]:
    """Return the metadata with a row's name, by which it draws its randomness."""
    name = row.get(ID)
    if name is None:
        return {}
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        raise DataError(f"{where}: {ID} names the row by a text or a whole number, found {name!r}")
    return {ID: str(name)}


def _teacher(row: Mapping[str, Any], where: str, source: FileSource) -> str | None:
    """Return who wrote the row's replies: its own column, else what the study says of the whole file."""
    if row.get("teacher") is None:
        return source.teacher
    teacher = text_of(row, "teacher", where)
    if source.teacher not in (None, teacher):
        raise DataError(f"{where} names the teacher {teacher!r}, the study says {source.teacher!r}: remove one of them")
    return teacher
