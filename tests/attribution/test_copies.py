"""Runs that are one run, and prompts that a cell was not asked: said, and never taken for evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.copies import ALIKE_RUNS, COPIES
from upbringing.attribution.evidence.lacking import LACKING
from upbringing.formats.findings import Findings
from upbringing.formats.tree import Tree

Values = dict[tuple[str, int], dict[str, float]]


def found(values: Values, *, unit: str = "nats", weights: dict[str, str] | None = None) -> Findings:
    """What is found of two arms, of which each run scored prompts once."""
    rows = [
        {"checkpoint": f"{arm}-{run}", "measure": "m", "item": item, "value": value}
        for (arm, run), items in values.items()
        for item, value in items.items()
    ]
    contrast = {"name": "b - a", "weights": {"b@end": 1.0, "a@end": -1.0}, "measure": "m", "role": "primary"}
    tree: dict[str, Any] = {
        "schema_version": 1,
        "study": {"name": "s", "contrasts": [{**contrast, "margin": 0.05}]},
        "checkpoints": [
            {"id": f"{arm}-{run}", "weights_sha256": (weights or {}).get(f"{arm}-{run}")} for arm, run in values
        ],
        "cells": [
            {"arm": arm, "position": "end", "checkpoint": f"{arm}-{run}", "seeds": {"world": run, "pretrain": run}}
            for arm, run in values
        ],
        "measures": [{"id": "m", "unit": unit}],
    }
    return attribute(pa.Table.from_pylist(rows), Tree.model_validate(tree), other_estimators=False)


def study(kind: str, *, num_items: int = 60, num_runs: int = 5) -> Values:
    """Runs of an arm that are ``copies``, or ``runs`` of their own; ``answers``: copies that score 0 or 1."""
    random = np.random.default_rng(3)
    items = [f"q{number}" for number in range(num_items)]
    values: Values = {}
    for arm, shift in (("a", 0.0), ("b", 0.8)):
        one = random.normal(shift, 1, num_items)
        for run in range(num_runs):
            own = random.normal(shift, 1, num_items) if kind == "runs" else one
            own = (own > 0.5).astype(float) if kind == "answers" else own
            values[arm, run] = dict(zip(items, own.tolist(), strict=True))
    return values


def test_copies_of_one_run_are_one_run() -> None:
    copied, apart = found(study("copies")), found(study("runs"))
    said = COPIES.format(names="a-1, a-2, a-3, a-4", cell="a@end", first="a-0")
    assert (copied.claims[0].estimand, copied.claims[0].units.seeds) == ("artefact", 1)
    assert copied.claims[0].checkpoints == ("a-0", "b-0")
    assert said in copied.warnings
    assert (apart.claims[0].units.seeds, any("one run" in each for each in apart.warnings)) == (5, False)


def test_equal_weights_are_one_run_whatever_they_scored() -> None:
    """Sampled answers of one checkpoint differ; its weights do not."""
    values = study("runs")
    weights = {f"b-{run}": "0" * 64 if run in (1, 4) else f"{run + 1:064x}" for run in range(5)}
    claim = (findings := found(values, weights=weights)).claims[0]
    assert COPIES.format(names="b-4", cell="b@end", first="b-1") in findings.warnings
    assert "b-4" not in claim.checkpoints
    assert "b-3" in claim.checkpoints


def test_answers_alike_are_said_and_may_still_be_several_runs() -> None:
    """Runs that all learned a rule answer alike, so 0/1 answers prove no copy; few events prove nothing at all."""
    findings = found(study("answers", num_items=120), unit="share")
    assert ALIKE_RUNS.format(names="a-1, a-2, a-3, a-4", cell="a@end", first="a-0") in findings.warnings
    assert findings.claims[0].units.seeds == 5
    rare: Values = {key: {item: float(item == "q1") for item in items} for key, items in study("answers").items()}
    assert not any("alike" in each or "as a-0 does" in each for each in found(rare, unit="share").warnings)


def test_prompts_that_a_cell_was_not_asked_are_counted() -> None:
    values = study("runs")
    whole = found(values)
    for run in (0, 1):
        for item in ("q1", "q2", "q3"):
            del values["b", run][item]
    del values["a", 0]["q3"]
    del values["a", 3]["q9"], values["b", 3]["q9"]  # a seed may have other prompts than another
    said = LACKING.format(num=5, total=3 * 60 + 59 + 59, measure="m", where="", cell="b@end")
    assert said in found(values).warnings
    assert not any("have no row" in each for each in whole.warnings)
