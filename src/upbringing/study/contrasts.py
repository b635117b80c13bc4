"""The contrasts a design supports without being asked: paths, branches, factors, copies.

Whatever the study declares itself comes first and is never repeated. A contrast is a set of weights on cells;
its level of evidence follows from how it was made: L1 along one arm, L2 between branches, L3 in a factorial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, product

from upbringing.formats.protocols import protocol_contrasts
from upbringing.formats.tree import ContrastSpec
from upbringing.study.study import ResolvedArm, Study
from upbringing.study.tree import StudyTree


def contrasts(study: Study, tree: StudyTree) -> tuple[ContrastSpec, ...]:
    """Return the declared contrasts, those of the protocol, then the derived ones for every measure of the battery."""
    positions = _positions(tree)
    declared = [_with_margin(spec, study) for spec in study.contrasts]
    known = {(frozenset(spec.weights.items()), spec.measure) for spec in declared}
    derived: list[ContrastSpec] = []
    for name, kind, level, weights in _derived(study, positions):
        for measure in study.battery:
            if (frozenset(weights.items()), measure.id) in known:
                continue
            primary = not (study.contrasts or study.protocol) and measure.id in study.primary and level != "L1"
            derived.append(
                ContrastSpec.model_validate(
                    {
                        "name": name,
                        "kind": kind,
                        "level": level,
                        "weights": weights,
                        "measure": measure.id,
                        "role": "primary" if primary else "exploratory",
                        "family": "primary" if primary else "exploratory",
                        "test": "interaction" if kind == "interaction" else "difference",
                        "margin": study.margins.get(measure.id),
                    }
                )
            )
    return (*declared, *_of_protocol(study), *derived)


def _of_protocol(study: Study) -> tuple[ContrastSpec, ...]:
    return () if study.protocol is None else protocol_contrasts(study.protocol.spec(), study.primary, study.margins)


def _with_margin(spec: ContrastSpec, study: Study) -> ContrastSpec:
    return spec if spec.margin is not None else spec.model_copy(update={"margin": study.margins.get(spec.measure)})


def _positions(tree: StudyTree) -> dict[str, list[str]]:
    """Return each arm's measured positions in order."""
    positions: dict[str, list[str]] = {}
    for cell in tree.cells:
        arm = positions.setdefault(cell.arm, [])
        if cell.position not in arm:
            arm.append(cell.position)
    return positions


Derived = tuple[str, str, str, dict[str, float]]


def _derived(study: Study, positions: dict[str, list[str]]) -> Iterable[Derived]:
    arms = study.resolved_arms()
    for name, arm in arms.items():
        if arm.arm.same_as is None:
            yield from _path(name, positions[name])
    for name, arm in arms.items():
        other = arm.arm.base if arm.arm.same_as or arm.arm.base else _reference(arms, name)
        if other is not None and other != name:
            yield from _branch(arm, other, positions)
    yield from _factorial(study, arms, positions)


def _path(arm: str, positions: Sequence[str]) -> Iterable[Derived]:
    for before, after in pairwise(positions):
        yield f"{arm}: {before} -> {after}", "path", "L1", {f"{arm}@{after}": 1.0, f"{arm}@{before}": -1.0}


def _reference(arms: dict[str, ResolvedArm], name: str) -> str | None:
    """Return the arm that ``name`` is compared with: the reference, else the first arm; none in a matrix."""
    if arms[name].arm.factors:
        return None
    references = [other for other, arm in arms.items() if arm.arm.control == "reference"]
    plain = [other for other, arm in arms.items() if not arm.arm.factors]
    return next(iter(references or plain), None)


def _branch(arm: ResolvedArm, other: str, positions: dict[str, list[str]]) -> Iterable[Derived]:
    kind = "copy" if arm.arm.same_as else "branch"
    for position in positions[arm.name]:
        if position in positions.get(other, ()):
            weights = {f"{arm.name}@{position}": 1.0, f"{other}@{position}": -1.0}
            yield f"{arm.name} - {other} @ {position}", kind, "L2", weights


def _factorial(study: Study, arms: dict[str, ResolvedArm], positions: dict[str, list[str]]) -> Iterable[Derived]:
    """Yield simple effects, main effects and two-way interactions of the matrix at every position."""
    factors = {factor: list(levels) for factor, levels in study.matrix.items()}
    if len(factors) < 1 or any(len(levels) < 2 for levels in factors.values()):
        return
    shared = list(positions["+".join(levels[0] for levels in factors.values())])
    for position in shared:
        cells = {
            combination: "+".join(combination)
            for combination in product(*factors.values())
            if position in positions.get("+".join(combination), ())
        }
        if len(cells) != len(list(product(*factors.values()))):
            continue
        names = list(factors)
        for index, factor in enumerate(names):
            yield from _simple_effects(cells, index, factors[factor], position)
            if len(names) > 1:
                yield from _main_effects(cells, index, factor, factors[factor], position)
        for first in range(len(names)):
            for second in range(first + 1, len(names)):
                yield from _interactions(cells, (first, second), names, factors, position)


Cells = dict[tuple[str, ...], str]


def _simple_effects(cells: Cells, index: int, levels: list[str], position: str) -> Iterable[Derived]:
    base = levels[-1]
    for combination, arm in cells.items():
        if combination[index] != base:
            other = cells[(*combination[:index], base, *combination[index + 1 :])]
            yield (
                f"{arm} - {other} @ {position}",
                "data-effect",
                "L2",
                {f"{arm}@{position}": 1.0, f"{other}@{position}": -1.0},
            )


def _main_effects(cells: Cells, index: int, factor: str, levels: list[str], position: str) -> Iterable[Derived]:
    base, each = levels[-1], len(cells) / len(levels)
    for level in levels[:-1]:
        weights = {
            f"{arm}@{position}": (1.0 if combination[index] == level else -1.0) / each
            for combination, arm in cells.items()
            if combination[index] in (level, base)
        }
        yield f"{factor} {level} - {base} @ {position}", "main-effect", "L3", weights


def _interactions(
    cells: Cells, pair: tuple[int, int], names: list[str], factors: dict[str, list[str]], position: str
) -> Iterable[Derived]:
    first, second = pair
    left, right = factors[names[first]], factors[names[second]]
    others = len(cells) / (len(left) * len(right))
    for one in left[:-1]:
        for two in right[:-1]:
            weights = {}
            for combination, arm in cells.items():
                if combination[first] in (one, left[-1]) and combination[second] in (two, right[-1]):
                    sign = (1.0 if combination[first] == one else -1.0) * (1.0 if combination[second] == two else -1.0)
                    weights[f"{arm}@{position}"] = sign / others
            name = f"{names[first]} x {names[second]} ({one}, {two}) @ {position}"
            yield name, "interaction", "L3", weights
