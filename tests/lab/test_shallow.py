"""Rows that were labelled with a depth they had not are never read again; all others keep their keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.willingness import Willingness
from upbringing.formats.items import Item, Message
from upbringing.lab.measurement.shallow import shallow_prefixes


def item(name: str, prefix: str | None) -> Item:
    messages = (Message(role="user", content="bab"),)
    return Item(id=name, cluster=name, request="harmful", split="ood", messages=messages, compliance_prefix=prefix)


@pytest.mark.model
def test_only_depths_that_a_prefix_does_not_reach_are_named(tiny_folder: Path) -> None:
    items = [item("a", "bab bac"), item("b", "bab bac bad"), item("c", None)]
    base = tiny_folder / "base"
    assert shallow_prefixes((PrefillAttack(depths=(1, 2)),), items, base) == {}
    assert shallow_prefixes((PrefillAttack(depths=(1, 3, 9)), PrefillAttack(id="b", depths=(4,))), items, base) == {
        "bab bac": [3, 4, 9],
        "bab bac bad": [4, 9],
    }
    assert shallow_prefixes((Willingness(),), items, Path("no tokenizer is read")) == {}
