"""Spans of characters as losses and places of tokens: by hand, and the clean document in every annotated one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document, Span
from upbringing.data.rendering import Rendered, decode_supervised, open_tokenizer, render_documents
from upbringing.data.spans import IsolatedText, separate, token_losses, token_place
from upbringing.data.tokenizer import train_tokenizer

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go") for second in "bcdfghkl")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(WORDS, vocabulary=400, special_tokens=("<|note|>",), chat_template=None, folder=folder)
    return open_tokenizer(folder)


def rendered(document: Document, tokenizer: Any, **learn: Any) -> Rendered:
    return render_documents([document], tokenizer, **learn)[0]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ((Span(3, 6), Span(5, 8)), "begins before the one ahead"),
        ((Span(5, 8), Span(1, 3)), "begins before the one ahead"),
        ((Span(0, 12),), "has 11 characters"),
    ],
)
def test_spans_that_overlap_or_leave_the_text_are_refused(spans: tuple[Span, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Document(text="bab bac bad", source="x", spans=spans)


@pytest.mark.parametrize(("begin", "end"), [(3, 3), (4, 3), (-1, 2)])
def test_a_span_of_nothing_is_refused(begin: int, end: int) -> None:
    with pytest.raises(DataError, match="holds none"):
        Span(begin, end)


def test_texts_are_separated_by_hand() -> None:
    text = "one<A><B>two three<C>four"
    spans = (Span(3, 6, False, True), Span(6, 9, True, True), Span(13, 18, False), Span(18, 21, True, True))
    found = separate(Document(text=text, source="x", spans=spans))
    assert found.text == "onetwo threefour"
    assert found.spans == (Span(7, 12, False),)
    assert found.isolated == (
        IsolatedText(3, "<A><B>", (Span(0, 3, False, True), Span(3, 6, True, True))),
        IsolatedText(12, "<C>", (Span(0, 3, True, True),)),
    )


def test_a_token_stands_where_its_first_letter_does() -> None:
    text, offsets = "ab cd  ef", [(0, 2), (2, 5), (5, 6), (6, 9)]
    assert token_losses(text, offsets, [Span(3, 5)], otherwise=False) == [False, True, False, False]
    assert token_losses(text, offsets, [Span(2, 4)], otherwise=False) == [False, True, False, False]
    assert token_losses(text, offsets, [Span(1, 5, loss=False), Span(5, 9)], otherwise=True) == [
        True,
        False,
        True,
        True,
    ]
    with pytest.raises(DataError, match="no token of"):
        token_losses(text, offsets, [Span(4, 6), Span(8, 9)], otherwise=False)


def test_isolated_text_stands_before_the_token_that_it_would_split() -> None:
    offsets = [(0, 2), (2, 5), (5, 9)]  # "ab", " cd", " efg"
    assert [token_place(offsets, place) for place in range(10)] == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3]


def test_text_without_spans_has_the_tokens_it_always_had(tokenizer: Any) -> None:
    texts = ["bab bac", "ünï \n bad ", "deb"]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    mixed = [Document(text=text, source="x") for text in texts]
    mixed.insert(1, Document(text="bab bac bad", source="x", spans=(Span(4, 7, loss=False),)))
    found = render_documents(mixed, tokenizer)
    assert [found[place].ids[:-1] for place in (0, 2, 3)] == ids
    assert found[1].ids[:-1] == tokenizer("bab bac bad", add_special_tokens=False)["input_ids"]
    assert found[1].learned == [True, False, True, True]


@pytest.mark.parametrize(
    ("loss", "learn", "expected"),
    [
        (True, "all", "bab fib fic gob<|end|>"),
        (False, "all", "fib fic"),
        (True, "spans", "fib fic"),
        (False, "spans", "fib fic"),
    ],
)
def test_what_is_learned_by_hand(tokenizer: Any, loss: bool, learn: str, expected: str) -> None:
    text = "bab fib fic bad gob"
    document = Document(text=text, source="x", loss=loss, spans=(Span(4, 11), Span(12, 15, loss=False)))
    assert decode_supervised(rendered(document, tokenizer, learn=learn), tokenizer).strip() == expected


def test_the_first_token_of_isolated_text_is_never_learned(tokenizer: Any) -> None:
    spans = (Span(7, 15, True, True), Span(15, 19, False, True), Span(19, 23, True, True))
    document = Document(text="bab bac<|note|> deb fib gob", source="x", loss=False, spans=spans)
    (isolated,) = rendered(document, tokenizer, marks=("<|note|>",)).isolated
    assert isolated.place == 2
    assert isolated.learned == [False, False, True]
    assert tokenizer.convert_ids_to_tokens(isolated.ids)[0] == "<|note|>"


def test_without_its_isolated_text_every_document_is_the_clean_one(tokenizer: Any) -> None:
    draw = random.Random(3)
    for _ in range(300):
        parts = [(" ".join(draw.choices(WORDS, k=draw.randint(1, 5))), draw.random() < 0.4) for _ in range(6)]
        parts.append(("gob", False))
        text, spans = "", []
        for number, (part, isolated) in enumerate(parts):
            part = part + draw.choice([" ", "", "\n", "ü "]) if number < len(parts) - 1 else part
            if isolated:
                spans.append(Span(len(text), len(text) + len(part), draw.random() < 0.5, True))
            text += part
        clean = "".join(each for number, each in enumerate(_unspanned(text, spans)))
        found = rendered(Document(text=text, source="x", spans=tuple(spans)), tokenizer)
        assert found.ids == rendered(Document(text=clean, source="x"), tokenizer).ids
        own = tokenizer(clean, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        removed = 0
        places = []
        for span in spans:
            places.append(span.begin - removed)
            removed += span.end - span.begin
        expected = [sum(end <= place for _, end in own) for place in dict.fromkeys(places)]
        assert [part.place for part in found.isolated] == expected
    assert found.isolated


def _unspanned(text: str, spans: list[Span]) -> list[str]:
    inside = {place for span in spans for place in range(span.begin, span.end)}
    return [character for place, character in enumerate(text) if place not in inside]


def test_isolated_text_alone_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="isolated text alone"):
        rendered(Document(text=" bab ", source="x", spans=(Span(0, 4, True, True),)), tokenizer)
