"""A results folder becomes one self-contained HTML file: offline, under a strict policy, the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from upbringing.attribution.statistics.adjusted_intervals import simultaneous_intervals
from upbringing.base.files import write_bytes_atomic
from upbringing.reporting.answers import answers_block
from upbringing.reporting.attempts import attempts_of
from upbringing.reporting.calibration import agreement_of, errors_of
from upbringing.reporting.cards import cards_of
from upbringing.reporting.depths import depths_of
from upbringing.reporting.designs import designs_of
from upbringing.reporting.differences import groups_of
from upbringing.reporting.direction import directions_of
from upbringing.reporting.facts import facts_block
from upbringing.reporting.fidelity import fidelity_of
from upbringing.reporting.inputs import Inputs, read_inputs
from upbringing.reporting.power import power_of
from upbringing.reporting.provenance import checkpoints_of, gates_of, judges_of, num_rows, versions_of
from upbringing.reporting.runs import runs_of
from upbringing.reporting.shares import shares_of
from upbringing.reporting.together import together_of
from upbringing.reporting.trade_off import trade_offs_of
from upbringing.reporting.upbringing import upbringing_of
from upbringing.reporting.verdicts import controls_of, first_screen, size_of
from upbringing.reporting.words import VERDICT_MARKS, VERDICT_WORDS, shown

PACKAGE = "upbringing.reporting"
PAGE = "page.html.j2"


def write_report(results: Path, output: Path, *, show_text: bool = True, shareable: bool = False) -> Path:
    """Write the report of ``results`` to ``output`` and return ``output``.

    ``show_text=False`` and ``shareable`` leave out every prompt, answer, thought and judge's reason; outcomes and
    lengths stay. Raises ``FormatError`` for files that do not follow the public formats.
    """
    inputs = read_inputs(results)
    page = render(view_of(inputs, with_text=show_text and not shareable))
    write_bytes_atomic(output, page.encode("utf-8"))
    return output


def view_of(inputs: Inputs, *, with_text: bool) -> dict[str, Any]:
    """Return everything the page shows, by the names its template knows."""
    runs = runs_of(inputs)
    groups = groups_of(inputs, runs)
    tree = inputs.tree
    attempts = attempts_of(inputs)
    return {
        "name": tree.study.name,
        "question": tree.study.question or inputs.findings.question or f"What happened in {tree.study.name}?",
        "size": size_of(tree),
        "first": first_screen(inputs, groups),
        "upbringing": upbringing_of(inputs, runs),
        "trade_offs": trade_offs_of(inputs, runs),
        "designs": designs_of(inputs, runs),
        "depths": depths_of(inputs, runs),
        "groups": groups,
        "facts_block": facts_block(groups),
        "has_together": bool(simultaneous_intervals(inputs.findings.claims)),
        "has_corrected": any(claim.corrected is not None for claim in inputs.findings.claims),
        "shares": shares_of(inputs),
        "together": together_of(inputs),
        "fidelity": fidelity_of(inputs),
        "directions": directions_of(inputs),
        "power": power_of(inputs),
        "verdicts": [(verdict, VERDICT_MARKS[verdict], word) for verdict, word in VERDICT_WORDS.items()],
        "answers": answers_block(inputs, with_text=with_text),
        "with_text": with_text,
        "splits": sorted({item.split for item in tree.items if item.split}),
        "arms": list(dict.fromkeys(cell.arm for cell in tree.cells)),
        "cards": cards_of(inputs),
        "gates": gates_of(inputs),
        "controls": controls_of(tree),
        "warnings": list(dict.fromkeys(filter(None, (*inputs.findings.warnings, *tree.warnings, attempts.warning)))),
        "attempts": attempts,
        "judges": judges_of(inputs),
        "judge_errors": errors_of(inputs),
        "agreement": agreement_of(inputs),
        "conditions": tree.conditions,
        "measures": tree.measures,
        "registered": tree.study.registered,
        "checkpoints": list(checkpoints_of(inputs)),
        "versions": versions_of(inputs),
        "num_rows": num_rows(inputs),
    }


def render(view: dict[str, Any]) -> str:
    """Return the page of ``view``. Every value is escaped, and its control characters are made visible."""
    style, script = asset("style.css"), asset("script.js")
    policy = (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trusted = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}  # noqa: S704 - our own
    return environment.get_template(PAGE).render(**view, **trusted)


def _finalize(value: Any) -> Any:
    return shown(value) if type(value) is str else value


def asset(name: str) -> str:
    """Return the text of a file of the page: template, style or script."""
    return (files(PACKAGE) / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
