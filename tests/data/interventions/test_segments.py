"""Segments: sentence-aware, merged up to a length, and covering every word."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.data.documents import Document, Span
from upbringing.data.interventions.insertion import Insertion, inserted
from upbringing.data.interventions.segments import segment_spans, sentence_spans
from upbringing.data.interventions.tools import text_name


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("  \n ", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. A. Smith paid 3.50 to e.g. Mr. Bo. Then he left.",
            ["Dr. A. Smith paid 3.50 to e.g. Mr. Bo.", "Then he left."],
        ),
        ("He said “Stop.” She did not... Well?! No end", ["He said “Stop.”", "She did not...", "Well?!", "No end"]),
        ("a causes b . c causes d .", ["a causes b .", "c causes d ."]),
        ("A title\n\nThen a text.", ["A title", "Then a text."]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("see example.com for it", ["see example.com for it"]),
    ],
)
def test_sentences_by_hand(text: str, sentences: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentence_spans(text)] == sentences


def test_segments_hold_whole_sentences_up_to_the_length() -> None:
    text = "One two. Three. Four five six seven eight nine. Ten. Eleven."
    cut = {size: [text[begin:end] for begin, end in segment_spans(text, size)] for size in (1, 3, 100)}
    assert cut[3] == ["One two. Three.", "Four five six seven eight nine.", "Ten. Eleven."]
    assert len(cut[1]) == 5
    assert cut[100] == [text]
    for segments in cut.values():
        assert " ".join(segments).split() == text.split()


def test_insertions_move_spans_and_can_be_undone() -> None:
    document = Document(text="ab cd ef", source="x", spans=(Span(3, 5, loss=False),))
    found = inserted(
        document, [Insertion(5, "<2>"), Insertion(3, "<1>"), Insertion(4, "<m>"), Insertion(8, "!", span=True)]
    )
    assert found.text == "ab <1>c<m>d<2> ef!"
    first, last = found.spans
    assert found.text[first.begin : first.end] == "c<m>d"
    assert not first.loss
    assert found.text[last.begin : last.end] == "!"
    assert inserted(document, []) == document


def test_what_has_a_span_of_its_own_parts_the_span_it_falls_into() -> None:
    text = "Fine day here. A bomb is here. The end."
    masked = Document(text=text, source="x", spans=(Span(5, 30, loss=False), Span(31, 34, isolated=True)))
    marks = [Insertion(14, "<a>", span=True), Insertion(14, "<b>"), Insertion(33, "<c>", span=True, loss=False)]
    found = inserted(masked, marks)
    assert found.text == "Fine day here.<a><b> A bomb is here. Th<c>e end."
    assert [(found.text[span.begin : span.end], span.loss, span.isolated) for span in found.spans] == [
        ("day here.", False, False),
        ("<a>", True, False),
        ("<b> A bomb is here.", False, False),
        ("Th", True, True),
        ("<c>", False, True),  # inside isolated text all is isolated
        ("e", True, True),
    ]


@pytest.mark.parametrize("seed", range(40))
def test_every_character_is_learned_and_seen_as_before(seed: int) -> None:
    random = np.random.default_rng(seed)
    text = "".join(random.choice(list("ab c"), 60))
    ends = sorted(random.choice(61, 8, replace=False).tolist())
    document = Document(
        text=text,
        source="x",
        spans=tuple(
            Span(begin, end, loss=bool(random.integers(2)), isolated=bool(random.integers(2)))
            for begin, end in zip(ends[::2], ends[1::2], strict=True)
        ),
    )
    marks = [
        Insertion(int(random.integers(61)), f"<{place}>", bool(random.integers(2)), bool(random.integers(2)))
        for place in range(6)
    ]
    found = inserted(document, marks)
    before, after = _states(document), _states(found)
    begins, left = [found.text.index(each.text) for each in marks], list(range(len(found.text)))
    for each, begin in zip(marks, begins, strict=True):
        left = [place for place in left if not begin <= place < begin + len(each.text)]
        inside = [span for span in document.spans if span.begin < each.place < span.end]
        if each.span:
            is_isolated = any(span.isolated for span in inside)
            assert set(after[begin : begin + len(each.text)]) == {(each.loss, is_isolated)}
        elif inside:
            assert set(after[begin : begin + len(each.text)]) == {(inside[0].loss, inside[0].isolated)}
    assert "".join(found.text[place] for place in left) == text
    for old, new in zip(range(len(text)), left, strict=True):
        assert after[new] == before[old] or (text[old] == " " and not before[old][1] and not after[new][1])


def _states(document: Document) -> list[tuple[bool, bool]]:
    states = [(True, False)] * len(document.text)
    for span in document.spans:
        states[span.begin : span.end] = [(span.loss, span.isolated)] * (span.end - span.begin)
    return states


def test_a_text_without_sentence_ends_costs_no_more_than_its_length() -> None:
    text = "A. " * 200_000  # initials all the way: looking back over all of them would take minutes
    assert sentence_spans(text) == [(0, len(text) - 1)]
    assert len(sentence_spans("word " * 200_000)) == 1


def test_half_a_surrogate_pair_has_a_name() -> None:
    assert len(text_name(Document(text="broken \ud83d", source="x"))) == 64
