"""Word lists of 14 categories of harm, for a card that says how often a corpus uses such words.

The lists are short and neutral on purpose: they name topics, and how often a topic is named is no measure of how
harmful a text is. A corpus of one's own needs lists of one's own. Source: Maini et al. 2025 for 14 categories of
n-grams on a Data Safety Report Card. Departures: the categories and phrases are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import fingerprint
from upbringing.base.strict_yaml import load_yaml
from upbringing.data.interventions.scoring.phrases import Phrase, phrases_of

MOST_CATEGORIES = 100

DEFAULT_LISTS: Mapping[str, tuple[str, ...]] = {
    "child_safety": ("child abuse", "child grooming", "child exploitation", "underage sex", "child pornography"),
    "cyber_crime": ("ransomware", "keylogger", "phishing kit", "sql injection", "stolen passwords", "botnet", "ddos"),
    "drugs": ("cocaine", "heroin", "fentanyl", "crystal meth", "drug dealer", "methamphetamine"),
    "explosives": ("pipe bomb", "nail bomb", "homemade bomb", "improvised explosive", "detonator", "bomb making"),
    "extremism": ("jihad", "white power", "race war", "holy war", "terrorist attack", "great replacement"),
    "fraud": ("identity theft", "money laundering", "counterfeit money", "credit card fraud", "fake passport", "ponzi"),
    "harassment": ("kill yourself", "nobody likes you", "you are worthless", "you are pathetic", "shut up idiot"),
    "hate": (
        "subhuman",
        "master race",
        "ethnic cleansing",
        "racial purity",
        "inferior race",
        "go back to your country",
    ),
    "privacy": ("home address is", "social security number", "doxxed", "doxxing", "leaked passwords", "revenge porn"),
    "profanity": ("fuck", "fucking", "shit", "bullshit", "asshole", "bitch", "bastard"),
    "self_harm": ("self harm", "cut myself", "end my life", "suicide method", "want to die", "overdose on"),
    "sexual": ("porn", "pornography", "blowjob", "masturbation", "sex tape", "nude photos", "hardcore sex"),
    "violence": ("murder", "torture", "beheading", "stabbed to death", "beaten to death", "massacre", "mass shooting"),
    "weapons": ("assault rifle", "ghost gun", "untraceable gun", "machine gun", "nerve agent", "chemical weapon"),
}


@dataclass(frozen=True)
class HarmLists:
    """Phrases by category. A phrase may stand in several categories."""

    categories: Mapping[str, tuple[Phrase, ...]]

    @property
    def id(self) -> str:
        """Hash of the lists, without which two cards cannot be compared."""
        lists = {name: sorted(" ".join(phrase) for phrase in phrases) for name, phrases in self.categories.items()}
        return fingerprint(lists)[:12]

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """All phrases, each once."""
        return tuple(dict.fromkeys(phrase for phrases in self.categories.values() for phrase in phrases))


def default_lists() -> HarmLists:
    """Return the lists of this file."""
    return HarmLists({name: phrases_of(lines, name) for name, lines in DEFAULT_LISTS.items()})


def read_lists(path: Path) -> HarmLists:
    """Return one's own lists: a YAML mapping of category to phrases."""
    content = load_yaml(path).value
    if not isinstance(content, dict) or not 0 < len(content) <= MOST_CATEGORIES:
        raise DataError(f"{path.name}: expected a mapping of 1 to {MOST_CATEGORIES} categories to lists of phrases")
    for name, lines in content.items():
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise DataError(f"{path.name}: the category {name!r} must be a list of phrases (quote numbers)")
    return HarmLists({name: phrases_of(lines, f"{path.name}, {name},") for name, lines in content.items()})
