"""Which arms of a study to work on: by name or by pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from upbringing.base.errors import StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.study.study import Study
from upbringing.training.emulate_tuning import DeltaStage


def chosen_arms(study: Study, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the arms whose names match any of ``patterns`` (``*`` and ``?`` as in a shell), in the study's order.

    Arms whose weights the deltas of chosen ones need come along. No patterns choose every arm. Raises ``StudyError``
    for a pattern that matches none, with the nearest name.
    """
    names = tuple(study.declared_arms())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names)
            raise StudyError(f"only names {pattern!r}, which matches no arm of the study ({', '.join(names)}){hint}")
    chosen = [name for name in names if not patterns or any(fnmatchcase(name, each) for each in patterns)]
    arms = study.resolved_arms()
    for name in chosen:  # grows while it is read: those that come along may need others
        for stage in arms[name].stages.values():
            other = stage.delta.arm if isinstance(stage, DeltaStage) else None
            if other is not None and other not in chosen:
                chosen.append(other)
    return tuple(name for name in names if name in chosen)
