"""What of a stage is its intervention, from when on it was read, and how much of it: facts about checkpoints.

A study says what an intervention is by its words: the components that ``delay`` and ``dose`` name, else what a later
phase reads that the study's own stage does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from upbringing.data.apportionment import annealed_order, furthest_behind, with_replay
from upbringing.study.resolved_arms import ResolvedArm
from upbringing.study.stream_recipes import PartRecipe, StreamRecipe
from upbringing.study.study import Study
from upbringing.training.dpo import Dpo
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Anneal, DataReference, Mixture
from upbringing.training.sft import Sft
from upbringing.training.stage import Stage


@dataclass(frozen=True)
class Intervention:
    """``data``: the data sets that are a stage's intervention; ``own``: those that the study's own stage reads."""

    data: frozenset[str]
    own: frozenset[str]


@dataclass(frozen=True)
class RealisedDose:
    """``start``: the fraction of the stage's tokens before the intervention, ``None`` where it was not reached.

    ``dose``: its share of the tokens read so far, as places in windows, which padding is part of.
    """

    start: float | None
    dose: float


def interventions(study: Study) -> dict[str, Intervention]:
    """Return the intervention of each of the study's stages that has one in any arm."""
    arms = study.resolved_arms()
    found = {}
    for name, stage in study.stages.items():
        phases = _phases(stage)
        named = {component for arm in arms.values() for component in _named(arm, name)}
        later = {data for arm in arms.values() for data in _later(arm, arms, name, phases[0])} if phases else set()
        data = frozenset(named or later)
        if data:
            own = frozenset(each for phase in phases for each in phase) | _replayed(stage)
            found[name] = Intervention(data, own - data)
    return found


def realised_dose(
    intervention: Intervention, stream: StreamRecipe, steps: int, total_steps: int
) -> RealisedDose | None:
    """Return start and dose after ``steps`` of a stage's ``total_steps`` updates.

    ``None`` where they mean nothing: other data than the intervention stands in the place of the study's own.
    """
    total = total_steps * stream.batch_size
    parts = [(part, part.num_windows if part.num_windows is not None else total) for part in stream.parts]
    names = {name for part, _ in parts for _, name, _ in part.sources} | _replay_name(stream)
    if not total or (not names & intervention.data and not names <= intervention.own):
        return None
    read: Counter[str] = Counter()
    start, before, wanted = None, 0, steps * stream.batch_size
    for part, num_windows in parts:
        taken = min(num_windows, wanted - before)
        if taken <= 0:
            break
        part_names = {name for _, name, _ in part.sources} | _replay_name(stream)
        if start is None and part_names & intervention.data:
            start = before / total
        read.update(_windows(part, num_windows, taken, stream))
        before += num_windows
    return RealisedDose(start, sum(read[name] for name in intervention.data) / wanted if wanted else 0.0)


def _windows(part: PartRecipe, length: int, taken: int, stream: StreamRecipe) -> Mapping[str, int]:
    """Return how many of the first ``taken`` windows of a part are of each data set: the turns that a stream takes."""
    replay = None if stream.replay is None else (stream.replay[0], stream.replay[2])
    slots, matched = dict(part.slots), {key for key, _ in stream.matched}
    shares = with_replay({key: share for key, _, share in part.sources}, replay)
    turn = {key: slots.get(key, min(matched) if key in matched else key) for key in shares}
    keys = sorted(shares, key=lambda key: (turn[key], key))
    counts = [0] * len(keys)
    if part.to is not None:
        ends = with_replay({key: end for (key, _, _), end in zip(part.sources, part.to, strict=True)}, replay)
        order = annealed_order([shares[key] for key in keys], [ends[key] for key in keys], length)
        counts = [int((order[:taken] == place).sum()) for place in range(len(keys))]
    else:
        for _ in range(taken):
            counts[furthest_behind([shares[key] for key in keys], counts)] += 1
    names = stream.names
    return Counter({names[key]: number for key, number in zip(keys, counts, strict=True)})


def _replay_name(stream: StreamRecipe) -> Set[str]:
    return set() if stream.replay is None else {stream.replay[1]}


def _replayed(stage: Stage) -> frozenset[str]:
    replay = getattr(stage, "replay", None)
    return frozenset() if replay is None else frozenset({replay.data})


def _phases(stage: Stage) -> list[frozenset[str]]:
    """Return the data sets that each phase of a stage reads; a stage without phases is one."""
    if isinstance(stage, Pretrain | Midtrain):
        return [_names(phase.data) for phase in stage.phases]
    return [_names(stage.data)] if isinstance(stage, Sft | Dpo) else []


def _names(data: DataReference | Anneal) -> frozenset[str]:
    if isinstance(data, str):
        return frozenset({data})
    return (
        frozenset(name for name, share in data.mix.items() if share > 0)
        if isinstance(data, Mixture)
        else (frozenset(data.shares))
    )


def _named(arm: ResolvedArm, stage: str) -> Iterable[str]:
    """Yield the components of a stage that the words of an arm call its intervention."""
    words = arm.arm
    if words.delay is not None and words.delay.stage == stage:
        yield from words.delay.components
    if words.dose is not None and words.dose.stage == stage:
        yield words.dose.component


def _later(arm: ResolvedArm, arms: Mapping[str, ResolvedArm], stage: str, own: Set[str]) -> Iterable[str]:
    """Yield what an arm reads after a beginning that is the study's own, or would without its delay."""
    delay = arm.arm.delay
    if delay is not None and delay.stage == stage and stage in arms[delay.of].stages:
        yield from (data for phase in _phases(arms[delay.of].stages[stage]) for data in phase - own)
    phases = _phases(arm.stages[stage]) if stage in arm.stages else []
    if len(phases) > 1 and phases[0] <= own:
        yield from (data for phase in phases[1:] for data in phase - own)
