"""The Data Safety Report Card: how harmful each component of a mixture is, before and after an intervention.

Source: Maini et al. 2025. Departures: frequencies are per million words, so that cards do not depend on a tokenizer,
and per million tokens where one is given; unscored texts and lower bounds are counted beside the histogram; a card says
too how much of the words, and tokens, stands in texts of each score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
SCORE_HEADS = tuple(f"score {score}" for score in SCORES)


@dataclass(frozen=True)
class ComponentCard:
    """One component. ``histogram``: texts of score 0 to 5. ``per_million``: occurrences of each category's phrases per
    million words, ``None`` where there are no words. ``texts_with``: texts that hold any of them. ``score_words``:
    words in texts of score 0 to 5. ``tokens``, ``score_tokens``, ``per_million_tokens``: the same of tokens; ``None``
    without a tokenizer.
    """

    texts: int
    words: int
    histogram: tuple[int, ...]
    unscored: Mapping[str, int]
    lower_bounds: int
    occurrences: Mapping[str, int]
    per_million: Mapping[str, float | None]
    texts_with: Mapping[str, int]
    score_words: tuple[int, ...]
    tokens: int | None = None
    score_tokens: tuple[int, ...] | None = None
    per_million_tokens: Mapping[str, float | None] | None = None


@dataclass
class _Tally:
    """Running counts of one component."""

    texts: int = 0
    words: int = 0
    tokens: int = 0
    lower_bounds: int = 0
    scores: Counter[int] = field(default_factory=Counter)
    score_words: Counter[int] = field(default_factory=Counter)
    score_tokens: Counter[int] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    texts_with: Counter[str] = field(default_factory=Counter)


def component_cards(
    scored: Iterable[tuple[Document, HarmScore]],
    lists: HarmLists,
    count_tokens: Callable[[str], int] | None = None,
) -> dict[str, ComponentCard]:
    """Return a card for each source of the documents, reading them once and keeping none.

    ``count_tokens``: the tokens of a text; ``None`` = words alone are counted.
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
        tokens = 0 if count_tokens is None else count_tokens(document.text)
        _add(tallies[document.source], document, score, tokens, matcher, categories)
    has_tokens = count_tokens is not None
    return {name: _card(tally, lists, has_tokens=has_tokens) for name, tally in sorted(tallies.items())}


def _add(
    tally: _Tally,
    document: Document,
    score: HarmScore,
    tokens: int,
    matcher: PhraseMatcher,
    categories: Mapping[Phrase, tuple[str, ...]],
) -> None:
    read = matcher.count(document.text)
    tally.texts += 1
    tally.words += read.num_words
    tally.tokens += tokens
    tally.lower_bounds += score.lower_bound
    if score.score is None:
        tally.unscored[score.reason.partition(":")[0]] += 1
    else:
        tally.scores[score.score] += 1
        tally.score_words[score.score] += read.num_words
        tally.score_tokens[score.score] += tokens
    found: Counter[str] = Counter()
    for phrase, num in read.counts.items():
        for name in categories[phrase]:
            found[name] += num
    tally.occurrences.update(found)
    tally.texts_with.update(found.keys())


def _card(tally: _Tally, lists: HarmLists, *, has_tokens: bool) -> ComponentCard:
    occurrences = {name: tally.occurrences[name] for name in lists.categories}
    return ComponentCard(
        texts=tally.texts,
        words=tally.words,
        histogram=tuple(tally.scores[score] for score in SCORES),
        unscored=dict(sorted(tally.unscored.items())),
        lower_bounds=tally.lower_bounds,
        occurrences=occurrences,
        per_million={name: _per_million(num, tally.words) for name, num in occurrences.items()},
        texts_with={name: tally.texts_with[name] for name in lists.categories},
        score_words=tuple(tally.score_words[score] for score in SCORES),
        tokens=tally.tokens if has_tokens else None,
        score_tokens=tuple(tally.score_tokens[score] for score in SCORES) if has_tokens else None,
        per_million_tokens={name: _per_million(num, tally.tokens) for name, num in occurrences.items()}
        if has_tokens
        else None,
    )


def _per_million(num: int, total: int) -> float | None:
    return num * PER / total if total else None


@dataclass(frozen=True)
class ReportCard:
    """``sides``: ``before`` and, where there is one, ``after``; each holds its components. ``lists``: their hash.

    ``tokenizer``: the hash of the one whose tokens are counted.
    """

    lists: str
    categories: tuple[str, ...]
    sides: Mapping[str, Mapping[str, ComponentCard]]
    tokenizer: str | None = None


def card_markdown(card: ReportCard) -> str:
    """Return the card as Markdown tables: scores of texts, of words and tokens, and frequencies of categories."""
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
    scored = _table(["component", "", "texts", *SCORE_HEADS, "unscored"], shares)
    tables = [("Scores, share of texts", scored)]
    for unit in ("words", *(["tokens"] if card.tokenizer is not None else [])):
        amounts = [(name, side, _amounts(each, unit)) for name, side, each in rows]
        tables.append(
            (
                f"Scores, {unit} in texts of each score per million {unit}",
                _frequencies(
                    unit, SCORE_HEADS, [(name, side, total, held) for name, side, (total, held, _) in amounts]
                ),
            )
        )
        listed = [
            (name, side, total, [found[category] for category in card.categories])
            for name, side, (total, _, found) in amounts
        ]
        tables.append((f"Listed phrases per million {unit}", _frequencies(unit, card.categories, listed)))
    body = "".join(f"## {title}\n\n{table}\n" for title, table in tables)
    by = f" Tokens of the tokenizer {card.tokenizer}." if card.tokenizer is not None else ""
    return (
        f"# Data safety report card\n\n{body.rstrip()}\n\nLists {card.lists}.{by} "
        "How often a topic is named is no measure of harm.\n"
    )


def _amounts(card: ComponentCard, unit: str) -> tuple[int, list[float | None], Mapping[str, float | None]]:
    """Return all words or tokens of a component, those in texts of each score per million, and its frequencies."""
    if unit == "words":
        return card.words, [_per_million(num, card.words) for num in card.score_words], card.per_million
    assert card.tokens is not None
    assert card.score_tokens is not None
    assert card.per_million_tokens is not None
    return card.tokens, [_per_million(num, card.tokens) for num in card.score_tokens], card.per_million_tokens


def _frequencies(unit: str, heads: Sequence[str], rows: Sequence[tuple[str, str, int, Sequence[float | None]]]) -> str:
    lines = [[_cell(name), side, str(total), *map(_frequency, values)] for name, side, total, values in rows]
    return _table(["component", "", unit, *map(_cell, heads)], lines)


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
