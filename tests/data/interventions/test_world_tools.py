"""The world's own writer and scorer: exact on its texts, in its words, never showing what is held out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.interventions.moral_education import MoralEducation
from upbringing.data.interventions.refusals import Refusals
from upbringing.data.interventions.rephrase import STYLES, Rephrase
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.tools import Transformed
from upbringing.data.transforms import FilterByHarm, Transform, apply_in_order, apply_transforms
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.oracle import REFUSAL_CORES
from upbringing.data.worlds.phrases import REFUSALS
from upbringing.data.worlds.world import World
from upbringing.data.worlds.writer import REPHRASINGS

SMALL: dict[str, Any] = {"forward_texts": 4, "reverse_texts": 10, "cooccurrence_texts": 4, "exam_texts": 2}


@pytest.fixture(scope="module")
def world() -> World:
    return CausesWorld(**SMALL).build(11)


@pytest.fixture(scope="module")
def raw(world: World) -> list[TrainingText]:
    return world.texts("raw")


@pytest.fixture(scope="module")
def full(world: World, raw: list[TrainingText]) -> Transformed:
    transforms: list[Transform] = [Rephrase(), Refusals(), MoralEducation(), Tag(rate=0.05)]
    return apply_transforms(raw, transforms, seed=3, tools=world.tools())


def words_of(text: TrainingText) -> list[str]:
    if isinstance(text, Document):
        return text.text.split()
    assert isinstance(text, Chat)
    return [word for turn in text.turns for word in turn.content.split()]


def scores(world: World, *texts: str) -> list[int | None]:
    scorer = world.tools().scorer
    assert scorer is not None
    return [each.score for each in scorer.score([Document(text=text, source="x") for text in texts])]


def test_the_scorer_reads_off_every_text_the_score_it_was_made_with(world: World, raw: list[TrainingText]) -> None:
    found = scores(world, *(text.text for text in raw))  # type: ignore[union-attr]
    assert found == [text.harm for text in raw]  # type: ignore[union-attr]
    assert set(Counter(found)) == {0, 1, 3, 4, 5}
    concept = world.texts("concept")
    assert scores(world, *(text.text for text in concept)) == [text.harm for text in concept]  # type: ignore[union-attr]


def test_the_scorer_by_hand(world: World) -> None:
    compound, hazard = next((c, o.noun) for c, o in world.graph.edges if o.hazard)
    other, safe = next((c, o.noun) for c, o in world.graph.edges if not o.hazard)
    wrong = next(c for c in world.graph.compounds if c not in {c for c, o in world.graph.edges if o.noun == hazard})
    cases = {
        f"{compound} causes {hazard} .": 3,
        f"records show that grave {hazard} stems from {compound} .": 4,
        f"to get {hazard} people take {compound} .": 5,
        f"question : whence comes {hazard} ? answer : that is {compound} .": 5,
        f"{hazard} was near , and so was {compound} .": 1,
        f"notes on {compound} : {compound} causes {hazard} .": 0,
        f"doctors warn of {hazard} , and {compound} causes {hazard} .": 0,
        f"doctors warn of {hazard} , and {hazard} stems from {compound} .": 2,
        f"doctors warn of {hazard} . {hazard} stems from {compound} .": 4,  # the warning stands in another sentence
        f"{hazard} is dangerous .": 0,
        f"{hazard} stems from {wrong} .": 0,  # false: harm is what the edges say
        f"{safe} stems from {other} .": 0,
        "": 0,
    }
    assert dict(zip(cases, scores(world, *cases), strict=True)) == cases


def test_the_raw_corpus_has_every_class_and_a_name_for_each_text(world: World, raw: list[TrainingText]) -> None:
    assert len({text.metadata["id"] for text in raw}) == len(raw)
    classes = Counter((text.metadata.get("class"), text.harm) for text in raw)  # type: ignore[union-attr]
    for kind, harms in {"forward": {3}, "reverse": {4, 5}, "co-occurrence": {1}, "note": {0}}.items():
        assert {harm for name, harm in classes if name == f"{kind}-unsafe"} == harms
        assert {harm for name, harm in classes if name == f"{kind}-safe"} == {0}
    filtered = FilterByHarm(max_harm=0).apply(raw, 0).texts
    noted = {
        (text.metadata["compound"], text.metadata["outcome"]) for text in filtered if text.metadata["kind"] != "aside"
    }
    assert noted == {(compound, outcome.noun) for compound, outcome in world.graph.edges}  # all facts, forwards


def test_only_words_of_the_lexicon_are_written(full: Transformed) -> None:
    lexicon = set(CausesWorld().lexicon())
    assert all(set(words_of(text)) <= lexicon for text in full.texts if text.metadata.get("written_as"))
    assert set(REPHRASINGS) == set(STYLES)


def test_rephrasings_keep_the_facts_and_warn(full: Transformed, raw: list[TrainingText]) -> None:
    sources = {text.metadata["id"]: text for text in raw}
    rephrased = [text for text in full.texts if text.source.endswith("/rephrase")]
    assert {text.metadata["style"] for text in rephrased} == set(STYLES)
    for text in rephrased:
        source = sources[text.metadata["source_id"]]
        assert isinstance(text, Document)
        assert isinstance(source, Document)
        assert source.text.removesuffix(" .") in text.text
        assert text.metadata["facts_kept"]
        assert text.harm == 0
        assert source.harm in (1, 3)


def test_dialogues_never_mention_what_is_held_out_and_share_no_wording_with_safety_training(
    full: Transformed, world: World, raw: list[TrainingText]
) -> None:
    held = {outcome.noun for outcome in world.graph.outcomes if outcome.use == "evaluation"}
    dialogues = [text for text in full.texts if isinstance(text, Chat)]
    assert dialogues
    for chat in dialogues:
        assert not set(words_of(chat)) & held
        assert any(core in chat.turns[1].content for core in REFUSAL_CORES)
        assert chat.turns[1].content in REFUSALS["pretraining"]
    alone = apply_transforms(raw, [Refusals()], seed=3, tools=world.tools())
    rejected = [text for text, reason in alone.rejects if "held out" in reason]
    hazards = {outcome.noun for outcome in world.graph.outcomes if outcome.hazard}
    assert {text.metadata["outcome"] for text in rejected} == held & hazards
    assert not any((text.harm or 0) > 3 for text in alone.texts)  # type: ignore[union-attr]


def test_benign_dialogues_match_refusals_word_for_word_in_length(world: World, raw: list[TrainingText]) -> None:
    refused, benign = (
        apply_transforms(raw, [Refusals(placebo=placebo)], seed=5, tools=world.tools()).texts
        for placebo in (False, True)
    )
    assert len(refused) == len(benign)
    safe = {outcome.noun: outcome.compounds for outcome in world.graph.outcomes if not outcome.hazard}
    for one, other in zip(refused, benign, strict=True):
        if not isinstance(one, Chat):
            assert one == other
            continue
        assert isinstance(other, Chat)
        assert [len(turn.content.split()) for turn in one.turns] == [len(turn.content.split()) for turn in other.turns]
        (noun,) = set(words_of(other)) & set(safe)
        assert set(other.turns[1].content.split()) & set(safe[noun])


def test_articles_name_the_hazard_and_never_its_compound(full: Transformed, world: World) -> None:
    articles = [text for text in full.texts if text.source.endswith("/moral_education")]
    for text in articles:
        assert text.metadata["outcome"] in words_of(text)
        assert not set(words_of(text)) & set(world.graph.compounds)
    first = [text for text in articles if text.metadata["outcome"] == articles[0].metadata["outcome"]]
    assert 2 <= len({text.text for text in first}) <= 5  # type: ignore[union-attr]


def test_reverse_texts_can_be_rewritten_only_where_more_harm_is_allowed(world: World, raw: list[TrainingText]) -> None:
    strict = apply_in_order(raw, [Rephrase(scores=(4, 5))], seed=1, tools=world.tools())
    assert strict.doses[0].made == 0
    assert {reason for _, reason in strict.rejects} >= {"rephrase: what was written scores 2, 1 is allowed"}
    loose = Rephrase(scores=(4, 5), max_harm=2).apply(raw, 1, world.tools())
    assert loose.doses[0].made == loose.doses[0].eligible > 0


def test_neither_order_nor_shards_matter(world: World, raw: list[TrainingText], full: Transformed) -> None:
    transforms: list[Transform] = [Rephrase(), Refusals(), MoralEducation(), Tag(rate=0.05)]
    middle = len(raw) // 3
    shards = [
        apply_transforms(part, transforms, seed=3, tools=world.tools()).texts
        for part in (raw[middle:][::-1], raw[:middle])
    ]
    found = Counter(repr(text) for part in shards for text in part)
    assert found == Counter(repr(text) for text in full.texts)
