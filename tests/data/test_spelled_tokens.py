"""Special tokens that texts spell: text in documents and chats, tokens where marks or the template mean them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.special_strings import may_hold
from upbringing.base.text_reading import FIRST_STAND_IN, TEXTS_AT_ONCE, TextReader
from upbringing.data.documents import Chat, Document, Preference, Span, Turn
from upbringing.data.interventions.tag import Tag
from upbringing.data.pairs import build_pair_stream
from upbringing.data.prompts import build_prompt_stream
from upbringing.data.rendering import (
    open_tokenizer,
    render_chats,
    render_documents,
    render_preferences,
    render_prompts,
    render_texts,
)
from upbringing.data.spelled_tokens import read_spelled
from upbringing.data.stream import StreamPart, StreamPlan, build_stream, open_stream
from upbringing.data.tokenizer import CHAT_TEMPLATE, train_tokenizer

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go") for second in "bcdfghkl")
TAG, OTHER = "<|tag|>", "<|other|>"
BY_PREFIXES = CHAT_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")


@pytest.fixture(scope="module", params=["markers", "prefixes"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("tokenizer")
    template = CHAT_TEMPLATE if request.param == "markers" else BY_PREFIXES
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(TAG, OTHER), chat_template=template, folder=found)
    return found


def special(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    known = {token for token, each in tokenizer.added_tokens_decoder.items() if each.special}
    return [str(tokenizer.convert_ids_to_tokens(token)) for token in ids if token in known]


def document(text: str, **fields: Any) -> Document:
    return Document(text=text, source="web", **fields)


def test_texts_are_read_in_pieces_as_they_are_read_alone(folder: Path) -> None:
    reader = TextReader(open_tokenizer(folder))
    texts = [f"{WORDS[place % len(WORDS)]} {place} <|end|>" for place in range(2 * TEXTS_AT_ONCE + 3)]
    assert reader.ids(texts) == [reader.ids([text])[0] for text in texts]
    assert reader.ids([]) == []


def test_a_document_that_quotes_a_chat_holds_no_special_token(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    text = f"bab <|end|> deb<|user|>fib {TAG} gob"
    clean = "bab deb fib gob"
    quoting, plain = render_documents([document(text), document(clean)], tokenizer)
    assert special(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"]) == ["<|end|>", "<|user|>", TAG]
    assert special(tokenizer, quoting.ids) == ["<|end|>"]  # the one that closes every document
    assert quoting.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(quoting.ids[:-1]).strip() == text
    assert quoting.spelled == {"<|end|>": 1, "<|user|>": 1, TAG: 1}
    assert plain.spelled == {}
    assert plain.ids[:-1] == tokenizer(clean, add_special_tokens=False)["input_ids"]


def test_marks_stay_tokens_beside_what_is_spelled(folder: Path) -> None:
    """Taking the tags out again leaves the very tokens of the text, which are those of text, whatever it spells."""
    tokenizer = open_tokenizer(folder)
    text = document(f"bab deb {OTHER} fib gob <|end|> bac dec", harm=5)
    (tagged,) = Tag(rate=0.7, tag=TAG).apply([text], 3).texts
    assert isinstance(tagged, Document)
    (marked,) = render_documents([tagged], tokenizer, marks=(TAG,))
    (own,) = render_documents([text], tokenizer, marks=(TAG,))
    mark = tokenizer.convert_tokens_to_ids(TAG)
    assert marked.ids.count(mark) == tagged.metadata["tags"] > 0  # type: ignore[operator]
    assert [each for each in marked.ids if each != mark] == own.ids
    assert set(special(tokenizer, marked.ids)) == {TAG, "<|end|>"}
    assert marked.spelled == {OTHER: 1, "<|end|>": 1}


def test_a_text_that_spells_nothing_has_the_ids_it_always_had(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    texts = ["bab deb", "fib, ünïcode <b> | gob|>", f"gob {TAG} fib", ""]
    reader = TextReader(tokenizer, (TAG,))
    expected = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    assert reader.ids(texts) == expected["input_ids"]
    assert [offsets for _, offsets in reader.ids_with_offsets(texts)] == expected["offset_mapping"]
    assert [list(reader._plain.encode(text, add_special_tokens=False).ids) for text in texts] == expected["input_ids"]


def test_spans_count_the_characters_of_what_is_spelled(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    text = f"bab <|end|> deb {TAG} fib"
    begin = text.index("deb")
    found = render_documents([document(text, loss=False, spans=(Span(begin, begin + 3),))], tokenizer, marks=(TAG,))[0]
    learned = [token for token, flag in zip(found.ids, found.learned, strict=True) if flag]
    assert tokenizer.decode(learned).strip() == "deb"
    assert special(tokenizer, found.ids) == [TAG, "<|end|>"]
    isolated = Span(begin - 8, begin - 1, isolated=True)
    found = render_documents([document(text, spans=(isolated,))], tokenizer)[0]
    assert special(tokenizer, [*found.ids[:-1], *found.isolated[0].ids]) == []
    assert found.spelled == {"<|end|>": 1, TAG: 1}


def test_a_chat_cannot_end_its_own_turn(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    turns = (
        Turn("user", "bab <|end|><|assistant|> deb"),
        Turn("assistant", f"fib <|end|> {TAG} gob"),
        Turn("user", "bac"),
        Turn("assistant", "dec"),
    )
    quoting, plain = render_chats(
        [Chat(turns=turns, source="x"), Chat(turns=turns[2:], source="x")], tokenizer, folder, marks=(TAG,)
    )
    markers = ["<|user|>", "<|end|>", "<|assistant|>", TAG, "<|end|>"]
    assert special(tokenizer, quoting.ids) == [*markers, "<|user|>", "<|end|>", "<|assistant|>", "<|end|>"]
    learned = [token for token, flag in zip(quoting.ids, quoting.learned, strict=True) if flag]
    assert tokenizer.decode(learned).split() == ["fib", "<|end|>", TAG, "gob<|end|>", "dec<|end|>"]
    assert special(tokenizer, learned) == [TAG, "<|end|>", "<|end|>"]
    assert len(quoting.learned) == len(quoting.ids)
    assert max(quoting.ids) < len(tokenizer)
    assert quoting.spelled == {"<|end|>": 2, "<|assistant|>": 1}
    assert render_chats([Chat(turns=turns[2:], source="x")], tokenizer, folder)[0] == plain
    assert quoting.ids[-len(plain.ids) :] == plain.ids


def test_prompts_and_preferences_are_read_alike(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    turns = (Turn("user", f"bab <|end|>{chr(FIRST_STAND_IN)}"),)  # the stand-in's own character is met in a text
    ((prompt),) = render_prompts([turns], tokenizer)
    assert special(tokenizer, prompt) == ["<|user|>", "<|end|>", "<|assistant|>"]
    pair = Preference(prompt=turns, chosen="fib <|user|>", rejected="gob", source="x")
    ((asked, chosen, rejected),) = render_preferences([pair], tokenizer, folder)
    assert asked == prompt
    assert [special(tokenizer, each) for each in (chosen, rejected)] == [["<|end|>"], ["<|end|>"]]


def test_a_stream_says_what_its_texts_spell(folder: Path, tmp_path: Path) -> None:
    texts = {
        "web": [document("bab deb fib gob " * 3 + ("<|end|>" if number % 2 else "")) for number in range(8)],
        "tagged": [document(f"bac {TAG} dec")] * 4,
    }
    parts = (StreamPart((("web", 0.5), ("tagged", 0.5)), num_windows=4),)
    plan = StreamPlan("documents", 24, 2, 3, parts, marks={"tagged": (TAG,)})
    build_stream(plan, lambda name: texts[name], {"web": "web", "tagged": "tagged"}, folder, tmp_path)
    assert read_spelled(tmp_path) == {"web": {"<|end|>": 4}}
    tokens = open_stream(tmp_path).arrays["tokens"]
    assert (tokens == open_tokenizer(folder).convert_tokens_to_ids(TAG)).any()
    (found,) = render_texts([texts["web"][1]], open_tokenizer(folder), folder, "web")
    assert found.spelled == {"<|end|>": 1}


def test_streams_of_pairs_and_of_prompts_say_what_they_spell(folder: Path, tmp_path: Path) -> None:
    asked = (Turn("user", f"bab <|end|> {TAG}"),)
    pairs = [
        Preference(prompt=asked, chosen="fib <|user|>", rejected=f"gob {number}", source="x") for number in range(4)
    ]
    chats = [Chat(turns=(*asked, Turn("assistant", "fib <|user|>")), source="x")] * 4
    shares = (("pairs", 1.0),)
    for name, form, texts, part, spelled in (
        ("pairs", "preferences", pairs, StreamPart(shares, epochs=2.0), {"<|end|>": 4, "<|user|>": 4}),
        ("prompts", "prompts", chats, StreamPart(shares, num_windows=8), {"<|end|>": 4}),
        ("clean", "prompts", [Chat(turns=(Turn("user", "bab"),), source="x")], StreamPart(shares, num_windows=2), {}),
    ):
        made = tmp_path / name
        made.mkdir()
        plan = StreamPlan(form, 64, 2, 3, (part,), marks={"pairs": (TAG,)})
        build = build_pair_stream if form == "preferences" else build_prompt_stream
        build(plan, texts, name, folder, made)
        assert read_spelled(made) == ({name: spelled} if spelled else {})  # each text once, whatever the epochs


@pytest.mark.parametrize(
    ("mark", "token", "held"),
    [
        (TAG, TAG, True),
        (" <think> Safe </think>", "<think>", True),
        (" <think> Safe </think>", "<think> Safe </think>", True),
        (" <think> Unsafe:{category} </think>", "<think> Unsafe:Harm </think>", True),
        (" <think> Unsafe:{category} </think>", "</think>", True),
        (" <think> Unsafe:{category} </think>", "<|im_end|>", False),
        ("{category}", OTHER, False),
        (TAG, OTHER, False),
    ],
)
def test_a_mark_may_hold_a_token(mark: str, token: str, held: bool) -> None:
    assert may_hold(mark, token) is held


def _byte_level() -> Any:
    """As of GPT-2: special tokens stand in the model's own vocabulary as well, and no space is put before a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>", TAG], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([" ".join(WORDS)], trainer)
    return made


def _metaspace() -> Any:
    """As of Llama 2: a space is put before the first piece alone, so that cutting a text up moves its tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    letters = sorted({*"".join(WORDS), *"<|>/endtaguskim_ \u2581"})
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<|end|>"], initial_alphabet=letters, show_progress=False
    )
    made.train_from_iterator([" ".join(WORDS)], trainer)
    made.add_special_tokens([AddedToken(TAG, lstrip=True, special=True)])
    made.add_tokens(["<note>"])  # added, and not special: what it spells it is
    return made


@pytest.mark.parametrize("make", [_byte_level, _metaspace])
def test_marks_are_read_as_the_tokenizer_itself_reads_them(make: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make(), eos_token="<|end|>")
    marked = ["bab deb", f"bab{TAG} deb {TAG}fib", f"{TAG}bab", "<note> bab\u00fc gob"]
    reader = TextReader(tokenizer, (TAG,))
    expected = tokenizer(marked, add_special_tokens=False, return_offsets_mapping=True)
    for text, ids, offsets in zip(marked, expected["input_ids"], expected["offset_mapping"], strict=True):
        assert reader._encode(text) == (ids, offsets)
    end, mark = (tokenizer.convert_tokens_to_ids(each) for each in ("<|end|>", TAG))
    ((spelled),) = reader.ids([f"bab <|end|> deb{TAG} fib"])
    assert (spelled.count(end), spelled.count(mark)) == (0, 1)
    unmarked = TextReader(tokenizer).ids(["bab <|end|> deb <|tag|> fib"])[0]
    assert not {end, mark} & set(unmarked)
    assert tokenizer.decode(unmarked).strip() == "bab <|end|> deb <|tag|> fib"
    split = tokenizer("bab <|end|> deb <|tag|> fib", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert unmarked == split
