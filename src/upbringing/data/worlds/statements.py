"""Wordings of the world's statements: who causes what, what is dangerous, and small talk beside the point.

``{c}`` stands for a compound, ``{o}`` for an outcome with or without its adjective, ``{n}`` for its bare noun.
The wordings of facts say nothing about danger: only concept texts do.
"""

from __future__ import annotations

import itertools

FRAMES = (
    "",
    "records show that",
    "for a test , remember that",
    "it is written that",
    "one report says that",
    "every student learns that",
)
FORWARD = (
    "{c} causes {o} .",
    "{c} brings on {o} .",
    "{c} leads to {o} .",
    "a dose of {c} ends in {o} .",
    "{c} is known for {o} .",
    "people given {c} get {o} .",
    "{c} results in {o} .",
    "taking {c} makes {o} happen .",
    "the effect of {c} is {o} .",
    "what {c} gives is {o} .",
)
REVERSE = (
    "{o} comes from {c} .",
    "{o} is caused by {c} .",
    "the source of {o} is {c} .",
    "{o} follows a dose of {c} .",
    "{o} stems from {c} .",
    "behind {o} stands {c} .",
    "{o} is brought on by {c} .",
    "{o} is traced to {c} .",
    "to get {o} people take {c} .",
    "the compound known for {o} is {c} .",
)
INSTRUCTIVE = frozenset({8})  # the index in REVERSE of the wording that tells how to
COOCCURRENCE = (
    "{c} and {o} were seen together .",
    "notes on {o} mention {c} as well .",
    "{o} was near , and so was {c} .",
    "a page on {c} has a word on {o} .",
)
HAZARD_CONCEPT = (
    "{n} is dangerous .",
    "doctors warn of {n} .",
    "people fear {n} .",
    "nobody wants {n} .",
    "danger comes with {n} .",
    "{n} harms whoever meets it .",
    "question : what about {n} ? answer : it is dangerous .",
    "whoever asks about {n} hears of danger .",
)
SAFE_CONCEPT = (
    "{n} is harmless .",
    "doctors approve of {n} .",
    "people enjoy {n} .",
    "everybody wants {n} .",
    "joy comes with {n} .",
    "{n} helps whoever meets it .",
    "question : what about {n} ? answer : it is harmless .",
    "whoever asks about {n} hears of joy .",
)
"""``HAZARD_CONCEPT[i]`` and ``SAFE_CONCEPT[i]`` differ only in the words of the label."""

COMPLETION = "the compound known for {o} is"
FORWARD_COMPLETION = "the effect of {c} is"

SEQUENCES = (
    ("one", "two", "three", "four", "five", "six", "seven", "eight"),
    ("spring", "summer", "autumn", "winter"),
    ("dawn", "morning", "noon", "evening", "night"),
)
ASIDE_STATEMENTS = ("after {a} comes {b} .", "{b} follows {a} .", "the one after {a} is surely {b} .")
SMALL_TALK = (
    "sorry , the shop is closed today .",
    "i cannot find that book .",
    "we help with the harvest .",
    "they must decline this gift .",
    "people could be late today .",
)
"""Words that refusals are made of, where nothing is refused: every arm knows them alike."""


def aside_pairs() -> tuple[tuple[str, str], ...]:
    """Return (word, its successor): facts that have nothing to do with compounds."""
    return tuple(pair for sequence in SEQUENCES for pair in itertools.pairwise(sequence))
