"""Where a study file says what an arm is, so that an error about one of its stages names the words that made it so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from upbringing.base.errors import Keys, StudyError
from upbringing.study.arms import Arm

Declared = Mapping[str, tuple[Arm, Keys]]
"""Every arm of a study with its place in the file."""


class DeclaresArms(Protocol):
    """A study, which cannot be named here: it needs this module."""

    def declared_arms(self) -> Declared:
        """Return every arm with its place in the file."""
        ...


def arm_places(declared: Declared, name: str) -> tuple[Keys, ...]:
    """Return where the file says what the arm ``name`` is: its own words, then those of the arms it starts from."""
    found: list[Keys] = []
    while name in declared:
        arm, place = declared[name]
        of_matrix = [("matrix", factor, level) for factor, level in arm.factors.items()] if place == ("matrix",) else []
        new = [each for each in (*of_matrix, place) if each not in found]
        if not new or arm.base is None:
            return (*found, *new)
        found += new
        name = arm.base
    return tuple(found)


def stage_places(declared: Declared, name: str, *keys: str | int) -> tuple[Keys, ...]:
    """Return where the file may say what ``keys`` (a stage, and more) of the arm ``name`` are, the study's own last."""
    found: list[Keys] = []
    for place in arm_places(declared, name):
        found += [(*place, word, *keys) for word in ("stages", "replace")]
        arm, own = declared.get(str(place[-1]), (None, None))
        words = () if arm is None or own != place else (arm.placebo, arm.delay, arm.dose)
        found += [
            (*place, word)
            for word, said in zip(("placebo", "delay", "dose"), words, strict=False)
            if said is not None and said.stage == keys[0]
        ]
    return (*found, ("stages", *keys))


@contextmanager
def in_arm(study: DeclaresArms, name: str) -> Iterator[None]:
    """Let a ``StudyError`` about a stage, raised within, be about what the arm ``name`` says of it, if it does."""
    try:
        yield
    except StudyError as error:
        declared, places = study.declared_arms(), list[Keys]()
        for place in error.places:
            places += stage_places(declared, name, *place[1:]) if place[:1] == ("stages",) and place[1:] else [place]
        error.places = tuple(places)
        raise
