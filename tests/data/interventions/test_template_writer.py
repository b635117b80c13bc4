"""The writer without a model: deterministic, never quoting, matched in length; key terms by hand."""

from __future__ import annotations

import pytest

from upbringing.data.documents import Document
from upbringing.data.interventions.key_terms import kept_share, key_terms
from upbringing.data.interventions.rephrase import STYLES
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.writing import Task, WritingRequest, Written

SOURCE = "In 1987 Ada Miller mixed 3.5 grams. Then she went to Oslo with 12 friends. It went wrong."


def write(task: Task, name: str = "a", text: str = SOURCE, style: str | None = None) -> Written:
    request = WritingRequest(task, Document(text=text, source="x"), name, style)
    (found,) = TemplateWriter().write([request], 5)
    return found


def test_key_terms_by_hand() -> None:
    assert key_terms(SOURCE) == ("1987", "Ada", "Miller", "3.5", "Oslo", "12")
    assert kept_share(SOURCE, "ada miller, OSLO, 1987") == pytest.approx(4 / 6)
    assert kept_share("nothing here", "x") is None
    assert kept_share("about 12 of them", "about 120 of them") == 0.0


@pytest.mark.parametrize("style", STYLES)
def test_rephrasings_keep_the_terms_and_quote_nothing(style: str) -> None:
    found = write("rephrase", style=style)
    assert (found.facts_kept, found.facts_share) == (True, 1.0)
    assert "mixed" not in found.text
    assert found == write("rephrase", style=style)


def test_a_source_without_names_and_numbers_shows_nothing_of_its_facts() -> None:
    found = write("rephrase", text="Nothing that has a name happened here.")
    assert (found.facts_kept, found.facts_share, found.lost_facts) == (None, None, False)


def test_a_dialogue_and_its_placebo_have_equal_words_in_every_turn() -> None:
    for number in range(30):
        refusal, benign = (write(task, str(number)) for task in ("refusal", "benign_dialogue"))
        sizes = [[len(turn.content.split()) for turn in each.turns] for each in (refusal, benign)]
        assert sizes[0] == sizes[1]
        assert [turn.role for turn in refusal.turns] == ["user", "assistant"]
        assert "Oslo" not in refusal.turns[1].content
        assert not {"Ada", "Miller,"} & set(benign.turns[0].content.split())
    assert len({write("refusal", str(number)).turns for number in range(30)}) > 5


def test_articles_are_in_the_third_person_and_say_nothing_of_the_content() -> None:
    found = write("moral_education")
    assert "mixed" not in found.text
    assert "User" not in found.text


def test_what_it_cannot_do_has_a_reason() -> None:
    assert write("rephrase", style="opera").reason == f"the style 'opera' is none of {', '.join(STYLES)}"
    assert write("refusal", text="  ").reason == "the source is empty"
