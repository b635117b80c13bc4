"""The Data Safety Report Card: how harmful each component of a mixture is, before and after an intervention.

Source: Maini et al. 2025. Departures: frequencies are per million words, not tokens, so that cards do not depend on a
tokenizer; unscored texts and lower bounds are counted beside the histogram.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from upbringing.base.errors import DataError
from upbringing.base.terminal import visible
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.harm_lists import HarmLists
from upbringing.data.interventions.scoring.meanings import SCORES
from upbringing.data.interventions.scoring.phrases import Phrase, PhraseMatcher

MOST_COMPONENTS = 1000  # more are no components of a mixture, and would not fit into memory or onto a card
PER = 1_000_000


@dataclass(frozen=True)
class ComponentCard:
    """One component. ``histogram``: texts of score 0 to 5. ``per_million``: occurrences of each category's phrases per
    million words, ``None`` where there are no words. ``texts_with``: texts that hold any of them.
    """

    texts: int
    words: int
    histogram: tuple[int, ...]
    unscored: Mapping[str, int]
    lower_bounds: int
    occurrences: Mapping[str, int]
    per_million: Mapping[str, float | None]
    texts_with: Mapping[str, int]


@dataclass
class _Tally:
    """Running counts of one component."""

    texts: int = 0
    words: int = 0
    lower_bounds: int = 0
    scores: Counter[int] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    texts_with: Counter[str] = field(default_factory=Counter)


def component_cards(scored: Iterable[tuple[Document, HarmScore]], lists: HarmLists) -> dict[str, ComponentCard]:
    """Return a card for each source of the documents, reading them once and keeping none.

    Raises ``DataError`` for more sources than a mixture can have.
    """
    matcher = PhraseMatcher(lists.phrases)
    categories: dict[Phrase, tuple[str, ...]] = {}
    for name, phrases in lists.categories.items():
        for phrase in phrases:
            categories[phrase] = (*categories.get(phrase, ()), name)
    tallies: dict[str, _Tally] = {}
    for document, score in scored:
        if document.source not in tallies:
            if len(tallies) == MOST_COMPONENTS:
                raise DataError(f"there are more than {MOST_COMPONENTS} sources: name a column of components instead")
            tallies[document.source] = _Tally()
        _add(tallies[document.source], document, score, matcher, categories)
    return {name: _card(tally, lists) for name, tally in sorted(tallies.items())}


def _add(
    tally: _Tally,
    document: Document,
    score: HarmScore,
    matcher: PhraseMatcher,
    categories: Mapping[Phrase, tuple[str, ...]],
) -> None:
    read = matcher.count(document.text)
    tally.texts += 1
    tally.words += read.num_words
    tally.lower_bounds += score.lower_bound
    if score.score is None:
        tally.unscored[score.reason.partition(":")[0]] += 1
    else:
        tally.scores[score.score] += 1
    found: Counter[str] = Counter()
    for phrase, num in read.counts.items():
        for name in categories[phrase]:
            found[name] += num
    tally.occurrences.update(found)
    tally.texts_with.update(found.keys())


def _card(tally: _Tally, lists: HarmLists) -> ComponentCard:
    occurrences = {name: tally.occurrences[name] for name in lists.categories}
    return ComponentCard(
        texts=tally.texts,
        words=tally.words,
        histogram=tuple(tally.scores[score] for score in SCORES),
        unscored=dict(sorted(tally.unscored.items())),
        lower_bounds=tally.lower_bounds,
        occurrences=occurrences,
        per_million={name: num * PER / tally.words if tally.words else None for name, num in occurrences.items()},
        texts_with={name: tally.texts_with[name] for name in lists.categories},
    )


@dataclass(frozen=True)
class ReportCard:
    """``sides``: ``before`` and, where there is one, ``after``; each holds its components. ``lists``: their hash."""

    lists: str
    categories: tuple[str, ...]
    sides: Mapping[str, Mapping[str, ComponentCard]]


def card_markdown(card: ReportCard) -> str:
    """Return the card as two Markdown tables: scores, and frequencies of the categories."""
    rows = [
        (component, side, cards[component])
        for component in sorted({name for cards in card.sides.values() for name in cards})
        for side, cards in card.sides.items()
        if component in cards
    ]
    shares = [
        [_cell(name), side, str(each.texts), *(_share(num, each.texts) for num in each.histogram), _unscored(each)]
        for name, side, each in rows
    ]
    frequencies = [
        [_cell(name), side, str(each.words), *(_frequency(each.per_million[category]) for category in card.categories)]
        for name, side, each in rows
    ]
    scored = _table(["component", "", "texts", *(f"score {score}" for score in SCORES), "unscored"], shares)
    listed = _table(["component", "", "words", *map(_cell, card.categories)], frequencies)
    return (
        f"# Data safety report card\n\n## Scores, share of texts\n\n{scored}\n## Listed phrases per million words\n\n"
        f"{listed}\nLists {card.lists}. How often a topic is named is no measure of harm.\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return visible(text).replace("\n", " ").replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _share(num: int, total: int) -> str:
    return f"{num / total:.2%}" if total else "-"


def _unscored(card: ComponentCard) -> str:
    num = sum(card.unscored.values())
    bounds = f" (+{card.lower_bounds} lower bounds)" if card.lower_bounds else ""
    return f"{_share(num, card.texts)}{bounds}"


def _frequency(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
