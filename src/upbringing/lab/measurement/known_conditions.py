"""The conditions that a battery will be measured under, as far as they are known before any checkpoint is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upbringing.base.errors import StudyError
from upbringing.base.own_part import OwnPart
from upbringing.battery.measure import Measure, NamesConditions
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.items import Item
from upbringing.study.questions import conditions_problem
from upbringing.study.study import Study


def require_conditions(study: Study, items: Sequence[Item]) -> None:
    """Raise ``StudyError`` for a contrast of ``study`` under a condition that no row on ``items`` will have.

    Contrasts of measures whose conditions only a checkpoint can tell are left alone.
    """
    wrong = conditions_problem(study.contrasts, known_conditions(study.battery, items)) if study.contrasts else None
    if wrong is not None:
        message, place = wrong
        raise StudyError(message, place)


def known_conditions(battery: Sequence[Measure], items: Sequence[Item]) -> Mapping[str, tuple[str, ...]]:
    """Return the conditions of measures by their ids; those are left out whose conditions are not known yet.

    These are measures that read networks and name what they found there (their layers), measures of other packages, and
    those that ask nothing of ``items``.
    """
    found = {each.id: _conditions(each, items) for each in battery if not isinstance(each, OwnPart)}
    return {name: conditions for name, conditions in found.items() if conditions}


def _conditions(measure: Measure, items: Sequence[Item]) -> tuple[str, ...]:
    needs = measure.needs(items)
    names = dict.fromkeys(need.condition for need in needs)
    if isinstance(measure, NamesConditions):
        if not all(isinstance(need, AnswerNeed) for need in needs):
            return ()
        evidence = Evidence(checkpoint="", items={item.id: item for item in items})  # answers add no conditions
        names |= dict.fromkeys(info.id for info in measure.conditions(evidence, None))
    return tuple(names)
