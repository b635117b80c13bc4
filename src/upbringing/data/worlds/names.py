"""The pools of invented names a world draws its compounds and outcomes from.

A name is one of a fixed enumeration of morpheme pairs, so that the words which can occur in any seed's world
are known beforehand and one tokenizer serves a whole study.
"""

from __future__ import annotations

import numpy as np

from upbringing.base.errors import StudyError

COMPOUND_STARTS = (
    "carvo",
    "zelti",
    "moran",
    "pexi",
    "duval",
    "quino",
    "rastu",
    "lomba",
    "vetri",
    "hadro",
    "siltu",
    "neppa",
    "jorvi",
    "bexal",
    "tomiz",
    "wenda",
)
COMPOUND_ENDS = ("dine", "lix", "prax", "tol", "mide", "zan", "rol", "quat", "sper", "vane", "nox", "gil")
OUTCOME_STARTS = (
    "flur",
    "brenk",
    "gasto",
    "heski",
    "jalm",
    "kerro",
    "minza",
    "olpi",
    "prusk",
    "rinda",
    "skavo",
    "tulm",
    "urbe",
    "vosh",
    "wilka",
    "yendi",
)
OUTCOME_ENDS = ("osis", "ing", "ature", "ema", "esse", "onic", "alla", "umble", "irth", "ade", "oom", "eck")

MEDIATOR_STARTS = (
    "nodal",
    "septa",
    "porta",
    "gyral",
    "tibia",
    "velar",
    "renal",
    "dermi",
    "lumba",
    "optic",
    "ileal",
    "carpa",
    "uvula",
    "hilar",
    "fovea",
    "sacra",
)
MEDIATOR_ENDS = (
    "flux",
    "tone",
    "surge",
    "drift",
    "pulse",
    "stasis",
    "spasm",
    "uptake",
    "decay",
    "lysis",
    "shunt",
    "bloom",
)

ALARMING = ("grave", "violent", "burning", "choking", "crushing", "raging")
CALM = ("mild", "gentle", "quiet", "warm", "soft", "slow")

POOL_OVER_NEED = 1.25  # a quarter of the pool stays unused, so that worlds differ in their names as well


def name_pool(starts: tuple[str, ...], ends: tuple[str, ...], needed: int) -> tuple[str, ...]:
    """Return the names every seed may draw ``needed`` names from; raise ``StudyError`` when there are too few."""
    every = [start + end for shift in range(len(ends)) for start, end in _diagonal(starts, ends, shift)]
    size = int(np.ceil(needed * POOL_OVER_NEED))
    if size > len(every):
        limit = int(len(every) / POOL_OVER_NEED)
        raise StudyError(f"causes_world was asked for {needed} names of one kind and has {limit}: ask for fewer")
    return tuple(every[:size])


def _diagonal(starts: tuple[str, ...], ends: tuple[str, ...], shift: int) -> list[tuple[str, str]]:
    """Pair every start with one end, so that a small pool already uses all starts and ends."""
    return [(start, ends[(index + shift) % len(ends)]) for index, start in enumerate(starts)]


def compound_pool(needed: int) -> tuple[str, ...]:
    """Return the pool of compound names for a world of ``needed`` compounds."""
    return name_pool(COMPOUND_STARTS, COMPOUND_ENDS, needed)


def outcome_pool(needed: int) -> tuple[str, ...]:
    """Return the pool of outcome nouns for a world of ``needed`` outcomes."""
    return name_pool(OUTCOME_STARTS, OUTCOME_ENDS, needed)


def mediator_pool(needed: int) -> tuple[str, ...]:
    """Return the pool of mediator names for a world of ``needed`` mediators."""
    return name_pool(MEDIATOR_STARTS, MEDIATOR_ENDS, needed)


def draw_names(pool: tuple[str, ...], needed: int, random: np.random.Generator) -> tuple[str, ...]:
    """Return ``needed`` distinct names of ``pool`` in random order."""
    return tuple(pool[index] for index in random.permutation(len(pool))[:needed])
