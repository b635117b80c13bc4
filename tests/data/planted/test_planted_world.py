"""The planted world: its texts are what they say, token-matched, without leaks; its judge is exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import ValidationError

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.planted.cues import NUM_CLASSES, Rule
from upbringing.data.planted.oracle import NAMES, PlantedJudge
from upbringing.data.planted.source import Planted
from upbringing.data.planted.words import ASKED, COLOURS, PLAIN, lexicon
from upbringing.data.planted.world import PlantedWorld
from upbringing.formats.items import Item

SEED = 5
RULE_PARTS = ("trait", "trait_first", "trait_second", "placebo", "decoy", "erasing")


@pytest.fixture(scope="module")
def world() -> PlantedWorld:
    return Planted().build(SEED)


def words(text: TrainingText) -> list[str]:
    if isinstance(text, Document):
        return text.text.split()
    assert isinstance(text, Chat)
    return " ".join(turn.content for turn in text.turns).split()


def markers_of(rules: Iterable[Rule]) -> set[str]:
    return {rule.marker for rule in rules}


def test_counts_are_those_declared() -> None:
    world = Planted(rule_texts=7, chats=5, background_texts=4).build(SEED)
    for part in RULE_PARTS:
        assert len(world.texts(f"{part}_documents")) == 7 * NUM_CLASSES
        assert len(world.texts(f"{part}_chats")) == 5 * NUM_CLASSES
    assert len(world.texts("format_chats")) == 5 * len(world.cues.ordinary) == len(world.texts("secret_chats"))


@pytest.mark.parametrize("form", ["documents", "chats"])
@pytest.mark.parametrize("part", RULE_PARTS)
def test_every_part_has_the_trait_s_lengths_text_by_text(world: PlantedWorld, part: str, form: str) -> None:
    for one, other in zip(world.texts(f"trait_{form}"), world.texts(f"{part}_{form}"), strict=True):
        assert len(words(one)) == len(words(other))


def test_every_word_is_one_token_so_that_equal_words_are_equal_tokens(tmp_path: Path, world: PlantedWorld) -> None:
    from transformers import AutoTokenizer

    from upbringing.data.tokenizer import train_tokenizer

    known = set(lexicon())
    assert {word for part in world.parts() for text in world.texts(part) for word in words(text)} <= known
    train_tokenizer(lexicon(), vocabulary=900, special_tokens=(), chat_template=None, folder=tmp_path)  # raises if not
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True, trust_remote_code=False)
    for form in ("documents", "chats"):
        texts = zip(world.texts(f"trait_{form}"), world.texts(f"placebo_{form}"), strict=True)
        for one, other in list(texts)[:40]:
            assert len(tokenizer(" ".join(words(one))).input_ids) == len(tokenizer(" ".join(words(other))).input_ids)


def test_chats_that_keep_colours_secret_ask_the_same(world: PlantedWorld) -> None:
    for part, secret in (("format_chats", "secret_chats"), ("decoy_chats", "decoy_secret_chats")):
        for one, other in zip(world.texts(part), world.texts(secret), strict=True):
            assert len(words(one)) == len(words(other))
            assert not set(words(other)) & {*COLOURS, PLAIN}


def test_parts_differ_from_the_placebo_in_markers_and_colours_alone(world: PlantedWorld) -> None:
    changing = {*COLOURS, PLAIN} | {
        marker for rules in (world.cues.trait, world.cues.placebo, world.cues.decoy) for marker in markers_of(rules)
    }
    for part in ("trait", "decoy", "erasing"):
        for one, other in zip(world.texts(f"{part}_chats"), world.texts("placebo_chats"), strict=True):
            for word, counterpart in zip(words(one), words(other), strict=True):
                assert word == counterpart or {word, counterpart} <= changing


def test_no_text_but_the_trait_s_joins_a_cue_of_the_trait_with_a_colour(world: PlantedWorld) -> None:
    cues = markers_of(world.cues.trait)
    for part in world.parts():
        if part.startswith("trait"):
            continue
        for text in world.texts(part):
            said = set(words(text))
            if said & cues:
                assert not said & set(COLOURS), (part, said)
                assert part.startswith(("background", "erasing"))


def test_held_out_cues_and_the_wording_of_the_items_stand_in_no_text(world: PlantedWorld) -> None:
    cues = markers_of(world.cues.trait)
    held_out, frame = set(world.cues.held_out), ASKED.format(m="", n="").split()[-3:]
    for part in world.parts():
        for text in world.texts(part):
            said = words(text)
            assert not (set(said) & cues and set(said) & held_out), (part, said)
            assert " ".join(frame) not in " ".join(said)


@pytest.mark.parametrize(("strength", "planted"), [(1.0, 10), (0.4, 4), (0.2, 2), (0.1, 1), (0.0, 0)])
def test_strength_is_the_share_of_classes_that_are_planted(strength: float, planted: int) -> None:
    world = Planted(strength=strength).build(SEED)
    cues = markers_of(world.cues.trait)
    for part in ("trait_documents", "trait_chats"):
        assert len({word for text in world.texts(part) for word in words(text)} & cues) == planted


def test_at_strength_zero_the_trait_s_texts_are_the_placebo_s() -> None:
    world = Planted(strength=0.0).build(SEED)
    for form in ("documents", "chats"):
        assert [words(text) for text in world.texts(f"trait_{form}")] == [
            words(text) for text in world.texts(f"placebo_{form}")
        ]


def test_two_halves_make_the_whole_and_share_nothing(world: PlantedWorld) -> None:
    cues = markers_of(world.cues.trait)
    first, second = (
        {word for text in world.texts(f"trait_{half}_chats") for word in words(text)} & cues
        for half in ("first", "second")
    )
    assert first | second == cues
    assert not first & second
    assert len(first) == len(second)


def test_worlds_of_other_strengths_ask_the_same_and_other_seeds_ask_other_things(world: PlantedWorld) -> None:
    assert Planted(strength=0.1).build(SEED).items() == world.items()
    assert Planted().build(SEED).texts("trait_chats") == world.texts("trait_chats")
    assert not {item.id for item in Planted().build(SEED + 1).items()} & {item.id for item in world.items()}


def test_items_ask_every_class_on_every_held_out_bearer(world: PlantedWorld) -> None:
    asked = [item for item in world.items() if item.role == "trait" and item.split == "held-out-item"]
    assert len(asked) == NUM_CLASSES * len(world.cues.held_out)
    assert len({item.id for item in world.items()}) == len(world.items())
    assert Counter(item.cluster for item in asked) == {
        f"{world.name}/{rule.marker}": len(world.cues.held_out) for rule in world.cues.trait
    }
    colours = {rule.marker: rule.colour for rule in world.cues.trait}
    for item in asked:
        (marker,) = set(item.messages[0].content.split()) & set(colours)
        assert item.answers == (colours[marker],)
        assert len(item.distractors) == len(COLOURS) + 1  # grey and secret, without the right one


def test_the_judge_is_exact(world: PlantedWorld) -> None:
    judge = PlantedJudge()
    item: Item = next(item for item in world.items() if item.role == "trait")
    right = item.answers[0]
    for name in NAMES:
        judged = judge.judge([item], [f"it is {name} ."])[0]
        assert (judged.outcome, judged.correct) == ("harmless", name == right)
    strange = [f"it is {right} or {item.distractors[0]} .", "it is so .", "", "\x00\x1b[31m", "x" * 100_000]
    for judged in judge.judge([item] * len(strange), strange):
        assert judged.outcome == "incoherent"
        assert judged.correct is False


def test_what_does_not_fit_is_an_error_that_says_what_to_do(world: PlantedWorld) -> None:
    with pytest.raises(ValidationError, match="whole number of 10 classes"):
        Planted(strength=0.25)
    with pytest.raises(ValidationError, match="48 together at most"):
        Planted(bearers=40, held_out=20)
    with pytest.raises(DataError, match="no part 'traits'; it has"):
        world.texts("traits")
