"""One pipeline as one piece of work: trained, measured and attributed in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from upbringing.base.errors import UpbringingError
from upbringing.lab import run as running
from upbringing.lab.building.executor import Event, Job, Outcome
from upbringing.lab.building.workshop import Workshop
from upbringing.lab.planted.naming import Attributed, attributed
from upbringing.lab.planted.pipelines import Pipeline, pipeline_study
from upbringing.lab.session import open_session


class OneProcess(Workshop):
    """A workshop whose jobs run here, one after another: a tiny stage takes less than a process needs to start."""

    def run(
        self, jobs: Sequence[Job], on_event: Callable[[Event], None], on_done: Callable[[Outcome], None]
    ) -> dict[str, Outcome]:
        """Run ``jobs``, which come with parents first. The first failure stops the rest."""
        outcomes = {}
        for job in jobs:
            try:
                outcomes[job.key] = Outcome(job.key, value=job.run(on_event))
            except UpbringingError as error:
                outcomes[job.key] = Outcome(job.key, error=error)
            on_done(outcomes[job.key])
            if outcomes[job.key].error is not None:
                break
        return outcomes


@dataclass(frozen=True)
class PipelineJob:
    """Train, measure and attribute ``pipeline`` with ``seeds`` whole runs of each arm."""

    key: str
    label: str
    store: Path
    pipeline: Pipeline
    seeds: int
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> Attributed:
        """Return what attribution says of the pipeline."""
        session = open_session(pipeline_study(self.pipeline, self.seeds), store=self.store)
        shop = session.workshop
        here = OneProcess(shop.store, shop.book, shop.profile, shop.slots, shop.checkpoints)
        results = running.measure(replace(session, workshop=here))
        return attributed(self.pipeline, self.seeds, running.attribute(results))
