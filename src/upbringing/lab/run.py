"""From a declared study to its report: build, measure, attribute, report. Each step is a function of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.files import folder_stamp, write_bytes_atomic, write_json_atomic
from upbringing.formats.answers import copy_answers
from upbringing.formats.findings import Findings
from upbringing.formats.items import Item
from upbringing.formats.record import Record
from upbringing.formats.rows import write_rows
from upbringing.formats.tree import Tree
from upbringing.lab.building.build import node_jobs, prepare
from upbringing.lab.building.executor import Event, Job, Outcome, failures
from upbringing.lab.building.own_answers import answers_jobs
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.making import warnings_of_making
from upbringing.lab.measurement.control_warnings import control_warnings
from upbringing.lab.measurement.eligibility import eligible_items
from upbringing.lab.measurement.engine_agreement import check_engine, compare_computation
from upbringing.lab.measurement.gating import world_gates
from upbringing.lab.measurement.judging import JudgeJob, Judging, RunJobs, Verdicts, check_judges, judge_measurements
from upbringing.lab.measurement.known_conditions import require_conditions
from upbringing.lab.measurement.measure_jobs import measure_jobs, with_weights
from upbringing.lab.measurement.measuring import asked_items, gathered
from upbringing.lab.measurement.pairing import pair_jobs
from upbringing.lab.measurement.records import checkpoint_record
from upbringing.lab.measurement.searched import gather_searched
from upbringing.lab.measurement.spelled import spelled_item_notes
from upbringing.lab.measurement.threads import with_threads
from upbringing.lab.measurement.unfitting import idle_notes, unfitting_notes
from upbringing.lab.planning.calibration import battery_key
from upbringing.lab.planning.space import require_space
from upbringing.lab.registering import register
from upbringing.lab.remembering import alias_key, labels, remember
from upbringing.lab.results import results_tree
from upbringing.lab.session import Session, names_places, pin_checkpoints
from upbringing.lab.storage.contents import write_references
from upbringing.lab.storage.store import Room
from upbringing.lab.turns import notes_turn, only_run, results_turn
from upbringing.reporting.build import write_report
from upbringing.study.contrasts import contrasts

MEASURED_NAME = "measured.json"


class Watch:
    """Where a run shows its progress; the default shows nothing."""

    def start(self, title: str, jobs: Sequence[Job]) -> None:
        """A batch of jobs begins."""

    def event(self, event: Event) -> None:
        """A job gave a sign of life."""

    def done(self, outcome: Outcome) -> None:
        """A job ended."""

    def stop(self) -> None:
        """The batch ended."""


QUIET = Watch()


@dataclass(frozen=True)
class Built:
    """A tree whose checkpoints are made."""

    prepared: Prepared
    num_built: int


@names_places
def build(session: Session, watch: Watch = QUIET) -> Built:
    """Make every missing node of the study's tree; raises the first failure after all else was tried."""
    check_engine(session.study)
    with notes_turn(session):
        pin_checkpoints(session)
    prepared = _prepare(session, watch)
    with notes_turn(session):
        write_references(session.folder, needed_by(session, prepared), in_part=bool(session.left_out))
    jobs = [
        job for job in node_jobs(session.workshop, session.tree, prepared, labels(session)) if not _done(session, job)
    ]
    require_space(session, [job.key for job in jobs], prepared)
    _run(session, "training", jobs, watch)
    with notes_turn(session):
        remember(session, prepared)
    return Built(prepared, len(jobs))


def needed_by(session: Session, prepared: Prepared) -> dict[Room, list[str]]:
    """Return the keys of all checkpoints, states and data of a prepared tree, by room."""
    built = {key for node, key in prepared.keys.items() if node not in prepared.folders}
    states = {prepared.keys[node] for node, each in session.tree.nodes.items() if each.needs_state}
    data = {key for key, _ in prepared.streams.values()} | {
        folder.name for folder in prepared.tokenizers.values() if folder.parent == session.store.root / "data"
    }
    data |= {job.key for job in answers_jobs(session.store.root, session.workshop.book, session.workshop.profile)}
    fetched = {folder.name for folder in prepared.folders.values() if folder.parent == session.store.root / "existing"}
    return {"checkpoints": sorted(built), "states": sorted(states), "data": sorted(data), "existing": sorted(fetched)}


def _prepare(session: Session, watch: Watch) -> Prepared:
    workshop = session.workshop
    watch.start("data", answers_jobs(workshop.store.root, workshop.book, workshop.profile))  # only these take long
    try:
        return prepare(workshop, session.tree, watch.event, watch.done)
    finally:
        watch.stop()


def _done(session: Session, job: Job) -> bool:
    done = getattr(job, "is_done", None)
    return bool(done(session.store)) if done is not None else session.store.whole("checkpoints", job.key) is not None


def _run(session: Session, title: str, jobs: Sequence[Job], watch: Watch) -> dict[str, Outcome]:
    if not jobs:
        return {}
    watch.start(title, jobs)
    try:
        outcomes = session.workshop.run(jobs, watch.event, watch.done)
    finally:
        watch.stop()
    failed = failures(outcomes)
    if failed and failed[0].error is not None:
        raise failed[0].error
    return outcomes


@names_places
def measure(session: Session, watch: Watch = QUIET, built: Built | None = None) -> Path:
    """Measure every cell and write ``rows.parquet``, ``tree.json``, answers and records; return the folder.

    What must be fixed beforehand is hashed before the first row (``lab.registering``). Raises ``HeldError`` while
    another process measures the same study in this store.
    """
    check_judges(session.study)
    _require_items(session)
    with only_run(session):
        return _measured(session, watch, (built or build(session, watch)).prepared)


def _measured(session: Session, watch: Watch, prepared: Prepared) -> Path:
    items = _all_items(session)  # before anything is registered or asked: they may contradict each other
    registered = register(session, _known_checkpoints(session, prepared))
    jobs = with_threads(
        session, measure_jobs(session, prepared), lambda found: _run(session, "trying threads", found, watch)
    )
    compared = compare_computation(
        session.study, with_weights(jobs), session.folder, lambda found: _run(session, "comparing", found, watch)
    )
    outcomes = _run(session, "measuring", [*jobs, *(pairs := pair_jobs(session, prepared))], watch)
    measured = {str(outcomes[job.key].value): job for job in jobs}
    keys = sorted({*measured, *(str(outcomes[job.key].value) for job in pairs)})
    judging = judge_measurements(session, sorted(measured.items()), _asking(watch))
    with notes_turn(session):
        write_references(session.folder, {"rows": [*keys, *judging.keys]}, in_part=bool(session.left_out))
    rows, answers, conditions = gathered(session.store, keys, [each.rows for each in judging.verdicts])
    asked = eligible_items(session, prepared, rows, items)
    records = {node: checkpoint_record(session, prepared, node) for node in session.tree.nodes}
    tree = results_tree(
        session.study,
        session.tree,
        records,
        contrasts=contrasts(session.study, session.whole),
        left_out=session.left_out,
        registered=registered,
        items=asked.items,
        measures=[each.info() for each in session.study.battery],
        conditions=conditions,
        gates=world_gates(session, prepared, rows, asked.items),
        warnings=(
            *warnings_of_making(session, prepared, records),
            *spelled_item_notes([session.store.path("rows", key) for key in keys]),
            *unfitting_notes(
                rows, {prepared.keys[node]: name for node, name in labels(session).items() if node in prepared.keys}
            ),
            *idle_notes(session.study.battery, items),
            *judging.warnings,
            *asked.warnings,
            *control_warnings(session),
            *compared.warnings,
        ),
    ).model_copy(update={"judges": judging.infos, "flip_rate": compared.flip_rate})
    results = session.results
    with results_turn(results):
        write_rows(rows, results / "rows.parquet")
        _replace_answers(results / "answers", answers, judging)
        _write_tree(results, tree, records)
        _remember_measured(session, prepared)
    return results


def _remember_measured(session: Session, prepared: Prepared) -> None:
    """Note which nodes were measured, and what lay in the folders of those that are existing checkpoints."""
    nodes = sorted({cell.node for cell in session.tree.cells})
    given = {
        node: {"key": prepared.keys[node], "stamp": folder_stamp(prepared.folders[node])}
        for node in nodes
        if node in prepared.folders
    }
    content = {"battery": battery_key(session), "nodes": nodes, "given": given}
    write_json_atomic(session.folder / MEASURED_NAME, content)


def _write_tree(results: Path, tree: Tree, records: Mapping[str, Record]) -> None:
    folder = results / "records"
    folder.mkdir(exist_ok=True)
    for record in {record.id: record for record in records.values()}.values():
        write_bytes_atomic(folder / f"{record.id}.json", record.model_dump_json(indent=1).encode("utf-8"))
    write_bytes_atomic(results / "tree.json", tree.model_dump_json(indent=1).encode("utf-8"))


def _known_checkpoints(session: Session, prepared: Prepared) -> set[str]:
    """Return the keys of the study's checkpoints: those prepared now, and those of left-out arms built before."""
    before = (session.store.resolve(alias_key(session, node)) for node in session.whole.nodes)
    return {*prepared.keys.values(), *(key for key in before if key is not None)}


def _require_items(session: Session) -> None:
    """Raise, before anything is trained, for prompts that are not here, nothing to ask, and no such condition."""
    items = asked_items(session.study, session.workshop.book, session.tree.lineages[0].replicate.root)
    require_conditions(session.study, items)


def _all_items(session: Session) -> list[Item]:
    roots = sorted({lineage.replicate.root for lineage in session.tree.lineages})
    found = {item.id: item for root in roots for item in asked_items(session.study, session.workshop.book, root)}
    return list(found.values())


def _replace_answers(folder: Path, files: Sequence[Path], judging: Judging) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for source in files:
        measurement = source.parent.name
        copy_answers(source, folder / f"{measurement}.parquet", judging.reasons_of(measurement))
    gather_searched([source.parent for source in files], folder)


def _asking(watch: Watch) -> RunJobs:
    """Return what asks judges one checkpoint after the other, in this process, which holds the keys."""

    def run_jobs(title: str, jobs: Sequence[JudgeJob]) -> list[Verdicts]:
        found = []
        watch.start(title, jobs)
        try:
            for job in jobs:
                found.append(job.run(watch.event))
                watch.done(Outcome(job.key))
        finally:
            watch.stop()
        return found

    return run_jobs


def attribute(results: Path | str) -> Findings:
    """Turn ``rows.parquet`` and ``tree.json`` of a folder into ``findings.json``; needs no torch."""
    from upbringing.attribution.attribute import attribute_folder  # scipy, which planning does not need

    folder = Path(results)
    with results_turn(folder):
        findings = attribute_folder(folder)
        write_bytes_atomic(folder / "findings.json", findings.model_dump_json(indent=1).encode("utf-8"))
    return findings


def report(results: Path | str, output: Path | str | None = None, *, shareable: bool = False) -> Path:
    """Write the HTML report of a results folder and return its path."""
    folder = Path(results)
    with results_turn(folder):
        return write_report(folder, Path(output or folder / "report.html"), shareable=shareable)


@names_places
def run(
    session: Session, watch: Watch = QUIET, after_build: Callable[[Built], None] = lambda built: None
) -> tuple[Findings, Path]:
    """Build, measure, attribute and report; return the findings and the path of the report.

    Raises ``HeldError`` while another process runs the same study in this store.
    """
    check_judges(session.study)
    _require_items(session)
    with only_run(session):
        built = build(session, watch)
        after_build(built)
        results = _measured(session, watch, built.prepared)
        findings = attribute(results)
        return findings, report(results)
