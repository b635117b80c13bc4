"""Who wrote the targets that a stage learned from, and whether RL made them, as far as the study itself knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from upbringing.data.packages.source import OUR_WORDINGS
from upbringing.data.worlds.writer import WRITER_ID as WORLD_WRITER
from upbringing.formats.record import Record
from upbringing.formats.tree import Teacher
from upbringing.study.tree import StudyTree
from upbringing.training.rl import Rl
from upbringing.training.start import FreshStart

NO_MODELS = frozenset({"template", "human", OUR_WORDINGS, WORLD_WRITER})  # teachers that nobody trained
RL = Rl.model_fields["kind"].default
Past = tuple[tuple[str, tuple[str, ...]], ...]
"""Kind and teachers of each stage that made a checkpoint, in order."""


def teachers_of(record: Record) -> tuple[str, ...]:
    """Return the names of those who wrote what a stage learned from, sorted."""
    return tuple(sorted({teacher for source in record.sources for teacher in source.teachers}))


def pasts_of(tree: StudyTree, records: Mapping[str, Record]) -> dict[str, Past]:
    """Return the past of each checkpoint of the study, by id: any of them may have taught.

    What rests on an existing checkpoint is left out, because nobody says what made that; so are edited weights.
    """
    made: dict[str, Past] = {}
    found: dict[str, Past] = {}
    for key, node in tree.nodes.items():
        if isinstance(node.start, FreshStart):
            made[key] = ()
        elif node.run is not None and node.run.parent in made and node.existing is None and node.run.delta is None:
            made[key] = (*made[node.run.parent], (node.run.stage.kind, teachers_of(records[key])))
            found[records[key].id] = made[key]
    return found


def stated_teacher(names: Sequence[str], pasts: Mapping[str, Past]) -> Teacher:
    """Return what is known of ``names`` together: the kinds of stages that made them, and whether any saw RL.

    A teacher whose own teacher saw RL brings RL along as well.
    """
    is_known = all(name in NO_MODELS or name in pasts for name in names)
    kinds = tuple(dict.fromkeys(kind for name in names for kind, _ in pasts.get(name, ())))
    return Teacher(id="+".join(names), lineage=kinds if is_known else None, rl=_saw_rl(names, pasts))


def _saw_rl(names: Sequence[str], pasts: Mapping[str, Past]) -> Literal["yes", "no", "unknown"]:
    """Return whether one of ``names``, or who taught it, saw RL: ``yes``, ``no`` or ``unknown``."""
    waiting = list(names)
    kinds: set[str] = set()
    is_known = True
    for name in waiting:  # grows while it is read
        is_known &= name in NO_MODELS or name in pasts
        for kind, teachers in pasts.get(name, ()):
            kinds.add(kind)
            waiting += [each for each in teachers if each not in waiting]
    if RL in kinds:
        return "yes"
    return "no" if is_known else "unknown"
