"""Streams: fixed bytes, the prefix property, shares, counts that add up."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from upbringing.base.errors import DataError
from upbringing.data.apportionment import annealed_order
from upbringing.data.documents import Chat, Document, Span, TrainingText, Turn
from upbringing.data.packing import pack
from upbringing.data.rendering import IsolatedTokens, Rendered, decode_supervised, open_tokenizer, render_chats
from upbringing.data.stream import StreamInfo, StreamPart, StreamPlan, build_stream, open_stream, read_info
from upbringing.data.tally import read_tally
from upbringing.data.tokenizer import CHAT_TEMPLATE, train_tokenizer, write_template_twice

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go") for second in "bcdfghkl")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(WORDS, vocabulary=400, special_tokens=("<|tag|>",), chat_template=None, folder=folder)
    return folder


def documents(seed: int, count: int = 80, source: str = "made") -> list[TrainingText]:
    draw = random.Random(seed)
    return [Document(text=" ".join(draw.choices(WORDS, k=draw.randint(2, 9))), source=source) for _ in range(count)]


def chats(count: int = 30) -> list[TrainingText]:
    draw = random.Random(5)
    return [
        Chat(
            turns=(Turn("user", draw.choice(WORDS)), Turn("assistant", " ".join(draw.choices(WORDS, k=3)))),
            source="chats",
            teacher="template",
        )
        for _ in range(count)
    ]


def built(
    folder: Path, tokenizer: Path, texts: Mapping[str, Sequence[TrainingText]], part: StreamPart, **plan: object
) -> StreamInfo:
    folder.mkdir()
    fields = {"form": "documents", "context": 24, "batch_size": 4, "seed": 3, "parts": (part,), **plan}
    return build_stream(StreamPlan(**fields), lambda name: texts[name], {key: key for key in texts}, tokenizer, folder)  # type: ignore[arg-type]


def test_an_end_of_text_that_is_missing_is_missed_of_a_named_checkpoint(tokenizer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "endless-7b"
    shutil.copytree(tokenizer, folder)
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({key: said[key] for key in said if key != "eos_token"}), encoding="utf-8")
    part = StreamPart(shares=(("one", 1.0),), num_windows=8)
    with pytest.raises(DataError, match=r"^the tokenizer of endless-7b has no end-of-text token"):
        built(tmp_path / "stream", folder, {"one": documents(1)}, part)


def test_every_word_is_one_token_and_special_tokens_exist(tokenizer: Path) -> None:
    opened = open_tokenizer(tokenizer)
    assert all(len(opened(word, add_special_tokens=False)["input_ids"]) == 1 for word in WORDS)
    assert len(opened("<|tag|>", add_special_tokens=False)["input_ids"]) == 1
    assert opened.decode(opened("babel ünïcode", add_special_tokens=False)["input_ids"]).strip() == "babel ünïcode"


def test_a_vocabulary_that_splits_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raise tokenizer\.vocabulary"):
        train_tokenizer(WORDS, vocabulary=300, special_tokens=(), chat_template=None, folder=tmp_path)


def test_a_longer_stream_begins_with_the_shorter_one(tmp_path: Path, tokenizer: Path) -> None:
    texts = {"a": documents(1), "b": documents(2, source="other")}
    shares = (("a", 0.7), ("b", 0.3))
    short = built(tmp_path / "short", tokenizer, texts, StreamPart(shares, num_windows=8))
    long = built(tmp_path / "long", tokenizer, texts, StreamPart(shares, num_windows=40))
    assert long.prefix_sha256(2) == short.sha256
    assert long.prefix_sha256(3) != short.sha256
    one, two = open_stream(tmp_path / "short"), open_stream(tmp_path / "long")
    assert np.array_equal(one.arrays["tokens"], two.arrays["tokens"][:8])


def test_every_prefix_keeps_the_shares_within_one_window(tmp_path: Path, tokenizer: Path) -> None:
    texts = {"a": documents(1, source="a"), "b": documents(2, source="b")}
    info = built(tmp_path / "mixed", tokenizer, texts, StreamPart((("a", 0.75), ("b", 0.25)), num_windows=40))
    realised = {source.source: source.realised_tokens for source in info.sources}
    assert realised["b"] / sum(realised.values()) == pytest.approx(0.25, abs=0.05)
    assert {source.source: source.planned_share for source in info.sources} == {"a": 0.75, "b": 0.25}


def test_equal_windows_make_arms_token_matched(tmp_path: Path, tokenizer: Path) -> None:
    part = StreamPart((("a", 1.0),), num_windows=20)
    one = built(tmp_path / "one", tokenizer, {"a": documents(1)}, part)
    two = built(tmp_path / "two", tokenizer, {"a": documents(2, count=30)}, part)
    assert one.tokens == two.tokens == 20 * 24
    assert one.num_steps == two.num_steps == 5


@pytest.mark.parametrize("epochs", [0.25, 0.5, 1.0, 1.5, 2.0])
def test_parts_of_epochs_are_parts_of_the_tokens(tmp_path: Path, tokenizer: Path, epochs: float) -> None:
    texts = documents(1, count=400)
    part = StreamPart((("a", 1.0),), epochs=epochs)
    info = built(tmp_path / "part", tokenizer, {"a": texts}, part)
    whole = built(tmp_path / "whole", tokenizer, {"a": texts}, StreamPart((("a", 1.0),), epochs=1.0))
    slack = 2 * 4 * 24  # what fills the last batch, and what waited
    assert info.text_tokens == pytest.approx(epochs * whole.text_tokens, abs=slack)
    if epochs >= 1:
        assert info.examples >= epochs * 400 * 0.98


def test_counts_add_up_and_survive_reading(tmp_path: Path, tokenizer: Path) -> None:
    info = built(tmp_path / "counts", tokenizer, {"a": documents(1)}, StreamPart((("a", 1.0),), num_windows=20))
    stream = open_stream(tmp_path / "counts")
    assert read_info(tmp_path / "counts") == info
    assert info.text_tokens == sum(source.realised_tokens for source in info.sources)
    assert info.supervised_tokens == int((stream.arrays["labels"] >= 0).sum())
    first = np.diff(stream.arrays["documents"], axis=1, prepend=-2) != 0
    assert (stream.arrays["positions"][first] == 0).all()
    assert (stream.arrays["labels"][first] == -100).all()


def test_only_the_assistant_is_supervised(tmp_path: Path, tokenizer: Path) -> None:
    opened = open_tokenizer(tokenizer)
    chat = Chat(
        turns=(Turn("user", "bab deb"), Turn("assistant", "fib gob"), Turn("user", "bac"), Turn("assistant", "dec")),
        source="x",
    )
    rendered = render_chats([chat], opened, tokenizer)[0]
    assert decode_supervised(rendered, opened).split() == ["fib", "gob<|end|>", "dec<|end|>"]
    info = built(tmp_path / "chats", tokenizer, {"a": chats()}, StreamPart((("a", 1.0),), epochs=2.0), form="chats")
    source = info.sources[0]
    assert source.teachers == ("template",)
    assert source.repetition >= 2.0
    assert info.num_windows % 4 == 0


def test_templates_without_markers_are_split_by_prefixes(tmp_path: Path, tokenizer: Path) -> None:
    import shutil

    plain = tmp_path / "plain"
    shutil.copytree(tokenizer, plain)
    write_template_twice(plain, CHAT_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
    chat = Chat(turns=(Turn("user", "bab"), Turn("assistant", "fib gob")), source="x")
    marked = render_chats([chat], open_tokenizer(tokenizer), tokenizer)[0]
    found = render_chats([chat], open_tokenizer(plain), plain)[0]
    assert (found.ids, found.learned) == (marked.ids, marked.learned)


def test_a_chat_that_cannot_be_rendered_is_named_by_its_place(tmp_path: Path, tokenizer: Path) -> None:
    import shutil

    plain = tmp_path / "plain"
    shutil.copytree(tokenizer, plain)
    template = CHAT_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    write_template_twice(plain, template)
    good = Chat(turns=(Turn("user", "bab"), Turn("assistant", "fib gob")), source="x")
    for wrong, message in (
        (Chat(turns=good.turns[::-1], source="x"), r"chat 2 of 'x': it begins with an assistant turn"),
        (Chat(turns=good.turns[:1], source="x"), r"chat 2 of 'x' has no assistant turn"),
    ):
        with pytest.raises(DataError, match=message):
            render_chats([good, wrong], open_tokenizer(plain), plain)
    refusing = "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}" + template
    write_template_twice(plain, refusing)
    with pytest.raises(
        DataError, match=r"chat 2 of 'x': the chat template .* user, assistant, user, assistant: .*too long"
    ):
        render_chats([good, Chat(turns=good.turns * 2, source="x")], open_tokenizer(plain), plain)


def test_replay_takes_its_share(tmp_path: Path, tokenizer: Path) -> None:
    texts = {"a": chats(), "r": documents(1, source="replayed")}
    info = built(
        tmp_path / "replay", tokenizer, texts, StreamPart((("a", 1.0),), epochs=4.0), form="chats", replay=("r", 0.5)
    )
    realised = {source.source: source.realised_tokens for source in info.sources}
    assert realised["replayed"] / sum(realised.values()) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("texts", "part", "message"),
    [
        ([], StreamPart((("a", 1.0),), num_windows=4), "is empty"),
        (documents(1, count=2), StreamPart((("a", 1.0),), num_windows=40, max_repetition=2.0), "max_repetition"),
        (documents(1, count=1), StreamPart((("a", 1.0),), epochs=0.1), "less than one batch|fills"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, tokenizer: Path, texts: list[TrainingText], part: StreamPart, message: str
) -> None:
    if part.epochs is not None:
        built(tmp_path / "short", tokenizer, {"a": texts}, part)  # one batch is filled by reading on: never empty
        return
    with pytest.raises(DataError, match=message):
        built(tmp_path / "bad", tokenizer, {"a": texts}, part)


def test_a_chat_that_does_not_fit_is_refused_and_a_document_is_split(tmp_path: Path, tokenizer: Path) -> None:
    long = Chat(turns=(Turn("user", "bab"), Turn("assistant", " ".join(WORDS * 2))), source="long")
    with pytest.raises(DataError, match="raise the context"):
        built(tmp_path / "chat", tokenizer, {"a": [long]}, StreamPart((("a", 1.0),), num_windows=4), form="chats")
    document = Document(text=" ".join(WORDS * 2), source="long")
    info = built(tmp_path / "document", tokenizer, {"a": [document]}, StreamPart((("a", 1.0),), num_windows=4))
    assert info.examples >= 3


def test_an_anneal_moves_from_one_mixture_to_the_other_exactly_as_planned(tmp_path: Path, tokenizer: Path) -> None:
    """Every window belongs to one source: their order is that of the apportionment, their content each source's own."""
    texts = {"a": documents(1, source="a"), "b": documents(2, source="b")}
    part = StreamPart((("a", 1.0), ("b", 0.0)), num_windows=40, to=(0.25, 0.75))
    info = built(tmp_path / "anneal", tokenizer, texts, part)
    arrays = open_stream(tmp_path / "anneal").arrays["tokens"]
    order = annealed_order((1.0, 0.0), (0.25, 0.75), 40)
    for place, name in enumerate("ab"):
        built(tmp_path / name, tokenizer, {name: texts[name]}, StreamPart(((name, 1.0),), num_windows=40))
        alone = open_stream(tmp_path / name).arrays["tokens"]
        mine = arrays[order == place]
        assert np.array_equal(mine, alone[: len(mine)])
    assert {each.source: each.planned_share for each in info.sources} == {"a": 0.625, "b": 0.375}
    assert (order[:20] == 1).sum() == 4  # a quarter of what b has in the whole stretch: 15 windows
    phase = read_tally(tmp_path / "anneal").sources(10, first_step=5)
    assert [each.planned_share for each in phase] == pytest.approx([0.4375, 0.5625])


def test_a_cap_counts_every_phase_of_a_stage(tmp_path: Path, tokenizer: Path) -> None:
    texts = {"a": documents(1, count=20)}
    part = StreamPart((("a", 1.0),), num_windows=8, max_repetition=2.0)
    once = built(tmp_path / "once", tokenizer, texts, part)
    assert 1.0 < once.sources[0].repetition < 2.0
    with pytest.raises(DataError, match=r"'a' would be read .* times, max_repetition is 2"):
        built(tmp_path / "twice", tokenizer, texts, part, parts=(part, part))


def test_a_part_that_continues_reads_on_where_the_one_before_it_stopped(tmp_path: Path, tokenizer: Path) -> None:
    """Cut in two, a part has the windows of the whole; without the word its second half is its first again."""
    texts = {"a": documents(1), "b": documents(2)}
    first = StreamPart((("a", 1.0),), num_windows=8)
    whole = built(tmp_path / "whole", tokenizer, texts, StreamPart((("a", 1.0),), num_windows=16))
    goes_on = built(tmp_path / "on", tokenizer, texts, first, parts=(first, replace(first, continues=True)))
    again = built(tmp_path / "again", tokenizer, texts, first, parts=(first, first))
    assert goes_on.sha256 == whole.sha256
    assert goes_on.sources[0].repetition == pytest.approx(whole.sources[0].repetition)
    assert again.prefix_sha256(2) == whole.prefix_sha256(2)
    tokens = [open_stream(tmp_path / name).arrays["tokens"] for name in ("on", "again")]
    assert not (tokens[0][8:] == tokens[0][:8]).all()
    assert (tokens[1][8:] == tokens[1][:8]).all()
    mixed = replace(first, shares=(("a", 0.5), ("b", 0.5)), continues=True)  # what is new in it begins at its beginning
    built(tmp_path / "mixed", tokenizer, texts, first, parts=(first, mixed))
    built(tmp_path / "fresh", tokenizer, texts, StreamPart((("b", 1.0),), num_windows=4))
    late = open_stream(tmp_path / "mixed").arrays["tokens"][8:]
    assert (late[::2] == open_stream(tmp_path / "whole").arrays["tokens"][8:12]).all()
    assert (late[1::2] == open_stream(tmp_path / "fresh").arrays["tokens"]).all()


def test_a_cap_counts_what_a_part_that_continues_reads_once(tmp_path: Path, tokenizer: Path) -> None:
    texts = {"a": documents(1, count=20)}
    part = StreamPart((("a", 1.0),), num_windows=4, max_repetition=2.0)
    goes_on = replace(part, continues=True)
    found = built(tmp_path / "on", tokenizer, texts, part, parts=(part, goes_on))
    assert 1.2 < found.sources[0].repetition < 2.0  # once and a half; counted twice it would be over
    with pytest.raises(DataError, match="max_repetition"):
        built(tmp_path / "over", tokenizer, texts, part, parts=(part, goes_on, goes_on))


def test_isolated_text_moves_no_hash_before_it(tmp_path: Path, tokenizer: Path) -> None:
    notes: list[TrainingText] = [
        Document(text=f"{WORDS[number]} fib gob bac", source="notes", spans=(Span(3, 11, isolated=True),))
        for number in range(20)
    ]
    texts: dict[str, Sequence[TrainingText]] = {"a": documents(1), "b": notes}
    clean, annotated = StreamPart((("a", 1.0),), num_windows=8), StreamPart((("b", 1.0),), num_windows=8)
    short = built(tmp_path / "short", tokenizer, texts, clean)
    long = built(tmp_path / "long", tokenizer, texts, clean, parts=(clean, annotated))
    assert long.prefix_sha256(2) == short.sha256
    assert set(open_stream(tmp_path / "short").arrays) == {"tokens", "labels", "positions", "documents"}
    isolated = open_stream(tmp_path / "long").arrays["isolated"]
    assert (isolated[:8] == -1).all()
    assert (isolated[8:] >= 0).any(axis=1).all()
    assert long.sources[1].supervised_tokens == int((open_stream(tmp_path / "long").arrays["labels"][8:] >= 0).sum())
    assert long.sources[1].realised_tokens == long.text_tokens - short.text_tokens


def test_a_window_with_isolated_text_by_hand() -> None:
    note = IsolatedTokens(2, [7, 8], [False, True])
    first = Rendered([1, 2, 3, 0], [True] * 4, "x", None, divisible=True, isolated=(note,), reserved=7)
    second = Rendered([4, 5, 0], [True] * 3, "x", None, divisible=True)
    (window,) = pack([[first, second]], 12, padding_token=9, seed=1)
    assert window.tokens.tolist() == [1, 2, 3, 0, 7, 8, 9, 4, 5, 0, 9, 9]
    assert window.labels.tolist() == [-100, 2, 3, 0, -100, 8, -100, -100, 5, 0, -100, -100]
    assert window.positions.tolist() == [0, 1, 2, 3, 2, 3, 0, 0, 1, 2, 0, 0]
    assert window.documents.tolist() == [0, 0, 0, 0, 0, 0, -1, 1, 1, 1, -1, -1]
    assert window.isolated.tolist() == [-1, -1, -1, -1, 4, 4, -1, -1, -1, -1, -1, -1]
    assert window.tally == {("x", None): (9, 6, 2)}
