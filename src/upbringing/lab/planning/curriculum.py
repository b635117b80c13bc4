"""The curricula of a study in steps, tokens and learning rates: what each phase begins with, and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from upbringing.formats.record import read_record
from upbringing.lab.planning.planned import Course, PlannedPhase
from upbringing.lab.remembering import alias_key
from upbringing.lab.session import Session
from upbringing.study.lineage import Run
from upbringing.study.stream_recipes import StreamRecipe, phase_steps
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain


def planned_phases(session: Session) -> tuple[PlannedPhase, ...]:
    """Return the phases of every stage of documents that the first seed trains, arms that agree on them together.

    Stages that read one data set in all arms have no curriculum and are left out.
    """
    runs: dict[str, dict[str, tuple[Run, list[str]]]] = {}
    for lineage in session.tree.lineages:
        for run in lineage.runs if lineage.replicate.number == 0 else ():
            if isinstance(run.stage, Pretrain | Midtrain):
                _, arms = runs.setdefault(run.stage_name, {}).setdefault(run.key(), (run, []))
                arms.append(lineage.arm.name)
    return tuple(
        phase
        for found in runs.values()
        if len(found) > 1 or any(_is_curriculum(run) for run, _ in found.values())
        for run, arms in found.values()
        for phase in _phases(session, run, tuple(arms))
    )


def _is_curriculum(run: Run) -> bool:
    stream = run.stream
    return stream is not None and (len(stream.parts) > 1 or len(stream.parts[0].sources) > 1 or bool(stream.replay))


def _phases(session: Session, run: Run, arms: tuple[str, ...]) -> Iterator[PlannedPhase]:
    stage, stream = run.stage, run.stream
    assert isinstance(stage, Pretrain | Midtrain)
    assert stream is not None
    steps = phase_steps(run.stage_name, stage)
    rates = run.rates(steps[-1])
    realised = _realised(session, run)
    for number, (begin, end) in enumerate(pairwise(steps)):
        yield PlannedPhase(
            stage=run.stage_name,
            arms=arms,
            number=number + 1,
            asked=None if number == 0 else _asked(stage.phases[number - 1].until),
            first_step=begin,
            last_step=end,
            total_steps=steps[-1],
            tokens_per_step=stage.context * stage.batch_size,
            learning_rate=float(rates[begin]),
            peak_share=float(rates[begin]) / stage.learning_rate if stage.learning_rate else 0.0,
            course=_course(rates[max(begin - 1, 0) : begin + 2].tolist()),
            planned=planned_tokens(stream, number),
            anneal=_anneal(stream, number),
            realised=realised.get(begin, ()),
            continues=stream.parts[number].continues,
        )


def planned_tokens(stream: StreamRecipe, number: int) -> tuple[tuple[str, int], ...]:
    """Return the tokens (padding included) that one part of a stream is planned to read of each data set, by name."""
    part = stream.parts[number]
    assert part.num_windows is not None
    shares = part.planned_shares()
    if stream.replay is not None:
        _, name, share = stream.replay
        shares = {each: value * (1 - share) for each, value in shares.items()}
        shares[name] = shares.get(name, 0.0) + share
    return tuple((name, round(share * part.num_windows * stream.context)) for name, share in shares.items())


def _anneal(stream: StreamRecipe, number: int) -> str | None:
    """Return how the shares of a part move, in words; ``None`` where they stand still."""
    part = stream.parts[number]
    if part.to is None:
        return None
    moves = zip(part.sources, part.to, strict=True)
    return ", ".join(f"{name} {begin * 100:g}% to {end * 100:g}%" for (_, name, begin), end in moves)


def _asked(until: int | float | None) -> str:
    return f"{until * 100:g}%" if isinstance(until, float) else f"{until:,} tokens"


def _course(around: Iterable[float]) -> Course:
    """Return what the learning rate does around a step: the one before it, its own, the one after it."""
    changes = np.diff(list(around))
    if not changes.any():
        return "constant"
    return "rising" if changes[changes != 0][0] > 0 else "falling"


def _realised(session: Session, run: Run) -> dict[int, tuple[tuple[str, int], ...]]:
    """Return the tokens per source that each phase really read, by the step it begins at, where the run is done."""
    content = session.store.resolve(alias_key(session, run.key()))
    folder = session.store.find("checkpoints", content) if content is not None else None
    if folder is None:
        return {}
    return {
        phase.first_step: tuple((source.source, source.realised_tokens) for source in phase.sources)
        for phase in read_record(folder).phases
    }


def rate_warnings(phases: Iterable[PlannedPhase]) -> Iterator[str]:
    """Yield one sentence per stage in which what differs between arms begins at different learning rates."""
    starts: dict[str, dict[str, list[str]]] = {}
    for stage, phase in _starts(tuple(phases)):
        who = f"{', '.join(phase.arms)} at step {phase.first_step}"
        starts.setdefault(stage, {}).setdefault(phase.rate_words, []).append(who)
    for stage, found in starts.items():
        if len(found) > 1:
            listed = "; ".join(f"{', '.join(who)}: {words}" for words, who in found.items())
            yield (
                f"stage {stage!r}: what differs between arms begins at different learning rates ({listed}): when it "
                "starts is confounded with the rate at which it starts. A constant schedule, a wsd schedule that "
                "decays later, or a cosine that holds its peak past the last start gives all of them but the first "
                "one rate"
            )


def reread_warnings(phases: Iterable[PlannedPhase]) -> Iterator[str]:
    """Yield one sentence per stage whose later phases read again what earlier ones read, in some arms more than others.

    Each phase reads its data from the beginning, so the shorter of two readings of one data set lies in the longer.
    """
    by_arms: dict[str, dict[tuple[str, ...], list[PlannedPhase]]] = {}
    for phase in phases:
        by_arms.setdefault(phase.stage, {}).setdefault(phase.arms, []).append(phase)
    for stage, found in by_arms.items():
        again = {arms: _read_again(sorted(own, key=lambda each: each.number)) for arms, own in found.items()}
        if len({tuple(sorted(tokens.items())) for tokens in again.values()}) > 1:
            listed = "; ".join(f"{', '.join(arms)}: {_counts(tokens)}" for arms, tokens in again.items())
            yield (
                f"stage {stage!r}: every phase reads its data from the beginning, so arms read unequally much of it "
                f"twice ({listed}): when an intervention starts is confounded with that. Say continues: true in the "
                "later phase, or in delay, to go on where the earlier one stopped"
            )


def _counts(tokens: Mapping[str, int]) -> str:
    return ", ".join(f"{num:,} tokens of {name}" for name, num in tokens.items()) or "nothing"


def _read_again(phases: Sequence[PlannedPhase]) -> dict[str, int]:
    """Return how many tokens of each data set the phases of one stage read that an earlier one has read."""
    longest: dict[str, int] = {}  # from the beginning, in one go
    again: dict[str, int] = {}
    for phase in phases:
        for name, tokens in phase.planned:
            known = longest.get(name, 0)
            if phase.continues:
                longest[name] = known + tokens
                continue
            if known and tokens:
                again[name] = again.get(name, 0) + min(known, tokens)
            longest[name] = max(known, tokens)
    return again


def _starts(phases: tuple[PlannedPhase, ...]) -> Iterator[tuple[str, PlannedPhase]]:
    """Yield the phases at which the arms of a stage part: later ones, and first ones that are no later arm's first."""
    before = {(each.stage, each.arms) for each in phases if each.number > 1}
    shared = {
        (each.stage, each.planned_names) for each in phases if (each.stage, each.arms) in before and each.number == 1
    }
    for phase in phases:
        if phase.number > 1 or (shared and (phase.stage, phase.planned_names) not in shared):
            yield phase.stage, phase
