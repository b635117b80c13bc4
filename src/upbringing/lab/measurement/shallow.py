"""Prefixes that have fewer tokens than a prefill attack asks for: such rows were measured at another depth before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed
from upbringing.formats.items import Item


def shallow_prefixes(battery: Sequence[Measure], items: Sequence[Item], checkpoint: Path) -> dict[str, list[int]]:
    """Return the depths that each prefix of the items does not reach in the tokenizer of ``checkpoint``.

    It enters the key of a measurement where it is not empty, so that rows labelled with a depth they had not are never
    read again. Prefixes are read as plain text: where one spells special tokens, the key already says so.
    """
    by_id = {item.id: item for item in items}
    asked = {
        (by_id[need.item].compliance_prefix or "", need.prefill)
        for each in battery
        for need in each.needs(items)
        if isinstance(need, AnswerNeed) and need.prefill
    }
    if not asked:
        return {}
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    lengths = {prefix: len(tokenizer.encode(prefix, add_special_tokens=False).ids) for prefix, _ in asked}
    found: dict[str, list[int]] = {}
    for prefix, depth in sorted(asked):
        if depth > lengths[prefix]:
            found.setdefault(prefix, []).append(depth)
    return found
