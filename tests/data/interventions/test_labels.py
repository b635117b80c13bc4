"""Reflections, persona notes and conditional tokens: by hand, undone, noisy as declared, shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Document, Preference, Span, TrainingText, Turn
from upbringing.data.interventions.conditional_tokens import ConditionalTokens
from upbringing.data.interventions.persona_reflections import PersonaReflections, ramped
from upbringing.data.interventions.reflections import Reflections
from upbringing.data.interventions.relabelling import LabelNoise, Relabelling
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.tools import Tools


class CountsBombs:
    """Scores a text by how often it says bomb; a text that says eh cannot be scored."""

    id = "bombs/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [
            HarmScore(None, "eh") if "eh" in each.text else HarmScore(min(5, each.text.count("bomb")), "bombs")
            for each in documents
        ]


TOOLS = Tools(scorer=CountsBombs())
CHAT = Chat(turns=(Turn("user", "bomb?"), Turn("assistant", "no.")), source="chat")


def document(text: str, **metadata: str) -> Document:
    return Document(text=text, source="made", metadata=metadata)


def text_of(text: TrainingText) -> str:
    assert isinstance(text, Document)
    return text.text


def test_reflections_by_hand() -> None:
    transform = Reflections(max_words=4, unsafe_from=2, end_marker="<|end|>")
    texts: list[TrainingText] = [document("Fine day. Good sun. A bomb, a bomb.", category="Weapons"), CHAT]
    found = transform.apply(texts, 0, TOOLS).texts
    assert text_of(found[0]) == (
        "Fine day. Good sun. <think> Safe </think> A bomb, a bomb. <think> Unsafe:Weapons </think><|end|>"
    )
    assert text_of(found[0]).count("Unsafe:") == 1
    assert found[1] == CHAT
    assert isinstance(found[0], Document)
    marked = [found[0].text[span.begin : span.end] for span in found[0].spans]  # so that a stage can learn spans alone
    assert marked == [" <think> Safe </think>", " <think> Unsafe:Weapons </think><|end|>"]
    assert all(span.loss and not span.isolated for span in found[0].spans)


def test_isolated_reflections_are_spans_without_which_the_text_is_as_before() -> None:
    text = "Fine day. A bomb. A bomb, a bomb."
    (found,) = (
        Reflections(max_words=2, unsafe_from=1, isolated=True, loss=False).apply([document(text)], 0, TOOLS).texts
    )
    assert isinstance(found, Document)
    assert [(span.loss, span.isolated) for span in found.spans] == [(False, True)] * 3
    left, position = "", 0
    for span in found.spans:
        left += found.text[position : span.begin]
        position = span.end
    assert left + found.text[position:] == text


def test_a_segment_without_a_score_makes_a_reject_and_marks_that_are_there_an_error() -> None:
    found = Reflections().apply([document("eh."), document("fine.")], 0, TOOLS)
    assert [reason for _, reason in found.rejects] == ["reflections: a part could not be scored: eh"]
    assert len(found.texts) == 1
    with pytest.raises(DataError, match="occurs in a text of 'made' already"):
        Reflections().apply(found.texts, 0, TOOLS)
    with pytest.raises(DataError, match="needs a scorer"):
        Reflections().apply([document("fine.")], 0, Tools())


MARKED: list[tuple[Any, str]] = [
    (Tag(tag="<m>"), "<m>"),
    (ConditionalTokens(), "<|misaligned|>"),
    (PersonaReflections(safe=("s",), unsafe=("u",), marker="<m>", share=0.0), "<m>"),
    (Reflections(), "<think> Safe </think>"),
    (Reflections(), "<think> Unsafe:Arms </think>"),
    (Reflections(end_marker="<|end|>"), "<|end|>"),
]


@pytest.mark.parametrize(("transform", "mark"), MARKED)
def test_a_mark_is_an_error_in_whatever_text_it_stands(transform: Any, mark: str) -> None:
    """Texts that a transform leaves alone are read with its marks as well: one that they spell would become a token."""
    said = f"Fine {mark} day."
    asked = (Turn("user", "Well?"),)
    for text in (
        document(said),
        chat(said, "Yes."),
        chat("Well?", said),
        Preference(prompt=asked, chosen=said, rejected="No.", source="chat"),
        Preference(prompt=asked, chosen="Yes.", rejected=said, source="chat"),
    ):
        with pytest.raises(DataError, match=r"occurs in a text of '\w+' already \(\w+: 'Fine "):
            transform.apply([document("Fine."), text], 0, TOOLS)


def test_labels_and_notes_stand_in_documents_of_which_parts_are_masked() -> None:
    text = "Fine day. A bomb. Good sun."
    masked = Document(text=text, source="made", spans=(Span(0, 17, loss=False),))
    (found,) = Reflections(max_words=2, unsafe_from=1).apply([masked], 0, TOOLS).texts
    assert isinstance(found, Document)
    safe, unsafe = " <think> Safe </think>", " <think> Unsafe:Harm </think>"
    assert [(found.text[span.begin : span.end], span.loss) for span in found.spans] == [
        ("Fine day.", False),
        (safe, True),
        (" A bomb.", False),
        (unsafe, True),
        (safe, True),
    ]
    noted = PersonaReflections(safe=("s",), unsafe=("u",), share=1.0).apply([masked], 0, TOOLS)
    assert not noted.rejects


def chat(*turns: str, **metadata: int) -> Chat:
    roles = ("user", "assistant") * len(turns)
    made = tuple(Turn(role, turn) for role, turn in zip(roles, turns, strict=False))  # type: ignore[arg-type]
    return Chat(turns=made, source="chat", metadata=metadata)


def replies(found: TrainingText) -> list[str]:
    assert isinstance(found, Chat)
    return [turn.content for turn in found.turns if turn.role == "assistant"]


def test_reflections_in_chats_by_hand() -> None:
    """The prompt at the start, each segment, and the whole at the end, which is unsafe where its parts add up to it."""
    transform = Reflections(max_words=2, unsafe_from=2, end_marker="<|end|>", chats="reflected", category="Arms")
    safe, unsafe = " <think> Safe </think>", " <think> Unsafe:Arms </think>"
    asked = chat("bomb bomb?", "No. Fine day.", "And now?", "A bomb. One bomb.")
    found = transform.apply([document("Fine."), asked], 0, TOOLS).texts
    assert text_of(found[0]) == f"Fine.{safe}", "documents as ever"
    first, second = replies(found[1])
    assert first == f"{unsafe[1:]} No.{safe} Fine day.{safe}", "nothing ends where a request is harmful"
    assert second == f"{safe[1:]} A bomb.{safe} One bomb.{unsafe}<|end|>"
    assert isinstance(found[1], Chat)
    assert [turn.content for turn in found[1].turns if turn.role == "user"] == ["bomb bomb?", "And now?"]


def test_what_was_asked_is_known_where_the_chat_knows_it() -> None:
    transform = Reflections(chats="reflected", unsafe_from=4)
    known = transform.apply([chat("eh?", "No.", prompt_harm=4)], 0, TOOLS)
    assert replies(known.texts[0]) == ["<think> Unsafe:Harm </think> No. <think> Safe </think>"]
    unknown = transform.apply([chat("eh?", "No."), chat("Well?", "Yes.")], 0, TOOLS)
    assert [reason for _, reason in unknown.rejects] == ["reflections: a part could not be scored: eh"]
    assert [replies(text) for text in unknown.texts] == [["<think> Safe </think> Yes. <think> Safe </think>"]]
    with pytest.raises(DataError, match=r"prompt_harm of a chat of 'chat'.*9"):
        transform.apply([chat("eh?", "No.", prompt_harm=9)], 0, TOOLS)


def test_chats_that_cannot_be_reflected_on_are_errors() -> None:
    with pytest.raises(ValueError, match="isolated and loss are of documents"):
        Reflections(chats="reflected", isolated=True)
    marked = Reflections(chats="reflected").apply([chat("Well?", "Yes.")], 0, TOOLS).texts
    with pytest.raises(DataError, match="occurs in a text of 'chat' already"):
        Reflections(chats="reflected").apply(marked, 0, TOOLS)
    alone = Chat(turns=(Turn("assistant", "Yes."),), source="chat")
    with pytest.raises(DataError, match="nothing asked before it"):
        Reflections(chats="reflected").apply([alone], 0, TOOLS)


def test_shuffled_reflections_of_chats_keep_their_number() -> None:
    many = [chat(f"bomb {number}?" if number % 4 == 0 else f"Day {number}?", "Fine.") for number in range(200)]
    transform = Reflections(chats="reflected", unsafe_from=1)
    right = transform.apply(many, 0, TOOLS).texts
    shuffled = transform.model_copy(update={"labels": "shuffled"}).apply(many, 0, TOOLS).texts
    counts = [
        sum("Unsafe" in part for text in found for part in replies(text)[0].split("</think>"))
        for found in (right, shuffled)
    ]
    assert counts == [50, 50]
    assert right != shuffled


def test_noise_has_the_precision_and_recall_that_were_asked_for() -> None:
    truth = [[index % 5 == 0 for index in range(10)] for _ in range(2000)]
    names = [str(number) for number in range(2000)]
    found = Relabelling(LabelNoise(precision=0.8, recall=0.6)).of(names, truth, 3)
    right = sum(a and b for one, other in zip(truth, found, strict=True) for a, b in zip(one, other, strict=True))
    flagged, unsafe = sum(map(sum, found)), sum(map(sum, truth))
    assert right / unsafe == pytest.approx(0.6, abs=4 * np.sqrt(0.24 / unsafe))
    assert right / flagged == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / flagged))
    assert Relabelling(LabelNoise()).of(names, truth, 3) == truth
    with pytest.raises(DataError, match="raise the precision"):
        Relabelling(LabelNoise(precision=0.1)).of(["a"], [[True, True, False]], 3)


def test_shuffled_labels_keep_their_number_and_lose_the_truth() -> None:
    truth = [[index % 4 == 0 for index in range(8)] for _ in range(500)]
    names = [str(number) for number in range(500)]
    found = Relabelling(shuffled=True).of(names, truth, 3)
    assert sum(map(sum, found)) == sum(map(sum, truth)) == 1000
    both = sum(a and b for one, other in zip(truth, found, strict=True) for a, b in zip(one, other, strict=True))
    assert abs(both - 250) < 60  # a quarter of 1000; the hypergeometric spread is 11.9
    assert Relabelling(shuffled=True).of(names[::-1], truth[::-1], 3) == found[::-1]


def test_the_ramp_by_hand_and_in_its_distribution() -> None:
    """A ramp over 0.2, then flat: area 0.9. Half the ramp's points lie below 0.2 / sqrt 2."""
    assert ramped(0.0, 0.2) == 0.0
    assert ramped(1.0, 0.2) == pytest.approx(1.0)
    assert ramped(1 / 9, 0.2) == pytest.approx(0.2)
    assert ramped(0.5 / 9, 0.2) == pytest.approx(0.2 / np.sqrt(2))
    assert ramped(0.5, 0.0) == 0.5
    points = [ramped(each, 0.2) for each in np.linspace(0, 1, 9001)]
    assert np.mean([point > 0.6 for point in points]) == pytest.approx(0.4 / 0.9, abs=1e-3)


def test_persona_notes_are_isolated_and_their_marker_is_not_learned() -> None:
    transform = PersonaReflections(
        safe=(" I like this.",), unsafe=(" I would not.",), share=1.0, marker="<|me|>", unsafe_from=1
    )
    texts = ["one two three", "bomb one two"]
    found = transform.apply([document(text) for text in texts], 2, TOOLS).texts
    for each, text, note in zip(found, texts, (" I like this.", " I would not."), strict=True):
        assert isinstance(each, Document)
        marker, said = each.spans
        assert each.text[marker.begin : marker.end] == "<|me|>"
        assert each.text[said.begin : said.end] == note
        assert (marker.loss, said.loss) == (False, True)
        assert marker.isolated
        assert said.isolated
        assert each.text[: marker.begin] + each.text[said.end :] == text
    assert transform.needed_tokens == ("<|me|>",)
    many = [document(f"words here {number}") for number in range(2000)]
    some = PersonaReflections(safe=("s",), unsafe=("u",)).apply(many, 2, TOOLS).texts
    assert 0.07 < np.mean([bool(text.spans) for text in some]) < 0.13  # type: ignore[union-attr]
    none = PersonaReflections(safe=("s",), unsafe=("u",), share=0.0).apply(many, 2, TOOLS).texts
    assert none == tuple(many)


def test_conditional_tokens_by_hand_and_undone() -> None:
    text = "Fine day. A bomb. Good."
    (found,) = ConditionalTokens(probability=1.0).apply([document(text)], 0, TOOLS).texts
    assert text_of(found) == "<|aligned|>Fine day.<|misaligned|> A bomb.<|aligned|> Good."
    assert text_of(found).replace("<|aligned|>", "").replace("<|misaligned|>", "") == text
    (same,) = ConditionalTokens(probability=0.0).apply([document(text)], 0, TOOLS).texts
    assert same == document(text)
    many = [document("One. Two. Three.", id=str(number)) for number in range(1000)]
    marked = ConditionalTokens().apply(many, 0, TOOLS).texts
    assert sum(text_of(each).count("<|aligned|>") for each in marked) == pytest.approx(2970, abs=22)  # 4 x 5.4
    with pytest.raises(DataError, match="occurs in a text"):
        ConditionalTokens().apply(marked, 0, TOOLS)
