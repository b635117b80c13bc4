"""Why a node is stale: which field of its recipe, which data, which file's bytes, which checkpoint's bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from upbringing.base.files import folder_stamp
from upbringing.base.fingerprint import fingerprint
from upbringing.lab.building.build import EXISTING, existing_key
from upbringing.lab.session import Session
from upbringing.study.tree import Node
from upbringing.training.existing import Existing

_SENTENCES = {
    "parent": "what it starts from changed",
    "rates": "its learning rates changed",
    "delta.from": "what its delta begins at changed",
    "delta.to": "what its delta ends at changed",
}
_SOURCE_LISTS = ("shares", "to", "slots")  # of a stream's part: pairs that begin with the key of a source


def node_data(session: Session, memo: dict[tuple[str, int], dict[str, Any]], node: Node) -> dict[str, Any]:
    """Return what the stage of ``node`` reads, by name in the study: its key, the file behind it and its recipe.

    ``memo``: recipes by name and root run, because a recipe hashes files.
    """
    run, book = node.run, session.workshop.book
    if run is None or run.stream is None:
        return {}
    for name in run.stream.names.values():
        if (name, run.root) not in memo:
            memo[name, run.root] = {"file": book.file_of(name, run.root), "recipe": book.recipe(name, run.root)}
    return {name: {"key": key, **memo[name, run.root]} for key, name in run.stream.names.items()}


def given_checkpoint(session: Session, node: str) -> str | None:
    """Return the fingerprint of the bytes of the existing checkpoint that a trained or edited node comes from.

    Of all of them, where the delta of an edit comes from others. ``None`` where it comes from random weights, is an
    existing checkpoint itself, or comes from one that is not here.
    """
    nodes = session.whole.nodes
    if node not in nodes or nodes[node].existing is not None:
        return None
    found = [session.workshop.checkpoints.find(each.checkpoint) for each in _given(nodes, node)]
    folders = [folder for folder in found if folder is not None]
    if not folders or len(folders) < len(found):
        return None
    hashes = list(dict.fromkeys(_bytes_of(folder, folder_stamp(folder)) for folder in folders))
    return hashes[0] if len(hashes) == 1 else fingerprint(hashes)


def _given(nodes: Mapping[str, Node], node: str) -> list[Existing]:
    """Return the nearest existing checkpoints on every way back from a node."""
    waiting = [node]
    found = []
    for key in waiting:  # grows while it is read
        existing = nodes[key].existing
        if existing is not None:
            found.append(existing)
        else:
            waiting += [needed for needed in nodes[key].needs if needed in nodes and needed not in waiting]
    return found


@lru_cache(maxsize=16)  # a plan asks once per node; the stamp makes a changed folder another question
def _bytes_of(folder: Path, _: tuple[tuple[str, int, int], ...]) -> str:
    return existing_key(folder, None).removeprefix(EXISTING)  # the beginning of the hash alone tells bytes apart


def why_stale(before: Mapping[str, Any], inputs: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one sentence per thing that changed since a node was built.

    ``before``: what ``lab.remembering.remember`` wrote of the node. ``data``: what its stage reads now (``node_data``).
    """
    then = before.get("data", {})
    found = differences(_named(before["inputs"], then), _named(json.loads(json.dumps(inputs)), data))
    for name in sorted(then.keys() & data.keys()):
        found += _data_differences(name, then[name], data[name])
    return tuple(found)


def _data_differences(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what changed in data of one name; a file is called by its path, because a hash says nothing."""
    found, file = [], after.get("file")
    for sentence in differences(before["recipe"], json.loads(json.dumps(after["recipe"])), f"data.{name}"):
        is_bytes = sentence.partition(" ")[0].removesuffix(".sha256").removesuffix(".source") == f"data.{name}"
        found.append(f"the bytes of the file {file} changed (data {name!r})" if file and is_bytes else sentence)
    return found


def _named(value: Any, data: Mapping[str, Any]) -> Any:
    """Return the inputs of a node with the names of data in place of their keys, which say nothing to a reader."""
    names = {entry["key"]: name for name, entry in data.items()}

    def replaced(each: Any) -> Any:
        if isinstance(each, dict):
            changed = {key: replaced(below) for key, below in each.items()}
            listed = {key: sorted(changed[key], key=str) for key in _SOURCE_LISTS if isinstance(each.get(key), list)}
            return changed | listed  # their order was that of the keys
        if isinstance(each, list):
            return [replaced(below) for below in each]
        return names.get(each, each) if isinstance(each, str) else each

    return replaced(value)


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Return one sentence per value that differs between two nested values."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(name, before.get(name), after.get(name)) for name in sorted(set(before) | set(after))]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(str(place), *both) for place, both in enumerate(zip(before, after, strict=True))]
    elif before == after:
        return []
    else:
        return [_SENTENCES.get(path, f"{path} changed from {_short(before)} to {_short(after)}")]
    return [found for name, old, new in pairs for found in differences(old, new, f"{path}.{name}" if path else name)]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # a hash or a list says nothing in full
