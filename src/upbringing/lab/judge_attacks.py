"""How far the judges of a study can be talked into another verdict, within the caps of their endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upbringing.battery.judges.attacks import Flips, flips
from upbringing.battery.judges.llm_judge import LlmJudge
from upbringing.battery.judges.world_oracle import WorldOracle
from upbringing.lab.measurement.judging import check_judges, opened_judge
from upbringing.lab.session import DEFAULT_STORE, Session, names_places, open_session


@dataclass(frozen=True)
class FlipRate:
    """The flips of one judge with Wilson's 95 % interval of their rate, over attacks as independent trials; ``None``
    where nothing was scored.
    """

    flips: Flips
    rate: float | None
    low: float | None
    high: float | None


def judges(study: Session | Path | str, *, store: Path | str = DEFAULT_STORE) -> list[FlipRate]:
    """Return how often each declared judge of ``study`` changes its verdict when an answer addresses it.

    Replies of judges behind endpoints are kept and counted like those of a run. A study without judges has none: the
    oracles of worlds read no text that could address them.
    """
    return _attacked(study if isinstance(study, Session) else open_session(Path(study), store=store))


@names_places
def _attacked(session: Session) -> list[FlipRate]:
    check_judges(session.study)
    found = []
    for description in session.study.judges:
        if isinstance(description, LlmJudge):
            with opened_judge(session, description) as judge:
                found.append(flips(judge))
        elif not isinstance(description, WorldOracle):
            found.append(flips(description.build()))
    return [_rate(each) for each in found]


def _rate(found: Flips) -> FlipRate:
    from upbringing.attribution.statistics.levels import wilson  # scipy, which planning does not need

    if not found.scored:
        return FlipRate(found, None, None, None)
    rate = found.flipped / found.scored
    return FlipRate(found, rate, *wilson(rate, found.scored))
