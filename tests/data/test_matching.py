"""Matched streams: arms differ only in what was written into them, and what cannot be matched is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document, Span, TrainingText
from upbringing.data.matching import with_room
from upbringing.data.rendering import IsolatedTokens, Rendered
from upbringing.data.stream import Stream, StreamInfo, StreamPart, StreamPlan, build_stream, open_stream
from upbringing.data.stream_difference import Difference, difference
from upbringing.data.tokenizer import train_tokenizer

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go") for second in "bcdfghkl")
LABELS = {"good": " fib fic", "bad": " gob goc god gof"}  # of two lengths
ARMS = ("plain", "reflected", "shuffled")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(WORDS, vocabulary=400, special_tokens=(), chat_template=None, folder=folder)
    return folder


def arm(kind: str, count: int = 60) -> list[TrainingText]:
    """The same documents with no note, a note of their own label, or one of a label drawn for another document."""
    draw = random.Random(1)
    made: list[TrainingText] = []
    labels = [draw.choice(list(LABELS)) for _ in range(count)]
    shown = draw.sample(labels, count) if kind == "shuffled" else labels
    texts = random.Random(2)
    for label in shown:
        first, second = (" ".join(texts.choices(WORDS, k=texts.randint(2, 5))) for _ in range(2))
        note = "" if kind == "plain" else LABELS[label]
        spans = (Span(len(first), len(first) + len(note), isolated=True),) if note else ()
        made.append(Document(text=f"{first}{note} {second}", source="made", spans=spans))
    return made


def built(folder: Path, tokenizer: Path, kind: str, matched: bool = True, **plan: Any) -> tuple[Stream, StreamInfo]:
    """A stream of one arm beside another source, in a mixture."""
    others: list[TrainingText] = [Document(text=" ".join(WORDS[:7]), source="web") for _ in range(30)]
    texts = {**{name: arm(name) for name in ARMS}, "web": others}
    folder.mkdir()
    part = StreamPart(((kind, 0.5), ("web", 0.5)), num_windows=24)
    fields = {"form": "documents", "context": 32, "batch_size": 4, "seed": 3, "parts": (part,), **plan}
    fields["matched"] = ARMS if matched else ()
    info = build_stream(StreamPlan(**fields), lambda name: texts[name], {key: key for key in texts}, tokenizer, folder)
    return open_stream(folder), info


def test_arms_differ_only_where_the_notes_are(tmp_path: Path, tokenizer: Path) -> None:
    streams = {kind: built(tmp_path / kind, tokenizer, kind)[0] for kind in ARMS}
    notes = difference(streams["plain"], streams["reflected"])
    assert notes.num_places == int((streams["reflected"].arrays["isolated"] >= 0).sum()) > 50
    labels = difference(streams["reflected"], streams["shuffled"])
    assert 0 < labels.num_places < notes.num_places * 2
    assert difference(streams["reflected"], streams["reflected"]) == Difference(0, 0)


def test_without_matching_the_same_arms_are_found_to_differ(tmp_path: Path, tokenizer: Path) -> None:
    plain, reflected = (built(tmp_path / kind, tokenizer, kind, matched=False)[0] for kind in ARMS[:2])
    with pytest.raises(DataError, match="differ outside isolated text"):
        difference(plain, reflected)


@pytest.mark.parametrize("name", ["tokens", "labels", "positions", "documents"])
def test_one_changed_number_outside_of_notes_is_found(tmp_path: Path, tokenizer: Path, name: str) -> None:
    plain, _ = built(tmp_path / "plain", tokenizer, "plain")
    reflected, _ = built(tmp_path / "reflected", tokenizer, "reflected")
    arrays = {key: np.array(array) for key, array in reflected.arrays.items()}
    window, place = (int(each[0]) for each in np.nonzero(arrays["documents"] >= 0))
    arrays[name][window, place] += 1
    with pytest.raises(DataError, match=f"window {window}, place {place}"):
        difference(plain, Stream(reflected.info, arrays))


def test_a_note_in_the_place_of_text_is_found(tmp_path: Path, tokenizer: Path) -> None:
    reflected, _ = built(tmp_path / "reflected", tokenizer, "reflected")
    arrays = {key: np.array(array) for key, array in reflected.arrays.items()}
    arrays["isolated"][0, 3:5] = 3
    with pytest.raises(DataError, match="window 0, place 3"):
        difference(reflected, Stream(reflected.info, arrays))


def test_streams_of_other_sizes_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    one, _ = built(tmp_path / "one", tokenizer, "plain")
    two, _ = built(tmp_path / "two", tokenizer, "plain", batch_size=8)
    with pytest.raises(DataError, match="other sizes"):
        difference(one, two)


def test_a_late_arm_learns_what_the_early_one_learned_of_the_notes(tmp_path: Path, tokenizer: Path) -> None:
    early, _ = built(tmp_path / "early", tokenizer, "reflected")
    late, info = built(tmp_path / "late", tokenizer, "reflected", learn="spans")
    is_note = early.arrays["isolated"] >= 0
    assert np.array_equal(late.arrays["tokens"], early.arrays["tokens"])
    assert np.array_equal(late.arrays["labels"], np.where(is_note, early.arrays["labels"], -100))
    assert info.supervised_tokens == int((early.arrays["labels"][is_note] >= 0).sum())
    supervised = {source.source: source.supervised_tokens for source in info.sources}
    assert supervised == {"made": info.supervised_tokens, "web": 0}


def test_a_stage_without_anything_to_learn_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(DataError, match="learns spans alone, and none of plain, web carries a loss"):
        built(tmp_path / "plain", tokenizer, "plain", learn="spans")


def test_replayed_text_is_learned_as_it_stands(tmp_path: Path, tokenizer: Path) -> None:
    replayed_texts: list[TrainingText] = [Document(text=" ".join(WORDS[:7]), source="replayed") for _ in range(9)]
    texts = {"a": arm("reflected"), "r": replayed_texts}
    parts = (StreamPart((("a", 1.0),), num_windows=8),)
    plan = StreamPlan("documents", 32, 4, 3, parts, replay=("r", 0.25), learn="spans")
    info = build_stream(plan, lambda name: texts[name], {"a": "a", "r": "r"}, tokenizer, tmp_path)
    made, replayed = info.sources
    assert replayed.supervised_tokens == replayed.realised_tokens - replayed.examples  # but first tokens
    assert 0 < made.supervised_tokens < made.realised_tokens / 2


def rendered(size: int, *isolated: tuple[int, int]) -> Rendered:
    parts = tuple(IsolatedTokens(place, [7] * length, [True] * length) for place, length in isolated)
    return Rendered([1] * size, [True] * size, "made", None, divisible=True, isolated=parts)


def test_room_is_that_of_the_longest_counterpart() -> None:
    found = with_room([rendered(5), rendered(4)], {"b": [rendered(5, (2, 3)), rendered(4, (1, 1))]}, "a", 10)
    assert [text.room for text in found] == [8, 5]
    assert [text.size for text in found] == [5, 4]


def test_what_is_cut_alike_is_matched_and_what_is_not_is_refused() -> None:
    long = rendered(30, (12, 3))
    assert with_room([long], {"b": [rendered(30, (12, 3))]}, "a", 10) == [long]
    for other in (rendered(30), rendered(30, (12, 4)), rendered(29, (12, 3))):
        with pytest.raises(DataError, match="cannot be matched"):
            with_room([long], {"b": [other]}, "a", 10)
    with pytest.raises(DataError, match="has 1 texts, 'b' has 2"):
        with_room([long], {"b": [long, long]}, "a", 10)


def test_a_phase_that_reads_two_matched_data_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    texts = {name: arm(name) for name in ARMS}
    part = StreamPart((("plain", 0.5), ("reflected", 0.5)), num_windows=8)
    plan = StreamPlan("documents", 32, 4, 3, (part,), matched=ARMS)
    with pytest.raises(DataError, match="a phase can read one of them"):
        build_stream(plan, lambda name: texts[name], {name: name for name in ARMS}, tokenizer, tmp_path)
