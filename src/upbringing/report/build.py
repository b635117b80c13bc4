"""A results folder becomes one self-contained HTML file: offline, under a strict policy, the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from upbringing.base.files import write_bytes_atomic
from upbringing.base.terminal import visible
from upbringing.report.answers import answers_block
from upbringing.report.inputs import read_inputs
from upbringing.report.view import page

PACKAGE = "upbringing.report"


def write_report(results: Path, output: Path, *, show_text: bool = True, shareable: bool = False) -> Path:
    """Write the report of ``results`` to ``output`` and return ``output``.

    ``shareable`` leaves out every prompt and answer; so does ``show_text=False``. Raises ``FormatError`` for
    files that do not follow the public formats.
    """
    inputs = read_inputs(results)
    view = page(inputs)
    with_answers = show_text and not shareable and inputs.answers is not None and inputs.answers.num_rows > 0
    view["has_answers"] = with_answers
    view["answers_block"] = answers_block(inputs) if with_answers else ""
    write_bytes_atomic(output, render(view).encode("utf-8"))
    return output


def render(view: dict[str, Any]) -> str:
    """Return the page of ``view``; every text in it is made visible and escaped."""
    style, script = _asset("style.css"), _asset("script.js")
    policy = (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=DictLoader({"report": _asset("report.html.j2")}), autoescape=True, undefined=StrictUndefined
    )
    trusted = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return environment.get_template("report").render(view=_shown(view), policy=Markup(policy), **trusted)  # noqa: S704


def _shown(value: Any) -> Any:
    """Return ``value`` with control and reordering characters of every plain text made visible."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 - it was markup before, and no character of markup is changed
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


def _asset(name: str) -> str:
    return (files(PACKAGE) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
