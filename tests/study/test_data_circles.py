"""Data that is made of itself is refused where it is declared, and the circle is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.data import Derived, MixedIn, circle
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook

STUDY = """\
name: small
start: {{kind: fresh, tokenizer: {{train_on: world}}}}
data:
  world: {{kind: causes_world}}
{data}
stages: {{sft: {{kind: sft, data: {used}, epochs: 2}}}}
battery: [over_refusal]
"""
ONE = "  one: {source: world.safety, mixed_in: [{data: two, number: 3}]}"
TWO = "  two: {source: world.facts, mixed_in: [{data: one, number: 3}]}"
SELF = "  one: {source: world.safety, mixed_in: [{data: one, number: 3}]}"
SOURCES = "  one: {source: two.part}\n  two: {source: three}\n  three: {source: one}"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (f"{ONE}\n{TWO}", "one needs two needs one"),
        (SELF, "one needs one"),
        (SOURCES, "one needs two needs three needs one"),
    ],
)
@pytest.mark.parametrize("used", ["one", "world.safety"])  # also where no stage reads it
def test_a_circle_is_refused_with_its_line_and_its_names(data: str, named: str, used: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_from(parse_yaml(STUDY.format(data=data, used=used)))
    names = named.split(" needs ")[:-1]
    turns = (" needs ".join([*names[at:], *names[: at + 1]]) for at in range(len(names)))  # wherever it is begun
    assert any(f"made of itself: {turn} (" in str(caught.value) for turn in turns)
    assert any(f":{line}:" in str(caught.value) for line in (5, 6, 7))


def test_a_book_made_in_python_refuses_it_too() -> None:
    entries = {"one": Derived(source="two"), "two": Derived(source="one")}
    with pytest.raises(StudyError, match="made of itself"):
        DataBook(entries, Path(), 0)


def test_what_is_shared_is_no_circle() -> None:
    base = Derived(source="world.safety")
    left, right = (Derived(source="base", mixed_in=(MixedIn(data="base", number=1),)) for _ in range(2))
    entries = {"top": Derived(source="left", mixed_in=(MixedIn(data="right", number=2),)), "left": left, "right": right}
    assert circle({**entries, "base": base}) == ()
    study_from(parse_yaml(STUDY.format(data=ONE + "\n  two: {source: world.facts}", used="one")))
