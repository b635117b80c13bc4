"""Jobs of a tree on a Ray cluster: the same jobs, order and outcomes as in processes of one machine.

The store is the only thing that machines share: a folder that all of them see under one path, on a file system whose
locks hold between machines. A job whose worker or machine is lost is started again elsewhere and resumes from its last
whole state, as after a kill.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from upbringing.base.devices import NONE, VISIBLE
from upbringing.base.errors import InterruptedRunError, MissingExtraError, StudyError, TrainingError, UpbringingError
from upbringing.base.surroundings import FORCED_ENVIRONMENT, forget_surroundings, poor_surroundings
from upbringing.formats.record import BuildProfile
from upbringing.lab.building.executor import (
    Event,
    Events,
    Job,
    Outcome,
    listening,
    schedule,
)
from upbringing.lab.building.workshop import Workshop
from upbringing.lab.session import Session
from upbringing.training.publish import library_versions

LOCAL = "local"
RESTARTS = 3  # of a job whose worker is lost; an error that a job raises is final
MISSING = "a Ray cluster needs the package ray: pip install 'upbringing[ray]'"


@dataclass(frozen=True)
class RayWorkshop(Workshop):
    """A workshop whose jobs run on the cluster that this process is connected to; ``slots`` counts all of it."""

    @property
    def is_here(self) -> bool:
        """A cluster's jobs may run anywhere."""
        return False

    def run(
        self, jobs: Sequence[Job], on_event: Callable[[Event], None], on_done: Callable[[Outcome], None]
    ) -> dict[str, Outcome]:
        """Run jobs on the cluster, as ``run_jobs`` does here."""
        from ray.util.queue import Queue

        if not jobs:
            return {}
        threads = self.profile.threads
        events: Events = Queue(actor_options={"num_cpus": 0})
        with _meeting(self.store.root) as meeting, listening(events, on_event):
            place = _Place(meeting, library_versions(), threads)
            with _submitting(events, place, _wants(self.profile)) as submit:
                return schedule(jobs, self.slots, submit, on_done)


@dataclass(frozen=True)
class _Place:
    """What a worker checks before it works: the store is this one, and the libraries are of the same versions."""

    meeting: Path
    versions: dict[str, str]
    threads: int

    def require(self) -> None:
        """Raise ``StudyError`` where this machine cannot do the work of the one that asks."""
        host = socket.gethostname()
        if not self.meeting.is_file():
            raise StudyError(
                f"{host} does not see the store {self.meeting.parent.parent}: put it where every machine of the "
                "cluster finds it under this path"
            )
        found = library_versions()
        if found != self.versions:
            differing = sorted({name for name, _ in found.items() ^ self.versions.items()})
            raise TrainingError(
                f"{host} has other versions of {', '.join(differing)} than the machine that asks: install the same "
                "on all machines, or their nodes cannot be compared"
            )


@dataclass(frozen=True)
class _Resources:
    """What a job needs of a cluster, or a cluster has."""

    processors: int
    accelerators: int


def _wants(profile: BuildProfile) -> _Resources:
    """Return what a job needs."""
    return _Resources(profile.threads * profile.world_size, 0 if profile.device == "cpu" else profile.world_size)


def on_ray(session: Session, address: str) -> Session:
    """Return a session whose jobs run on the Ray cluster at ``address``, as many at once as it has processors (and
    accelerators, where the study computes on them) for.

    ``address``: ``local`` (started now, ends with this process), ``auto``, or ``host:port``. Judges behind endpoints
    are asked from here, where the keys are. Raises ``MissingExtraError`` without the extra ``ray``, and ``StudyError``
    for a cluster that cannot be reached or is too small.
    """
    shop = session.workshop
    wants, has = _wants(shop.profile), _connect(address)
    slots = has.processors // wants.processors
    if slots < 1:
        raise StudyError(f"a job needs {wants.processors} processors, the Ray cluster {address} has fewer")
    if wants.accelerators:
        slots = min(slots, has.accelerators // wants.accelerators)
    if slots < 1:
        raise StudyError(
            f"a job needs {wants.accelerators} accelerators, the Ray cluster {address} has {has.accelerators}: set "
            "device: cpu, in a study of another name if nodes are built already"
        )
    parts = {each.name: getattr(shop, each.name) for each in fields(Workshop)}
    return replace(session, workshop=RayWorkshop(**{**parts, "slots": slots}))


def _connect(address: str) -> _Resources:
    """Connect this process once to a cluster, without telemetry, and return what all of it has."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # who asks for no accelerator is shown none by us
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(MISSING) from error
    started = {"num_cpus": os.cpu_count(), "include_dashboard": False} if address == LOCAL else {}
    try:
        with poor_surroundings(prefixes=("RAY_",)):  # a cluster that this starts must hand no key to its workers
            ray.init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="warning", **started)
    except Exception as error:  # ray raises bare ones, too
        raise StudyError(f"no Ray cluster answers at {address!r} ({error}): give local, auto or host:port") from error
    resources = ray.cluster_resources()
    return _Resources(int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


@contextmanager
def _meeting(store: Path) -> Iterator[Path]:
    """Put an empty file into the store by which workers know that they see the same one."""
    path = store / "locks" / f"ray-{uuid.uuid4().hex}"
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _submitting(events: Events, place: _Place, wants: _Resources) -> Iterator[Callable[[Job], Future[Any]]]:
    """Yield what submits a job to the cluster; whatever still runs when it ends is stopped."""
    import ray

    surroundings = {**FORCED_ENVIRONMENT, "OMP_NUM_THREADS": str(place.threads)}
    if not wants.accelerators:
        surroundings[VISIBLE] = NONE
    work = ray.remote(_work).options(
        num_cpus=wants.processors,
        num_gpus=wants.accelerators,
        max_retries=RESTARTS,
        retry_exceptions=False,
        runtime_env={"env_vars": surroundings},
    )
    given = ray.put(place)
    open_ones: set[Any] = set()

    def submit(job: Job) -> Future[Any]:
        reference = work.remote(job, events, given)
        open_ones.add(reference)
        future = _translated(reference)
        future.add_done_callback(lambda _: open_ones.discard(reference))
        return future

    try:
        yield submit
    finally:
        for reference in list(open_ones):
            ray.cancel(reference, force=True)


def _translated(reference: Any) -> Future[Any]:
    """Return the future of a task, whose errors are those of the job itself."""
    import ray

    future: Future[Any] = Future()

    def done(found: Future[Any]) -> None:
        error = found.exception()
        if error is None:
            future.set_result(found.result())
        elif isinstance(error, ray.exceptions.RayTaskError):
            cause = error.cause
            future.set_exception(cause if isinstance(cause, UpbringingError) else error)
        else:
            future.set_exception(
                InterruptedRunError(
                    f"the cluster did not finish a job ({type(error).__name__}; a lost worker was replaced {RESTARTS} "
                    "times): run the same command again to resume"
                )
            )

    reference.future().add_done_callback(done)
    return future


def _work(job: Job, events: Events, place: _Place) -> Any:
    """Do a job on a machine of the cluster."""
    forget_surroundings(place.threads)
    place.require()
    return job.run(events.put)
