"""Teachers that a study itself has trained: each root run's checkpoint answers that run's chats anew.

A world is drawn per root run, so each has its own chats and its own teacher, and each gets a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from upbringing.base.errors import DataError, StudyError
from upbringing.base.files import write_bytes_atomic
from upbringing.data.documents import Chat, TrainingText
from upbringing.data.sources import ROOT
from upbringing.lab.building.library import Library
from upbringing.lab.remembering import alias_key
from upbringing.lab.retargeting import DEFAULT_MAX_TOKENS, Progress, Retargeted, no_progress, retarget
from upbringing.lab.session import Session, names_places


@names_places
def retarget_roots(
    session: Session,
    data: str,
    teacher: str,
    output: str,
    *,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    on_progress: Progress = no_progress,
) -> tuple[Retargeted, ...]:
    """Write, per root run, the chats of the study's ``data`` with every reply by the study's cell ``teacher``.

    ``teacher``: ``arm@position``, built before. ``output``: a path that holds ``{root}``, which a study names as it is
    (``{kind: file, path: ...}``). Beside each output stand the chats as they were (``.data.jsonl``) and what
    ``retarget`` leaves. Raises ``StudyError`` for a cell that is not there, not built or not one per root run.
    """
    if ROOT not in output:
        raise StudyError(f"the output {output!r} would be one file for all root runs: write {ROOT} into its name")
    found = []
    for root, folder in _teachers(session, teacher).items():
        path = Path(output.replace(ROOT, str(root)))
        chats = Library(session.workshop.book, root, session.store.root).texts(data)
        source = path.with_suffix(".data.jsonl")
        source.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(source, "".join(_lines(data, chats)).encode("utf-8"))
        found.append(retarget(source, folder, path, max_tokens=max_tokens, on_progress=on_progress))
    return tuple(found)


def _teachers(session: Session, cell: str) -> dict[int, Path]:
    """Return the folder of the checkpoint of ``cell`` by root run."""
    places = [place for place in session.tree.cells if place.name == cell]
    if not places:
        known = ", ".join(dict.fromkeys(place.name for place in session.tree.cells))
        raise StudyError(f"the study has no cell {cell!r} to teach ({known})")
    nodes: dict[int, set[str]] = {}
    for place in places:
        nodes.setdefault(place.lineage.replicate.root, set()).add(place.node)
    folders = {}
    for root, keys in nodes.items():
        if len(keys) > 1:
            raise StudyError(
                f"{cell!r} has {len(keys)} checkpoints on root run {root}: a teacher per root run needs one each, so "
                "run the study without seeds inside a root"
            )
        (node,) = keys
        key = session.store.resolve(alias_key(session, node))
        folder = None if key is None else session.store.find("checkpoints", key, full=True)
        if folder is None:
            raise StudyError(f"{cell!r} of root run {root} is not in the store {session.store.root}: build it first")
        folders[root] = folder
    return folders


def _lines(data: str, texts: Sequence[TrainingText]) -> list[str]:
    lines = []
    for text in texts:
        if not isinstance(text, Chat):
            raise DataError(f"the data {data!r} holds other texts than chats: only chats have replies to write anew")
        row: dict[str, object] = {
            "messages": [{"role": turn.role, "content": turn.content} for turn in text.turns],
            **({"metadata": dict(text.metadata)} if text.metadata else {}),
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return lines
