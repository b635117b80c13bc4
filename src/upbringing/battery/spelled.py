"""Which items spell special tokens that they do not mean: what they spell is read as text, and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from upbringing.base.special_strings import SpecialStrings
from upbringing.battery.needs import AnswerNeed, LikelihoodNeed, Need
from upbringing.formats.items import Item

Texts = tuple[str, tuple[str, ...]]
"""A text that a model is given, and the marks whose special tokens it means."""


def spelled_by_items(
    needs: Iterable[Need], items: Mapping[str, Item], special: frozenset[str]
) -> dict[str, dict[str, int]]:
    """Return how often each item spells each of the ``special`` tokens, of items that spell any; each text counts once.

    Texts are the messages, openings and continuations that ``needs`` put to a model; what marks mean does not count.
    """
    texts: dict[str, set[Texts]] = {}
    for need in needs:
        texts.setdefault(need.item, set()).update(_given(need, items[need.item]))
    strings: dict[tuple[str, ...], SpecialStrings] = {}
    found: dict[str, dict[str, int]] = {}
    for item, given in sorted(texts.items()):
        for text, marks in given:
            if marks not in strings:
                strings[marks] = SpecialStrings.of(special, marks)
            for token, times in strings[marks].count([text]).items():
                own = found.setdefault(item, {})
                own[token] = own.get(token, 0) + times
    return {item: dict(sorted(tokens.items())) for item, tokens in found.items()}


def _given(need: Need, item: Item) -> Iterator[Texts]:
    """Yield every text that a model is given for ``need``, without what the elicitation itself says."""
    prompt = need.prompt(item) if isinstance(need, AnswerNeed) else need.asked(item)
    for message in prompt.messages if prompt.completion is None else ():
        yield message.content, prompt.marks
    yield prompt.completion or "", prompt.marks
    yield prompt.opening, prompt.marks
    for continuation in need.continuations if isinstance(need, LikelihoodNeed) else ():
        yield continuation, prompt.continuation_marks
