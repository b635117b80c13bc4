"""From a study file to a ``Study``: every error names file, line, what was found and the nearest valid word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from upbringing.base.errors import Keys, StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.base.strict_yaml import Located, load_yaml, parse_yaml
from upbringing.study.problems import path_in_file, telling
from upbringing.study.study import Study

MAX_ERRORS_SHOWN = 8  # more than a screenful hides the first

Model = TypeVar("Model", bound=BaseModel)


def load_study(path: Path | str, overrides: Sequence[str] = ()) -> Study:
    """Return the study in the file ``path`` with ``overrides`` applied in order; raise ``StudyError``.

    An override is ``key=value``, whose value is YAML (``stages.sft.learning_rate=1e-4`` is a number), or ``@FILE``:
    a YAML mapping of such keys to values, named relative to the study's folder. The result is another study, with
    other ids.
    """
    return study_from(load_located(Path(path), overrides))


def load_located(path: Path, overrides: Sequence[str] = ()) -> Located:
    """Return what is in the file ``path`` with ``overrides`` applied, and where each value comes from."""
    located = load_yaml(path)
    if not isinstance(located.value, dict):
        raise StudyError(f"{path.name}:1: a study is a mapping with name, start, stages ..., found {located.value!r}")
    for override in overrides:
        for change in _changes(override, path.parent):
            _apply(change, located)
    return located


def study_from(located: Located) -> Study:
    """Return the study in a parsed file; raise ``StudyError`` naming lines."""
    return validated(Study, located)


def validated(model: type[Model], located: Located) -> Model:
    """Return the ``model`` in a parsed file; raise ``StudyError`` naming lines."""
    try:
        return model.model_validate(located.value)
    except ValidationError as error:
        messages = [_message(model, located, problem) for problem in telling(located.value, error.errors())]
        more = [f"(and {len(messages) - MAX_ERRORS_SHOWN} more)"] if len(messages) > MAX_ERRORS_SHOWN else []
        raise StudyError("\n".join(messages[:MAX_ERRORS_SHOWN] + more)) from None


@dataclass(frozen=True)
class _Change:
    """One override. ``asked``: as it was given; ``places``: where each part of ``value`` comes from."""

    key: str
    value: Any
    asked: str
    places: dict[Keys, str]


def _changes(override: str, folder: Path) -> Iterator[_Change]:
    """Yield the keys and values of an override: one, or those of the file that it names."""
    if override.startswith("@"):
        found = load_yaml(folder / override.removeprefix("@"))
        if not isinstance(found.value, dict) or not found.value:
            raise StudyError(
                f"override {override!r}: the file is a mapping of key.key to values, found {found.value!r}"
            )
        for key, value in found.value.items():
            lines = {path[1:]: f"{found.name}:{line}" for path, line in found.lines.items() if path[:1] == (key,)}
            yield _Change(key, value, override, lines)
        return
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise StudyError(f"an override reads key.key=value or @file, found {override!r}")
    value = parse_yaml(text, name=f"override {key}").value
    yield _Change(key, value, override, {(): f"override {override!r}"})


def _apply(change: _Change, located: Located) -> None:
    """Put the value of ``change`` in the place that its key names."""
    *parents, last = change.key.split(".")
    place: Any = located.value
    for part in parents:
        if not isinstance(place, dict) or part not in place:
            known = ", ".join(place) if isinstance(place, dict) else "nothing"
            raise StudyError(
                f"override {change.asked!r}: there is no {part!r} in the study for {change.key!r} ({known})"
            )
        place = place[part]
    if not isinstance(place, dict):
        raise StudyError(f"override {change.asked!r}: {'.'.join(parents)} is not a mapping")
    place[last] = change.value
    located.override((*parents, last), change.places)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of study files, for editors."""
    return Study.model_json_schema()


def _message(model: type[BaseModel], located: Located, problem: Any) -> str:
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, StudyError) and cause.places:
        return f"{located.where(*cause.places)}: {cause}"
    path, missing = path_in_file(located.value, problem["loc"])
    where = f"{located.where(path)}: {'.'.join(str(part) for part in path) or model.__name__.lower()}"
    kind = problem["type"]
    if kind == "extra_forbidden":
        word = str(problem["loc"][-1])
        valid = _valid_keys(model, problem["loc"][:-1])
        hint = did_you_mean(word, valid) or (f", the keys here are {', '.join(valid)}" if valid else "")
        return f"{where}: unknown key {word!r}{hint}"
    if kind == "missing" and isinstance(problem["loc"][-1], int):
        return f"{where}: its item {problem['loc'][-1] + 1} is missing, found {_shown(problem['input'])}"
    if kind == "missing":
        return f"{where}: the key {missing!r} is missing"
    if kind in ("union_tag_invalid", "literal_error"):
        expected = problem["ctx"].get("expected_tags") or problem["ctx"].get("expected", "")
        words = [word.strip(" '\"") for word in expected.replace(" or ", ", ").split(",")]
        found = problem["ctx"].get("tag", problem["input"])
        hint = did_you_mean(str(found), words)
        return f"{where}: found {found!r}, expected one of {', '.join(words)}{hint}"
    text = problem["msg"].removeprefix("Value error, ")
    shown = f"found {_shown(problem['input'])}"
    return f"{where}: {text}" + ("" if shown in text else f", {shown}")


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
