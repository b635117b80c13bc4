"""Which runs are independent: the unit of inference of a contrast, and the estimand.

Runs that share a trained ancestor are one unit (a split-plot): seeds branched off one of several pretraining runs are
averaged first and never counted as several. A fixed, existing start is no run: then the unit is the seed of the
first stage trained (pretraining that continues it included) and claims are conditional on that start. So is a single
run that all others branch off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.attribution.evidence.design import ENOUGH_UNITS, LEVELS, Design, DesignCell, Row, Unit, Units
from upbringing.attribution.evidence.independence import merge_sharing, separate_runs, shared_runs
from upbringing.formats.findings import Estimand

UNSTATED_START = "a start that the tree does not state"
ONE_PRETRAINING, ONE_TRAINING = "one pretraining run", "one run of the first stage trained"
KINDS_OF_LEVEL = {"pretrain": "pretrain", "midtrain": "midtrain", "sft": "sft"}  # any other trained kind is rl


def units_of(design: Design, names: Sequence[str]) -> Units:
    """Return the independent units for a contrast of the cells ``names``, paired by seed; remembered.

    Where all runs come from one run of the study, what branches off it are the units and that run is given, as a fixed
    start is: over prompts alone the spread between branches would be taken for nothing.
    """
    key = tuple(names)
    if key not in design.known_units:
        design.known_units[key] = _units_of(design, key)
    return design.known_units[key]


def _units_of(design: Design, names: Sequence[str]) -> Units:
    cells = [design.cells[name] for name in names]
    is_fresh = any(design.is_fresh(cell) for cell in cells)
    level = 0 if is_fresh else _first_trained_level(design, cells)
    paired = _paired(cells, level)
    is_paired = paired is not None
    rows = paired if paired is not None else [tuple(cell.checkpoints for cell in cells)]
    merged = merge_sharing(design, rows, is_fresh=is_fresh)
    runs = () if is_paired else separate_runs(design, cells, is_fresh=is_fresh, enough=ENOUGH_UNITS)
    num_seeds = max(len({name for row in rows for name in row[place]}) for place in range(len(cells)))
    names_used = {name for row in rows for part in row for name in part}
    starts = tuple(sorted({start for name in names_used if (start := design.start(name)) is not None}))
    num_roots = min((len(each) for each in runs if len(each) > 1), default=len(merged))
    is_pretrained = is_paired and any("pretrain" in design.trained_kinds(name) for name in names_used)
    is_one_run = is_paired and num_roots == 1 and num_seeds > 1
    branches = _branches(design, cells, level, is_fresh=is_fresh) if is_one_run else []
    num_units = max(num_roots, len(branches))
    enough = num_units >= ENOUGH_UNITS
    own = () if is_fresh else starts or (UNSTATED_START,)
    if is_one_run:
        own += (ONE_PRETRAINING if is_fresh or is_pretrained else ONE_TRAINING,)
    elif is_fresh and is_paired and not enough:
        own = (f"{num_roots} runs" if num_roots > 1 else "one run",)
    given: Estimand = "recipe-given-start" if is_one_run or not is_fresh else "recipe"
    return Units(
        units=tuple(Unit(tuple(tuple(dict.fromkeys(part)) for part in row)) for row in branches or merged),
        estimand=given if enough else "artefact",
        conditional_on=own,
        num_seeds=num_seeds,
        num_roots=num_roots if is_fresh else max(len(starts), 1),
        is_paired=is_paired,
        is_one_root=is_one_run and (is_fresh or is_pretrained),
        runs=runs,
    )


def _branches(design: Design, cells: Sequence[DesignCell], first: int, *, is_fresh: bool) -> list[Row]:
    """Return per branch off the one run of the study the checkpoints of each cell; nothing where there are not two.

    ``first``: the level of the seeds that tell runs of the study apart.
    """
    several = [cell for cell in cells if len(cell.checkpoints) > 1]
    is_one = all(len({seeds[first] for seeds, _ in cell.replicates}) == 1 for cell in several)
    given = shared_runs(design, cells, is_fresh=is_fresh) if is_one else None
    varied = [
        level
        for level in range(len(LEVELS))
        if len({seeds[level] for cell in several for seeds, _ in cell.replicates}) > 1
    ]
    rows = _paired(cells, varied[0]) if varied and given is not None else None
    if rows is None or given is None:
        return []
    merged = merge_sharing(design, rows, is_fresh=is_fresh, given=given)
    return merged if len(merged) > 1 else []


def _first_trained_level(design: Design, cells: Iterable[DesignCell]) -> int:
    """Return the index in ``LEVELS`` of the first stage trained; the first level whose seeds vary if unstated."""
    cells = list(cells)
    kinds = {kind for cell in cells for name in cell.checkpoints for kind in design.trained_kinds(name)}
    levels = {LEVELS.index(KINDS_OF_LEVEL.get(kind, "rl")) for kind in kinds}
    if levels:
        return min(levels)
    varying = [
        place
        for place in range(len(LEVELS))
        if len({seeds[place] for cell in cells for seeds, _ in cell.replicates}) > 1
    ]
    return varying[0] if varying else 0


def _paired(cells: Sequence[DesignCell], level: int) -> list[Row] | None:
    """Return per unit the checkpoints of each cell; ``None`` when the cells have no seed in common.

    A cell with a single checkpoint stands in every unit.
    """
    by_label: list[dict[int, list[str]]] = []
    for cell in cells:
        labels: dict[int, list[str]] = {}
        for seeds, checkpoint in cell.replicates:
            labels.setdefault(seeds[level], []).append(checkpoint)
        by_label.append(labels)
    several = [set(labels) for labels, cell in zip(by_label, cells, strict=True) if len(cell.checkpoints) > 1]
    common = sorted(set.intersection(*several)) if several else [next(iter(by_label[0]))]
    if not common:
        return None
    return [
        tuple(
            cell.checkpoints if len(cell.checkpoints) == 1 else tuple(labels[label])
            for labels, cell in zip(by_label, cells, strict=True)
        )
        for label in common
    ]
