"""Measure checkpoints against others of their lineage: one job per checkpoint, cached under all weights' hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.fingerprint import fingerprint
from upbringing.battery.engine import Measured, local_model
from upbringing.battery.pairs.comparing import Compares, comparing
from upbringing.battery.pairs.engine import PAIRS_VERSION, Sides, measure_pair, measure_without
from upbringing.formats.items import Item
from upbringing.lab.building.executor import Event
from upbringing.lab.building.workshop import KEY_CHARACTERS, Prepared
from upbringing.lab.measurement.measure_jobs import job_of, measure_jobs
from upbringing.lab.measurement.measuring import MeasureJob, asked_items, write_measured
from upbringing.lab.measurement.references import Reference, references
from upbringing.lab.measurement.spelled import spelled_of, write_spelled_items
from upbringing.lab.session import Session
from upbringing.lab.storage.store import Store
from upbringing.models.local import LocalModel
from upbringing.training.publish import library_versions


@dataclass(frozen=True)
class Held:
    """One reference of a checkpoint. ``job``: where it lies and how it is read; ``None`` where there is none."""

    reference: Reference
    job: MeasureJob | None

    def identity(self) -> dict[str, str]:
        """Return what decides the rows: what the reference is called, and its hashes."""
        named = {"against": self.reference.against, "name": self.reference.name, "reason": self.reference.reason}
        return named if self.job is None else named | self.job.identity(self.job.checkpoint_folder())


@dataclass(frozen=True)
class PairJob:
    """Hold the checkpoint of ``measured`` against each of its references."""

    key: str
    label: str
    measured: MeasureJob
    held: tuple[Held, ...]
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> str:
        """Publish the rows and return their key."""
        job, store = self.measured, Store(self.measured.store)
        items = asked_items(job.study, job.book, job.root)
        key = self.measurement_key(items)

        def fill(target: Path) -> None:
            found = list(self._measured(store, items, report))
            conditions = {info.id: info for each in found for info in each.conditions}
            write_measured([row for each in found for row in each.rows], list(conditions.values()), target)
            write_spelled_items(self._spelled(items), target)

        store.publish("rows", key, fill)
        return key

    def measurement_key(self, items: Sequence[Item]) -> str:
        """Return the key: what is compared, how, and the hashes of both sides' weights, never a path."""
        job = self.measured
        value = {
            **job.identity(job.checkpoint_folder()),
            "checkpoint": job.checkpoint,
            "references": [each.identity() for each in self.held],
            "battery": [measure.model_dump(mode="json") for measure in comparing(job.study.battery)],
            "items": fingerprint([item.model_dump(mode="json") for item in items]),
            "precision": job.study.measure_precision,
            "attention": job.profile.masked_attention,
            "pairs": PAIRS_VERSION,
            "versions": library_versions(),
        }
        if job.profile.device != "cpu":  # older keys stay
            value["device"] = job.profile.device
        if spelled := self._spelled(items):
            value["spelled"] = spelled
        return fingerprint(value)[:KEY_CHARACTERS]

    def _spelled(self, items: Sequence[Item]) -> dict[str, dict[str, int]]:
        job = self.measured
        return spelled_of(comparing(job.study.battery), items, job.checkpoint_folder())

    def _measured(self, store: Store, items: Sequence[Item], report: Callable[[Event], None]) -> Iterator[Measured]:
        """Yield what each reference shows; two networks are in memory at a time."""
        import torch

        torch.set_num_threads(self.measured.profile.threads)
        own = _loaded(store, self.measured) if any(each.job is not None for each in self.held) else None
        for number, each in enumerate(self.held):
            battery = comparing(self.measured.study.battery, each.reference.against)
            name, checkpoint = each.reference.name, self.measured.checkpoint
            if own is None or each.job is None:
                reason = each.reference.reason
                yield measure_without(reason, name, checkpoint_id=checkpoint, battery=battery, items=items)
                continue

            def progress(done: int, total: int, before: int = number) -> None:
                report(Event(self.key, before * total + done, len(self.held) * total))

            sides = Sides(own, _loaded(store, each.job), name)
            yield measure_pair(sides, checkpoint_id=checkpoint, battery=battery, items=items, on_progress=progress)


def _loaded(store: Store, job: MeasureJob) -> LocalModel:
    job.require_whole(store)
    loaded = job.loaded(job.checkpoint_folder())
    return local_model(loaded, precision=job.study.measure_precision, hashed=False)


def pair_jobs(session: Session, prepared: Prepared) -> list[PairJob]:
    """Return one job per checkpoint and root run if the battery compares checkpoints, else none."""
    if not comparing(session.study.battery):
        return []
    jobs = {(job.checkpoint, job.root): job for job in measure_jobs(session, prepared)}
    wanted = {each.against for each in session.study.battery if isinstance(each, Compares)}
    found = []
    for (checkpoint, root), named in references(session.tree, prepared.keys).items():
        job = jobs[checkpoint, root]
        held = tuple(
            Held(each, None if each.node is None else job_of(job, session.tree.nodes[each.node], prepared))
            for each in named
            if each.against in wanted
        )
        found.append(
            PairJob(
                key=f"pair-{root}-{checkpoint}",
                label=f"{job.label}, against others",
                measured=job,
                held=held,
                after=tuple(dict.fromkeys((checkpoint, *(each.job.checkpoint for each in held if each.job)))),
            )
        )
    return found
