"""The verbs of the command line as functions: a study in, what was made out; nothing is printed.

They work in child processes, so a script that calls them needs its ``if __name__ == "__main__"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from upbringing.attribution.statistics.inference import POWER
from upbringing.base.errors import StudyError
from upbringing.formats.findings import Findings
from upbringing.lab import run as running
from upbringing.lab.demo import DEMO
from upbringing.lab.planning import plan as planning
from upbringing.lab.planning.planned import Plan, PowerReport
from upbringing.lab.planning.power import planned_power, results_power
from upbringing.lab.planning.totals import SUSTAINED_FLOPS
from upbringing.lab.run import QUIET, Built, Watch
from upbringing.lab.session import DEFAULT_STORE, Session, open_session
from upbringing.lab.trace import first_look_study, trace_study
from upbringing.study.study import Study

AnyStudy = Session | Study | Path | str  # opened, as a value, or as the path of its file


def plan(
    study: AnyStudy,
    *,
    store: Path | str = DEFAULT_STORE,
    read_data: bool = False,
    calibrate: bool = False,
    sustained_flops: float = SUSTAINED_FLOPS,
) -> Plan:
    """Return what is done, missing or stale and why, what it costs and what a claim will lack; trains nothing.

    ``read_data`` and ``calibrate``: as in ``lab.plan``. A session says which arms and how many seeds.
    """
    session = _opened(study, store, reads_only=True)
    return planning.plan(session, read_data=read_data, calibrate=calibrate, sustained_flops=sustained_flops)


def power(
    source: AnyStudy,
    *,
    store: Path | str = DEFAULT_STORE,
    overrides: tuple[str, ...] = (),
    pilot: Path | str | None = None,
    power: float = POWER,
) -> PowerReport:
    """Return what the primary contrasts of a study or of a folder of results can decide, and what would decide them.

    ``source``: a study, or a folder with ``rows.parquet``; only a study knows hours. ``pilot``: another folder of
    results whose noise stands for that of the study. ``power``: the probability wanted, 0.8 by default.
    """
    folder = None if isinstance(source, Session | Study) else Path(source)
    if folder is None or not folder.is_dir():
        session = _opened(source, store, overrides, reads_only=True)
        return planned_power(
            session, planning.priced_plan(session), pilot=None if pilot is None else Path(pilot), power=power
        )
    if pilot is not None or overrides:
        raise StudyError(f"{folder} is a folder of results: a pilot and overrides belong to a study file")
    return results_power(folder, power=power)


def build(
    study: AnyStudy,
    *,
    store: Path | str = DEFAULT_STORE,
    overrides: tuple[str, ...] = (),
    seeds: int | None = None,
    only: tuple[str, ...] = (),
    watch: Watch = QUIET,
) -> Built:
    """Train every checkpoint of the study that is missing. The words before ``watch`` are those of a session."""
    return running.build(_opened(study, store, overrides, seeds, only), watch)


def measure(
    study: AnyStudy,
    *,
    store: Path | str = DEFAULT_STORE,
    overrides: tuple[str, ...] = (),
    seeds: int | None = None,
    only: tuple[str, ...] = (),
    watch: Watch = QUIET,
) -> Path:
    """Measure every checkpoint of the study, building what is missing; return the folder of the results."""
    return running.measure(_opened(study, store, overrides, seeds, only), watch)


def run(
    study: AnyStudy,
    *,
    store: Path | str = DEFAULT_STORE,
    overrides: tuple[str, ...] = (),
    seeds: int | None = None,
    only: tuple[str, ...] = (),
    watch: Watch = QUIET,
) -> tuple[Findings, Path]:
    """Build, measure, attribute and report; return the findings and the path of the report."""
    return running.run(_opened(study, store, overrides, seeds, only), watch)


def trace(
    checkpoints: Mapping[str, str],
    prompts: Path | str | None = None,
    *,
    store: Path | str = DEFAULT_STORE,
    watch: Watch = QUIET,
) -> tuple[Findings, Path]:
    """Compare existing checkpoints (stage to folder or hub id, in training order) on ``prompts``; trains nothing.

    ``prompts`` ``None``: the shipped prompt sets. Returns the findings and the path of the report.
    """
    return running.run(
        open_session(trace_study(checkpoints, None if prompts is None else Path(prompts)), store=store), watch
    )


def first_look(
    checkpoints: Mapping[str, str],
    prompts: Path | None = None,
    *,
    store: Path | str = DEFAULT_STORE,
    watch: Watch = QUIET,
) -> Findings | None:
    """Return what a trace finds on its first few prompts; ``None`` where there are few anyway."""
    study = first_look_study(checkpoints, prompts)
    return None if study is None else running.run(open_session(study, store=store), watch)[0]


def demo(*, store: Path | str = DEFAULT_STORE, seeds: int | None = None, watch: Watch = QUIET) -> tuple[Findings, Path]:
    """Run the built-in study on the controlled world; return the findings and the path of the report."""
    return running.run(open_session(DEMO, store=store, seeds=seeds), watch)


def _opened(
    study: AnyStudy,
    store: Path | str,
    overrides: tuple[str, ...] = (),
    seeds: int | None = None,
    only: tuple[str, ...] = (),
    *,
    reads_only: bool = False,
) -> Session:
    """Return the study opened; raises ``StudyError`` where an open one is to be opened differently."""
    if not isinstance(study, Session):
        value = Path(study) if isinstance(study, str) else study
        return open_session(value, store=store, overrides=overrides, seeds=seeds, only=only, reads_only=reads_only)
    if overrides or only or seeds is not None or store != DEFAULT_STORE:
        raise StudyError("the session is open already: give store, overrides, seeds and only to open_session")
    return study
