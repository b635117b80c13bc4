"""Which contrasts rest on fewer runs than there are pipelines: seeds of a late stage add none to an early one."""

from __future__ import annotations

from collections.abc import Iterator

from upbringing.formats.tree import ContrastSpec
from upbringing.lab.planning.planned_size import planned_runs
from upbringing.lab.session import Session
from upbringing.study.checks import SEEDS_FOR_RECIPES
from upbringing.study.contrasts import contrasts
from upbringing.study.seeds import replicates
from upbringing.study.tree import CellPlan

NAMES_SHOWN = 3
FEW_RUNS = (
    "{which} will rest on {runs}, though the study trains {pipelines} pipelines: claims on {them} will be about these "
    "checkpoints only; claims about the recipe need at least {least} (seeds: {least} trains every stage anew in each)"
)


def few_run_warnings(session: Session) -> Iterator[str]:
    """Yield a sentence per number of runs that is too small for the recipe, with the contrasts that rest on so few.

    Nothing where the whole study has too few seeds, which is said of it as a whole.
    """
    pipelines = len(replicates(session.study.seeds))
    if pipelines < SEEDS_FOR_RECIPES:
        return
    found: dict[int, list[str]] = {}
    for spec in _asked_once(session):
        units, _ = planned_runs(session, spec)
        if units < SEEDS_FOR_RECIPES:
            found.setdefault(units, []).append(spec.name)
    for units, names in sorted(found.items()):
        shown = "; ".join(names[:NAMES_SHOWN])
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        yield FEW_RUNS.format(
            which=f"{len(names)} contrasts ({shown}{more})" if len(names) > 1 else f"the contrast {shown}",
            runs=f"{units} runs" if units > 1 else "one run",
            pipelines=pipelines,
            them="them" if len(names) > 1 else "it",
            least=SEEDS_FOR_RECIPES,
        )


def _asked_once(session: Session) -> Iterator[ContrastSpec]:
    """Yield every contrast of checkpoints that the study makes, once for all its measures."""
    made = {cell.name for cell in session.whole.cells if _is_made(session, cell)}
    seen: set[frozenset[tuple[str, float]]] = set()
    for spec in contrasts(session.study, session.whole):
        key = frozenset(spec.weights.items())
        if key not in seen and not made.isdisjoint(spec.weights):
            seen.add(key)
            yield spec


def _is_made(session: Session, cell: CellPlan) -> bool:
    node = session.whole.nodes[cell.node]
    return node.run is not None and node.existing is None
