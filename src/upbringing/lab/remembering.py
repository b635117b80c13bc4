"""What the nodes of a study are called and what they came to, so that ``plan`` can say what changed since."""

from __future__ import annotations

import json
from typing import Any

from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.lab.building.workshop import PROFILE_CHARACTERS, Prepared
from upbringing.lab.planning.staleness import given_checkpoint, node_data
from upbringing.lab.session import Session
from upbringing.study.run_labels import run_label

PLAN_NAME = "built.json"
GIVEN_CHARACTERS = 12  # of the hash of a checkpoint that was there before


def labels(session: Session) -> dict[str, str]:
    """Return for each node what people call it: the first arm that has it, its stage, its seed."""
    found: dict[str, str] = {}
    for lineage in session.whole.lineages:
        for run in lineage.runs:
            found.setdefault(run.key(), run_label(lineage, run))
    return found


def alias_key(session: Session, node: str) -> str:
    """Return the name under which the store remembers what a node's recipe came to.

    A recipe names an existing checkpoint by its path, so the bytes that lie there stand beside it.
    """
    given = given_checkpoint(session, node)
    profile = fingerprint(session.workshop.profile)[:PROFILE_CHARACTERS]
    return f"{node[:40]}-{profile}" + ("" if given is None else f"-{given[:GIVEN_CHARACTERS]}")


def remember(session: Session, prepared: Prepared) -> None:
    """Note what every recipe came to and what the study looked like, so that ``plan`` can say what changed."""
    for node, key in prepared.keys.items():
        if session.store.resolve(alias_key(session, node)) != key:
            session.store.alias(alias_key(session, node), key)
    memo: dict[tuple[str, int], dict[str, Any]] = {}
    named = {
        label: {
            "key": node,
            "inputs": session.tree.nodes[node].inputs,
            "data": node_data(session, memo, session.tree.nodes[node]),
            "given": given_checkpoint(session, node),
        }
        for node, label in labels(session).items()
        if node in session.tree.nodes
    }
    others = {label for node, label in labels(session).items() if node not in session.tree.nodes}
    kept = {label: entry for label, entry in built_before(session).items() if label in others}
    write_json_atomic(session.folder / PLAN_NAME, {**kept, **named})


def built_before(session: Session) -> dict[str, Any]:
    """Return what the study's nodes were when they were last built, by label; empty if they never were."""
    try:
        found: dict[str, Any] = json.loads((session.folder / PLAN_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found
