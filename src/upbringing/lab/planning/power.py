"""What a study will be able to decide: from components it states, or from the rows of an earlier run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from upbringing.attribution.attribute import read_results
from upbringing.attribution.claims.answered import EXPLORATORY, PRIMARY
from upbringing.attribution.evidence.cells import SHARE_UNITS
from upbringing.attribution.judges.error_gap import ASSUMED_GAP
from upbringing.attribution.judges.gaps import Gap
from upbringing.attribution.power.outlook import (
    RATIO_UNPLANNED,
    ContrastFacts,
    Hours,
    Known,
    Outlook,
    largest_of,
    outlook,
    unknown_outlook,
)
from upbringing.attribution.power.pilot import Pilot, is_void, pilot_outlooks, pilots
from upbringing.attribution.power.sampling import SampleSize
from upbringing.attribution.statistics.inference import POWER
from upbringing.attribution.statistics.variance import VarianceComponents
from upbringing.base.errors import FormatError, StudyError
from upbringing.formats.tree import ContrastSpec
from upbringing.lab.measurement.measuring import ROWS
from upbringing.lab.planning.planned import Plan, PowerReport
from upbringing.lab.planning.planned_size import AskedPrompts, Work, asked_prompts, planned_runs, squares, work_of
from upbringing.lab.session import Session, names_places
from upbringing.study.contrasts import contrasts
from upbringing.study.fractions import alias_table

NOT_STATED = (
    "the noise of {measure} is not known: state it (components: {{{measure}: {{prompt: ..., seed: ..., cell: ...}}}}), "
    "or run a pilot"
)
NO_PILOT = "the pilot holds nothing of this contrast: state the components of {measure}"
NO_PROMPTS = "the prompts of {measure} are not here, so their number is not known"
NO_HOURS = "the plan does not know what the study costs (`upbringing plan` times it)"
DEFAULT_UNPLANNED = "its default margin follows from measured rates, and is not planned"
NO_STUDY = "only a study file says what training costs"
NO_PRIMARY = (
    "the study has no primary contrast: name primary measures, and a second arm or contrasts to hold them against"
)


def results_power(folder: Path, *, power: float = POWER) -> PowerReport:
    """Return what a measured study could find, and what would have decided it."""
    return PowerReport(power, pilot_outlooks(*read_results(folder), power=power), (f"hours: {NO_STUDY}",))


def stated_power(
    facts: ContrastFacts, components: VarianceComponents, size: SampleSize, *, power: float = POWER
) -> PowerReport:
    """Return what a contrast could find whose components and size are stated."""
    found = outlook(facts, components, size, known="stated", power=power)
    return PowerReport(power, (found,), (f"hours: {NO_STUDY}",))


@names_places
def planned_power(session: Session, made: Plan, *, pilot: Path | None = None, power: float = POWER) -> PowerReport:
    """Return what a study will be able to find. ``pilot``: a folder of results; ``None`` = the study's own, if any.

    Stated components come before those of a pilot; of what neither knows, nothing is made up.
    """
    specs = primary_contrasts(session)
    missing = [] if specs else [NO_PRIMARY]
    try:
        earlier = _earlier(session, specs, pilot) if specs else None
    except FormatError as error:
        if pilot is not None:
            raise
        earlier = None  # a plan is possible without them
        missing.append(f"the noise in earlier results: {error}")
    asked = asked_prompts(session) if specs and (earlier is not None or session.study.components) else {}
    work = work_of(session, made)
    families = Counter(_family(spec) for spec in specs)
    measures = len({spec.measure for spec in specs})
    planner = _Planner(session, earlier, asked, work, power)
    outlooks = tuple(planner.of(spec, families[_family(spec)], measures) for spec in specs)
    if work is None and any(each.decisions for each in outlooks):
        missing.append(f"hours: {NO_HOURS}")
    study = session.study
    aliases = alias_table(study.levels, study.fraction) if study.fraction else ()
    return PowerReport(power, outlooks, tuple(missing), aliases)


def primary_contrasts(session: Session) -> list[ContrastSpec]:
    """Return what will be confirmed or not, without contrasts of checkpoints with themselves."""
    nodes: dict[str, list[str]] = {}
    for cell in session.whole.cells:
        nodes.setdefault(cell.name, []).append(cell.node)
    identity = {name: tuple(dict.fromkeys(found)) for name, found in nodes.items()}
    found = contrasts(session.study, session.whole)
    return [spec for spec in found if spec.role == PRIMARY and not is_void(spec.weights, identity)]


def _family(spec: ContrastSpec) -> str:
    return PRIMARY if spec.family == EXPLORATORY else spec.family


def _earlier(
    session: Session, specs: Sequence[ContrastSpec], pilot: Path | None
) -> dict[tuple[str, str], Pilot] | None:
    """Return what a pilot says, by contrast and measure; that of the study's own results where there are any."""
    folder = pilot if pilot is not None else session.folder / "results"
    if not (folder / ROWS).exists():
        if pilot is not None:
            raise StudyError(f"the pilot {pilot} holds no {ROWS}: name the results folder of a measured study")
        return None
    wanted = {(spec.name, spec.measure) for spec in specs}
    return {(each.facts.contrast, each.facts.measure): each for each in pilots(*read_results(folder), wanted)}


Alike = tuple[ContrastFacts, VarianceComponents, SampleSize]


@dataclass(frozen=True)
class _Planner:
    """Plans contrasts one by one. ``made``: those that differ in name alone are computed once."""

    session: Session
    earlier: dict[tuple[str, str], Pilot] | None
    asked: dict[str, AskedPrompts]
    work: Work | None
    power: float
    made: dict[Alike, Outlook] = field(default_factory=dict)

    def of(self, spec: ContrastSpec, num_tests: int, num_measures: int) -> Outlook:
        """Return the outlook of one contrast at the size that the study declares."""
        before = (self.earlier or {}).get((spec.name, spec.measure))
        facts = ContrastFacts(
            measure=spec.measure,
            contrast=spec.name,
            margin=spec.margin,
            no_margin=self._no_margin(spec),
            condition=spec.condition if before is None else before.facts.condition,
            split=spec.split if before is None else before.facts.split,
            num_tests=num_tests,
            num_measures=num_measures,
            unscored=0.0 if before is None else before.facts.unscored,
            unchecked=self._unchecked(spec) if before is None else before.facts.unchecked,
            is_corrected=before is not None and before.facts.is_corrected,
            largest=largest_of(spec.weights, is_share=self._is_share(spec.measure)),
        )
        found = self._components(spec, before)
        if isinstance(found, str):
            return unknown_outlook(facts, found)
        known, components = found
        size = self._size(spec, before)
        if size is None:
            return unknown_outlook(facts, NO_PROMPTS.format(measure=spec.measure))
        hours: Hours = (lambda size: None) if self.work is None else self.work.hours(size)
        alike = (replace(facts, contrast=""), components, size)
        if alike not in self.made:
            self.made[alike] = outlook(facts, components, size, known=known, power=self.power, hours=hours)
        return replace(self.made[alike], facts=facts)

    def _no_margin(self, spec: ContrastSpec) -> str | None:
        study = self.session.study
        ratio = study.ratio_margins.get(spec.measure) if spec.ratio_margin is None else spec.ratio_margin
        if spec.margin is not None or (ratio is None and study.default_margins is None):
            return None
        return DEFAULT_UNPLANNED if ratio is None else RATIO_UNPLANNED.format(ratio)

    def _unchecked(self, spec: ContrastSpec) -> float:
        """Return how far errors of a rule may move the estimate while no labels check them; none exist so far."""
        known, gap = self.asked.get(spec.measure), self.session.study.judge_error_gap
        if known is None or not known.by_rule:
            return 0.0
        return Gap(ASSUMED_GAP if gap is None else gap, None).reach(list(spec.weights.values()))

    def _is_share(self, measure: str) -> bool:
        info = next(each.info() for each in self.session.study.battery if each.id == measure)
        return info.unit in SHARE_UNITS and info.estimator == "mean"

    def _components(self, spec: ContrastSpec, before: Pilot | None) -> tuple[Known, VarianceComponents] | str:
        stated = self.session.study.components.get(spec.measure)
        if stated is not None:
            is_nested = spec.measure in self.asked and self.asked[spec.measure].is_nested
            plain = VarianceComponents(**stated.model_dump(), is_nested=is_nested)
            return "stated", plain.scaled(squares(spec.weights))
        if before is not None and before.components is not None:
            return "rows", before.components
        if before is not None and before.why is not None:
            return before.why
        return (NOT_STATED if self.earlier is None else NO_PILOT).format(measure=spec.measure)

    def _size(self, spec: ContrastSpec, before: Pilot | None) -> SampleSize | None:
        seeds, subseeds = planned_runs(self.session, spec)
        known = self.asked.get(spec.measure)
        if known is not None:
            return SampleSize(max(known.num, 2), seeds, subseeds)
        return None if before is None or before.size is None else SampleSize(before.size.prompts, seeds, subseeds)
