"""Tag injection against hand computation, its identity, its expectation, and its placebo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.interventions.tag import Tag
from upbringing.data.rendering import open_tokenizer
from upbringing.data.tokenizer import require_special_tokens, train_tokenizer

TAG = "<potentially unsafe content>"


def document(text: str, harm: int = 5, **metadata: str) -> Document:
    return Document(text=text, source="made", harm=harm, metadata=metadata)


def test_the_algorithm_by_hand() -> None:
    """Output w1; before each further word the tag where the next uniform draw is below the rate."""
    text = document("one two  three\nfour five", id="a")
    (found,) = Tag(rate=0.5).apply([text], 7).texts
    assert isinstance(found, Document)
    draws = stream(7, "tag", "a").random(4)
    expected = "one"
    for space, word, draw in zip((" ", "  ", "\n", " "), ("two", "three", "four", "five"), draws, strict=True):
        expected += (TAG if draw < 0.5 else "") + space + word
    assert found.text == expected
    assert found.text.replace(TAG, "") == text.text
    assert found.metadata["tags"] == found.text.count(TAG) == int((draws < 0.5).sum())


def test_rate_one_marks_every_word_but_the_first() -> None:
    (found,) = Tag(rate=1.0).apply([document("a b c")], 0).texts
    assert isinstance(found, Document)
    assert found.text == f"a{TAG} b{TAG} c"


@pytest.mark.parametrize("tag", [Tag(rate=0.0), Tag(scores=()), Tag(rate=0.5, scores=(1, 2))])
def test_without_rate_or_eligible_scores_nothing_changes(tag: Tag) -> None:
    texts = [document(f"some words {number}", harm) for number, harm in enumerate((0, 3, 4, 5))]
    assert tag.apply(texts, 3).texts == tuple(texts)


def test_only_raw_documents_of_eligible_scores_are_tagged() -> None:
    chat = Chat(turns=(Turn("user", "a b c"), Turn("assistant", "d e f")), source="chat", harm=5)
    texts: list[TrainingText] = [
        document("safe text here", 0),
        document("written text here", 5, written_as="rephrase"),
        chat,
        document("raw text here", 4),
    ]
    found = Tag(rate=1.0).apply(texts, 3).texts
    assert found[:3] == tuple(texts[:3])
    assert isinstance(found[3], Document)
    assert found[3].text == f"raw{TAG} text{TAG} here"


def test_expected_tags_and_segments_without_any() -> None:
    """p(n-1) tags, and (1-p)^(n-1) of the segments have none: 0.36 at n = 21."""
    num_words, number, rate = 21, 4000, 0.05
    texts = [document(" ".join(["w"] * num_words), id=str(index)) for index in range(number)]
    counts = np.array([text.text.count(TAG) for text in Tag(rate=rate).apply(texts, 1).texts])  # type: ignore[union-attr]
    expected, untagged = rate * (num_words - 1), (1 - rate) ** (num_words - 1)
    spread = np.sqrt(rate * (1 - rate) * (num_words - 1) / number)
    assert abs(counts.mean() - expected) < 4 * spread
    assert abs((counts == 0).mean() - untagged) < 4 * np.sqrt(untagged * (1 - untagged) / number)
    assert untagged == pytest.approx(0.358, abs=0.001)


def test_neither_order_nor_shards_matter() -> None:
    texts = [document(f"some words to tag {number}", id=str(number)) for number in range(40)]
    whole = {text.metadata["id"]: text for text in Tag(rate=0.5).apply(texts, 9).texts}
    shards = [Tag(rate=0.5).apply(part, 9).texts for part in (texts[:7][::-1], texts[7:])]
    assert {text.metadata["id"]: text for part in shards for text in part} == whole
    other = {text.metadata["id"]: text for text in Tag(rate=0.5).apply(texts, 10).texts}
    assert other != whole


def test_a_tag_that_is_there_already_is_an_error() -> None:
    with pytest.raises(DataError, match="occurs in a text of 'made' already"):
        Tag().apply([document("fine"), document(f"text with {TAG} in it", 0)], 0)


def test_shuffled_labels_tag_as_many_documents_whatever_their_score() -> None:
    texts = [document(f"many words that can be tagged {n}", 5 if n % 4 == 0 else 0, id=str(n)) for n in range(400)]
    found = Tag(rate=1.0, labels="shuffled").apply(texts, 2).texts
    tagged = [text for text in found if TAG in text.text]  # type: ignore[union-attr]
    assert len(tagged) == 100
    harmful = sum(text.harm == 5 for text in tagged)  # type: ignore[union-attr]
    assert 10 < harmful < 40  # 25 are expected, 4.1 the hypergeometric spread
    again = Tag(rate=1.0, labels="shuffled").apply(texts[::-1], 2).texts
    assert sorted(text.metadata["id"] for text in again if TAG in text.text) == sorted(  # type: ignore[union-attr,type-var]
        text.metadata["id"] for text in tagged
    )


def test_the_tokens_of_every_word_survive(tmp_path: Path) -> None:
    """As one special token, taken out again, the tag leaves the very tokens of the untagged text."""
    train_tokenizer(
        ["alpha", "beta", "gamma"], vocabulary=400, special_tokens=(TAG,), chat_template=None, folder=tmp_path
    )
    require_special_tokens(tmp_path, [TAG])
    with pytest.raises(DataError, match="special_tokens"):
        require_special_tokens(tmp_path, ["<|other|>"])
    tokenizer = open_tokenizer(tmp_path)
    mark = tokenizer.convert_tokens_to_ids(TAG)
    text = document("alpha beta gamma alpha gamma beta")
    (tagged,) = Tag(rate=0.6).apply([text], 4).texts
    assert isinstance(tagged, Document)
    ids = tokenizer(tagged.text, add_special_tokens=False)["input_ids"]
    assert ids.count(mark) == tagged.metadata["tags"]
    assert [each for each in ids if each != mark] == tokenizer(text.text, add_special_tokens=False)["input_ids"]
