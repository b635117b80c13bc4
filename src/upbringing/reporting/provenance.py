"""Where every number comes from: judges, conditions, versions, checkpoint ids and the registration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow.compute as pc

from upbringing.formats.tree import EMULATED, Checkpoint, Gate, Tree
from upbringing.reporting.calibration import calibration_of
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import DASH, count, plain

DIGEST_CHARACTERS = 12  # enough to compare two digests by eye; the files hold the whole


@dataclass(frozen=True)
class GateView:
    """A validity gate, with what it guards."""

    name: str
    passed: bool
    value: str
    threshold: str
    sentence: str


@dataclass(frozen=True)
class JudgeView:
    """A judge: what kind it is, how many answers it scored, whether people calibrated it, how its requests ended."""

    name: str
    kind: str
    rows: str
    unscored: str
    calibration: str
    requests: str


@dataclass(frozen=True)
class CheckpointView:
    """A checkpoint and the places it fills. ``anchor``: its place in the page, where every number leads to."""

    id: str
    anchor: str
    places: str
    parent: str
    guard: str
    weights: str


def gates_of(inputs: Inputs) -> tuple[GateView, ...]:
    """Return the gates, failed ones first."""
    ordered = sorted(inputs.tree.gates, key=lambda gate: gate.passed)
    return tuple(_gate(gate) for gate in ordered)


def _gate(gate: Gate) -> GateView:
    return GateView(gate.name, gate.passed, plain(gate.value), f"{gate.threshold:g}", gate.sentence)


def judges_of(inputs: Inputs) -> tuple[JudgeView, ...]:
    """Return the judges that the rows name."""
    rows = inputs.rows
    if rows is None or not {"judge", "value"} <= set(rows.column_names):
        return ()
    keys = ["judge", "judge_kind"] if "judge_kind" in rows.column_names else ["judge"]
    table = rows.select([*keys, "value"]).group_by(keys).aggregate([("value", "count"), ([], "count_all")])
    found = sorted(table.to_pylist(), key=lambda row: (str(row["judge"]), str(row.get("judge_kind"))))
    return tuple(
        JudgeView(
            name=str(row["judge"]),
            kind=str(row.get("judge_kind") or DASH),
            rows=count(row["count_all"]),
            unscored=count(row["count_all"] - row["value_count"]),
            calibration=calibration_of(inputs, str(row["judge"]), row.get("judge_kind")),
            requests=_requests(inputs, str(row["judge"])),
        )
        for row in found
        if row["judge"] != "none"
    )


def _requests(inputs: Inputs, judge: str) -> str:
    """Return the accounting of a judge that was asked over a network; a dash for all others."""
    info = next((each for each in inputs.tree.judges if each.id == judge), None)
    if info is None or not info.accounting:
        return DASH
    parts = [f"{count(number)} {name}" for name, number in info.accounting.items() if name != "requested"]
    spent = "" if info.spent_usd is None else f"; ${info.spent_usd:.2f} spent"
    return f"{count(info.accounting.get('requested'))} requested = {' + '.join(parts)}{spent}"


def checkpoint_anchors(tree: Tree) -> dict[str, str]:
    """Return the place in the page of every checkpoint."""
    return {checkpoint.id: f"checkpoint-{number}" for number, checkpoint in enumerate(tree.checkpoints)}


def checkpoints_of(inputs: Inputs) -> Iterable[CheckpointView]:
    """Yield every checkpoint with its ids."""
    anchors = checkpoint_anchors(inputs.tree)
    places: dict[str, dict[str, None]] = {}
    for cell in inputs.tree.cells:
        seeds = [f"{level} {seed}" for level, seed in cell.seeds if isinstance(seed, int)]
        label = f"{cell.name} ({', '.join(seeds)})" if seeds else cell.name
        places.setdefault(cell.checkpoint, {})[label] = None
    for checkpoint in inputs.tree.checkpoints:
        yield CheckpointView(
            id=checkpoint.id,
            anchor=anchors[checkpoint.id],
            places="; ".join(places.get(checkpoint.id, ())) or DASH,
            parent=checkpoint.parent or DASH,
            guard=checkpoint.guard or "unknown",
            weights=_weights(checkpoint),
        )


def _weights(checkpoint: Checkpoint) -> str:
    """Return the beginning of the weights' hash, or why there is none."""
    if checkpoint.weights_sha256 is not None:
        return checkpoint.weights_sha256[:DIGEST_CHARACTERS]
    return "none: emulated" if any(stage.kind == EMULATED for stage in checkpoint.stages) else "unknown"


def versions_of(inputs: Inputs) -> tuple[str, ...]:
    """Return the library versions that the records name, sorted."""
    found = set()
    for record in inputs.records.values():
        profile = record.get("profile")
        versions = profile.get("versions") if isinstance(profile, dict) else record.get("versions")
        if isinstance(versions, dict):
            found |= {f"{name} {version}" for name, version in versions.items()}
    return tuple(sorted(found))


def num_rows(inputs: Inputs) -> str:
    """Return how many rows there are and how many have no score."""
    if inputs.rows is None:
        return "no rows"
    missing = pc.sum(pc.is_null(inputs.rows["value"])).as_py() if "value" in inputs.rows.column_names else 0
    return f"{count(inputs.rows.num_rows)} rows, {count(missing or 0)} without a score"
