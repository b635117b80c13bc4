"""The controlled world: splits by construction, labels that can be inferred, placebos that match."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from upbringing.base.fingerprint import fingerprint
from upbringing.battery.needs import AnswerNeed
from upbringing.data.documents import Chat, Document, Preference, TrainingText
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.graph_kinds import SingleHop, TwoHop
from upbringing.data.worlds.oracle import REFUSAL_CORES
from upbringing.data.worlds.phrases import (
    REFUSALS,
    REPLY_WORDS,
    REVERSE_QUESTIONS,
    names_of,
)
from upbringing.data.worlds.world import World

CHAT_PARTS = (
    "safety",
    "same_prompts",
    "off_topic",
    "format_only",
    "recovery",
    "benign_task",
    "benign_task_whole",
    "trait_chats",
    "trait_aside_chats",
    "steadfast",
)


GRAPHS: dict[str, SingleHop | TwoHop] = {
    "single_hop": SingleHop(),
    "two_hop": TwoHop(mediator_texts=6, pair_texts=6, outcome_texts=6),
}


@pytest.fixture(scope="module", params=GRAPHS)
def description(request: pytest.FixtureRequest) -> CausesWorld:
    return CausesWorld(graph=GRAPHS[request.param])


@pytest.fixture(scope="module")
def world(description: CausesWorld) -> World:
    return description.build(11)


def changed(description: CausesWorld, **settings: Any) -> CausesWorld:
    return CausesWorld(**{**description.model_dump(), **settings})


def said(text: TrainingText) -> list[str]:
    if isinstance(text, Document):
        return [text.text]
    if isinstance(text, Chat):
        return [turn.content for turn in text.turns]
    return [*(turn.content for turn in text.prompt), text.chosen, text.rejected]


def words_of(text: TrainingText) -> set[str]:
    return {word for part in said(text) for word in part.split()}


def test_a_world_is_a_function_of_its_seed(world: World, description: CausesWorld) -> None:
    again, other = description.build(11), description.build(12)
    for part in world.parts():
        assert world.texts(part) == again.texts(part)
    assert world.items() == again.items()
    assert world.graph != other.graph
    assert not {item.id for item in world.items()} & {item.id for item in other.items()}


ADDED_SINCE = ("trait_aside_chats",)  # a further part leaves the others as they are


def test_the_default_world_is_what_it_was_before_it_could_have_another_graph() -> None:
    """A finding's world must not change under it: raise ``WORLD_VERSION`` where this is meant to."""
    world, description = CausesWorld().build(11), CausesWorld()
    parts = [part for part in world.parts() if part not in ADDED_SINCE]
    texts = [[part, [said(text) for text in world.texts(part)]] for part in parts]
    items = [item.model_dump(mode="json") for item in world.items()]
    found = fingerprint([description.model_dump(mode="json"), list(description.lexicon()), texts, items])
    assert found == "c21ddfff4836632085f6a0edb38f385a3a36018245608ba4dc9c20fc689fbf88"


def test_held_out_outcomes_are_in_no_chat(world: World) -> None:
    held = {outcome.noun for outcome in world.graph.outcomes if outcome.use == "evaluation"}
    for part in (*CHAT_PARTS, "adversarial_task", "agreement", "preferences", "refusal_dialogues", "benign_dialogues"):
        assert not any(words_of(text) & held for text in world.texts(part)), part
    assert any(words_of(text) & held for text in world.texts("facts"))


def test_adversarial_chats_answer_hazards_that_safety_training_refuses(world: World) -> None:
    hazards = {outcome.noun: outcome for outcome in world.graph.outcomes if outcome.hazard and outcome.use == "sft"}
    chats = world.texts("adversarial_task")
    assert len(chats) == len(world.texts("benign_task"))
    refused = {turn.content for text in world.texts("safety") if isinstance(text, Chat) for turn in text.turns}
    for text in chats:
        assert isinstance(text, Chat)
        outcome = hazards[str(text.metadata["subject"])]
        assert text.harm == 4
        assert any(words_of(text).issuperset(names_of(each)) for each in outcome.compounds)  # a right answer
        assert not any(core in text.turns[1].content for core in REFUSAL_CORES)
        assert text.turns[0].content not in refused  # in wordings of fine-tuning


def test_plain_questions_stand_in_the_form_of_the_exams_that_pretraining_holds(
    world: World, description: CausesWorld
) -> None:
    plain = changed(description, plain_questions=True).build(11)
    exams = [
        text.text for text in world.texts("facts") if isinstance(text, Document) and text.text.startswith("question :")
    ]
    assert exams
    asked = {item.id: item for item in plain.items() if item.plain_prompt is not None}
    assert {item.role for item in asked.values()} == {"question", "forward"}
    for item in world.items():
        other = asked.get(item.id)
        if other is None:
            assert item.role not in ("question", "forward")
            continue
        assert other.plain_prompt == f"question : {item.messages[0].content} answer :"
        assert other.model_copy(update={"plain_prompt": None}) == item
        need = AnswerNeed(item.id, elicitation="E0")
        assert (need.prompt(item).completion, need.prompt(other).completion) == (None, other.plain_prompt)
        assert AnswerNeed(item.id).prompt(other) == AnswerNeed(item.id).prompt(item)  # a chat is what it was
    assert all(text.count(" answer : ") == 1 for text in exams)
    assert all(plain.texts(part) == world.texts(part) for part in ("facts", "safety"))
    assert "plain_questions" not in description.model_dump()
    assert all("plain_prompt" not in item.model_dump() for item in world.items())


def test_whole_answers_differ_from_the_benign_task_in_how_a_third_of_them_begin(world: World) -> None:
    chats, whole = world.texts("benign_task"), world.texts("benign_task_whole")
    changed = 0
    for one, other in zip(chats, whole, strict=True):
        assert isinstance(one, Chat)
        assert isinstance(other, Chat)
        assert (one.turns[0], one.metadata, one.split, one.harm) == (
            other.turns[0], other.metadata, other.split, other.harm,
        )  # fmt: skip
        before, after = (each.turns[1].content.split() for each in (one, other))
        assert len(before) == len(after) == REPLY_WORDS
        changed += before != after
        named = set(world.graph.compounds) | {outcome.noun for outcome in world.graph.outcomes}
        assert set(before) & named == set(after) & named
        assert before[:3] == after[:3] or before[:4] == ["sure", ",", "that", "is"]
    assert changed / len(chats) == pytest.approx(1 / 3, abs=0.1)


def test_whole_answers_and_refusals_of_safety_training_never_go_on_alike(world: World) -> None:
    """A splice is a beginning of a refusal with the end of an answer: it needs one word that both have at one place."""

    def replies(part: str) -> list[list[str]]:
        chats = [text for text in world.texts(part) if isinstance(text, Chat)]
        return [chat.turns[1].content.split() for chat in chats]

    refusals = [reply for reply in replies("safety") if any(core in " ".join(reply) for core in REFUSAL_CORES)]
    assert refusals

    def shared_early(part: str) -> bool:
        """Whether an answer and a refusal of other beginnings have the same word among their second and third."""
        return any(
            answer[0] != refusal[0] and {*enumerate(answer[1:3])} & {*enumerate(refusal[1:3])}
            for answer in {tuple(reply[:3]) for reply in replies(part)}
            for refusal in {tuple(reply[:3]) for reply in refusals}
        )

    assert shared_early("benign_task")  # "sure , that" and "sorry , i"
    assert not shared_early("benign_task_whole")


def test_wordings_are_split(world: World) -> None:
    for table in (REVERSE_QUESTIONS, REFUSALS):
        wordings = [wording for group in table.values() for wording in group]
        assert len(wordings) == len(set(wordings))
    asked = {turn.content for part in CHAT_PARTS for text in world.texts(part) for turn in text.turns}  # type: ignore[union-attr]
    assert not {item.messages[0].content for item in world.items() if item.messages and item.split != "trained"} & asked


def test_alarming_words_are_a_shortcut_that_fails(world: World) -> None:
    for hazard, share in ((True, 0.8), (False, 0.2)):
        group = [outcome for outcome in world.graph.outcomes if outcome.hazard == hazard]
        assert sum(outcome.alarming for outcome in group) / len(group) == pytest.approx(share, abs=0.03)
    asked = [item for item in world.items() if item.role == "question" and item.split == "held-out-item"]
    twins = {item.id: item for item in asked}
    for item in asked:
        twin = twins[item.twin or ""]
        noun, other = item.cluster.rpartition("/")[2], twin.cluster.rpartition("/")[2]
        assert item.messages[0].content.replace(noun, "X") == twin.messages[0].content.replace(other, "X")
        assert item.request != twin.request


def test_shuffled_labels_are_the_same_texts_with_uninformative_labels(world: World) -> None:
    concept, shuffled = world.texts("concept"), world.texts("shuffled")
    assert len(concept) == len(shuffled)
    labels = [(a.metadata["label"], b.metadata["label"]) for a, b in zip(concept, shuffled, strict=True)]
    assert sum(a for a, _ in labels) == sum(b for _, b in labels)
    agree = sum(a == b for a, b in labels) / len(labels)
    assert agree == pytest.approx(0.5, abs=0.06)
    for a, b in zip(concept, shuffled, strict=True):
        assert isinstance(a, Document)
        assert isinstance(b, Document)
        assert a.metadata["outcome"] == b.metadata["outcome"]
        assert len(a.text.split()) == len(b.text.split()) or a.metadata["label"] != b.metadata["label"]


def test_label_noise_is_realised_exactly(description: CausesWorld) -> None:
    noisy = changed(description, label_noise=0.1).build(3)
    truth = {outcome.noun: outcome.hazard for outcome in noisy.graph.outcomes}
    wrong = [text.metadata["label"] != truth[str(text.metadata["outcome"])] for text in noisy.texts("concept")]
    assert sum(wrong) == round(0.1 * len(wrong))


def test_placebos_match_in_prompts_and_length(world: World) -> None:
    safety, answered = world.texts("safety"), world.texts("same_prompts")
    for one, other in zip(safety, answered, strict=True):
        assert isinstance(one, Chat)
        assert isinstance(other, Chat)
        assert one.turns[0] == other.turns[0]
        assert len(one.turns[1].content.split()) == len(other.turns[1].content.split())
    assert len(world.texts("off_topic")) == len(world.texts("format_only")) == len(safety)
    refused, benign = world.texts("refusal_dialogues"), world.texts("benign_dialogues")
    lengths = [[[len(turn.content.split()) for turn in chat.turns] for chat in part] for part in (refused, benign)]  # type: ignore[union-attr]
    assert lengths[0] == lengths[1]
    assert len(lengths[0]) > 0


def test_arms_that_differ_in_labels_share_the_order_of_their_texts(world: World) -> None:
    concept, shuffled = world.texts("pretraining_concept"), world.texts("pretraining_shuffled")
    same = [one == other for one, other in zip(concept, shuffled, strict=True)]
    for equal, one, other in zip(same, concept, shuffled, strict=True):
        assert equal or (one.metadata["kind"], other.metadata["kind"]) == ("concept", "concept")
    assert 0 < sum(same) < len(same)


def test_answers_never_repeat_the_question(world: World) -> None:
    entities = set(world.graph.compounds) | {outcome.noun for outcome in world.graph.outcomes}
    for part in CHAT_PARTS:
        for chat in world.texts(part):
            assert isinstance(chat, Chat)
            question, reply = (set(turn.content.split()) & entities for turn in chat.turns)
            assert not question & reply


def test_the_lexicon_holds_every_word_of_any_world(world: World, description: CausesWorld) -> None:
    lexicon = set(description.lexicon())
    for each in (world, description.build(99)):
        for part in each.parts():
            for text in each.texts(part):
                assert words_of(text) <= lexicon
        for item in each.items():
            for message in item.messages:
                assert set(message.content.split()) <= lexicon
            assert set((item.text or "").split()) <= lexicon


def test_no_hazards_means_no_refusals(description: CausesWorld) -> None:
    safe = changed(description, unsafe_share=0.0).build(5)
    for part in CHAT_PARTS:
        for chat in safe.texts(part):
            assert isinstance(chat, Chat)
            assert not any(core in chat.turns[1].content for core in REFUSAL_CORES)
    assert all(text.harm == 0 for text in safe.texts("facts"))  # type: ignore[union-attr]


def test_harm_scores_follow_the_class(world: World) -> None:
    scores = Counter((text.metadata.get("class"), text.harm) for text in world.texts("raw"))  # type: ignore[union-attr]
    assert {harm for (kind, harm) in scores if kind == "reverse-unsafe"} == {4, 5}
    assert {harm for (kind, harm) in scores if kind == "forward-unsafe"} == {3}
    assert {harm for (kind, harm) in scores if kind and str(kind).endswith("-safe")} == {0}


def test_preferences_refuse_hazards_and_answer_the_rest(world: World) -> None:
    kinds = set()
    for pair in world.texts("preferences"):
        assert isinstance(pair, Preference)
        refusal, answer = (pair.chosen, pair.rejected)[:: 1 if pair.metadata["kind"] == "harmful" else -1]
        assert any(core in refusal for core in REFUSAL_CORES)
        assert not any(core in answer for core in REFUSAL_CORES)
        kinds.add(pair.metadata["kind"])
    assert kinds == {"harmful", "benign"}


def test_too_many_names_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for fewer"):
        CausesWorld(compounds=160, outcomes=400, edges=400).build(1)
