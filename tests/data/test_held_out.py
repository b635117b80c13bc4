"""Held-out windows: of a stage's own data, in no window of its stream, and nothing else moves for them."""

from __future__ import annotations

from pathlib import Path

from upbringing.data.held_out import HeldOut, read_held_out, unread_texts, write_held_out
from upbringing.data.rendering import Rendered


def text(*ids: int, divisible: bool = True) -> Rendered:
    return Rendered(list(ids), [True] * len(ids), "source", None, divisible=divisible)


def words(held_out: HeldOut, key: str) -> set[int]:
    """Every token of the windows of ``key``, padding left out."""
    rows = [place for place, own in enumerate(held_out.keys) if own == key]
    tokens, documents = held_out.arrays["tokens"][rows], held_out.arrays["documents"][rows]
    return set(tokens[documents >= 0].tolist())


def test_what_was_read_or_equals_it_is_not_held_out() -> None:
    rendered = {"a": [text(1, 2), text(3, 4), text(5, 6), text(1, 2)], "b": [text(3, 4), text(7, 8)]}
    unread = unread_texts(rendered, {"a": {0, 2}, "b": {0}})
    assert {key: [each.ids for each in texts] for key, texts in unread.items()} == {"a": [], "b": [[7, 8]]}


def test_windows_hold_unread_texts_only_and_chats_that_fit_nowhere_are_left_out(tmp_path: Path) -> None:
    many = [text(number, number + 1) for number in range(10, 200, 2)]
    unread = {"a": many, "b": [text(*range(300, 320), divisible=False), text(301, 302)], "c": [text(9)]}
    write_held_out(unread, tmp_path, context=4, padding_token=0, seed=3)
    held_out = read_held_out(tmp_path)
    assert [held_out.keys.count(key) for key in ("a", "b", "c")] == [8, 1, 0]  # a lone first token teaches nothing
    assert words(held_out, "a") < {token for each in many for token in each.ids}
    assert words(held_out, "b") == {301, 302}
    assert sorted(held_out.places({"a", "b"}), key=lambda place: held_out.keys[place])[-1] == 8
    assert len(held_out.places({"a", "b"})) == 8
    assert held_out.places({"b", "c"}) == [8]
    assert held_out.places(set()) == []


def test_nothing_unread_is_an_empty_list(tmp_path: Path) -> None:
    write_held_out({"a": []}, tmp_path, context=4, padding_token=0, seed=3)
    assert read_held_out(tmp_path).keys == ()
