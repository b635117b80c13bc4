"""The record of every checkpoint that was measured: its own, or what can be read off an existing one's files."""

from __future__ import annotations

from upbringing.base.errors import IntegrityError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.formats.record import Record, read_record
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.measurement.measuring import asked_in
from upbringing.lab.session import Session
from upbringing.models.weights import weights_sha256
from upbringing.study.tree import Node
from upbringing.training.existing import Existing
from upbringing.training.guards import record_guard


def checkpoint_record(session: Session, prepared: Prepared, node: str) -> Record:
    """Return the record of a node's checkpoint, guarded as the study declares its stage now.

    An existing checkpoint gets what can be read off its files.
    """
    folder = prepared.folders.get(node)
    if folder is None:
        found = session.store.whole("checkpoints", prepared.keys[node])
        if found is None:
            raise IntegrityError(f"the checkpoint {prepared.keys[node]} is not in the store: build it first")
        return _as_declared(read_record(found), session.tree.nodes[node])
    template = asked_in(session.tree.nodes[node])
    return Record(
        id=prepared.keys[node],
        parent=None,
        kind="existing",
        stage=session.tree.nodes[node].label,
        recipe=session.tree.nodes[node].inputs,
        weights_sha256=weights_sha256(folder),
        tokenizer_sha256=tokenizer_sha256(folder),
        template_sha256=template_sha256(folder) if template is None else text_sha256(template),
    )


def _as_declared(record: Record, node: Node) -> Record:
    if node.run is None or isinstance(node.run.stage, Existing):
        return record
    return record.model_copy(update={"guard": record_guard(record, identity=node.run.stage.identity)})
