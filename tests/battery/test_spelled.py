"""Which items spell special tokens: counted by hand, marks and tokens left out; items without marks are as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import fingerprint
from upbringing.base.special_strings import SpecialStrings
from upbringing.battery.cache import plain_prompt
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.tag_calibration import TagCalibration
from upbringing.battery.needs import AnswerNeed, LikelihoodNeed
from upbringing.battery.spelled import spelled_by_items
from upbringing.data.tokenizer import special_strings
from upbringing.formats.items import Item, Message

SPECIAL = frozenset({"<|end|>", "<|user|>", "<|userland|>", "<tag>"})


def item(name: str, asked: str, **fields: object) -> Item:
    values = {"request": "benign", "split": "ood", "messages": (Message(role="user", content=asked),), **fields}
    return Item(id=name, cluster=name, **values)  # type: ignore[arg-type]


def test_overlapping_strings_are_counted_as_a_tokenizer_finds_them() -> None:
    found = SpecialStrings.of([*SPECIAL, ""])
    assert found.count(["<|userland|><|user|>", "<|us<|user|>er|>", "user"]) == {"<|userland|>": 1, "<|user|>": 2}
    assert found.is_spelled_in("a <tag>")
    assert not found.is_spelled_in("a <t ag>")
    assert not SpecialStrings.of([]).is_spelled_in("<tag>")
    assert found.replaced("<tag><tag> <|end|>", dict.fromkeys(SPECIAL, "x")) == "xx x"


def test_items_are_counted_by_hand() -> None:
    items = {
        each.id: each
        for each in (
            item("plain", "bab <|end"),
            item("twice", "<|end|> bab <|end|><tag>", compliance_prefix="<|user|> yes", request="harmful"),
            item("meant", "<|end|> <|user|>", marks=("<|end|>",)),
            item("all", "<|end|>", marks=("<|end|>",)),
            item("unasked", "bab", text="<|end|>", completion_prompt="<|end|>"),
        )
    }
    needs = [AnswerNeed(name) for name in items]
    assert spelled_by_items(needs, items, SPECIAL) == {"meant": {"<|user|>": 1}, "twice": {"<|end|>": 2, "<tag>": 1}}
    more = [*needs, *PrefillAttack().needs(list(items.values())), AnswerNeed("twice", elicitation="E2")]
    assert spelled_by_items(more, items, SPECIAL)["twice"] == {"<|end|>": 2, "<tag>": 1, "<|user|>": 1}
    whole = [LikelihoodNeed("unasked", "nothing", ("<|end|>",)), LikelihoodNeed("unasked", "completion", (" a<tag>",))]
    assert spelled_by_items(whole, items, SPECIAL) == {"unasked": {"<tag>": 1, "<|end|>": 1}}
    assert spelled_by_items(needs, items, frozenset()) == {}


def test_a_tag_that_is_asked_for_is_not_spelled() -> None:
    items = [
        item("a", "bab", twin="b"),
        item("b", "bab <tag>", request="harmful", twin="a"),
    ]
    needs = TagCalibration(tag="<tag>").needs(items)
    assert {need.continuations for need in needs} == {("<tag>",)}
    assert spelled_by_items(needs, {each.id: each for each in items}, SPECIAL) == {"b": {"<tag>": 1}}


def test_items_and_prompts_without_marks_are_written_as_before_there_were_any() -> None:
    plain = item("a", "bab", answers=("one",))
    assert "marks" not in plain.model_dump(mode="json")
    assert "marks" not in json.loads(plain.model_dump_json())
    assert Item.model_validate(plain.model_dump(mode="json")) == plain
    marked = item("a", "bab", marks=("<tag>",))
    assert marked.model_dump(mode="json")["marks"] == ["<tag>"]
    assert Item.model_validate(json.loads(marked.model_dump_json())) == marked
    (need,) = OverRefusal().needs([plain])
    fields = ["name", "messages", "elicitation", "completion", "opening", "opening_tokens"]
    assert list(plain_prompt(need.prompt(plain))) == fields
    assert list(plain_prompt(need.prompt(marked))) == [*fields, "marks"]
    assert fingerprint([plain.model_dump(mode="json")]) == GOLDEN


GOLDEN = "88181480c1f654afa19aa1b8d86bb053a184603676b37a6825068a7f1a6ca96c"
"""Of the item above, as it was before items could have marks: keys of measurements hash it."""


def test_the_special_strings_of_a_folder_come_from_all_its_files(tmp_path: Path) -> None:
    files = {
        "tokenizer.json": {"added_tokens": [{"content": "<a>", "special": True}, {"content": "<b>", "special": False}]},
        "tokenizer_config.json": {
            "added_tokens_decoder": {"5": {"content": "<c>", "special": True}},
            "eos_token": "<d>",
            "pad_token": {"content": "<e>"},
            "unk_token": None,
            "add_bos_token": True,
            "extra_special_tokens": {"image_token": "<f>"},
        },
        "special_tokens_map.json": {"additional_special_tokens": ["<g>", {"content": "<h>"}], "sep_token": ""},
    }
    for name, plain in files.items():
        (tmp_path / name).write_text(json.dumps(plain), encoding="utf-8")
    assert special_strings(tmp_path) == {"<a>", "<c>", "<d>", "<e>", "<f>", "<g>", "<h>"}
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{}, 3]}', encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json is no file of a tokenizer"):
        special_strings(tmp_path)
