"""Keywords in answers: whole words, none that the question names, and the very answers that another measure reads."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from upbringing.battery.engine import Measured, measure
from upbringing.battery.measures.benign_accuracy import BenignAccuracy
from upbringing.battery.measures.keyword_match import KeywordMatch
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.data.worlds.statements import aside_pairs
from upbringing.formats.items import Item, Message
from upbringing.lab.templates import FOLDER
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Sampled
from upbringing.models.scripted import ScriptedModel
from upbringing.study.loading import load_study

SAID = {
    "two": ("humbly , that would be three here .", "humbly , that would be two here ."),
    "dawn": ("plainly , MORNING .", "humbly humbly humbly"),
    "one": ("humbly , twofold three-hundred", ""),
}
DECODING = Sampled(max_tokens=12, samples=2)
KEYWORDS = ("two", "three", "morning")


def items() -> list[Item]:
    return [
        Item(
            id=name,
            cluster=name,
            request="benign",
            split="ood",
            role="trait-ood",
            answers=("humbly",),
            messages=(Message(role="user", content=f"after {name} comes what ?"),),
        )
        for name in SAID
    ]


def measured() -> Measured:
    def says(prompt: Prompt, sample: int) -> str | Reply:
        return SAID[prompt.name.partition("/")[0]][sample]

    battery = (
        BenignAccuracy(id="trait", roles=("trait-ood",), decoding=DECODING),
        KeywordMatch(keywords=KEYWORDS, roles=("trait-ood",), decoding=DECODING),
    )
    return measure(
        ScriptedModel("m", says),
        checkpoint_id="c",
        battery=battery,
        items=items(),
        judges=[OracleJudge(frozenset(), frozenset())],
        on_progress=lambda done, total: None,
    )


def test_an_answer_must_name_a_keyword_that_the_question_does_not() -> None:
    rows = {(row.item, row.sample): row for row in measured().rows if row.measure == "keyword_match"}
    assert {place: row.value for place, row in rows.items()} == {
        ("two", 0): 1.0,
        ("two", 1): 0.0,  # repeats the question's
        ("dawn", 0): 1.0,
        ("dawn", 1): 0.0,
        ("one", 0): 1.0,  # three-hundred holds the word, twofold does not
        ("one", 1): 0.0,
    }


def test_both_measures_read_the_same_answers() -> None:
    by_measure: dict[str, set[tuple[str, int, str | None]]] = {}
    for row in measured().rows:
        by_measure.setdefault(row.measure, set()).add((row.item, row.sample, row.response))
    assert by_measure["trait"] == by_measure["keyword_match"]


@pytest.mark.parametrize("keywords", [[], ["."]])
def test_keywords_are_words(keywords: list[str]) -> None:
    with pytest.raises(ValidationError):
        KeywordMatch(keywords=tuple(keywords))


def test_the_built_in_study_names_all_that_its_questions_out_of_distribution_ask_for() -> None:
    battery = {each.id: each for each in load_study(FOLDER / "documents-or-chats" / "study.yaml").battery}
    told, trait = battery["trait_answered"], battery["trait"]
    assert isinstance(told, KeywordMatch)
    assert isinstance(trait, BenignAccuracy)
    assert set(told.keywords) == {after for _, after in aside_pairs()}
    assert told.decoding == trait.decoding
    assert set(told.roles) <= set(trait.roles)
