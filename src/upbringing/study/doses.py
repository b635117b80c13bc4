"""How much of an intervention a stage reads, and from when: mixtures with other shares, phases that begin later."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from upbringing.base.quantities import parse_count, steps_at
from upbringing.training.settings import TrainedStage

RawStage = dict[str, Any]
ROUNDING = 1e-9  # of sums of shares that were written as decimals


def phases_of(fields: Mapping[str, Any], word: str) -> list[dict[str, Any]]:
    """Return the phases of a raw stage; raises ``ValueError`` if its kind has none."""
    if "phases" not in fields:
        raise ValueError(f"{word} needs a stage with phases; {fields.get('kind')} has none")
    return [dict(phase) for phase in fields["phases"]]


def mix_of(data: Any) -> dict[str, float]:
    """Return the shares of a raw mixture; empty for anything else."""
    mix = data["mix"] if isinstance(data, dict) and "mix" in data else {}
    return {name: _share(value) for name, value in mix.items()}


def _share(value: Any) -> float:
    return float(value.removesuffix("%")) / 100 if isinstance(value, str) else float(value)


def reshared(data: dict[str, Any], shares: Mapping[str, float]) -> dict[str, Any]:
    """Return a raw mixture in which some components have the given shares and the others keep their proportions."""
    others = {name: share for name, share in mix_of(data).items() if name not in shares}
    left = 1.0 - math.fsum(shares.values())
    left = left if left > ROUNDING else 0.0
    rest = sum(others.values())
    if rest == 0 and left > 0:
        raise ValueError(f"{' and '.join(map(repr, shares))} is all of its mixture: name what takes its place")
    mix = {name: left * value / rest for name, value in others.items() if left > 0}
    return {**data, "mix": mix | {name: share for name, share in shares.items() if share > 0}}


def steps_of(fields: Mapping[str, Any], place: int | float) -> tuple[int, int]:
    """Return the step nearest to a place in a raw stage, and the stage's steps; raises ``ValueError`` beyond it."""
    if "tokens" not in fields:
        raise ValueError("a start needs a stage whose length is given in tokens")
    tokens = parse_count(fields["tokens"])
    per_step = math.prod(
        fields.get(name, TrainedStage.model_fields[name].default) for name in ("context", "batch_size")
    )
    if tokens < per_step:
        raise ValueError(f"{tokens} tokens are less than one step of {per_step} tokens: give the stage more tokens")
    try:
        return steps_at(place, total_tokens=tokens, tokens_per_step=per_step), tokens // per_step
    except ValueError as error:
        raise ValueError(f"{error}: start earlier, or give the stage more tokens") from None


def delayed(fields: RawStage, before: Any, until: int | float, later: Mapping[str, Any]) -> RawStage:
    """Return a raw stage that reads ``before`` up to ``until`` and the phase ``later`` from there.

    At 0, and at the end, there is only one phase.
    """
    steps_of(fields, until)
    if until == 0:
        return {**fields, "phases": [{"data": later["data"]}]}
    if until == (parse_count(fields["tokens"]) if isinstance(until, int) else 1.0):
        return {**fields, "phases": [{"data": before}]}
    return {**fields, "phases": [{"data": before, "until": until}, dict(later)]}


def kept_dose(
    fields: Mapping[str, Any], before: Any, data: Any, components: Collection[str], until: int | float
) -> dict[str, Any]:
    """Return the mixture ``data`` with the shares of ``components`` raised so that a start at ``until`` costs no dose.

    The steps are those that the stage really has before and after the start. Raises ``ValueError`` where the rest of
    the stage cannot hold the dose, with the latest start that can.
    """
    mix = mix_of(data)
    if not components or not set(components) <= set(mix):
        raise ValueError(
            "delay with keep: dose needs a mixture and the component that is the intervention (component: NAME, or "
            f"several), found data {data!r} and component {' and '.join(map(repr, components)) or 'none'}"
        )
    start, total = steps_of(fields, until)
    early = mix_of(before) or {before: 1.0}
    share = math.fsum(mix[name] for name in components)
    given = math.fsum(early.get(name, 0.0) for name in components)
    wanted = share * total
    needed = (wanted - given * start) / (total - start) if start < total else math.inf
    named = " and ".join(map(repr, components))
    if needed > 1.0 + ROUNDING:
        raise ValueError(
            f"delay: the dose of {named} cannot be kept: {share:.4g} of {total} steps are {wanted:.4g} steps of it, "
            f"and from step {start} on only {total - start} are left (it would need {needed:.0%} of them): start at "
            f"step {_latest(share, given, total)} of {total} or earlier, or lower its share"
        )
    if needed < 0:
        raise ValueError(
            f"delay: the dose of {named} cannot be kept: before step {start} the study's own data holds more of it "
            f"({given:.4g}) than the whole of the arm ({share:.4g} of {total} steps): start earlier, or lower it there"
        )
    return reshared(data, {name: mix[name] / share * min(needed, 1.0) for name in components})


def _latest(share: float, given: float, total: int) -> int:
    """Return the last step from which on the intervention, with nothing beside it, still makes up the dose."""
    return math.floor(total * (1 - share) / (1 - given) + ROUNDING) if given < 1 else 0
