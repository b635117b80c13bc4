"""The terms of a text that a rewriting must not lose, as far as form alone shows them: numbers and names."""

from __future__ import annotations

import re
from dataclasses import replace

from upbringing.data.interventions.writing import Written

NUMBER = re.compile(r"(?<![\w.])\d[\d.,:/-]*\d|(?<![\w.])\d(?!\w)")
NAME = re.compile(r"(?<![.!?\n] )(?<![.!?\n]  )(?<!^)(?<![“\"'(])\b[A-Z][\w'-]+")
MAX_TERMS = 20  # a rewriting of a long text may leave out much; what it must keep stands early


def key_terms(text: str) -> tuple[str, ...]:
    """Return the numbers, and the capitalised words that begin no sentence, of ``text`` in order, each once."""
    found = [(match.start(), match.group()) for pattern in (NUMBER, NAME) for match in pattern.finditer(text)]
    return tuple(dict.fromkeys(term for _, term in sorted(found)))[:MAX_TERMS]


def with_facts(written: Written, source: str, least_facts: float = 1.0) -> Written:
    """Return a rewriting of ``source`` with what is known of its facts: its key terms, or nothing where it has none."""
    share = kept_share(source, written.text)
    kept = None if share is None else share == 1.0
    return replace(written, facts_kept=kept, facts_share=share, least_facts=least_facts)


def kept_share(source: str, written: str) -> float | None:
    """Return the share of the key terms of ``source`` that stand in ``written``; ``None`` where there are none."""
    terms = key_terms(source)
    if not terms:
        return None
    low = written.casefold()
    kept = [re.search(rf"(?<!\w){re.escape(term.casefold())}(?!\w)", low) is not None for term in terms]
    return sum(kept) / len(kept)
