"""Checks on studies that lack or overstate something: a verdict about the recipe may not come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from upbringing.attribution.attribute import attribute
from upbringing.base.streams import stream
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import Tree
from upbringing.validation.drawing import Drawn, draw
from upbringing.validation.planted import EFFECTIVE, NULL
from upbringing.validation.process import MEDIUM
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import rows_of, tree_of, without_lost

STUDIES = 5
MARGIN = 0.10
DECIDED = ("changed", "equivalent", "negligible")
Change = Callable[[Drawn, np.random.Generator], Drawn]


def what_lacks_is_not_measured() -> tuple[int, int]:
    """Return how many contrasts are not measurable whose cells share no prompt, or of which one has no rows."""
    found = [_claim(EFFECTIVE, change, study) for study in range(STUDIES) for change in (_apart, _without_rows)]
    return sum(each.verdict == "not-measurable" and each.estimate is None for each in found), len(found)


def what_depends_on_the_answer_is_not_decided() -> tuple[int, int]:
    """Return how many null studies stay undecided of which half the harmful answers of one cell have no score."""
    found = [_claim(NULL, _harmful_unscored, study) for study in range(4 * STUDIES)]
    return sum(each.verdict not in DECIDED for each in found), len(found)


def unasked_prompts_are_said() -> tuple[int, int]:
    """Return how many studies say of which cell prompts have no row, and say nothing where none is lacking."""
    cases = []
    for study in range(STUDIES):
        for change, is_said in ((_harmful_unasked, True), (_as_it_is, False)):
            drawn, random = _drawn(NULL, study)
            warnings = _findings(change(drawn, random), tree_of(NULL, MEDIUM, MARGIN)).warnings
            said = [each for each in warnings if "have no row on a checkpoint" in each]
            cases.append(len(said) == is_said and all(f"lacking on {NULL.cells[1].name})" in each for each in said))
    return sum(cases), len(cases)


def overstated_seeds_are_no_recipe() -> tuple[int, int]:
    """Return how many studies claim nothing of a recipe whose runs are copies of one, or of which one cell lost all
    runs but one."""
    cases = []
    for study in range(STUDIES):
        drawn, _ = _drawn(EFFECTIVE, study)
        whole = tree_of(EFFECTIVE, MEDIUM, MARGIN)
        copied = replace(drawn, value=np.repeat(drawn.value[:, :1], drawn.value.shape[1], axis=1))
        hashes = {each.id: each.id.rpartition("-")[0] for each in whole.checkpoints}
        tree = whole.model_copy(
            update={
                "checkpoints": tuple(
                    each.model_copy(update={"weights_sha256": hashes[each.id]}) for each in whole.checkpoints
                )
            }
        )
        cases.append(_findings(copied, tree).claims[0].estimand == "artefact")
        lost = drawn.lost.copy()
        lost[1, 1:] = True
        left = replace(drawn, lost=lost)
        cases.append(_findings(left, without_lost(whole, left)).claims[0].estimand == "artefact")
    return sum(cases), len(cases)


def _drawn(scenario: Scenario, study: int) -> tuple[Drawn, np.random.Generator]:
    random = stream(study, "validation", "lacking", scenario.id)
    return draw(scenario, MEDIUM, random), random


def _findings(drawn: Drawn, tree: Tree) -> Findings:
    return attribute(rows_of(drawn), tree, other_estimators=False)


def _claim(scenario: Scenario, change: Change, study: int) -> Claim:
    drawn, random = _drawn(scenario, study)
    return _findings(change(drawn, random), tree_of(scenario, MEDIUM, MARGIN)).claims[0]


def _as_it_is(drawn: Drawn, random: np.random.Generator) -> Drawn:
    return drawn


def _apart(drawn: Drawn, random: np.random.Generator) -> Drawn:
    """The first cell was asked the first half of the prompts, the second the others."""
    half = drawn.value.shape[2] // 2
    absent = drawn.absent.copy()
    absent[0, :, half:] = True
    absent[1, :, :half] = True
    return replace(drawn, absent=absent)


def _without_rows(drawn: Drawn, random: np.random.Generator) -> Drawn:
    absent = drawn.absent.copy()
    absent[1] = True
    return replace(drawn, absent=absent)


def _harmful_unscored(drawn: Drawn, random: np.random.Generator) -> Drawn:
    value = drawn.value.copy()
    value[1][drawn.harmful[1] & (random.random(value[1].shape) < 0.5)] = np.nan
    return replace(drawn, value=value)


def _harmful_unasked(drawn: Drawn, random: np.random.Generator) -> Drawn:
    absent = drawn.absent.copy()
    absent[1] |= drawn.harmful[1] & (random.random(absent[1].shape) < 0.5)
    return replace(drawn, absent=absent)
