"""How much a study asks of each checkpoint, counted from its prompts and its battery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import UpbringingError
from upbringing.battery.needs import AnswerNeed, LikelihoodNeed, Need
from upbringing.battery.searching import searches_of
from upbringing.data.item_files import ItemFile
from upbringing.formats.items import Item
from upbringing.lab.building.library import Library
from upbringing.lab.measurement.known_conditions import require_conditions
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.measurement.twins import require_twins
from upbringing.lab.measurement.unfitting import idle_notes
from upbringing.lab.session import Session

CHARACTERS_PER_TOKEN = 4  # of English text under common tokenizers; only for what no probe timed


@dataclass(frozen=True)
class Asked:
    """Per checkpoint. ``tokens``: read or written by it, about. ``unknown``: sets of prompts that are not here.

    ``idle``: a sentence per measure that asks nothing, where all sets are here.
    """

    num_answers: int
    num_likelihoods: int
    tokens: int
    unknown: tuple[str, ...]
    idle: tuple[str, ...] = ()


def questions(session: Session) -> Asked:
    """Return what every checkpoint is asked; sets of prompts that are not here are left out and named.

    Raises ``DataError`` for a file of prompts that is here and holds something else, for twins that no set holds, and
    ``StudyError`` for a contrast under a condition that nothing will be measured under.
    """
    library = Library(session.workshop.book, 0, session.store.root)
    items: dict[str, Item] = {}
    unknown = []
    try:
        names = item_sets(session.study) if session.study.battery else ()
    except UpbringingError:
        names = ()
    for name in names:
        try:
            items.update({item.id: item for item in library.items(name)})
        except UpbringingError:
            entry = session.study.data[name]
            if isinstance(entry, ItemFile) and (session.workshop.book.folder / entry.path).exists():
                raise
            unknown.append(name)
    if not unknown:
        require_twins(list(items.values()), names, library)
        require_conditions(session.study, list(items.values()))
    needs = list(dict.fromkeys(need for each in session.study.battery for need in each.needs(list(items.values()))))
    answers = [need for need in needs if isinstance(need, AnswerNeed)]
    tokens = 0
    for need in needs:
        item = items[need.item]
        read = sum(len(message.content) for message in item.messages) or len(item.completion_prompt or "")
        tokens += read // CHARACTERS_PER_TOKEN
        if isinstance(need, AnswerNeed):
            tokens += need.decoding.max_tokens * need.decoding.rows
        elif isinstance(need, LikelihoodNeed):
            tokens += sum(len(each) for each in need.continuations) // CHARACTERS_PER_TOKEN
    tokens += _searched_tokens(needs, items)
    idle = () if unknown else idle_notes(session.study.battery, list(items.values()))
    return Asked(len(answers), len(needs) - len(answers), tokens, tuple(unknown), idle)


def _searched_tokens(needs: Sequence[Need], items: Mapping[str, Item]) -> int:
    """Return the tokens that searches for suffixes read, at most."""
    total = 0
    for search, _ in searches_of(needs):
        settings = search.settings
        for item in (items[name] for name in search.items):
            texts = [*(message.content for message in item.messages), settings.initial]
            texts.append(settings.target or item.compliance_prefix or "")
            total += settings.num_evaluations(1) * (sum(map(len, texts)) // CHARACTERS_PER_TOKEN)
    return total
