"""The contrasts a design supports without being asked: paths, branches, factors, copies.

Whatever the study declares itself comes first and is never repeated. A contrast is a set of weights on cells;
its level of evidence follows from how it was made: L1 along one arm, L2 between branches, L3 in a factorial, L4 where
weights were edited in place of training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Literal

from upbringing.formats.effects.branches import branch_kind, by_arm, lasting_difference, three_arms
from upbringing.formats.effects.derived import Derived, supporting, without_repeats
from upbringing.formats.effects.factorial import factorial_effects, lasting_effects
from upbringing.formats.effects.places import Factorial, Place, factorials, trained_arms
from upbringing.formats.effects.recipes import DATA, START, are_at_one_depth
from upbringing.formats.protocols import protocol_contrasts
from upbringing.formats.tree import ContrastSpec
from upbringing.study.arms import Arm
from upbringing.study.edits import edited_stages
from upbringing.study.resolved_arms import ResolvedArm
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree

COPY = "copy"
DATA_FIELDS = {"data", "phases"}


def contrasts(study: Study, tree: StudyTree) -> tuple[ContrastSpec, ...]:
    """Return the declared contrasts, those of the protocol, then the derived ones for every measure of the battery.

    A declared contrast that the design supports as well is a share of the same total and has the same orders.
    """
    places = _places(tree)
    everything = list(_derived(study, places))
    beside = {frozenset(each.weights.items()): each for each in everything}
    edited = _edited(places)
    declared = [
        _completed(spec, study, beside.get(frozenset(spec.weights.items())), edited) for spec in study.contrasts
    ]
    known = {(frozenset(spec.weights.items()), spec.measure) for spec in declared}
    found: list[ContrastSpec] = []
    for derived in everything:
        for measure in study.battery:
            if (frozenset(derived.weights.items()), measure.id) in known:
                continue
            is_free = not (study.contrasts or study.protocol) and measure.id in study.primary
            primary = is_free and derived.level in ("L2", "L3")
            role: Literal["primary", "exploratory"] = "primary" if primary else "exploratory"
            found.append(derived.spec(measure.id, study.margins.get(measure.id), role, role))
    return (*declared, *_of_protocol(study), *found)


def _of_protocol(study: Study) -> tuple[ContrastSpec, ...]:
    return () if study.protocol is None else protocol_contrasts(study.protocol.spec(), study.primary, study.margins)


def deciding_contrasts(study: Study, tree: StudyTree) -> tuple[ContrastSpec, ...]:
    """Return the derived contrasts that may decide something: what must be fixed before anything is measured."""
    deciding = {
        (each.kind, frozenset(each.weights.items())) for each in _derived(study, _places(tree)) if each.may_decide
    }
    derived = contrasts(study, tree)[len(study.contrasts) :]
    return tuple(spec for spec in derived if (spec.kind, frozenset(spec.weights.items())) in deciding)


def _edited(places: Iterable[Place]) -> frozenset[str]:
    return frozenset(place.name for place in places if place.is_edited)


def _completed(spec: ContrastSpec, study: Study, derived: Derived | None, edited: Collection[str]) -> ContrastSpec:
    """Return a declared contrast with the margin of its measure and what stands beside the same contrast derived."""
    update: dict[str, object] = {} if set(edited).isdisjoint(spec.weights) else {"level": "L4"}
    if spec.margin is None and spec.ratio_margin is None:
        update["margin"] = study.margins.get(spec.measure)
    if derived is not None and not spec.share_of:
        update |= {"share_of": derived.share_of, "orders": derived.orders}
    return spec.model_copy(update=update)


def _places(tree: StudyTree) -> tuple[Place, ...]:
    """Return each arm's measured positions in order, with the nodes that fill them."""
    nodes: dict[tuple[str, str], list[str]] = {}
    arms: dict[str, ResolvedArm] = {}
    for cell in tree.cells:
        nodes.setdefault((cell.arm, cell.position), []).append(cell.node)
        arms[cell.arm] = cell.lineage.arm
    return tuple(
        Place(
            arm=name,
            position=position,
            factors=tuple(arms[name].arm.factors.items()),
            state=tuple(arms[name].states.items()),
            control=COPY if arms[name].arm.same_as is not None else arms[name].arm.control,
            identity=tuple(dict.fromkeys(found)),
            recipe=_recipe(arms[name], position),
            is_edited=position.partition(":")[0] in edited_stages(arms[name].stages),
        )
        for (name, position), found in nodes.items()
    )


def _recipe(arm: ResolvedArm, position: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the start of an arm and the stage that leads to ``position``, its data apart from all else."""
    stage = arm.stages.get(position.partition(":")[0])
    facts = {START: arm.start.model_dump_json(exclude={"label"})}
    if stage is not None:
        facts["settings"] = stage.model_dump_json(exclude={*DATA_FIELDS, "measure_at", "identity"})
        facts[DATA] = stage.model_dump_json(include=DATA_FIELDS)
    return tuple((fact, frozenset({value})) for fact, value in facts.items())


def _derived(study: Study, places: Sequence[Place]) -> Iterable[Derived]:
    """Yield everything the design supports; what has a cell of edited weights is evidence L4, whatever it is called."""
    return supporting(_asked(study, places), _edited(places))


def _asked(study: Study, places: Sequence[Place]) -> Iterable[Derived]:
    arms, found = study.resolved_arms(), by_arm(places)
    for name, arm in arms.items():
        if arm.arm.same_as is None:
            yield from _path(arms, name, found)
    tables = _tables(study, arms, places)
    crossed = [each for table in tables for each in factorial_effects(table)]
    lasting = lasting_effects(tables)
    stand_ins = _stand_ins(arms, found)
    yield from without_repeats(
        (*three_arms(trained_arms(places)), *crossed, *lasting, *_branches(arms, found), *stand_ins)
    )


def _stand_ins(arms: dict[str, ResolvedArm], found: dict[str, dict[str, Place]]) -> Iterable[Derived]:
    """Yield every edited arm against the retrained cell that it stands for: by how much the edit misses it."""
    for name, arm in arms.items():
        if arm.arm.stands_for is not None:
            edited = list(found[name].values())[-1].name
            weights = {edited: 1.0, arm.arm.stands_for: -1.0}
            yield Derived(f"{edited} - {arm.arm.stands_for}", "stand-in", "L4", weights)


def _path(arms: dict[str, ResolvedArm], name: str, found: dict[str, dict[str, Place]]) -> Iterable[Derived]:
    """Yield every step of an arm, as a part of its whole path; with what it was in an arm of another order."""
    steps, positions = _steps(found[name]), list(found[name])
    trained = [position for position in positions if not found[name][position].is_edited]
    whole = {f"{name}@{trained[-1]}": 1.0, f"{name}@{trained[0]}": -1.0} if len(trained) > 2 else {}
    swapped = [_steps(found[other]) for pair in _swaps(arms) if name in pair for other in pair if other != name]
    for (before, after), weights in zip(pairwise(positions), steps.values(), strict=True):
        others = [each[after] for each in swapped if after in each and each[after] != weights]
        orders = (weights, *others) if others else ()
        yield Derived(f"{name}: {before} -> {after}", "path", "L1", weights, share_of=whole, orders=orders)


def _steps(found: dict[str, Place]) -> dict[str, dict[str, float]]:
    """Return the weights of each step of an arm by the position it leads to."""
    return {after: {found[after].name: 1.0, found[before].name: -1.0} for before, after in pairwise(found)}


def _branches(arms: dict[str, ResolvedArm], found: dict[str, dict[str, Place]]) -> Iterable[Derived]:
    """Yield every arm against the one it starts from, else the reference, and what the last stage left of that."""
    pairs = [(name, other) for name in arms if (other := _other(arms, name)) is not None and other != name]
    for name, other in pairs:
        is_copy = arms[name].arm.same_as is not None
        for position, place in found[name].items():
            if position in found[other] and are_at_one_depth(found[name], found[other], position):
                against = found[other][position]
                kind = COPY if is_copy else branch_kind(place, against)
                weights = {place.name: 1.0, against.name: -1.0}
                yield Derived(f"{name} - {other} @ {position}", kind, "L2", weights, is_named=True)
    for name, other in _swaps(arms):
        ends = [list(found[arm].values())[-1].name for arm in (name, other)]
        yield Derived(f"{name} - {other}, after all stages", "order-effect", "L2", {ends[0]: 1.0, ends[1]: -1.0})
    for name, other in pairs:
        if arms[name].arm.same_as is None:
            yield from lasting_difference(found[name], found[other])


def _other(arms: dict[str, ResolvedArm], name: str) -> str | None:
    base = arms[name].arm.base
    return base if base is not None else _reference(arms, name)


def _swaps(arms: dict[str, ResolvedArm]) -> tuple[tuple[str, str], ...]:
    """Return every arm that swaps two stages, with the arm whose order it changes."""
    swapping = [name for name, arm in arms.items() if arm.arm.swap is not None]
    return tuple((name, other) for name in swapping if (other := _other(arms, name)) is not None)


def _reference(arms: dict[str, ResolvedArm], name: str) -> str | None:
    """Return the arm that ``name`` is compared with: the reference, else the first trained one; none in a matrix."""
    if arms[name].arm.factors:
        return None
    references = [other for other, arm in arms.items() if arm.arm.control == "reference"]
    plain = [other for other, arm in arms.items() if not arm.arm.factors and not edited_stages(arm.stages)]
    return next(iter(references or plain), None)


def _tables(study: Study, arms: dict[str, ResolvedArm], places: Sequence[Place]) -> tuple[Factorial, ...]:
    """Return the factorial tables of the matrix; without one, those of arms that state their factors or placebos."""
    if not study.matrix:
        return factorials(trained_arms(places))
    crossed = {name for name, arm in arms.items() if set(arm.arm.factors) == set(study.matrix)} - set(study.arms)
    stages = list(study.stages)
    changed = {
        factor: [stages.index(stage) for words in levels.values() for stage in _stages(words) if stage in stages]
        for factor, levels in study.matrix.items()
    }
    acts_at = {factor: min(found) for factor, found in changed.items() if found}
    return factorials([place for place in places if place.arm in crossed], acts_at)


def _stages(words: Arm) -> tuple[str, ...]:
    """Return the stages that the words of an arm change."""
    single = (words.placebo, words.delay, words.dose)
    drop = (words.drop,) if isinstance(words.drop, str) else words.drop
    named = tuple(word.stage for word in single if word is not None)
    return (*words.stages, *words.replace, *named, *drop, *(words.swap or ()))
