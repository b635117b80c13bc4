"""How long searches for suffixes take: a small part of one step is timed, because whole ones take hours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from upbringing.battery.needs import AnswerNeed, Need
from upbringing.battery.searching import Searching, searches_of
from upbringing.battery.suffix_searches import SuffixSearch
from upbringing.formats.items import Item
from upbringing.models.asking import Elicitation
from upbringing.models.local import LocalModel
from upbringing.models.suffix_search import Gcg

TIMED_CANDIDATES, TIMED_PROMPTS = 8, 2


def has_search(needs: Sequence[Need]) -> bool:
    """Return whether any of ``needs`` waits for a suffix that is to be searched."""
    return any(isinstance(need, AnswerNeed) and need.search is not None for need in needs)


def search_seconds(local: LocalModel, needs: Sequence[Need], items: Sequence[Item]) -> float:
    """Return the seconds that all searches of ``needs`` take on one checkpoint, scaled up by what they read.

    Of searches that differ in their request alone the first is timed. What cannot be searched takes no time.
    """
    alike: dict[tuple[Gcg, Elicitation], list[SuffixSearch]] = {}
    for search, elicitation in searches_of(needs):
        if search.items and search.settings.steps:
            alike.setdefault((search.settings, elicitation), []).append(search)
    by_id = {item.id: item for item in items}
    total = 0.0
    for (settings, elicitation), searches in alike.items():
        fewer = {"steps": 1, "candidates": min(settings.candidates, TIMED_CANDIDATES)}
        part = replace(searches[0], settings=settings.model_copy(update=fewer), items=searches[0].items[:TIMED_PROMPTS])
        began = time.monotonic()
        Searching(local, by_id, 0, part, elicitation, "probe").run(None, _ignore)
        elapsed = time.monotonic() - began
        read = part.settings.num_evaluations(len(part.items))
        total += elapsed * sum(settings.num_evaluations(len(each.items)) for each in searches) / read
    return total


def _ignore(step: int) -> None:
    """Nothing is shown."""
