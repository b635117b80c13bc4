"""Which claim is the positive control of a measure: the one that shows best what was built to move it, and no more.

A control arm shares its beginning with others, so that not every difference of it shows the control: erosion by RL on
top of SFT differs from an arm without SFT even where RL did nothing. Before a control acts, its checkpoints are those
of other arms too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.attribution.evidence.design import Design
from upbringing.formats.findings import Claim

Key = tuple[str, str, str | None]
"""Measure, condition, split."""

POSITIVE, POSITIVE_KIND, POSITIVE_FAMILY = "positive", "positive-control", "positive control"
DECLARED, SIBLINGS, STEP, BRANCH = range(4)  # from the best comparison to the worst
UNASKED = (
    "The positive control {arm} stands in no contrast, so claims of likeness are not held against it: declare one "
    "(kind: positive-control), on the measure that it was built to move."
)


def assays_of(claims: Sequence[Claim], design: Design) -> dict[Key, Claim]:
    """Return the positive control of every measure, condition and split; among equally good ones one that changed.

    Declared as one, else the control against an arm that came from the same checkpoint, else against the checkpoint
    that it came from itself, else against any other arm.
    """
    own = _own_cells(design)
    found: dict[Key, tuple[int, Claim]] = {}
    for claim in claims:
        rank = _rank(claim, design, own)
        if rank is None:
            continue
        key = (claim.measure, claim.condition, claim.split)
        before = found.get(key)
        if before is None or rank < before[0] or (rank == before[0] and before[1].verdict != "changed"):
            found[key] = (rank, claim)
    return {key: claim for key, (_, claim) in found.items()}


def unasked_controls(claims: Iterable[Claim], design: Design) -> Iterable[str]:
    """Yield a sentence for every arm built as a positive control that no claim is about.

    What it was built to move is not known then, so it is held against no measure.
    """
    asked = {cell for claim in claims for cell in claim.weights}
    own = _own_cells(design)
    arms: dict[str, bool] = {}
    for name in design.cells:  # in the order of the tree
        if name in own:
            arm = design.cells[name].arm
            arms[arm] = arms.get(arm, False) or name in asked
    for arm, is_asked in arms.items():
        if not is_asked:
            yield UNASKED.format(arm=arm)


def _own_cells(design: Design) -> frozenset[str]:
    """Return the cells of positive controls whose checkpoints fill no cell of another arm."""
    others = {name for cell in design.cells.values() if cell.control != POSITIVE for name in cell.checkpoints}
    return frozenset(
        name for name, cell in design.cells.items() if cell.control == POSITIVE and others.isdisjoint(cell.checkpoints)
    )


def _rank(claim: Claim, design: Design, own: frozenset[str]) -> int | None:
    """Return how well a claim shows what a control did; ``None`` where it does not at all."""
    controls = [cell for cell in claim.weights if cell in own]
    others = [cell for cell in claim.weights if cell not in own]
    if not controls or claim.kind == "copy":
        return None
    if claim.kind == POSITIVE_KIND or claim.family == POSITIVE_FAMILY:
        return DECLARED
    if len(controls) != 1 or len(others) != 1 or not all(cell in design.cells for cell in others):
        return None
    control, other = design.cells[controls[0]], design.cells[others[0]]
    if claim.kind == "path":
        return STEP
    return SIBLINGS if _parents(design, control.checkpoints) == _parents(design, other.checkpoints) else BRANCH


def _parents(design: Design, checkpoints: Iterable[str]) -> set[str | None]:
    known = (design.checkpoints.get(name) for name in checkpoints)
    return {None if checkpoint is None else checkpoint.parent for checkpoint in known}
