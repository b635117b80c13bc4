"""How fast this machine trains and measures a study's own models: probed once, then remembered in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from pydantic import ValidationError

from upbringing.base.errors import UpbringingError
from upbringing.base.fingerprint import file_sha256
from upbringing.battery.engine import BATTERY_VERSION
from upbringing.lab.building.executor import Job
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.planning.probe import MeasuringProbe, MeasuringSpeed, Subject, TrainingProbe, TrainingSpeed
from upbringing.lab.session import Session
from upbringing.lab.storage.remembered import keep, machine_facts, recall, remembered_key
from upbringing.models.weights import num_weights
from upbringing.study.lineage import Lineage
from upbringing.training.fresh import num_parameters
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

CALIBRATION_VERSION = 1  # raise it when the same probe would be timed differently
FIELDS_OF_SPEED = (
    "context",
    "batch_size",
    "accumulate",
    "weights",
)  # of a stage, beside what it reads; the others cost nothing
FIELDS_OF_RL_SPEED = ("group_size", "max_new_tokens", "algorithm", "beta")
READS = {"dpo": "preferences", "reward_model": "comparisons", "rl": "prompts"}  # all others: windows
Speed = TypeVar("Speed", TrainingSpeed, MeasuringSpeed)


@dataclass(frozen=True)
class Calibration:
    """Speeds by start key and shape of stage, and by start key. ``missing``: why some are not known, each once."""

    training: Mapping[tuple[str, str], TrainingSpeed] = field(default_factory=dict)
    measuring: Mapping[str, MeasuringSpeed] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether anything was timed."""
        return bool(self.training or self.measuring)


def shape_of(stage: TrainedStage) -> str:
    """Return the name of everything about a stage that decides how long one of its steps takes."""
    described = stage.model_dump(mode="json")
    kind = READS.get(described["kind"], "windows")
    fields = (*FIELDS_OF_SPEED, *FIELDS_OF_RL_SPEED) if kind == "prompts" else FIELDS_OF_SPEED
    return remembered_key(kind, [described[name] for name in fields])


def known_calibration(session: Session) -> Calibration:
    """Return the speeds that earlier plans found on this machine; runs nothing."""
    training = {}
    for (start, shape), (lineage, _) in _shapes(session).items():
        speed = _recalled(session, _key(session, lineage, shape), TrainingSpeed)
        if speed is not None:
            training[start, shape] = speed
    measuring = {}
    for start, lineage in _starts(session).items():
        found = _recalled(session, _key(session, lineage, battery_key(session)), MeasuringSpeed)
        if found is not None:
            measuring[start] = found
    return Calibration(training, measuring)


def calibrate(session: Session, tokenizers: Callable[[], Mapping[str, Path]]) -> Calibration:
    """Return all speeds, running in every slot at once those probes that are not remembered.

    ``tokenizers``: makes a folder per start key. What cannot be probed (a checkpoint that is not here, prompts that
    are not fetched) is left out, with the reason.
    """
    known = known_calibration(session)
    shapes = {place: each for place, each in _shapes(session).items() if place not in known.training}
    starts = {start: each for start, each in _starts(session).items() if start not in known.measuring}
    if not shapes and not starts:
        return known
    folders = tokenizers()
    missing = [
        f"{each.arm.start.checkpoint} is not here"
        for start, each in starts.items()
        if start not in folders and not isinstance(each.arm.start, FreshStart)
    ]
    jobs: dict[str, Job] = {}
    for (start, shape), (lineage, stage) in shapes.items():
        if start in folders:
            subject = subject_of(session, lineage, folders[start])
            key = _key(session, lineage, shape)
            jobs[key] = TrainingProbe(key, "training", subject, stage, session.workshop.profile)
    for start, lineage in starts.items():
        if start in folders and session.study.battery:
            key = _key(session, lineage, battery_key(session))
            jobs[key] = _measuring_probe(session, key, subject_of(session, lineage, folders[start]))
    missing += _run(session, jobs)
    found = known_calibration(session)
    return Calibration(found.training, found.measuring, tuple(dict.fromkeys(missing)))


def _run(session: Session, jobs: Mapping[str, Job]) -> list[str]:
    """Run each probe in every slot at once, remember the means, and return why some failed."""
    copies = [
        replace(job, key=f"{key}-{number}")  # type: ignore[type-var]
        for key, job in jobs.items()
        for number in range(session.workshop.slots)
    ]
    outcomes = session.workshop.run(copies, _ignore, _ignore) if copies else {}
    problems = []
    for key in jobs:
        results = [outcomes[f"{key}-{number}"] for number in range(session.workshop.slots)]
        failed = next((each.error for each in results if each.error is not None), None)
        if failed is not None:
            problems.append(str(failed))
        else:
            keep(session.store, key, _mean([each.value for each in results]))
    return problems


def _mean(speeds: Sequence[TrainingSpeed | MeasuringSpeed]) -> dict[str, float]:
    """Return the mean of each field; of ``startup`` the largest, because only a process's first probe pays it."""
    plain = [each.model_dump() for each in speeds]
    means = {name: fmean(each[name] for each in plain) for name in plain[0]}
    startup = max(each["startup"] for each in plain)
    return {name: round(value) if name.startswith("num_") else value for name, value in means.items()} | {
        "startup": startup
    }


def subject_of(session: Session, lineage: Lineage, tokenizer: Path) -> Subject:
    """Return the model to probe for a lineage."""
    start = lineage.arm.start
    if isinstance(start, FreshStart):
        return Subject(start, None, tokenizer, num_parameters(start, start.tokenizer.vocabulary))
    folder = session.workshop.checkpoints.needed(start.checkpoint)
    return Subject(None, folder, folder, num_weights(folder))


def _measuring_probe(session: Session, key: str, subject: Subject) -> MeasuringProbe:
    workshop = session.workshop
    return MeasuringProbe(key, "measuring", session.store.root, session.study, workshop.book, subject, workshop.profile)


def _shapes(session: Session) -> dict[tuple[str, str], tuple[Lineage, TrainedStage]]:
    return {
        (lineage.start_key, shape_of(run.stage)): (lineage, run.stage)
        for lineage in reversed(session.tree.lineages)
        for run in lineage.runs
        if isinstance(run.stage, TrainedStage)
    }


def _starts(session: Session) -> dict[str, Lineage]:
    """Return the starts, of those that differ in nothing but their seed only the first."""
    return {lineage.start_key: lineage for lineage in reversed(session.tree.lineages)}


def battery_key(session: Session) -> str:
    """Return the name of everything that is asked and judged, and of how."""
    study, book = session.study, session.workshop.book
    try:
        items = [book.key(name, 0) for name in item_sets(study)]
    except UpbringingError:
        items = []
    battery = [each.model_dump(mode="json") for each in study.battery]
    judges = [each.model_dump(mode="json") for each in study.judges]
    return remembered_key("battery", [BATTERY_VERSION, battery, items, judges, study.measure_precision])


def _key(session: Session, lineage: Lineage, what: str) -> str:
    """Return the name of a speed: machine, profile, size of the model and what is timed decide it, no seed does."""
    start = lineage.arm.start
    workshop = session.workshop
    model: object
    if isinstance(start, FreshStart):
        model = [start.model_dump(mode="json", exclude={"tokenizer"}), start.tokenizer.vocabulary]
    else:
        folder = workshop.checkpoints.find(start.checkpoint)
        model = None if folder is None else [num_weights(folder), file_sha256(folder / "config.json")]
    profile = workshop.profile.model_dump(mode="json")
    return remembered_key("speed", [CALIBRATION_VERSION, machine_facts(), workshop.slots, profile, model, what])


def _recalled(session: Session, key: str, kind: type[Speed]) -> Speed | None:
    try:
        return kind.model_validate(recall(session.store, key))
    except ValidationError:
        return None


def _ignore(_: object) -> None:
    """Nothing is shown."""
