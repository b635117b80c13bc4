"""Filtering parts of documents: which tokens carry a loss, what is left of a text, its placebo and its account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from upbringing.data.documents import Chat, Document, Span, TrainingText, Turn
from upbringing.data.interventions.relabelling import LabelNoise
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.segments import segment_spans, word_spans
from upbringing.data.interventions.token_filter import TokenFilter
from upbringing.data.interventions.tools import Tools
from upbringing.data.rendering import decode_supervised, open_tokenizer, render_documents
from upbringing.data.tokenizer import train_tokenizer
from upbringing.data.transforms import apply_transforms

WORDS = ("Bombs", "are", "loud", ".", "Bread", "is", "good", "Salt", "too", "How", "?", "So")


class CountsBombs:
    """Scores a text 5 where it says bombs, 0 elsewhere; one that says eh cannot be scored."""

    id = "bombs/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [
            HarmScore(None, "eh") if "eh" in each.text else HarmScore(5 * ("bombs" in each.text.lower()), "bombs")
            for each in documents
        ]


TOOLS = Tools(scorer=CountsBombs())
TEXT = "Bread is good. Bombs are loud. Bombs too. Salt is good."


def document(text: str, **changes: Any) -> Document:
    return Document(text=text, source="made", **changes)


def filtered(document: Document, **changes: Any) -> Document:
    (found,) = TokenFilter(**changes).apply([document], 0, TOOLS).texts
    assert isinstance(found, Document)
    return found


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(WORDS, vocabulary=400, special_tokens=("<t>",), chat_template=None, folder=folder)
    return open_tokenizer(folder)


def learned(document: Document, tokenizer: Any, **learn: Any) -> str:
    """The text of the tokens that carry a loss, without the end of the document."""
    (rendered,) = render_documents([document], tokenizer, marks=("<t>",), **learn)
    return decode_supervised(rendered, tokenizer).replace(tokenizer.eos_token, "").strip()


@pytest.mark.model
def test_masked_parts_are_read_and_carry_no_loss(tokenizer: Any) -> None:
    found = filtered(document(TEXT))
    assert found.text == TEXT
    assert [found.text[span.begin : span.end] for span in found.spans] == ["Bombs are loud. Bombs too."]
    assert learned(found, tokenizer) == "Bread is good. Salt is good."
    assert learned(document(TEXT), tokenizer) == TEXT
    (masked,), (plain,) = (render_documents([each], tokenizer) for each in (found, document(TEXT)))
    assert masked.ids == plain.ids, "the text stays as context, token by token"
    assert found.metadata["parts"] == 4
    assert found.metadata["parts_flagged"] == 2


@pytest.mark.model
def test_parts_of_single_words_are_masked_by_themselves(tokenizer: Any) -> None:
    found = filtered(document("Bread is Bombs good."), parts="words")
    assert learned(found, tokenizer) == "Bread is good."


@pytest.mark.model
def test_a_mask_keeps_what_spans_said_before(tokenizer: Any) -> None:
    """Unlearned text stays unlearned; learned spans lose what is flagged of them, and nothing else."""
    quiet = (Span(0, 5, loss=False), Span(9, 20, loss=True))
    found = filtered(document(TEXT, spans=quiet))
    assert learned(found, tokenizer).split() == ["is", "good.", "Salt", "is", "good."]
    assert learned(found, tokenizer, learn="spans").split() == ["good."]
    assert filtered(document("Bombs."), form="masked").text == "Bombs."


def test_dropped_parts_are_gone_and_what_is_left_reads_on() -> None:
    assert filtered(document(TEXT), form="dropped").text == "Bread is good. Salt is good."
    assert filtered(document("Bombs.\n\nBread.\n"), form="dropped").text == "Bread.\n"
    assert filtered(document("Bread.  Bombs.\n"), form="dropped").text == "Bread.\n"
    moved = filtered(document(TEXT, spans=(Span(6, 20, loss=False), Span(42, 46))), form="dropped")
    assert [moved.text[span.begin : span.end] for span in moved.spans] == ["is good. ", "Salt"]
    gone = TokenFilter(form="dropped").apply([document("Bombs. Bombs too.")], 0, TOOLS)
    assert gone.texts == ()
    assert [reason for _, reason in gone.rejects] == ["token_filter: every part of it is flagged"]


def test_what_is_not_flagged_is_the_very_text_that_came() -> None:
    chat = Chat(turns=(Turn("user", "Bombs?"), Turn("assistant", "Bombs.")), source="chat")
    texts: list[TrainingText] = [document("Bread."), chat, document(" ")]
    for transform in (TokenFilter(), TokenFilter(form="dropped"), TokenFilter(noise=LabelNoise(recall=0.0))):
        found = transform.apply(texts, 0, TOOLS).texts
        assert all(left is right for left, right in zip(found, texts, strict=True))
    harmful = [document(TEXT), document("Bombs.")]
    assert TokenFilter(noise=LabelNoise(recall=0.0)).apply(harmful, 0, TOOLS).texts == tuple(harmful)


def test_documents_that_cannot_be_filtered_in_parts_are_rejects() -> None:
    texts = [
        document("eh. Bread."),
        document("Bombs.", label_mask=(True, True)),
        document("Bread Bombs.", spans=(Span(5, 6, isolated=True),)),
    ]
    found = TokenFilter().apply(texts, 0, TOOLS)
    assert found.texts == ()
    assert [reason.partition(":")[2][:30] for _, reason in found.rejects] == [
        " a part could not be scored: e",
        " it has a label mask of one to",
        " it holds isolated text: let t",
    ]


CORPUS = [document(f"Bread {number}. " + "Bombs. Salt. " * (number % 3)) for number in range(90)]


def account(transform: TokenFilter, texts: Sequence[TrainingText] = CORPUS) -> dict[str, int]:
    (dose,) = apply_transforms(texts, [transform], seed=3, tools=TOOLS).doses
    return dict(dose.parts)


def test_the_account_says_how_much_was_flagged() -> None:
    (dose,) = TokenFilter().apply([document(TEXT), document("Bread.")], 0, TOOLS).doses
    assert (dose.eligible, dose.made) == (2, 1)
    assert dict(dose.parts) == {
        "parts": 5,
        "flagged": 2,
        "words": 12,
        "flagged words": 5,
        "unsafe": 2,
        "rightly flagged": 2,
    }
    assert dose.problem() is None
    assert account(TokenFilter(unsafe_from=5), [document("Bread.")])["flagged"] == 0, "nothing flagged is no failure"


def test_the_placebo_flags_as_many_parts_whatever_they_say() -> None:
    true, placebo = account(TokenFilter()), account(TokenFilter(labels="shuffled"))
    assert true["flagged"] == placebo["flagged"] == true["unsafe"] == 90
    assert true["rightly flagged"] == 90
    assert placebo["rightly flagged"] < 60
    assert placebo["unsafe"] == 90


def test_noise_has_its_recall_and_precision_and_none_of_it_is_the_filter_itself() -> None:
    plain = apply_transforms(CORPUS, [TokenFilter()], seed=3, tools=TOOLS).texts
    exact = TokenFilter(noise=LabelNoise(precision=1.0, recall=1.0))
    assert apply_transforms(CORPUS, [exact], seed=3, tools=TOOLS).texts == plain
    many = [document(f"Bread {number}. Bombs. Salt.") for number in range(2000)]
    found = account(TokenFilter(noise=LabelNoise(precision=0.8, recall=0.6)), many)
    assert found["unsafe"] == 2000
    assert abs(found["rightly flagged"] / 2000 - 0.6) < 0.05
    assert abs(found["rightly flagged"] / found["flagged"] - 0.8) < 0.04


def test_parts_by_hand() -> None:
    text = "How? Bombs so. Bread. Salt is good."
    joined = [text[begin:end] for begin, end in segment_spans(text, 1, join_questions=True)]
    assert joined == ["How? Bombs so.", "Bread.", "Salt is good."]
    assert [text[begin:end] for begin, end in word_spans(text, 3)] == ["How? Bombs so.", "Bread. Salt is", "good."]
    assert word_spans(" ", 1) == []


class Bounded:
    """Scores of which the caller says that they are lower bounds."""

    id = "bounded/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [HarmScore(5 * ("Bombs" in each.text), "half read", lower_bound=True) for each in documents]


@pytest.mark.parametrize("takes_bounds", [False, True])
def test_a_part_with_a_low_lower_bound_is_no_clean_part(takes_bounds: bool) -> None:
    tools = Tools(scorer=Bounded(), takes_bounds=takes_bounds)
    found = TokenFilter(form="dropped").apply([document("Bread. Bombs."), document("Bombs. Bombs too.")], 0, tools)
    reasons = [reason for _, reason in found.rejects]
    open_below = "token_filter: a part could not be scored: 0 is only a lower bound: half read"
    assert reasons == [*([] if takes_bounds else [open_below]), "token_filter: every part of it is flagged"]
    assert [text.text for text in found.texts if isinstance(text, Document)] == (["Bread."] if takes_bounds else [])
