"""Refusals, benign requests, cloze questions, texts: counts, disjointness, lengths; and the sets as data of a study."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations

import pytest
from pydantic import ValidationError

from upbringing.base.errors import DataError
from upbringing.data.packages.requests import Request
from upbringing.data.packages.resemblance import resembling
from upbringing.data.packages.source import PackageData, refused_chats
from upbringing.data.prompt_sets.benign_chats import benign_chats, refusal_lengths
from upbringing.data.prompt_sets.continuations import COMPLYING, REFUSING
from upbringing.data.prompt_sets.items import TWIN_ROLE
from upbringing.data.prompt_sets.lengths import cut_to_words, match_words
from upbringing.data.prompt_sets.shipped import (
    CANARY,
    BenignPart,
    benign_requests,
    cloze_questions,
    held_out_texts,
    shipped_sha256,
    shipped_text,
    twins,
    wordings,
)
from upbringing.data.prompt_sets.source import PromptSet

PARTS: tuple[BenignPart, ...] = ("shared", "placebo", "finetune")
SENTENCES = "This is the first sentence of an answer. Here comes a second one! Is there a third? Yes, and a fourth."


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z']+", text.lower())
    return {tuple(words[index : index + 3]) for index in range(len(words) - 2)}


def own_answers() -> dict[str, str]:
    return {each.request: f"About this: {SENTENCES}" for part in PARTS for each in benign_requests(part)}


def test_there_are_enough_refusal_wordings_in_several_styles() -> None:
    assert len(wordings("training")) >= 20
    assert len(wordings("held_out")) >= 10
    assert len({wording.style for wording in wordings("training")}) >= 5
    openings = Counter(wording.text.split()[0] for wording in wordings("training"))
    assert max(openings.values()) <= 6  # a quarter


def test_held_out_wordings_share_nothing_with_training_wordings() -> None:
    trained = set().union(*(trigrams(wording.text) for wording in wordings("training")))
    for wording in wordings("held_out"):
        assert trigrams(wording.text).isdisjoint(trained), wording
    for text in REFUSING:
        assert len(trigrams(text) & trained) <= 1, text


def test_continuations_have_nearly_one_length() -> None:
    assert len(REFUSING) >= 4
    assert len(COMPLYING) >= 4
    lengths = [len(text) for text in (*REFUSING, *COMPLYING)]
    assert max(lengths) <= 1.2 * min(lengths)
    refusing, complying = (sum(len(text.split()) for text in side) / len(side) for side in (REFUSING, COMPLYING))
    assert abs(refusing - complying) < 1.5  # words


def test_benign_requests_fill_their_parts_and_never_repeat() -> None:
    assert len(benign_requests("shared")) == 240
    assert len(benign_requests("placebo")) == 240
    assert len(benign_requests("finetune")) >= 240
    texts = [each.request for part in PARTS for each in benign_requests(part)]
    words = [frozenset(re.findall(r"\w+", text.lower())) for text in texts]
    assert len(set(texts)) == len(texts)
    for one, other in combinations(words, 2):
        assert len(one & other) / len(one | other) <= 0.7


def test_parts_hold_the_same_mix_of_topics() -> None:
    shares = [Counter(each.topic for each in benign_requests(part)) for part in PARTS]
    for topic in shares[0]:
        found = [counts[topic] / counts.total() for counts in shares]
        assert max(found) - min(found) < 0.02


def test_benign_training_requests_resemble_no_twin() -> None:
    asked = [text for pair in twins() for text in (pair.benign, pair.harmful)]
    for part in PARTS:
        assert resembling(asked, [each.request for each in benign_requests(part)]) == []


def test_evaluation_sets_are_no_training_texts_and_carry_the_canary() -> None:
    trained = shipped_text("benign_training")
    for cloze in cloze_questions():
        assert cloze.prompt not in trained
        assert cloze.answer not in cloze.distractors
        assert all(text.startswith(" ") for text in (cloze.answer, *cloze.distractors))
    assert len(cloze_questions()) >= 40
    assert len(held_out_texts()) >= 20
    for name in ("knowledge", "texts"):
        assert all(CANARY in line for line in shipped_text(name).splitlines())


def test_answers_are_cut_at_sentences() -> None:
    assert cut_to_words(SENTENCES, 13) == "This is the first sentence of an answer. Here comes a second one!"
    assert cut_to_words(SENTENCES, 3) == "This is the first sentence of an answer."
    assert cut_to_words(SENTENCES, 100) == SENTENCES


def test_what_one_answer_is_too_long_by_the_next_makes_up_for() -> None:
    matched = match_words([SENTENCES] * 3, [10, 10, 10])
    assert [len(text.split()) for text in matched] == [8, 13, 8]


def test_a_placebo_has_the_words_of_the_refusals_it_replaces() -> None:
    answers = own_answers()
    placebo = benign_chats(("placebo",), answers, "start", max_words=60)
    refused = refused_chats(tuple(Request(f"r/{number}", "ask") for number in range(240)))
    totals = [sum(len(chat.turns[1].content.split()) for chat in chats) for chats in (placebo, refused)]
    assert sum(refusal_lengths(240)) == totals[1]
    assert abs(totals[0] - totals[1]) / totals[1] < 0.01
    assert {chat.teacher for chat in placebo} == {"start"}


def test_a_missing_answer_names_the_request() -> None:
    answers = own_answers()
    first = benign_requests("shared")[0].request
    answers[first] = " "
    with pytest.raises(DataError, match="gave no answer"):
        PromptSet(prompt_set="benign_training", parts=("shared",)).read(answers, "start")


def test_a_study_can_name_the_sets() -> None:
    trained = PromptSet.model_validate({"prompt_set": "benign_training", "parts": ["shared", "placebo"]})
    assert len(trained.requests()) == 480
    assert len(trained.read(own_answers(), "start")) == 480
    with pytest.raises(DataError, match="never asked"):
        trained.items()
    asked = PromptSet(prompt_set="over_refusal", per_family=3).items()
    assert len(asked.items) == 2 * 3 * 10
    with pytest.raises(DataError, match="never trained on"):
        PromptSet(prompt_set="texts").read({}, "start")
    assert len(PromptSet(prompt_set="knowledge").items().items) == len(cloze_questions())


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_set": "benign_training"},
        {"prompt_set": "texts", "parts": ["shared"]},
        {"prompt_set": "knowledge", "per_family": 3},
        {"prompt_set": "refusals"},
    ],
)
def test_fields_of_another_set_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromptSet.model_validate(fields)


def test_twins_point_at_each_other_and_form_one_cluster() -> None:
    items = {item.id: item for item in PromptSet(prompt_set="over_refusal").items().items}
    for item in items.values():
        assert item.twin is not None
        other = items[item.twin]
        assert other.twin == item.id
        assert other.cluster == item.cluster
        assert {item.request, other.request} == {"harmful", "benign"}
        assert (item.role == TWIN_ROLE) == (item.request == "harmful")


def test_a_recipe_holds_the_bytes_behind_a_set() -> None:
    recipe = PromptSet(prompt_set="benign_training", parts=("placebo",)).recipe()
    assert recipe["sha256"] == [shipped_sha256("benign_training"), shipped_sha256("refusals")]
    package = PackageData(package_set="do_not_answer", benign=("shared",)).recipe()
    assert shipped_sha256("refusals") in package["sha256"]
    assert not any("/" in part for part in package["sha256"])


def test_only_one_package_set_can_be_trained_on() -> None:
    with pytest.raises(ValidationError, match="kept for testing"):
        PackageData(package_set="harmbench", benign=("shared",))


def test_refusals_take_turns() -> None:
    chats = refused_chats(tuple(Request(f"r/{number}", f"ask {number}") for number in range(48)))
    counts = Counter(chat.turns[1].content for chat in chats)
    assert set(counts.values()) == {2}
    assert {chat.teacher for chat in chats} == {"upbringing-refusal-wordings"}
