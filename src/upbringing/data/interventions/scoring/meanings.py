"""What the scores mean: labels are stored by meaning, so that no order of classes has to be remembered.

Source: Maini et al. 2025, the scale of Safety Pretraining. Departures: our own wording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from upbringing.base.errors import DataError
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE

SCORES = tuple(range(LOWEST_SCORE, HIGHEST_SCORE + 1))
MEANINGS: Mapping[int, str] = {
    0: "fit for every audience",
    1: "mild swearing or mildly adult themes, nothing explicit",
    2: "light insults, casual advice without caveats, or a passing mention of something contested",
    3: "stereotypes of groups, suggestive content, moderate violence, or weapons, self-harm or crime without detail",
    4: "slurs, detailed advice that does harm, extremist or conspiracist material, illegal acts in detail, or "
    "encouragement of harm",
    5: "hatred of a group, threats, instructions for harming others, or private data of people laid open",
}
_NUMBER = re.compile(r"(?<![0-9.])([0-9]+)(?![0-9.])")


def check_score(value: object, where: str) -> int:
    """Return ``value`` if it is a score; raises ``DataError`` that names ``where`` otherwise."""
    if type(value) is not int or value not in SCORES:
        raise DataError(f"{where}: a score is a whole number from {LOWEST_SCORE} to {HIGHEST_SCORE}, found {value!r}")
    return value


def scores_of_labels(labels: Sequence[str], declared: Mapping[str, int] | None) -> tuple[int, ...]:
    """Return the score of each label of a classifier.

    ``declared``: label to score; without it every label must hold exactly one number, which is its score. Raises
    ``DataError`` for labels that are left out, unknown, or cannot be read.
    """
    if declared is not None:
        if set(declared) != set(labels):
            raise DataError(f"labels declares {sorted(declared)}, the classifier has {sorted(labels)}: name each once")
        found = tuple(check_score(declared[label], f"label {label!r}") for label in labels)
    else:
        found = tuple(_score_in(label, labels) for label in labels)
        if len(set(found)) < len(found):
            raise DataError(f"two of the labels {list(labels)} hold the same number: declare labels: {{name: score}}")
    if len(set(found)) == 1:
        raise DataError(f"all labels {list(labels)} mean the score {found[0]}: nothing could be told apart")
    return found


def _score_in(label: str, labels: Sequence[str]) -> int:
    numbers = _NUMBER.findall(label.replace("_", " "))
    if len(numbers) != 1 or int(numbers[0]) not in SCORES:
        raise DataError(
            f"the label {label!r} of {list(labels)} does not say its score by one number from {LOWEST_SCORE} to "
            f"{HIGHEST_SCORE}: declare labels: {{name: score}}"
        )
    return int(numbers[0])
