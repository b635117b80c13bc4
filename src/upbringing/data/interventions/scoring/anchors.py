"""Texts whose harm is beyond doubt: a classifier whose labels are reversed or shuffled cannot pass them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.data.interventions.scoring.deciding import Probabilities, decide
from upbringing.data.interventions.scoring.meanings import SCORES, check_score

LEAST_SEPARATION = 0.9  # chance that a harmful anchor is rated above a harmless one; 0.5 is guessing
REVERSED_SEPARATION = 0.5
SURELY_REVERSED = 1 - LEAST_SEPARATION  # as clearly the wrong way round as a classifier of harm has to be the right way
HIGHEST_HARMLESS, LOWEST_HARMFUL = 1, 2  # median scores beyond these do not mean what their labels say
LEAST_ANCHORS = 3  # of each side


@dataclass(frozen=True)
class Anchors:
    """``harmless``: texts of score 0. ``harmful``: texts of score 4 or 5, for whoever reads them."""

    harmless: tuple[str, ...]
    harmful: tuple[str, ...]


ANCHORS = Anchors(
    harmless=(
        "The library opens at nine in the morning. Bring your card and return books at the front desk.",
        "Mix the flour with water and a little salt, let the dough rest for an hour, then bake it until golden.",
        "Our class planted sunflowers in spring, and by the end of summer they were taller than the fence.",
        "The river flows from the mountains to the sea and passes through three small towns on its way.",
        "To add two fractions, first find a common denominator, then add the numerators.",
        "My grandmother taught me how to knit a warm scarf during the winter holidays.",
    ),
    harmful=(
        "I hate those people, they are filthy vermin and every one of them deserves to be killed.",
        "You are worthless and disgusting. Go and kill yourself, nobody wants you alive.",
        "I know where you live and tonight I will come and murder you and your whole family.",
        "Those foreigners are dirty animals who should be beaten until they learn to obey us.",
        "Here is how to poison your wife slowly so that the police never find out that you murdered her.",
        "Let us build a bomb and blow up their school, the more of these children die the better.",
    ),
)


def read_anchors(path: Path) -> Anchors:
    """Return one's own anchors: JSON Lines of ``text`` and ``harm``, 0 for harmless and 4 or 5 for harmful."""
    harmless: list[str] = []
    harmful: list[str] = []
    try:
        lines = path.read_bytes().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the anchors {path} cannot be read as UTF-8 ({type(error).__name__})") from None
    for number, line in enumerate(lines, start=1):
        where = f"{path.name} row {number}"
        try:
            row = json.loads(line)
            text, harm = row["text"], check_score(row["harm"], where)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where} is not an anchor with text and harm: {error}") from None
        if not isinstance(text, str) or not text.strip() or harm in (1, 2, 3):
            raise DataError(f"{where}: an anchor is a text of harm 0, 4 or 5: what lies between is open to doubt")
        (harmless if harm == 0 else harmful).append(text)
    if min(len(harmless), len(harmful)) < LEAST_ANCHORS:
        raise DataError(f"{path.name} holds {len(harmless)} harmless and {len(harmful)} harmful anchors, 3 are needed")
    return Anchors(tuple(harmless), tuple(harmful))


def check_anchors(
    anchors: Anchors,
    probabilities: Callable[[Sequence[str]], Probabilities],
    thresholds: Sequence[float] | None,
    name: str,
) -> None:
    """Raise ``DataError`` unless harmful anchors get clearly higher scores than harmless ones.

    ``probabilities`` gives those of the six scores. It does not show that a classifier is good, only that its labels
    mean what is declared.
    """
    found = probabilities([*anchors.harmless, *anchors.harmful])
    expected, scores = found @ np.array(SCORES), decide(found, thresholds)
    num = len(anchors.harmless)
    separation = _separation(expected[:num], expected[num:])
    harmless, harmful = float(np.median(scores[:num])), float(np.median(scores[num:]))
    told = (
        f"{name}: of clearly harmful and harmless texts the harmful one is rated higher in {separation:.0%} of all "
        f"pairs; median scores are {harmless:g} (harmless) and {harmful:g} (harmful)"
    )
    if separation < REVERSED_SEPARATION:
        raise DataError(f"{told}. The labels are reversed: declare labels: {{name: score}} the other way round")
    if separation < LEAST_SEPARATION or harmless > HIGHEST_HARMLESS or harmful < LOWEST_HARMFUL:
        raise DataError(
            f"{told}. Either the labels are in a wrong order or this is no classifier of harm; for other languages or "
            "a narrow domain give anchors of your own"
        )


def check_not_reversed(probabilities: Probabilities, knows: NDArray[np.bool_], name: str) -> None:
    """Raise ``DataError`` where the texts of ``ANCHORS`` are rated clearly the wrong way round.

    ``probabilities`` of the six scores and whether it ``knows`` a text, harmless anchors first. For a classifier of
    one's own labels, which may be of a narrow domain or another language: where it knows fewer than three anchors of
    either side, or rates them in no clear order, nothing is said.
    """
    expected = probabilities @ np.array(SCORES)
    num = len(ANCHORS.harmless)
    sides = [expected[:num][knows[:num]], expected[num:][knows[num:]]]
    if min(map(len, sides)) < LEAST_ANCHORS or (separation := _separation(*sides)) > SURELY_REVERSED:
        return
    raise DataError(
        f"{name}: of clearly harmful and harmless texts the harmful one is rated higher in only {separation:.0%} of "
        "all pairs, so the labels are probably reversed: a label is a harm score, 0 harmless to 5 harmful. If they are "
        "right, give texts of your own that must come out as labelled (anchors)"
    )


def _separation(harmless: NDArray[np.float64], harmful: NDArray[np.float64]) -> float:
    """Return the share of pairs in which the harmful text is rated higher; equal ratings count half."""
    higher = harmful[:, None] - harmless[None, :]
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())
