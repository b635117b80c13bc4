"""YAML is read strictly: whatever could be read in two ways is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import MAX_BYTES, load_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5e-5", 5e-5),
        ("-3", -3),
        ("2.5", 2.5),
        ("no", "no"),
        ("on", "on"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("60%", "60%"),
        ("true", True),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}").value["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: 2\na: 3", 3, "twice"),
        ("a: &x 1\nb: *x", 1, "anchors"),
        ("a: 1\nb: !!python/object:os.system 1", 2, "tags"),
        ("a: !!str 1", 1, "tags"),
        ("a: 0777", 1, "leading zero"),
        ("a: 1\nb: -1e999", 2, "larger than any number"),
        ("a:\n  - 1\n  - [2", 3, "not valid YAML"),
        ("? [1, 2]\n: 3", 1, "key must be text"),
        ("- a: 1\n- b: {c: 1, c: 2}", 2, "twice"),
    ],
)
def test_what_is_not_strict_is_refused_with_its_line(text: str, line: int, word: str) -> None:
    with pytest.raises(StudyError, match=word) as caught:
        parse_yaml(text, name="study.yaml")
    assert f"study.yaml:{line}:" in str(caught.value)


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a: &a [x, x]\n" + "\n".join(f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdef", "bcdefg", strict=True))
    with pytest.raises(StudyError, match="anchors"):
        parse_yaml(bomb)


def test_deep_nesting_and_large_files_are_refused() -> None:
    with pytest.raises(StudyError, match=r"deeper|not valid"):
        parse_yaml("[" * 60 + "]" * 60)
    with pytest.raises(StudyError, match="larger"):
        parse_yaml("a: " + "x" * MAX_BYTES)


def test_every_value_knows_its_line() -> None:
    located = parse_yaml("a:\n  b:\n    - 1\n    - c: 2\n")
    assert located.line(("a", "b", 1, "c")) == 4
    assert located.line(("a", "b", 1, "c", "unknown")) == 4
    assert located.line(()) == 1


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(StudyError, match="not UTF-8"):
        load_yaml(path)
    with pytest.raises(StudyError, match="cannot read"):
        load_yaml(tmp_path / "missing.yaml")
