"""From a study file to a ``Study``: every error names file, line, what was found and the nearest valid word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from upbringing.base.errors import StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.base.strict_yaml import Located, load_yaml, parse_yaml
from upbringing.study.resolved_arms import ArmProblem
from upbringing.study.study import Study

MAX_ERRORS_SHOWN = 8  # more than a screenful hides the first

Model = TypeVar("Model", bound=BaseModel)


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Return the study in the file ``path`` with ``overrides`` applied in order; raise ``StudyError``.

    An override is ``key=value``, whose value is YAML (``stages.sft.learning_rate=1e-4`` is a number), or ``@FILE``:
    a YAML mapping of such keys to values, named relative to the study's folder. The result is another study, with
    other ids.
    """
    located = load_yaml(path)
    if not isinstance(located.value, dict):
        raise StudyError(f"{path.name}:1: a study is a mapping with name, start, stages ..., found {located.value!r}")
    for override in overrides:
        for key, new in _changes(override, path.parent):
            _change(located.value, key, new, override)
    return study_from(located)


def study_from(located: Located) -> Study:
    """Return the study in a parsed file; raise ``StudyError`` naming lines."""
    return validated(Study, located)


def validated(model: type[Model], located: Located) -> Model:
    """Return the ``model`` in a parsed file; raise ``StudyError`` naming lines."""
    try:
        return model.model_validate(located.value)
    except ValidationError as error:
        messages = [_message(model, located, problem) for problem in error.errors() if not _follows(problem)]
        more = [f"(and {len(messages) - MAX_ERRORS_SHOWN} more)"] if len(messages) > MAX_ERRORS_SHOWN else []
        raise StudyError("\n".join(messages[:MAX_ERRORS_SHOWN] + more)) from None


def _changes(override: str, folder: Path) -> list[tuple[str, Any]]:
    """Return the keys and values of an override: one, or those of the file that it names."""
    if override.startswith("@"):
        found = load_yaml(folder / override.removeprefix("@")).value
        if not isinstance(found, dict) or not found:
            raise StudyError(f"override {override!r}: the file is a mapping of key.key to values, found {found!r}")
        return list(found.items())
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise StudyError(f"an override reads key.key=value or @file, found {override!r}")
    return [(key, parse_yaml(text, name=f"override {key}").value)]


def _change(value: dict[str, Any], key: str, new: Any, override: str) -> None:
    """Put ``new`` in the place that ``key`` names; ``override`` is what was asked, for errors."""
    *parents, last = key.split(".")
    place: Any = value
    for part in parents:
        if not isinstance(place, dict) or part not in place:
            known = ", ".join(place) if isinstance(place, dict) else "nothing"
            raise StudyError(f"override {override!r}: there is no {part!r} in the study for {key!r} ({known})")
        place = place[part]
    if not isinstance(place, dict):
        raise StudyError(f"override {override!r}: {'.'.join(parents)} is not a mapping")
    place[last] = new


def schema() -> dict[str, Any]:
    """Return the JSON Schema of study files, for editors."""
    return Study.model_json_schema()


def _message(model: type[BaseModel], located: Located, problem: Any) -> str:
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, ArmProblem):
        path: tuple[str | int, ...] = cause.path
        return f"{located.name}:{located.line(path)}: {cause}"
    path, missing = _path_in_file(located.value, problem["loc"])
    where = ".".join(str(part) for part in path) or model.__name__.lower()
    line = located.line(path)
    kind = problem["type"]
    if kind == "extra_forbidden":
        word = str(problem["loc"][-1])
        hint = did_you_mean(word, _valid_keys(model, problem["loc"][:-1]))
        return f"{located.name}:{line}: {where}: unknown key {word!r}{hint}"
    if kind == "missing":
        return f"{located.name}:{line}: {where}: the key {missing!r} is missing"
    if kind in ("union_tag_invalid", "literal_error"):
        expected = problem["ctx"].get("expected_tags") or problem["ctx"].get("expected", "")
        words = [word.strip(" '\"") for word in expected.replace(" or ", ", ").split(",")]
        found = problem["ctx"].get("tag", problem["input"])
        hint = did_you_mean(str(found), words)
        return f"{located.name}:{line}: {where}: found {found!r}, expected one of {', '.join(words)}{hint}"
    text = problem["msg"].removeprefix("Value error, ")
    shown = f"found {_shown(problem['input'])}"
    return f"{located.name}:{line}: {where}: {text}" + ("" if shown in text else f", {shown}")


def _follows(problem: Any) -> bool:
    """Whether a problem only says that a tuple lost an item whose own problem is named already."""
    return bool(problem["type"] == "too_short" and problem["ctx"]["actual_length"] < len(problem["input"]))


def _path_in_file(value: Any, location: Sequence[str | int]) -> tuple[tuple[str | int, ...], str]:
    """Return ``location`` without the tags that pydantic adds for unions, and the part that is not in the file."""
    path: list[str | int] = []
    lost = ""
    for part in location:
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            value = value[part]  # type: ignore[index]
            path.append(part)
            lost = ""
        else:
            lost = str(part)
    return tuple(path), lost


def _valid_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the field names that are valid at ``location``, read off the JSON Schema."""
    schema = model.model_json_schema()
    node: Any = schema
    for part in location:
        node = _step(schema, _dereferenced(schema, node), part)
        if node is None:
            return []
    return sorted(_dereferenced(schema, node).get("properties", {}))


def _dereferenced(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _step(schema: dict[str, Any], node: dict[str, Any], part: str | int) -> dict[str, Any] | None:
    """Return the schema one step down: a property, an item, a mapping's value, or a union's tagged member."""
    if isinstance(part, str) and part in node.get("properties", {}):
        found: dict[str, Any] = node["properties"][part]
        return found
    if isinstance(part, int) and isinstance(node.get("items"), dict):
        items: dict[str, Any] = node["items"]
        return items
    mapping = node.get("discriminator", {}).get("mapping", {})
    if part in mapping:
        return {"$ref": mapping[part]}
    for member in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        below = _step(schema, _dereferenced(schema, member), part)
        if below is not None:
            return below
    for below in node.get("patternProperties", {}).values():  # a mapping whose names follow a pattern
        return dict(below)
    extra = node.get("additionalProperties")
    return extra if isinstance(extra, dict) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # keeps an error on one line
