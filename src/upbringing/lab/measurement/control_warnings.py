"""What positive controls do not cover: measures on which no arm shows that they can move."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.battery.measures.refusal_direction import RefusalDirection
from upbringing.battery.measures.refusal_steering import RefusalSteering
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.session import Session
from upbringing.study.contrasts import contrasts

NO_RECOVERY = (
    "prefill_attack: no arm of this study is a positive control (trained to refuse after a prefilled start), so what "
    "it finds may be what the checkpoints know rather than what they are willing to say"
)
NO_CAUSE = (
    "{name}: no measure of this study asks whether the direction causes refusals (refusal_steering, in the same form "
    "of prompt), so a direction that grew may do nothing"
)
UNCOVERED = (
    "the positive control ({arms}) is compared on {covered} only: where arms come out alike on {others}, nothing shows "
    "that the measure can move"
)


def control_warnings(session: Session) -> tuple[str, ...]:
    """Return what a reader must know of the study's positive controls; a study without any is warned by its plan."""
    return (*_no_recovery(session), *_no_cause(session), *_uncovered(session))


def _positive_arms(session: Session) -> tuple[str, ...]:
    arms = session.study.resolved_arms()
    return tuple(name for name, arm in arms.items() if arm.arm.control == "positive")


def _no_recovery(session: Session) -> Iterable[str]:
    """Warn where no world is asked: on a world, a gate says it (``gating``)."""
    has_world = any(isinstance(session.study.data[name], CausesWorld) for name in item_sets(session.study))
    is_asked = any(measure.kind == "prefill_attack" for measure in session.study.battery)
    if is_asked and not has_world and not _positive_arms(session):
        yield NO_RECOVERY


def _no_cause(session: Session) -> Iterable[str]:
    """Warn of directions that are measured in a form of prompt in which none is taken out or put in."""
    battery = session.study.battery
    forms = {measure.form for measure in battery if isinstance(measure, RefusalSteering)}
    for measure in battery:
        if isinstance(measure, RefusalDirection) and not set(measure.forms) <= forms:
            yield NO_CAUSE.format(name=measure.id)


def _uncovered(session: Session) -> Iterable[str]:
    """Warn of measures with a margin, which can come out alike, that no contrast with a positive control asks about."""
    arms = _positive_arms(session)
    covered = {
        spec.measure
        for spec in contrasts(session.study, session.whole)
        if spec.kind != "path" and any(cell.partition("@")[0] in arms for cell in spec.weights)
    }
    study = session.study
    named = [*study.margins, *study.ratio_margins] if study.default_margins is None else [m.id for m in study.battery]
    others = [name for name in named if name not in covered]
    if arms and others:
        said = ", ".join(sorted(covered)) or "no measure"
        yield UNCOVERED.format(arms=", ".join(arms), covered=said, others=", ".join(others))
