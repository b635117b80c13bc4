"""What a tree costs beside training every arm on its own, and which schedules keep arms from sharing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upbringing.lab.planning.cost import Cost, Costs, tokens_per_step
from upbringing.lab.planning.planned import Sharing
from upbringing.lab.session import Session
from upbringing.study.lineage import Run
from upbringing.study.tree import Node
from upbringing.training.settings import TrainedStage

SUSTAINED_TRAINING_FLOPS = 1.5e14  # assumed of one GPU: about half of what an A100 multiplies in bf16 (3.12e14)
SECONDS_PER_HOUR = 3600


def planned_sharing(session: Session, costs: Costs) -> Sharing:
    """Return what the distinct prefixes of a tree cost, and what independent runs of every arm and seed would.

    Tokens and accelerator hours count a stage whose length is not known as nothing in both; seconds are ``None`` where
    any part is missing.
    """
    apart: list[Cost] = []
    priced: dict[str, Cost] = {}
    for lineage in session.tree.lineages:
        for run in lineage.runs:
            if not isinstance(run.stage, TrainedStage):
                continue
            if run.key() not in priced:
                priced[run.key()] = costs.of(_whole(run))
            apart.append(priced[run.key()])
    together = [costs.of(node) for node in session.tree.nodes.values() if _is_trained(node)]
    return Sharing(
        num_pipelines=len(session.tree.lineages),
        tokens=sum(cost.tokens or 0 for cost in together),
        tokens_apart=sum(cost.tokens or 0 for cost in apart),
        seconds=_seconds(together),
        seconds_apart=_seconds(apart),
        accelerator_hours=_hours(together),
        accelerator_hours_apart=_hours(apart),
        sustained_flops=SUSTAINED_TRAINING_FLOPS,
        forbidden=tuple(dict.fromkeys(_forbidden(session))),
    )


def _whole(run: Run) -> Node:
    return Node(key=run.key(), parent=run.parent, inputs={}, label=run.stage_name, run=run, to_step=run.total_steps)


def _is_trained(node: Node) -> bool:
    return node.run is not None and isinstance(node.run.stage, TrainedStage)


def _seconds(costs: Sequence[Cost]) -> float | None:
    values = [cost.seconds for cost in costs]
    return None if None in values else sum(value or 0.0 for value in values)


def _hours(costs: Sequence[Cost]) -> float | None:
    flops = [cost.flops for cost in costs if cost.flops is not None]
    return sum(flops) / SUSTAINED_TRAINING_FLOPS / SECONDS_PER_HOUR if flops else None


def _forbidden(session: Session) -> Iterator[str]:
    """Yield one sentence per two schedules that part although the data does not, with what it costs in tokens."""
    worst: dict[tuple[str, str, str], tuple[int, str]] = {}
    stages: dict[str, dict[str, tuple[Run, str]]] = {}
    for lineage in session.tree.lineages:
        for run in lineage.runs if lineage.replicate.number == 0 else ():
            if run.total_steps and run.stream is not None:
                stages.setdefault(run.stage_name, {}).setdefault(run.key(), (run, lineage.arm.name))
    for stage, runs in stages.items():
        found = list(runs.values())
        for index, (one, arm) in enumerate(found):
            for other, other_arm in found[index + 1 :]:
                if _rates_of(one) == _rates_of(other):
                    continue
                read, shared = one.shared_data_steps(other), one.shared_steps(other)
                if shared < read:
                    first, second = sorted((_schedule(one), _schedule(other)))
                    names = (stage, first, second)
                    lost = (read - shared) * tokens_per_step(one)
                    said = _words(one, other, (arm, other_arm), read, shared, lost)
                    worst[names] = max(worst.get(names, (0, "")), (lost, said), key=lambda each: each[0])
    for _, said in worst.values():
        yield said


def _rates_of(run: Run) -> tuple[object, ...]:
    """Return all that decides the learning rates of a run."""
    assert isinstance(run.stage, TrainedStage)
    return run.stage.schedule, run.stage.learning_rate, run.total_steps


def _words(one: Run, other: Run, arms: tuple[str, str], read: int, shared: int, lost: int) -> str:
    return (
        f"arms {arms[0]!r} and {arms[1]!r} read the same first {read:,} steps of stage {one.stage_name!r}, but their "
        f"learning rates part after step {shared:,} ({_schedule(one)}; {_schedule(other)}), which forbids sharing the "
        f"rest and costs {lost:,} tokens: {_advice(one, other)}"
    )


def _schedule(run: Run) -> str:
    assert isinstance(run.stage, TrainedStage)
    return f"{run.stage.schedule.kind} over {run.total_steps:,} steps, peak {run.stage.learning_rate:g}"


def _advice(one: Run, other: Run) -> str:
    """Return what would let two runs share what they read alike."""
    assert isinstance(one.stage, TrainedStage)
    assert isinstance(other.stage, TrainedStage)
    kinds = {one.stage.schedule.kind, other.stage.schedule.kind}
    if one.stage.learning_rate != other.stage.learning_rate or len(kinds) > 1:
        return "one schedule and one peak for both would share them"
    if one.total_steps != other.total_steps and kinds == {"cosine"}:
        return "a cosine depends on where it ends from its first step on; give both one length, or a constant schedule"
    if one.total_steps != other.total_steps:
        return "warm-up and decay are shares of each stage's own length; give both one length, or no warm-up"
    return "one schedule for both would share them"
