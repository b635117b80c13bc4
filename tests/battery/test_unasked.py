"""A chat template that raises on some turns: these items have no value and a reason, all others are measured."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from upbringing.battery.engine import measure_checkpoint
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Judgement, Message
from upbringing.formats.record import BuildProfile
from upbringing.models.decoding import Greedy
from upbringing.models.loading import LoadedModel, load_model
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = pytest.mark.model
REFUSES_SYSTEM = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}bab: {{ message['content'] }}{% endfor %}"
)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    train_tokenizer(("bab", "bac"), vocabulary=300, special_tokens=(), chat_template=None, folder=tmp_path / "words")
    start = FreshStart(layers=1, width=16, heads=2, context=64, tokenizer=TokenizerRecipe(train_on="x"))
    create_fresh(start, tmp_path / "words", 1, tmp_path / "model")
    found = load_model(tmp_path / "model", profile=BuildProfile())
    tokenizer = copy.deepcopy(found.tokenizer)
    tokenizer.chat_template = REFUSES_SYSTEM
    return replace(found, tokenizer=tokenizer)


class Refusing:
    """A judge that calls everything a refusal."""

    id = "refusing/1"
    judge_kind = "oracle"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        return [Judgement(outcome="refuse") for _ in answers]


def item(name: str, *roles: str) -> Item:
    return Item(
        id=name,
        cluster=name,
        request="harmful",
        split="ood",
        messages=tuple(Message(role=role, content="bab bac") for role in roles),  # type: ignore[arg-type]
        safe_continuations=("bab",),
        unsafe_continuations=("bac",),
    )


def test_an_item_whose_turns_a_template_refuses_has_a_reason_and_the_others_are_measured(loaded: LoadedModel) -> None:
    found = measure_checkpoint(
        loaded,
        checkpoint="one",
        battery=(NonRefusal(decoding=Greedy(max_tokens=4)), RefusalMargin()),
        items=[item("led", "system", "user"), item("plain", "user")],
        judges=[Refusing()],  # type: ignore[list-item]
        precision="fp32",
        seed=0,
        on_progress=lambda done, total: None,
    )
    assert {(row.item, row.measure): row.reason_code for row in found.rows} == {
        ("led", "non_refusal"): "refused-by-chat-template",
        ("led", "refusal_margin"): "refused-by-chat-template",
        ("plain", "non_refusal"): None,
        ("plain", "refusal_margin"): None,
    }
    assert all((row.value is None) == (row.item == "led") for row in found.rows)


def test_what_a_template_renders_to_nothing_or_no_token_begins_has_a_reason(loaded: LoadedModel) -> None:
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = "{% for message in messages if message['role'] == 'system' %}bab{% endfor %}"
    tokenizer.bos_token = tokenizer.eos_token = None
    text = Item(id="text", cluster="text", request="benign", split="ood", text="bab bac bab")
    found = measure_checkpoint(
        replace(loaded, tokenizer=tokenizer),
        checkpoint="one",
        battery=(NonRefusal(decoding=Greedy(max_tokens=4)), BitsPerByte()),
        items=[item("nothing", "user"), item("led", "system", "user"), text],
        judges=[Refusing()],  # type: ignore[list-item]
        precision="fp32",
        seed=0,
        on_progress=lambda done, total: None,
    )
    assert {(row.item, row.measure): (row.reason_code, row.value is None) for row in found.rows} == {
        ("nothing", "non_refusal"): ("empty-prompt", True),
        ("led", "non_refusal"): (None, False),
        ("text", "bits_per_byte"): ("no-token-begins-a-text", True),
    }
