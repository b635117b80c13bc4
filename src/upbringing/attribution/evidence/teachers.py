"""Whether what a stage did can be told from what its teacher brought: another teacher's answers must have been tried.

A stage that learns answers learns whoever wrote them. A teacher that RL had made carries RL's effect through SFT, and a
later RL stage of the student then seems to do nothing. Source: statistics-and-measures, ground rule 3 and gate A10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from upbringing.attribution.evidence.design import UNTRAINED_KINDS, Design, DesignCell
from upbringing.formats.tree import StageInfo, Teacher

RL = "rl"
SWAPPED = frozenset({"on", "replaced"})  # states of a stage that was trained, with its own or another's answers


@dataclass(frozen=True)
class StageFacts:
    """What the replicates of a cell state of one stage. ``teachers``: their ids; ``rl``: whether RL made them.

    ``is_model``: somebody was trained to write the targets, or nothing says otherwise.
    """

    kinds: frozenset[str]
    data: frozenset[str]
    teachers: frozenset[str]
    rl: frozenset[str]
    state: str
    is_model: bool


CellFacts = Mapping[str, StageFacts]


@dataclass(frozen=True)
class Teachers:
    """Answers whether contrasts of a design tell stages from teachers. Remembers its answers."""

    cells: Mapping[str, CellFacts]
    positions: Mapping[str, str]
    _answers: dict[frozenset[str], bool | None] = field(default_factory=dict)
    _swapped: dict[str, bool] = field(default_factory=dict)

    def is_separable(self, names: Iterable[str]) -> bool | None:
        """Return whether a contrast of the cells ``names`` tells each stage that it is about from the stage's teacher.

        ``None`` where no model's answers are known to stand between these cells. An RL stage is about a teacher too
        where an earlier stage of its cells learned the answers of one that RL had made.
        """
        key = frozenset(names)
        if key not in self._answers:
            self._answers[key] = self._answer([self.cells[name] for name in sorted(key) if name in self.cells])
        return self._answers[key]

    def _answer(self, facts: Sequence[CellFacts]) -> bool | None:
        roles = dict.fromkeys(role for each in facts for role in each)
        differing = [role for role in roles if len({each.get(role) for each in facts}) > 1]
        about = [role for role in differing if any(role in each and each[role].is_model for each in facts)]
        if any(RL in each[role].kinds for role in differing for each in facts if role in each):
            about += [role for role in roles if any(role in each and "yes" in each[role].rl for each in facts)]
        return all(self._is_swapped(role) for role in about) if about else None

    def _is_swapped(self, role: str) -> bool:
        if role not in self._swapped:
            self._swapped[role] = self._find_swap(role)
        return self._swapped[role]

    def _find_swap(self, role: str) -> bool:
        """Return whether two cells differ in the teacher of ``role`` and its data alone, and one teacher had no RL."""
        alike: dict[tuple[str, frozenset[tuple[str, StageFacts]]], list[StageFacts]] = {}
        for name, facts in self.cells.items():
            own = facts.get(role)
            if own is not None and own.teachers and own.state in SWAPPED:
                rest = frozenset((other, found) for other, found in facts.items() if other != role)
                alike.setdefault((self.positions[name], rest), []).append(own)
        return any(
            one.teachers.isdisjoint(other.teachers) and one.kinds == other.kinds and one.rl == {"no"}
            for group in alike.values()
            for one in group
            for other in group
        )


def teachers_of(design: Design) -> Teachers:
    """Return what a design's cells state of their teachers."""
    return Teachers(
        cells={name: _facts(design, cell) for name, cell in design.cells.items()},
        positions={name: cell.position for name, cell in design.cells.items()},
    )


def _facts(design: Design, cell: DesignCell) -> CellFacts:
    stages: dict[str, list[StageInfo]] = {}
    for checkpoint in cell.checkpoints:
        for name in reversed(design.path(checkpoint)):
            for stage in design.checkpoints[name].stages:
                if stage.kind not in UNTRAINED_KINDS:
                    stages.setdefault(stage.role, []).append(stage)
    states = dict(cell.state)
    return {role: _stage_facts(found, states.get(role, "on")) for role, found in stages.items()}


def _stage_facts(stages: Iterable[StageInfo], state: str) -> StageFacts:
    found = list(stages)
    teachers = [each.teacher for each in found if each.teacher is not None]
    return StageFacts(
        kinds=frozenset(each.kind for each in found),
        data=frozenset(each.data_sha256 for each in found if each.data_sha256 is not None),
        teachers=frozenset(each.id for each in teachers if each.id is not None),
        rl=frozenset(each.rl for each in teachers),
        state=state,
        is_model=any(map(_is_model, teachers)),
    )


def _is_model(teacher: Teacher) -> bool:
    """Return whether a teacher may have been trained: people and templates state an empty lineage."""
    return teacher.lineage != ()
