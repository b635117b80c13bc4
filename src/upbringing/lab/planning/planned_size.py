"""How many independent runs and prompts a study declares for a contrast, and what other numbers would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.attribution.evidence.sources import SPLIT_ORDER
from upbringing.attribution.power.outlook import Hours
from upbringing.attribution.power.sampling import SampleSize
from upbringing.base.errors import UpbringingError
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.battery.judges.world_oracle import WorldOracle
from upbringing.formats.items import Item
from upbringing.formats.tree import ContrastSpec
from upbringing.lab.building.library import Library
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.planning.planned import Plan
from upbringing.lab.session import Session
from upbringing.study.seeds import LEVEL_OF_KIND, LEVELS, replicates
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class AskedPrompts:
    """Prompt clusters that each run is asked by a measure. ``is_nested``: every root run has a world of its own.

    ``by_rule``: whether a rule that reads answers will carry its claims, and no exact judge of the prompts' world.
    """

    num: int
    is_nested: bool
    by_rule: bool = False


def asked_prompts(session: Session) -> dict[str, AskedPrompts]:
    """Return, per measure, the clusters of the split that carries claims; measures whose prompts are not here lack."""
    library = Library(session.workshop.book, 0, session.store.root)
    items: dict[str, Item] = {}
    try:
        for name in item_sets(session.study):
            items.update({item.id: item for item in library.items(name)})
    except UpbringingError:
        return {}
    has_rule = any(isinstance(judge, RefusalRules) for judge in session.study.judges)
    has_oracle = any(isinstance(judge, WorldOracle) for judge in session.study.judges)
    several = len({replicate.root for replicate in replicates(session.study.seeds)}) > 1
    found = {}
    for measure in session.study.battery:
        asked = [items[name] for name in {need.item for need in measure.needs(list(items.values()))}]
        kept = _headline(asked)
        if kept:
            is_known = all(item.world is not None for item in kept)
            found[measure.id] = AskedPrompts(
                num=len({item.cluster for item in kept}),
                is_nested=several and is_known,
                by_rule=measure.judged and has_rule and not (has_oracle and is_known),
            )
    return found


def _headline(items: Sequence[Item]) -> list[Item]:
    """Return the eligible items of the split that stands first."""
    eligible = [item for item in items if item.eligible]
    first = min((SPLIT_ORDER.index(item.split) for item in eligible), default=0)
    return [item for item in eligible if item.split == SPLIT_ORDER[first]]


def planned_runs(session: Session, spec: ContrastSpec) -> tuple[int, int]:
    """Return how many independent runs a contrast will have, and how many branch off each.

    Runs that share their pretraining are one; on a fixed start the first stage trained decides. Where all share one
    run, what branches off it counts, given that run. Before a stage has begun, its seeds are no runs.
    """
    arms = {cell.partition("@")[0] for cell in spec.weights}
    lineages = [each for each in session.whole.lineages if each.arm.name in arms]
    trained = [run for each in lineages for run in each.runs if isinstance(run.stage, TrainedStage)]
    if not trained:
        return 1, 1
    is_fresh = any(isinstance(each.arm.start, FreshStart) for each in lineages)
    found = [LEVELS.index(LEVEL_OF_KIND[run.stage.kind]) for run in trained if run.stage.kind in LEVEL_OF_KIND]
    level = LEVELS[0 if is_fresh else min(found, default=len(LEVELS) - 1)]
    pipelines = replicates(session.study.seeds)
    units = len({each.indices[level] for each in pipelines})
    if units == 1:
        units = next((num for name in LEVELS if (num := len({each.indices[name] for each in pipelines})) > 1), 1)
    nodes: dict[str, set[str]] = {}
    for cell in session.whole.cells:
        nodes.setdefault(cell.name, set()).add(cell.node)
    num = min(len(pipelines), max(len(nodes.get(cell, ())) for cell in spec.weights))
    units = max(min(units, num), 1)
    return units, max(num // units, 1)


@dataclass(frozen=True)
class Work:
    """What a study costs as declared, from its plan's prices. ``per_pipeline``: training one seed of every arm, in s.

    ``per_checkpoint``: asking one checkpoint everything, in s.
    """

    pending: float
    per_pipeline: float
    per_checkpoint: float
    num_checkpoints: int
    num_pipelines: int
    slots: int

    def hours(self, present: SampleSize) -> Hours:
        """Return what is still to do at another size, in hours, if every measure's prompts grow alike."""

        def of(size: SampleSize) -> float:
            more = max(size.seeds * size.subseeds - self.num_pipelines, 0)
            growth = max(size.prompts / present.prompts, 1.0)
            asking = self.per_checkpoint * self.num_checkpoints
            added = more * (self.per_pipeline + growth * asking / self.num_pipelines) + (growth - 1) * asking
            return (self.pending + added / self.slots) / SECONDS_PER_HOUR

        return of


def work_of(session: Session, made: Plan) -> Work | None:
    """Return the work of a plan; ``None`` where any price is missing."""
    asking = made.measuring.seconds_per_checkpoint
    if made.seconds is None or asking is None or any(node.seconds is None for node in made.nodes):
        return None
    num = len(replicates(session.study.seeds))
    return Work(
        pending=made.seconds,
        per_pipeline=sum(node.seconds or 0.0 for node in made.nodes) / num,
        per_checkpoint=asking,
        num_checkpoints=made.measuring.num_checkpoints,
        num_pipelines=num,
        slots=made.slots,
    )


def squares(weights: Mapping[str, float]) -> float:
    """Return the variance of a contrast in units of a difference of two cells, if all cells vary alike."""
    return sum(weight**2 for weight in weights.values()) / 2
