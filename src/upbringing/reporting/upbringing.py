"""The second part of the page: the tree of checkpoints, a small multiple per property, the effects on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from upbringing.attribution.evidence.cells import Source
from upbringing.formats.findings import Claim
from upbringing.reporting.chart import NUM_STYLES, swatch
from upbringing.reporting.deciding import of_claim
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import TRAINED_SPLIT, Inputs
from upbringing.reporting.levels import (
    LEVEL_COLUMNS,
    axis_of,
    cell_levels,
    level_cells,
    note_of,
    primary_of,
    sources_of,
    title_of,
)
from upbringing.reporting.lineage import Lineage, Node, last_stage, lineage_of
from upbringing.reporting.picture import Branch, Effect, Level, small_multiple, tree_picture
from upbringing.reporting.runs import Runs
from upbringing.reporting.words import (
    DASH,
    VERDICT_WORDS,
    consequence,
    deciding_estimate,
    decimals,
    interval,
    movement,
    on_scale,
    short_count,
    signed,
    verdict_of,
)

MAX_TREES = 3  # a large picture per primary measure; beyond three a reader compares the small ones
MAX_BRANCHES = 6  # brackets in one picture; the differences below hold all of them


@dataclass(frozen=True)
class KeyEntry:
    """An arm in the key."""

    label: str
    note: str
    style: str
    swatch: Markup


@dataclass(frozen=True)
class Upbringing:
    """Everything this part of the page shows."""

    key: tuple[KeyEntry, ...]
    trees: tuple[Figure, ...]
    multiples: tuple[Figure, ...]
    empty: tuple[str, ...]
    has_counterfactuals: bool
    split_note: str


def upbringing_of(inputs: Inputs, runs: Runs) -> Upbringing:
    """Return the pictures of a study; nothing measured gives the bare tree."""
    lineage = lineage_of(inputs.tree)
    sources = list(sources_of(inputs))
    primary = [source for source in sources if source.measure in primary_of(inputs)][:MAX_TREES]
    trees = [_tree(inputs, runs, lineage, source) for source in primary or sources[:1]]
    if not trees and lineage.nodes:
        trees = [_bare_tree(inputs, lineage)]
    levels = {source: levels_of(inputs, runs, lineage, source) for source in sources}
    drawn = [source for source in sources if any(level.found for level in levels[source])]
    is_unseen = {source.split != TRAINED_SPLIT for source in sources if source.split is not None} == {True}
    return Upbringing(
        key=tuple(_key(inputs, lineage)) if len(lineage.arms) > 1 else (),
        trees=tuple(trees),
        multiples=tuple(_multiple(inputs, runs, lineage, source) for source in drawn),
        empty=tuple(title_of(inputs, source) for source in sources if source not in drawn),
        has_counterfactuals=any(_branches(inputs, lineage, source) for source in primary or sources[:1]),
        split_note="Only questions that training never showed count wherever a property has them." if is_unseen else "",
    )


def _key(inputs: Inputs, lineage: Lineage) -> Iterable[KeyEntry]:
    controls = {cell.arm: cell.control for cell in inputs.tree.cells}
    for index, arm in enumerate(lineage.arms):
        note = "" if controls[arm] == "none" else controls[arm]
        yield KeyEntry(arm, note, f"s{index}" if index < NUM_STYLES else "sx", swatch(index))


def levels_of(inputs: Inputs, runs: Runs, lineage: Lineage, source: Source) -> list[Level]:
    """Return the level of every node, in order."""
    found = cell_levels(inputs, runs, source)
    absent = Level(None, is_measured=False)
    return [next((found[cell] for cell in node.cells if cell in found), absent) for node in lineage.nodes]


def _multiple(inputs: Inputs, runs: Runs, lineage: Lineage, source: Source) -> Figure:
    levels = levels_of(inputs, runs, lineage, source)
    axis = axis_of(inputs, source, levels)
    title = title_of(inputs, source)
    description = f"{len(lineage.arms)} arms along {', '.join(lineage.positions)}; the table below holds the values."
    chart = small_multiple(lineage, levels, axis=axis, title=title, description=description)
    places = decimals(axis[1] - axis[0])
    rows = [
        TableRow(_place(node), level_cells(level, places)) for node, level in zip(lineage.nodes, levels, strict=True)
    ]
    return Figure(title, note_of(inputs, source), chart, LEVEL_COLUMNS, tuple(rows))


def _place(node: Node) -> str:
    return f"{node.label} @ {node.position}"


def _tree(inputs: Inputs, runs: Runs, lineage: Lineage, source: Source) -> Figure:
    levels = levels_of(inputs, runs, lineage, source)
    axis = axis_of(inputs, source, levels)
    steps = [_step(inputs, node, lineage, source) if _is_known(node, levels) else None for node in lineage.nodes]
    branches = _branches(inputs, lineage, source)
    title = title_of(inputs, source)
    chart = tree_picture(
        lineage, levels, steps, branches, stages=_stages(inputs, lineage), axis=axis, title=f"{title} along the tree"
    )
    places = decimals(axis[1] - axis[0])
    rows = [
        TableRow(_place(node), (*level_cells(level, places), _step_text(step)))
        for node, level, step in zip(lineage.nodes, levels, steps, strict=True)
    ]
    columns = (*LEVEL_COLUMNS, "what the stage did")
    return Figure(title, note_of(inputs, source), chart, columns, tuple(rows))


def _is_known(node: Node, levels: Sequence[Level]) -> bool:
    """Return whether both ends of the step into ``node`` have a value."""
    own = levels[node.index].found
    return own is not None and node.parent is not None and levels[node.parent].found is not None


def _bare_tree(inputs: Inputs, lineage: Lineage) -> Figure:
    nothing = [Level(None, is_measured=False) for _ in lineage.nodes]
    chart = tree_picture(
        lineage,
        nothing,
        [None] * len(nothing),
        (),
        stages=_stages(inputs, lineage),
        axis=(0.0, 1.0),
        title="The tree of checkpoints",
    )
    rows = tuple(TableRow(_place(node), ("not measured",)) for node in lineage.nodes)
    return Figure("The tree of checkpoints", "", chart, ("checkpoint", "estimate"), rows)


def _step_text(step: Effect | None) -> str:
    return DASH if step is None else " ".join(filter(None, (step.mark, step.word, step.size, step.limits, step.note)))


def _stages(inputs: Inputs, lineage: Lineage) -> list[tuple[str, str]]:
    """Return per column the position and what its stage realised."""
    found: dict[int, tuple[str, str]] = {}
    for node in lineage.nodes:
        stage = last_stage(inputs.tree, node)
        tokens = "" if stage is None or stage.tokens is None else f"{short_count(stage.tokens)} tokens"
        kind = "" if stage is None or stage.kind == node.position else stage.kind
        found.setdefault(node.column, (node.position, " · ".join(filter(None, (kind, tokens)))))
    return [found.get(column, ("", "")) for column in range(1 + max(found, default=-1))]


def _matching(inputs: Inputs, source: Source) -> Iterable[Claim]:
    for claim in inputs.findings.claims:
        same = (claim.measure, claim.condition) == (source.measure, source.condition)
        if same and claim.split in (source.split, None) and len(claim.weights) == 2:
            yield claim


def _step(inputs: Inputs, node: Node, lineage: Lineage, source: Source) -> Effect | None:
    """Return what the stage that made ``node`` did, from the claim on the path into it."""
    if node.parent is None:
        return None
    before = lineage.nodes[node.parent].cells
    for claim in _matching(inputs, source):
        up = [cell for cell, weight in claim.weights.items() if weight > 0]
        down = [cell for cell, weight in claim.weights.items() if weight < 0]
        if up and down and up[0] in node.cells and down[0] in before:
            return _effect(inputs, claim, "")
    return None


def _effect(inputs: Inputs, claim: Claim, word: str) -> Effect:
    direction = inputs.measure(claim.measure).direction
    sign, moved, tone = movement(claim, direction)
    estimate = deciding_estimate(claim)
    number = of_claim(claim)
    size = on_scale(claim, signed(estimate)) if estimate is not None else ""
    return Effect(
        sign,
        word or moved,
        size,
        tone,
        consequence(claim, direction),
        interval(number.low, number.high) if size else "",
    )


def _branches(inputs: Inputs, lineage: Lineage, source: Source) -> list[Branch]:
    """Return the declared counterfactual effects between two nodes of one column (evidence L2 and above)."""
    branches = []
    for claim in _matching(inputs, source):
        if claim.level == "L1" or claim.role != "primary":
            continue
        places = [number for cell in claim.weights for number, node in enumerate(lineage.nodes) if cell in node.cells]
        if len(places) == 2 and lineage.nodes[places[0]].column == lineage.nodes[places[1]].column:
            word = "depends on it" if verdict_of(claim) == "changed" else VERDICT_WORDS[verdict_of(claim)]
            upper, lower = sorted(places, key=lambda place: lineage.nodes[place].row)
            branches.append(Branch(upper, lower, _effect(inputs, claim, word)))
    return branches[:MAX_BRANCHES]
