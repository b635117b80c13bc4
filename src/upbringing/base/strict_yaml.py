"""Strict YAML 1.2: every value knows its line, and whatever could be read in two ways is refused.

Duplicate keys, anchors, tags, non-text keys and oversized or deeply nested files are errors. Scalars follow
the YAML 1.2 core schema: ``1e-4`` is a number; ``no``, ``0777`` and ``12:30`` are text or refused, never
silently something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, Event
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from upbringing.base.errors import Keys, StudyError

MAX_BYTES = 1 << 20  # a study is written by hand; a larger file is a mistake or an attack
MAX_DEPTH = 40

_INTEGER = re.compile(r"^[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_LEADING_ZERO = re.compile(r"^[-+]?0[0-9]+$")
_CONSTANTS: dict[str, bool | None] = {
    "null": None,
    "~": None,
    "": None,
    "true": True,
    "false": False,
}


@dataclass(frozen=True)
class Located:
    """A parsed file: plain values, and the line (from 1) at which each path starts.

    ``overridden``: paths whose values were put there by something else than the file, and what that was.
    """

    value: Any
    lines: dict[Keys, int]
    name: str
    overridden: dict[Keys, str] = field(default_factory=dict)

    def line(self, path: Keys) -> int:
        """Return the line of ``path``, or of its nearest parent that has one."""
        return self.lines.get(self._known(path), 1)

    def where(self, *paths: Keys) -> str:
        """Return where the likeliest of ``paths`` stands, as file and line, or what put it there.

        That is the first of those of which least is missing; of it, the nearest parent that there is.
        """
        nearest = min(paths, key=lambda path: len(path) - len(self._known(path)))
        path = self._known(nearest)
        return self.overridden.get(path) or f"{self.name}:{self.lines.get(path, 1)}"

    def override(self, path: Keys, places: Mapping[Keys, str]) -> None:
        """Note that ``path`` was overridden. ``places``: what below it (``()`` = itself) comes from where."""
        for each in [each for each in (*self.lines, *self.overridden) if each[: len(path)] == path]:
            self.lines.pop(each, None)
            self.overridden.pop(each, None)
        self.overridden.update({(*path, *below): where for below, where in places.items()})

    def _known(self, path: Keys) -> Keys:
        while path and path not in self.lines and path not in self.overridden:
            path = path[:-1]
        return path


def load_yaml(path: Path) -> Located:
    """Parse the YAML file at ``path``; raise ``StudyError`` with file and line for whatever is not strict."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse_yaml(data.decode("utf-8"), name=path.name)
    except UnicodeDecodeError as error:
        raise StudyError(f"{path.name}: byte {error.start} is not UTF-8: save the file as UTF-8") from None


def parse_yaml(text: str, *, name: str = "study.yaml") -> Located:
    """Parse YAML text; ``name`` stands in error messages."""
    if len(text.encode("utf-8")) > MAX_BYTES:
        raise StudyError(f"{name} is larger than {MAX_BYTES} bytes: move data into files of its own")
    yaml = YAML(typ="safe", pure=True)
    try:
        events = list(yaml.parse(text))
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise StudyError(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise StudyError(f"{name}: not valid YAML ({type(error).__name__})") from None
    for event in events:
        _refuse_indirection(event, name)
    lines: dict[Keys, int] = {}
    value = None if node is None else _construct(node, (), lines, name)
    return Located(value, lines, name)


def _refuse_indirection(event: Event, name: str) -> None:
    where = f"{name}:{event.start_mark.line + 1}"
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
        raise StudyError(f"{where}: anchors and aliases are not allowed: write the value out")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise StudyError(f"{where}: tags such as {str(tag)!r} are not allowed: a study is data, it runs no code")


def _construct(node: Node, path: Keys, lines: dict[Keys, int], name: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        raise StudyError(f"{name}:{line}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(node, ScalarNode):
        return _scalar(node, name)
    if isinstance(node, SequenceNode):
        return [_construct(child, (*path, index), lines, name) for index, child in enumerate(node.value)]
    if isinstance(node, MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            key_line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise StudyError(f"{name}:{key_line}: a key must be text")
            if key in result:
                raise StudyError(f"{name}:{key_line}: the key {key!r} stands twice in one mapping: keep one")
            lines[(*path, key)] = key_line
            result[key] = _construct(value_node, (*path, key), lines, name)
        return result
    raise StudyError(f"{name}:{line}: unsupported YAML node")


def _scalar(node: ScalarNode, name: str) -> Any:
    text, line = node.value, node.start_mark.line + 1
    if node.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    if _LEADING_ZERO.match(text):
        raise StudyError(f"{name}:{line}: {text} has a leading zero: quote it if it is text, else drop the zero")
    if _FLOAT.match(text):
        if not math.isfinite(float(text)):
            raise StudyError(f"{name}:{line}: {text} is larger than any number that can be computed with: lower it")
        return float(text)
    return text
