"""What results say of how their checkpoints were made: whoever reads a report may never have seen the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from upbringing.formats.record import Record
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.planning.confounds import confound_warnings
from upbringing.lab.planning.curriculum import planned_phases
from upbringing.lab.planning.reading import known_facts
from upbringing.lab.remembering import labels
from upbringing.lab.results import held_out_notes, reward_notes, spelled_notes
from upbringing.lab.session import Session
from upbringing.study.checks import design_warnings, seed_warnings


def warnings_of_making(session: Session, prepared: Prepared, records: Mapping[str, Record]) -> Iterator[str]:
    """Yield what is to be said of the design, of its confounds, of the stages and of the data that they read.

    How many seeds there are is left out: findings say what these decide, and a reader would read it twice.
    """
    streams = {
        run.key(): prepared.streams[run.stream.key][1]
        for each in session.tree.lineages
        for run in each.runs
        if run.stream
    }
    steps = {key: info.num_steps for key, info in streams.items()}
    supervised = {key: info.supervised_tokens for key, info in streams.items()}
    of_seeds = set(seed_warnings(session.study))
    of_design = design_warnings(session.study, session.tree, steps, supervised)
    yield from (each for each in of_design if each not in of_seeds)
    yield from confound_warnings(session, known_facts(session), planned_phases(session), read_data=True, is_shared=True)
    yield from held_out_notes(records, labels(session))
    yield from reward_notes(records, labels(session))
    yield from spelled_notes(session.store.path("data", key) for key, _ in prepared.streams.values())
