"""Find out which stage of a language model's training made it safe, and put safety in where it stays.

The names here are loaded when they are first used: importing the package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DEMO": "upbringing.lab.demo",
    "Study": "upbringing.study.study",
    "add_tokens": "upbringing.training.added_tokens",
    "attribute": "upbringing.lab.run",
    "build": "upbringing.lab.verbs",
    "check_data": "upbringing.lab.packages",
    "copy_study": "upbringing.lab.templates",
    "demo": "upbringing.lab.verbs",
    "doctor": "upbringing.lab.doctor",
    "draw_audit": "upbringing.lab.scoring.audit_drawing",
    "draw_labels": "upbringing.lab.labelling",
    "export": "upbringing.lab.storage.contents",
    "export_results": "upbringing.reporting.exports.folder",
    "fetch_checkpoint": "upbringing.lab.storage.hub",
    "fetch_packages": "upbringing.lab.packages",
    "gate": "upbringing.attribution.pipeline_gate",
    "gc": "upbringing.lab.storage.contents",
    "import_logs": "upbringing.lab.logs",
    "judges": "upbringing.lab.judge_attacks",
    "load_study": "upbringing.study.loading",
    "look": "upbringing.lab.looking",
    "measure": "upbringing.lab.verbs",
    "open_scorer_file": "upbringing.lab.scoring.opening",
    "open_session": "upbringing.lab.session",
    "plan": "upbringing.lab.verbs",
    "power": "upbringing.lab.verbs",
    "rate_labels": "upbringing.lab.labelling",
    "read_audit": "upbringing.lab.scoring.audit_report",
    "read_labelled": "upbringing.lab.labelling",
    "report": "upbringing.lab.run",
    "report_card": "upbringing.lab.scoring.report_card",
    "retarget": "upbringing.lab.retargeting",
    "retarget_roots": "upbringing.lab.own_teachers",
    "run": "upbringing.lab.verbs",
    "schema": "upbringing.study.loading",
    "score_file": "upbringing.lab.scoring.score_file",
    "show": "upbringing.lab.storage.contents",
    "status": "upbringing.lab.storage.contents",
    "studies": "upbringing.lab.templates",
    "threshold_report": "upbringing.lab.scoring.threshold_report",
    "trace": "upbringing.lab.verbs",
    "trace_study": "upbringing.lab.trace",
    "train_classifier": "upbringing.lab.scoring.training",
    "transform_corpus": "upbringing.lab.corpus.run",
    "validate": "upbringing.validation.run",
    "verify": "upbringing.lab.storage.verify",
}

__all__ = [
    "DEMO",
    "Study",
    "add_tokens",
    "attribute",
    "build",
    "check_data",
    "copy_study",
    "demo",
    "doctor",
    "draw_audit",
    "draw_labels",
    "export",
    "export_results",
    "fetch_checkpoint",
    "fetch_packages",
    "gate",
    "gc",
    "import_logs",
    "judges",
    "load_study",
    "look",
    "measure",
    "open_scorer_file",
    "open_session",
    "plan",
    "power",
    "rate_labels",
    "read_audit",
    "read_labelled",
    "report",
    "report_card",
    "retarget",
    "retarget_roots",
    "run",
    "schema",
    "score_file",
    "show",
    "status",
    "studies",
    "threshold_report",
    "trace",
    "trace_study",
    "train_classifier",
    "transform_corpus",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"upbringing has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
