"""The plan: every node done, missing or stale and why, what it costs, and what a claim will lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from upbringing.formats.record import read_record
from upbringing.lab.planning import calibration, reading
from upbringing.lab.planning.caps import require_caps
from upbringing.lab.planning.confounds import confound_warnings
from upbringing.lab.planning.cost import Cost, Costs
from upbringing.lab.planning.curriculum import planned_phases
from upbringing.lab.planning.few_prompts import few_prompt_warnings
from upbringing.lab.planning.few_runs import few_run_warnings
from upbringing.lab.planning.planned import TO_BUILD, NodePlan, Plan, Status
from upbringing.lab.planning.power import planned_power
from upbringing.lab.planning.sharing import planned_sharing
from upbringing.lab.planning.space import memory_warnings
from upbringing.lab.planning.staleness import given_checkpoint, node_data, why_stale
from upbringing.lab.planning.totals import (
    SUSTAINED_FLOPS,
    free_bytes,
    planned_disk_bytes,
    planned_measuring,
    planned_not_known,
    planned_seconds,
)
from upbringing.lab.remembering import alias_key, built_before, labels
from upbringing.lab.session import Session, names_places
from upbringing.study.checks import design_warnings
from upbringing.study.tree import Node
from upbringing.training.existing import Existing


@names_places
def plan(
    session: Session,
    *,
    read_data: bool = False,
    calibrate: bool = False,
    sustained_flops: float = SUSTAINED_FLOPS,
) -> Plan:
    """Return the plan of a session's study; trains nothing.

    ``read_data``: render and pack data whose size is not known yet, so that its tokens are exact, its templates and
    caps on repetition are checked and leaked prompts are found. ``calibrate``: time a few real steps and batches. Both
    work in child processes (a script needs its ``if __name__ == "__main__"``) and remember what they found in ``plans``
    of the store; nothing else is ever written. Without them, what earlier plans found is used.
    """
    made = priced_plan(session, read_data=read_data, calibrate=calibrate, sustained_flops=sustained_flops)
    return replace(made, power=planned_power(session, made))


@names_places
def priced_plan(
    session: Session,
    *,
    read_data: bool = False,
    calibrate: bool = False,
    sustained_flops: float = SUSTAINED_FLOPS,
) -> Plan:
    """Return the plan without what it will be able to decide; the words are those of ``plan``."""
    with TemporaryDirectory() as scratch:
        facts = reading.read_data(session, Path(scratch)) if read_data else reading.known_facts(session)
        if read_data:
            require_caps(session, Path(scratch))
        speeds = (
            calibration.calibrate(session, lambda: reading.tokenizers_for(session, Path(scratch)))
            if calibrate
            else calibration.known_calibration(session)
        )
    costs = Costs(session, facts, speeds)
    priced = {key: costs.of(node) for key, node in session.tree.nodes.items()}
    nodes = _nodes(session, priced)
    measuring = planned_measuring(session, costs, nodes, sustained_flops)
    steps = {run.key(): costs.total_steps(run) for each in session.tree.lineages for run in each.runs}
    curricula = planned_phases(session)
    to_build = [session.tree.nodes[node.key] for node in nodes if node.status in TO_BUILD]
    held = costs.held_bytes(to_build)
    return Plan(
        study=session.study.name,
        nodes=nodes,
        warnings=(
            *design_warnings(
                session.study,
                session.tree,
                {key: each for key, each in steps.items() if each},
                _supervised(session, facts),
            ),
            *few_run_warnings(session),
            *few_prompt_warnings(session),
            *confound_warnings(session, facts, curricula, read_data=read_data),
            *measuring.idle,
            *memory_warnings(session, held),
        ),
        sharing=planned_sharing(session, costs),
        curricula=curricula,
        profile=session.workshop.profile.model_dump(mode="json"),
        measuring=measuring,
        slots=session.workshop.slots,
        calibrated=speeds.is_known,
        seconds=planned_seconds(session, nodes, measuring, speeds),
        disk_bytes=planned_disk_bytes(session, costs, nodes, measuring, speeds),
        working_bytes=costs.working_bytes(to_build),
        free_bytes=free_bytes(session.store.root),
        held_bytes=held,
        not_known=planned_not_known(session, costs, nodes, measuring),
        left_out=session.left_out,
    )


def _supervised(session: Session, facts: reading.DataFacts) -> dict[str, int]:
    """Return the tokens that each run learns from, as far as its data was read."""
    return {
        run.key(): known.supervised_tokens
        for each in session.tree.lineages
        for run in each.runs
        if run.stream is not None and (known := facts.streams.get(run.stream.key)) is not None
    }


def _nodes(session: Session, priced: Mapping[str, Cost]) -> tuple[NodePlan, ...]:
    earlier = built_before(session)
    named = labels(session)
    found = []
    memo: dict[tuple[str, int], dict[str, Any]] = {}  # recipes of data, which hash files
    for key, node in session.tree.nodes.items():
        label = named.get(key, node.label)
        status, why = _status(session, node, label, earlier, memo)
        cost = priced[key]
        tokens = cost.tokens if cost.tokens is not None else _realised_tokens(session, key)
        bytes_known = cost.disk_bytes is not None and cost.data_bytes is not None
        disk = (cost.disk_bytes or 0) + (cost.data_bytes or 0) if bytes_known else cost.disk_bytes
        found.append(
            NodePlan(
                key,
                label,
                status,
                why,
                node.parent,
                cost.steps,
                tokens,
                cost.flops,
                disk,
                cost.seconds,
                cost.generated_tokens,
            )
        )
    return tuple(found)


def _realised_tokens(session: Session, key: str) -> int | None:
    content = session.store.resolve(alias_key(session, key))
    folder = session.store.find("checkpoints", content) if content is not None else None
    return None if folder is None else read_record(folder).tokens


def _status(
    session: Session,
    node: Node,
    label: str,
    earlier: Mapping[str, Any],
    memo: dict[tuple[str, int], dict[str, Any]],
) -> tuple[Status, tuple[str, ...]]:
    given = node.start if node.start is not None else node.run.stage if node.run is not None else None
    if isinstance(given, Existing):
        here = session.workshop.checkpoints.find(given.checkpoint) is not None
        return ("existing", ()) if here else ("absent", (f"{given.checkpoint} is not here",))
    content = session.store.resolve(alias_key(session, node.key))
    if content is not None and session.store.find("checkpoints", content) is not None:
        if not node.needs_state or session.store.find("states", content) is not None:
            return "done", ()
        return "missing", ("a branch needs its training state, which was not kept",)
    before = earlier.get(label)
    if before is None:
        return "missing", ()
    if before["key"] != node.key:
        return "stale", why_stale(before, node.inputs, node_data(session, memo, node))
    if before.get("given") != given_checkpoint(session, node.key):
        return "stale", ("the bytes of the existing checkpoint that it comes from changed",)
    return "missing", ("it was built and has vanished from the store",)
