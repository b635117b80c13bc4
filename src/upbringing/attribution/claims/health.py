"""Runs that trained badly, by criteria declared beforehand: always kept, always named, and every claim without them.

Source: statistics-and-measures 3.7: no run is dropped after safety scores were seen, only by declared criteria of how
training went, with results with and without. Departures: claims are always with them; what is without stands beside,
held against the default margins that the whole study picked, so that both differ in runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.gates import FailedGate, failed_gates
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.health import HealthBounds, HealthCriteria
from upbringing.formats.tree import Checkpoint, Gate, Tree

UNHEALTHY = (
    "{num} of {total} checkpoints miss the health criteria that were declared beforehand, or came from such a one. "
    "They stay in every number; the table without_unhealthy has every claim without them, and {moved} of {primary} "
    "primary claims have another verdict there."
)
UNKNOWN = "Of {num} checkpoints a health criterion is not known: they count as healthy."


@dataclass(frozen=True)
class Health:
    """Checkpoints held against the criteria: a line each that misses one or came from one, or of which it is unknown.

    ``reached``: those that miss one, with all that came from them.
    """

    lines: tuple[dict[str, Any], ...]
    reached: frozenset[str]


def health_of(tree: Tree) -> Health:
    """Return what the declared criteria say of every checkpoint; nothing where none were declared."""
    criteria = tree.study.health_criteria
    lines = [line for checkpoint in tree.checkpoints for line in _held_against(checkpoint, criteria)]
    missed = {line["checkpoint"] for line in lines if line["status"] == "missed"}
    parents = {each.id: each.parent for each in tree.checkpoints}
    reached = frozenset(name for name in parents if not missed.isdisjoint(_lineage(name, parents)))
    came = [{"checkpoint": name, "status": "came from one that missed"} for name in parents if name in reached - missed]
    return Health((*lines, *came), reached)


def _held_against(checkpoint: Checkpoint, criteria: HealthCriteria) -> Iterable[dict[str, Any]]:
    stage = checkpoint.stages[-1].role.partition(":")[0] if checkpoint.stages else ""
    for name, bounds in criteria.get(stage, {}).items():
        value = checkpoint.health.get(name)
        status = _status(value, bounds)
        if status != "met":
            line = {"stage": stage, "criterion": name, "value": value, "asked": bounds.words}
            yield {"checkpoint": checkpoint.id, "status": status, **line}


def _status(value: object, bounds: HealthBounds) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "unknown"
    return "met" if bounds.hold(value) else "missed"


def _lineage(name: str, parents: Mapping[str, str | None]) -> Iterable[str]:
    seen: set[str] = set()
    step: str | None = name
    while step is not None and step not in seen:
        seen.add(step)
        yield step
        step = parents.get(step)


def with_health(
    findings: Findings, rows: pa.Table, tree: Tree, design: Design, again: Callable[[pa.Table, Tree], Findings]
) -> Findings:
    """Return findings with what the criteria say and every claim without the runs that miss one beside it.

    ``again``: the same analysis of other rows and another tree, by the margins that were picked for all rows. Nothing
    is added where no criteria were declared.
    """
    if not tree.study.health_criteria:
        return findings
    health = health_of(tree)
    num_unknown = len({line["checkpoint"] for line in health.lines if line["status"] == "unknown"})
    warnings = [UNKNOWN.format(num=num_unknown)] if num_unknown else []
    tables: dict[str, Any] = {"health": list(health.lines)}
    if health.reached:
        others, smaller = _without(rows, tree, design, health.reached)
        lines = _beside(findings.claims, again(others, smaller).claims if others.num_rows else ())
        tables["without_unhealthy"] = lines
        primary = [line for line in lines if line["role"] == "primary"]
        moved = sum(line["verdict"] != line["verdict_without"] for line in primary)
        num, total = len(health.reached), len(tree.checkpoints)
        warnings.insert(0, UNHEALTHY.format(num=num, total=total, moved=moved, primary=len(primary)))
    return findings.model_copy(
        update={"tables": {**findings.tables, **tables}, "warnings": (*findings.warnings, *warnings)}
    )


def _without(rows: pa.Table, tree: Tree, design: Design, left_out: frozenset[str]) -> tuple[pa.Table, Tree]:
    """Return rows and tree without these checkpoints. An arm that has none left is one that was not made."""
    kept = tuple(cell for cell in tree.cells if cell.checkpoint not in left_out)
    arms = dict.fromkeys(cell.arm for cell in tree.cells)
    lost = {cell.name for cell in tree.cells} - {cell.name for cell in kept}
    gone = tuple(arm for arm in arms if any(name.partition("@")[0] == arm for name in lost))
    study = tree.study.model_copy(
        update={"health_criteria": {}, "left_out": tuple(dict.fromkeys((*tree.study.left_out, *gone)))}
    )
    checkpoints = tuple(each for each in tree.checkpoints if each.id not in left_out)
    gates = tuple(_of_others(failed, left_out) for failed in failed_gates(tree, design) if failed.outlasts(left_out))
    names = pa.array(sorted(left_out), pa.string())
    is_left_out = pc.is_in(pc.cast(rows["checkpoint"], pa.string()), value_set=names)
    smaller = tree.model_copy(update={"study": study, "checkpoints": checkpoints, "cells": kept, "gates": gates})
    return rows.filter(pc.invert(is_left_out)), smaller


def _of_others(failed: FailedGate, left_out: frozenset[str]) -> Gate:
    """Return a gate that failed with the checkpoints that it still reaches, each by its name."""
    return failed.gate.model_copy(update={"cells": tuple(sorted((failed.reached or frozenset()) - left_out))})


def _beside(claims: Sequence[Claim], without: Sequence[Claim]) -> list[dict[str, Any]]:
    others = {_key(claim): claim for claim in without}
    return [_line(claim, others.get(_key(claim))) for claim in claims]


def _key(claim: Claim) -> tuple[str, str, str, str, str | None, tuple[tuple[str, float], ...]]:
    weights = tuple(sorted(claim.weights.items()))
    return claim.kind, claim.contrast, claim.measure, claim.condition, claim.split, weights


def _line(claim: Claim, other: Claim | None) -> dict[str, Any]:
    line: dict[str, Any] = {"claim": claim.id, "contrast": claim.contrast, "measure": claim.measure, "role": claim.role}
    for name in ("estimate", "low", "high", "verdict"):
        line |= {name: getattr(claim, name)}
        line |= {f"{name}_without": None if other is None else getattr(other, name)}
    line |= {"seeds": claim.units.seeds, "seeds_without": 0 if other is None else other.units.seeds}
    return line
