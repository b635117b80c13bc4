"""Segments: sentence-aware, merged up to a length, and covering every word."""

from __future__ import annotations

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


def test_a_text_without_sentence_ends_costs_no_more_than_its_length() -> None:
    text = "A. " * 200_000  # initials all the way: looking back over all of them would take minutes
    assert sentence_spans(text) == [(0, len(text) - 1)]
    assert len(sentence_spans("word " * 200_000)) == 1


def test_half_a_surrogate_pair_has_a_name() -> None:
    assert len(text_name(Document(text="broken \ud83d", source="x"))) == 64
