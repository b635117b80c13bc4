"""What pydantic found wrong with a value, less what only repeats it, and where in the value it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upbringing.base.errors import Keys


def telling(value: Any, problems: Sequence[Any]) -> list[Any]:
    """Return the ``problems`` of ``value`` that say something of their own.

    Left out are those that a tuple lost an item whose own problem is named, and those that a value is not of another
    type, where it is of a type that is allowed there and the problem is what it holds.
    """
    paths = [path_in_file(value, problem["loc"]) for problem in problems]
    wrong_types = {
        place
        for place, (problem, (_, lost)) in enumerate(zip(problems, paths, strict=True))
        if lost and problem["type"].endswith("_type")
    }
    right = [paths[place][0] for place in range(len(problems)) if place not in wrong_types]
    return [
        problem
        for place, problem in enumerate(problems)
        if not _follows(problem)
        and not (place in wrong_types and any(path[: len(paths[place][0])] == paths[place][0] for path in right))
    ]


def _follows(problem: Any) -> bool:
    return bool(problem["type"] == "too_short" and problem["ctx"]["actual_length"] < len(problem["input"]))


def path_in_file(value: Any, location: Sequence[str | int]) -> tuple[Keys, str]:
    """Return ``location`` without the tags that pydantic adds for unions, and the part that is not in the file."""
    path: list[str | int] = []
    lost = ""
    for part in location:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]  # type: ignore[index]
            path.append(part)
            lost = ""
        else:
            lost = str(part)
    return tuple(path), lost
