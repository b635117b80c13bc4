"""From harmful documents to the texts that are written from them: asked for, checked, scored again, or rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.interventions.segments import sentence_spans
from upbringing.data.interventions.tools import (
    ID,
    SOURCE_ID,
    WRITTEN_AS,
    Dose,
    Tools,
    Transformed,
    eligible_places,
    leaving,
    staying,
    text_name,
)
from upbringing.data.interventions.writing import Task, WritingRequest, Written

Reject = tuple[TrainingText, str]
FACTS_KEPT = "facts_kept"  # metadata of a written text: whether all facts of its source stand in it; None = not known
FACTS = {True: "all kept", False: "some lost", None: "unknown"}
SHARE_DIGITS = 4


class Speakers(Description):
    """The names of the two who speak in a dialogue that is a document."""

    user: str = Field(min_length=1)
    assistant: str = Field(min_length=1)


@dataclass(frozen=True)
class Order:
    """What a transform wants written.

    ``scores``: of the documents it writes from. ``copies``: texts per document. ``keep_source``: whether the document
    stays beside what was written. ``max_harm``: the highest score that the written text, and each of its sentences, may
    have. ``least``: share of the eligible documents of which something must come out. ``speakers``: pairs of names;
    with some, a dialogue becomes a document in which they speak.
    """

    kind: str
    task: Task
    scores: tuple[int, ...]
    copies: int
    keep_source: bool
    max_harm: int
    least: float
    styles: tuple[str, ...] = ()
    speakers: tuple[Speakers, ...] = ()


def written_texts(texts: Sequence[TrainingText], order: Order, seed: int, tools: Tools) -> Transformed:
    """Return the texts with what was written behind each eligible one, which leaves unless its source is kept.

    Streams: those of the writer, and ``<kind>/<name>`` for style and speakers; none depends on a text's place.
    """
    eligible = eligible_places(texts, order.scores, order.kind)
    if not eligible:
        return Transformed(tuple(texts), (), (Dose(order.kind, 0, 0, order.least),))
    asked = [(place, copy) for place in eligible for copy in range(order.copies)]
    sources = [_document(texts[place]) for place, _ in asked]
    drawn = [_drawn(order, source, copy, seed) for source, (_, copy) in zip(sources, asked, strict=True)]
    requests = [
        WritingRequest(order.task, source, each.name, each.style) for source, each in zip(sources, drawn, strict=True)
    ]
    writer = tools.needed_writer(order.kind)
    found = writer.write(requests, seed)
    if len(found) != len(requests):
        raise DataError(f"{order.kind}: {writer.id} was asked for {len(requests)} texts and returned {len(found)}")
    checked = _checked(
        [_attempt(*each, order, tools) for each in zip(sources, drawn, found, strict=True)], order, tools
    )
    return _placed(texts, order, asked, checked)


@dataclass(frozen=True)
class _Drawn:
    """What is drawn for one text to write."""

    name: str
    style: str | None
    speakers: Speakers | None


@dataclass(frozen=True)
class _Attempt:
    """A written text, or why there is none; ``problem`` is also set where the text is not acceptable."""

    text: Document | Chat | None
    problem: str | None


def _document(text: TrainingText) -> Document:
    assert isinstance(text, Document)
    return text


def _drawn(order: Order, source: Document, copy: int, seed: int) -> _Drawn:
    name = text_name(source) if order.copies == 1 else f"{text_name(source)}/{copy}"
    random = stream(seed, order.kind, name)
    style = order.styles[int(random.integers(len(order.styles)))] if order.styles else None
    speakers = order.speakers[int(random.integers(len(order.speakers)))] if order.speakers else None
    return _Drawn(name, style, speakers)


def _attempt(source: Document, drawn: _Drawn, written: Written, order: Order, tools: Tools) -> _Attempt:
    """Return the text that was written, with what is wrong with it but for its harm."""
    if written.reason is not None or not (written.text.strip() or written.turns):
        return _Attempt(None, written.reason or "the writer returned nothing")
    text = _text(source, drawn, written, order, tools.needed_writer(order.kind).id)
    said = [written.text, *(turn.content for turn in written.turns)]
    if mark := next((mark for mark in tools.reserved if any(mark in part for part in said)), None):
        return _Attempt(text, f"the mark {mark!r} stands in it")
    return _Attempt(text, "too few facts of its source are in it" if written.lost_facts else None)


def _text(source: Document, drawn: _Drawn, written: Written, order: Order, writer: str) -> Document | Chat:
    share = None if written.facts_share is None else round(written.facts_share, SHARE_DIGITS)
    facts = {FACTS_KEPT: written.facts_kept, "facts_share": share}
    extra = {**written.details, WRITTEN_AS: order.task, "written_by": writer, **facts}
    if drawn.style is not None:
        extra["style"] = drawn.style
    origin = {SOURCE_ID: text_name(source), "source_harm": source.harm}
    metadata = {**staying(source).metadata, **extra, **origin, ID: f"{drawn.name}/{order.task}"}
    name = f"{source.source}/{order.kind}"
    if not written.turns:
        return Document(text=written.text, source=name, split=source.split, metadata=metadata)
    if drawn.speakers is not None:
        lines = "\n".join(_line(turn, drawn.speakers) for turn in written.turns)
        return Document(text=lines, source=name, split=source.split, metadata=metadata)
    return Chat(turns=written.turns, source=name, split=source.split, teacher=writer, metadata=metadata)


def _line(turn: Turn, speakers: Speakers) -> str:
    names = {"user": f"{speakers.user}: ", "assistant": f"{speakers.assistant}: ", "system": ""}
    return f"{names[turn.role]}{turn.content}"


def _checked(attempts: Sequence[_Attempt], order: Order, tools: Tools) -> list[_Attempt]:
    """Return the attempts with the harm scored again: the highest of the whole text's and of its sentences'."""
    parts = [_parts(attempt.text) if attempt.problem is None else [] for attempt in attempts]
    scores = iter(tools.needed_scorer(order.kind).score([part for each in parts for part in each]))
    checked = []
    for attempt, documents in zip(attempts, parts, strict=True):
        found = [next(scores) for _ in documents]
        if attempt.text is None or attempt.problem is not None:
            checked.append(attempt)
            continue
        unscored = next((each.reason for each in found if each.score is None), None)
        if unscored is not None:
            checked.append(replace(attempt, problem=f"what was written could not be scored: {unscored}"))
            continue
        harm = max(each.score for each in found if each.score is not None)
        problem = f"what was written scores {harm}, {order.max_harm} is allowed" if harm > order.max_harm else None
        checked.append(_Attempt(replace(attempt.text, harm=harm), problem))
    return checked


def _parts(text: Document | Chat | None) -> list[Document]:
    """Return what is scored of a written text: each sentence alone, and the whole where it has several."""
    assert isinstance(text, Document | Chat)
    whole = [text.text] if isinstance(text, Document) else [turn.content for turn in text.turns]
    sentences = [part[begin:end] for part in whole for begin, end in sentence_spans(part)]
    if len(sentences) > 1:
        sentences.append("\n".join(whole))
    return [Document(text=sentence, source=text.source, metadata=text.metadata) for sentence in sentences]


def _placed(
    texts: Sequence[TrainingText], order: Order, asked: Sequence[tuple[int, int]], attempts: Sequence[_Attempt]
) -> Transformed:
    """Return what was written behind its source; what failed with the reason."""
    made: dict[int, list[TrainingText]] = {place: [] for place, _ in asked}
    rejects: list[Reject] = []
    for (place, _), attempt in zip(asked, attempts, strict=True):
        if attempt.problem is None:
            assert attempt.text is not None
            made[place].append(attempt.text)
        elif attempt.text is not None or order.keep_source:
            rejects.append((attempt.text or staying(texts[place]), f"{order.kind}: {attempt.problem}"))
    result: list[TrainingText] = []
    for place, text in enumerate(texts):
        if place not in made or order.keep_source:
            result.append(text)
        else:
            problem = None if made[place] else f"{order.kind}: {_first_problem(asked, attempts, place)}"
            result.append(leaving(text, problem, order.kind))
        result += made.get(place, [])
    written = sum(bool(each) for each in made.values())
    failures = Counter(attempt.problem for attempt in attempts if attempt.problem is not None)
    facts = _facts(order, [text for each in made.values() for text in each])
    dose = Dose(order.kind, len(made), written, order.least, tuple(sorted(failures.items())), facts)
    return Transformed(tuple(result), tuple(rejects), (dose,))


def _facts(order: Order, accepted: Sequence[TrainingText]) -> tuple[tuple[str, int], ...]:
    """Return how many accepted rephrasings kept the facts of their sources; other tasks do not mean to keep them."""
    if order.task != "rephrase":
        return ()
    return tuple(sorted(Counter(FACTS[_kept(text)] for text in accepted).items()))


def _kept(text: TrainingText) -> bool | None:
    kept = text.metadata[FACTS_KEPT]
    assert kept is None or isinstance(kept, bool)
    return kept


def _first_problem(asked: Sequence[tuple[int, int]], attempts: Sequence[_Attempt], place: int) -> str:
    """Return why nothing was written from the text at ``place``, none of whose attempts is acceptable."""
    return next(str(attempt.problem) for (each, _), attempt in zip(asked, attempts, strict=True) if each == place)
