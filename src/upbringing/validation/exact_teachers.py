"""Checks of A10: whether a claim says that a stage and the teacher of its answers cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.sentences import NOT_SEPARABLE
from upbringing.base.streams import stream
from upbringing.formats.findings import Findings
from upbringing.validation.drawing import draw
from upbringing.validation.planted import ONE_TEACHER, TEACHERS
from upbringing.validation.process import SMALL
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import rows_of, tree_of

NUM_STUDIES = 10


def one_teacher_is_not_separable() -> tuple[int, int]:
    """Return how many claims of studies without a second teacher say so, in a field, in words and in a warning."""
    cases = [
        claim.teacher_separable is False and NOT_SEPARABLE in _statement(claim.model_extra) and _is_warned(findings)
        for findings in _studies(ONE_TEACHER)
        for claim in findings.claims
    ]
    return sum(cases), len(cases)


def two_teachers_are_separable() -> tuple[int, int]:
    """Return how many claims of studies whose second arm learned from a teacher without RL say no such thing."""
    cases = [
        claim.teacher_separable is True
        and NOT_SEPARABLE not in _statement(claim.model_extra)
        and not _is_warned(findings)
        for findings in _studies(TEACHERS)
        for claim in findings.claims
    ]
    return sum(cases), len(cases)


def _studies(scenario: Scenario) -> Iterable[Findings]:
    for number in range(NUM_STUDIES):
        drawn = draw(scenario, SMALL, stream(0, "validation", "teachers", scenario.contrasts[0].name, number))
        yield attribute(rows_of(drawn), tree_of(scenario, SMALL, 0.10))


def _statement(extra: dict[str, object] | None) -> str:
    return str((extra or {})["statement"])


def _is_warned(findings: Findings) -> bool:
    return any("not separable" in warning for warning in findings.warnings)
