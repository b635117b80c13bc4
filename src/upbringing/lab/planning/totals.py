"""What a plan comes to: questions, seconds, bytes, and which of these are not known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upbringing.base.files import folder_stamp
from upbringing.data.prompt_sets.shipped import benign_requests
from upbringing.lab.building.build import existing_key
from upbringing.lab.building.own_answers import OWN_ANSWERS, answered_parts, answers_key
from upbringing.lab.planning.calibration import Calibration, battery_key
from upbringing.lab.planning.cost import BYTES_PER_WEIGHT, Costs, makespan
from upbringing.lab.planning.planned import TO_BUILD, MeasuringPlan, NodePlan
from upbringing.lab.planning.questions import questions
from upbringing.lab.run import MEASURED_NAME
from upbringing.lab.session import Session

FLOPS_FORWARD = 2  # per weight and token: Kaplan et al. 2020, section 2.1; attention is left out
SUSTAINED_FLOPS = 2e13  # assumed of one GPU that decodes in batches: bound by memory, a tenth of what it multiplies
SECONDS_PER_HOUR = 3600
RESULTS_BYTES = 4_000_000  # report, tree and findings of a study
POOLS_OF_A_BUILD = 2  # of worker processes: one reads data, one trains
COPIES_OF_ROWS = 2  # once in the store's rows, once in the results


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that ``folder`` is on, or will be on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def planned_measuring(session: Session, costs: Costs, nodes: tuple[NodePlan, ...], sustained: float) -> MeasuringPlan:
    asked = questions(session)
    measured = {(cell.node, cell.lineage.replicate.root) for cell in session.tree.cells}
    known = _measured_nodes(session) - {node.key for node in nodes if node.status in (*TO_BUILD, "absent")}
    networks = {key: costs.asked(session.tree.nodes[key]) for key, _ in measured}
    weights = [costs.weights(network) for key, _ in measured for network in networks[key]]
    flops = None if None in weights else float(FLOPS_FORWARD * asked.tokens * sum(each or 0 for each in weights))
    speeds = [each.seconds for each in costs.speeds.measuring.values()]
    return MeasuringPlan(
        num_checkpoints=len(measured),
        num_to_measure=sum(key not in known for key, _ in measured),
        num_networks_to_ask=sum(len(networks[key]) for key, _ in measured if key not in known),
        num_answers=asked.num_answers,
        num_likelihoods=asked.num_likelihoods,
        seconds_per_checkpoint=max(speeds) if speeds else None,
        flops=flops,
        sustained_flops=sustained,
        accelerator_hours=None if flops is None else flops / sustained / SECONDS_PER_HOUR,
        unknown=asked.unknown,
        idle=asked.idle,
    )


def _measured_nodes(session: Session) -> set[str]:
    """Return the nodes whose rows the last run wrote with the battery that the study has now.

    Existing checkpoints whose bytes are others since then are left out.
    """
    try:
        found = json.loads((session.folder / MEASURED_NAME).read_bytes())
        if found["battery"] != battery_key(session):
            return set()
        changed = {node for node, entry in found.get("given", {}).items() if _is_other(session, node, entry)}
        return set(found["nodes"]) - changed
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _is_other(session: Session, node: str, entry: Mapping[str, Any]) -> bool:
    """Whether an existing checkpoint is another than when it was measured; hashed only where its files look changed."""
    existing = session.tree.nodes[node].existing if node in session.tree.nodes else None
    folder = None if existing is None else session.workshop.checkpoints.find(existing.checkpoint)
    if existing is None or folder is None:
        return False
    stamp = [list(each) for each in folder_stamp(folder)]
    return bool(stamp != entry["stamp"] and existing_key(folder, existing.template) != entry["key"])


def planned_seconds(
    session: Session, nodes: tuple[NodePlan, ...], measuring: MeasuringPlan, speeds: Calibration
) -> float | None:
    """Return the seconds of all that is to do, or ``None`` where any part of it is not known."""
    to_build = [node for node in nodes if node.status in TO_BUILD]
    if any(node.seconds is None for node in to_build) or any(node.status == "absent" for node in nodes):
        return None
    slots = session.workshop.slots
    parents = {node.key: node.parent for node in to_build}
    startups = [each.startup for each in speeds.training.values()] + [
        each.startup for each in speeds.measuring.values()
    ]
    startup = max(startups, default=0.0)
    total = makespan({node.key: node.seconds or 0.0 for node in to_build}, parents, slots)
    total += POOLS_OF_A_BUILD * startup if to_build else 0.0
    if measuring.num_to_measure:
        if measuring.seconds_per_checkpoint is None:
            return None
        each = measuring.seconds_per_checkpoint
        total += startup + makespan({str(index): each for index in range(measuring.num_networks_to_ask)}, {}, slots)
    return total + _seconds_of_own_answers(session, speeds)


def _seconds_of_own_answers(session: Session, speeds: Calibration) -> float:
    """Return how long the start answers benign requests that it has not answered yet, at most."""
    book = session.workshop.book
    if book.teacher is None:
        return 0.0
    per_token = max((each.seconds_per_token for each in speeds.measuring.values()), default=0.0)
    missing = [
        part
        for part in answered_parts(book)
        if session.store.find("data", answers_key(book.needed_teacher(), part)) is None
    ]
    each = {part: len(benign_requests(part)) * OWN_ANSWERS.max_tokens * per_token for part in missing}
    return makespan({str(part): seconds for part, seconds in each.items()}, {}, session.workshop.slots)


def planned_disk_bytes(
    session: Session, costs: Costs, nodes: tuple[NodePlan, ...], measuring: MeasuringPlan, speeds: Calibration
) -> int | None:
    """Return the bytes still to be written, unread data aside; ``None`` where any checkpoint's are not known."""
    to_build = [node.disk_bytes for node in nodes if node.status in TO_BUILD]
    fetched = [costs.weights(session.tree.nodes[node.key]) for node in nodes if node.status == "absent"]
    if None in to_build or None in fetched:
        return None
    total = sum(size or 0 for size in to_build)
    total += sum((weights or 0) * BYTES_PER_WEIGHT for weights in fetched)  # fp32 at most; many hold bf16
    if measuring.num_to_measure and speeds.measuring:
        rows = max(each.num_bytes for each in speeds.measuring.values())
        total += COPIES_OF_ROWS * rows * measuring.num_to_measure + RESULTS_BYTES
    return total


def planned_not_known(
    session: Session, costs: Costs, nodes: tuple[NodePlan, ...], measuring: MeasuringPlan
) -> tuple[str, ...]:
    facts, speeds = costs.facts, costs.speeds
    found = [f"the length of stages in epochs: {reason}" for reason in dict.fromkeys(facts.unread.values())]
    absent = [session.tree.nodes[node.key] for node in nodes if node.status == "absent"]
    unsized = [node.existing.checkpoint for node in absent if node.existing and costs.weights(node) is None]
    if unsized:
        names = ", ".join(dict.fromkeys(unsized))
        found.append(f"bytes and FLOPs of what comes from {names}: not here, and no `parameters` declared")
    if not speeds.is_known:
        found.append("hours: this machine was not calibrated")
    found += [f"some hours: {reason}" for reason in speeds.missing]
    if measuring.unknown:
        found.append(f"questions of {', '.join(measuring.unknown)}: they are not here (`upbringing data fetch`)")
    return tuple(found)
