"""The plan: every node done, missing or stale and why, what it costs, and what a claim will lack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from upbringing.formats.record import read_record
from upbringing.lab.run import PLAN_NAME, alias_key, labels
from upbringing.lab.session import Session
from upbringing.study.checks import design_warnings
from upbringing.study.tree import Node
from upbringing.training.existing import Existing
from upbringing.training.fresh import num_parameters
from upbringing.training.start import FreshStart

Status = Literal["done", "missing", "stale", "existing"]
BYTES_PER_WEIGHT = 4  # published in fp32
STATE_COPIES = 3  # weights and AdamW's two moments
FLOPS_PER_TOKEN_AND_WEIGHT = 6  # forward 2, backward 4: Kaplan et al. 2020, section 2.1; attention is left out


@dataclass(frozen=True)
class NodePlan:
    """One node. ``tokens`` and ``flops``: of its own segment; ``None`` until data in epochs has been read."""

    key: str
    label: str
    status: Status
    why: tuple[str, ...]
    tokens: int | None
    flops: float | None
    disk_bytes: int | None
    parent: str | None


@dataclass(frozen=True)
class Plan:
    """A whole study before it runs. ``shared_tokens``: what training every arm on its own would have cost more."""

    study: str
    nodes: tuple[NodePlan, ...]
    warnings: tuple[str, ...]
    shared_tokens: int
    profile: dict[str, Any]

    @property
    def num_to_build(self) -> int:
        """Nodes that a run would train."""
        return sum(node.status in ("missing", "stale") for node in self.nodes)


def plan(session: Session) -> Plan:
    """Return the plan of a session's study; trains nothing and writes nothing."""
    earlier = _earlier(session)
    named = labels(session)
    infos = _known_steps(session)
    nodes = tuple(
        _node_plan(session, node, named.get(key, node.label), earlier, infos)
        for key, node in session.tree.nodes.items()
    )
    return Plan(
        study=session.study.name,
        nodes=nodes,
        warnings=design_warnings(session.study, session.tree),
        shared_tokens=_shared_tokens(session),
        profile=session.workshop.profile.model_dump(mode="json"),
    )


def _earlier(session: Session) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((session.folder / PLAN_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _known_steps(session: Session) -> dict[str, int]:
    """Return tokens of built nodes, read from their records' manifests-protected folders."""
    found = {}
    for key in session.tree.nodes:
        content = session.store.resolve(alias_key(session, key))
        folder = session.store.find("checkpoints", content) if content is not None else None
        if folder is not None:
            found[key] = read_record(folder).tokens
    return found


def _node_plan(
    session: Session, node: Node, label: str, earlier: Mapping[str, Any], built: Mapping[str, int]
) -> NodePlan:
    status, why = _status(session, node, label, earlier)
    tokens = _own_tokens(node, built)
    weights = _num_weights(node, session)
    flops = None if tokens is None or weights is None else float(FLOPS_PER_TOKEN_AND_WEIGHT * tokens * weights)
    copies = 1 + (STATE_COPIES if node.needs_state else 0)
    disk = None if weights is None else weights * BYTES_PER_WEIGHT * copies
    return NodePlan(node.key, label, status, why, tokens, flops, disk, node.parent)


def _status(session: Session, node: Node, label: str, earlier: Mapping[str, Any]) -> tuple[Status, tuple[str, ...]]:
    if isinstance(node.start, Existing) or (node.run is not None and isinstance(node.run.stage, Existing)):
        return "existing", ()
    content = session.store.resolve(alias_key(session, node.key))
    if content is not None and session.store.find("checkpoints", content) is not None:
        if not node.needs_state or session.store.find("states", content) is not None:
            return "done", ()
        return "missing", ("a branch needs its training state, which was not kept",)
    before = earlier.get(label)
    if before is not None and before["key"] != node.key:
        return "stale", tuple(differences(before["inputs"], json.loads(json.dumps(node.inputs))))
    return "missing", (("it was built and has vanished from the store",) if before is not None else ())


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Return one sentence per value that differs between two nested values."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in sorted(set(before) | set(after)):
            found += differences(before.get(name), after.get(name), f"{path}.{name}" if path else name)
        return found
    if before == after:
        return []
    names = {"parent": "what it starts from changed", "rates": "its learning rates changed"}
    return [names.get(path, f"{path} changed from {_short(before)} to {_short(after)}")]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # a hash or a list says nothing in full


def _own_tokens(node: Node, built: Mapping[str, int]) -> int | None:
    if node.run is None or node.run.stream is None:
        return 0
    per_step = node.run.stream.context * node.run.stream.batch_size
    if node.to_step is not None:
        return (node.to_step - node.from_step) * per_step
    return built.get(node.key)


def _num_weights(node: Node, session: Session) -> int | None:
    start = node.start or next(iter(each.arm.start for each in session.tree.lineages), None)
    if not isinstance(start, FreshStart):
        return None
    return num_parameters(start, start.tokenizer.vocabulary)


def _shared_tokens(session: Session) -> int:
    """Return the tokens of declared length that runs share with others, counted as often as they are shared."""
    total = 0
    seen: set[str] = set()
    for lineage in session.tree.lineages:
        for run in lineage.runs:
            if run.stream is not None and run.total_steps is not None:
                tokens = run.total_steps * run.stream.context * run.stream.batch_size
                total += tokens if run.key() in seen else 0
                seen.add(run.key())
    return total
