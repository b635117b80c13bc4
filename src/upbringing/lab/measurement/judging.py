"""Judges behind endpoints: asked by the process that holds the keys, over the answers that the workers kept.

What a judge said of one checkpoint is published in the store under a hash of the answers, the items and the judge, and
only when every request ended in an outcome: what failed on the way is unscored in this run and asked again in the next.
Every reply is also kept by itself as soon as it is there, so a killed run never pays twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.base.errors import IntegrityError, MissingExtraError, StudyError
from upbringing.base.fingerprint import file_sha256, fingerprint
from upbringing.base.places import about
from upbringing.battery.cache import AnswerCache
from upbringing.battery.engine import BATTERY_VERSION
from upbringing.battery.judges.llm_judge import EndpointJudge, LlmJudge, is_final
from upbringing.battery.judges.world_oracle import WorldOracle
from upbringing.battery.rejudging import Given, judge_given
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.formats.answers import answers_of
from upbringing.formats.rows import rows_table, write_rows
from upbringing.formats.tree import JudgeInfo
from upbringing.lab.building.executor import Event
from upbringing.lab.building.workshop import KEY_CHARACTERS
from upbringing.lab.measurement.measuring import ANSWERS, ROWS, UNASKED, MeasureJob, asked_items, item_sets
from upbringing.lab.session import Session
from upbringing.models.budget import Budget
from upbringing.models.endpoint import Endpoint, EndpointModel
from upbringing.study.study import Study

ACCOUNTING, REASONS = "accounting.json", "reasons.json"
REPLIES_FOLDER = "judges"  # below the store's answers: replies of judges, shared by all studies
STATUSES = ("ok", "refused", "truncated", "malformed", "failed")


def endpoint_judges(study: Study) -> list[LlmJudge]:
    """Return the declared judges that are asked over a network."""
    return [each for each in study.judges if isinstance(each, LlmJudge)]


def check_judges(study: Study) -> None:
    """Raise what would stop an endpoint's judge later, before anything is trained for it.

    ``StudyError``: two judges with one name, a world's oracle without a world, a key that is not set, a cap in dollars
    without a price; ``UntrustedError``: an address that a key must not be sent to.
    """
    declared = endpoint_judges(study)
    if declared and find_spec("httpx") is None:
        raise MissingExtraError("a judge behind an endpoint needs httpx: pip install 'upbringing[api]'")
    of_worlds = any(isinstance(each, WorldOracle) for each in study.judges)
    if of_worlds and not any(isinstance(study.data.get(name), CausesWorld) for name in item_sets(study)):
        raise StudyError(
            "the judge 'world_oracle' needs a causes_world among the prompts: it knows the answers of no other data; "
            "remove it, or ask a world",
            ("judges", next(place for place, each in enumerate(study.judges) if isinstance(each, WorldOracle))),
        )
    names = []
    for place, judge in enumerate(study.judges):
        with about(("judges", place)):
            names.append(judge.build().id)
    for twice in sorted({name for name in names if names.count(name) > 1}):
        said = f"two judges have the name {twice!r}: their verdicts could not be told apart; remove one"
        raise StudyError(said, ("judges", len(names) - 1 - names[::-1].index(twice)))


@dataclass(frozen=True)
class Verdicts:
    """What one judge said of one checkpoint. ``key``: where it lies in the store, ``None`` if it is not whole."""

    measurement: str
    judge: str
    key: str | None
    rows: pa.Table
    reasons: dict[str, str]
    accounting: dict[str, int]


@dataclass(frozen=True)
class JudgeJob:
    """Ask one judge about one checkpoint's answers. It runs in the process that holds the keys, never in a worker."""

    session: Session
    judge: EndpointJudge
    measured: MeasureJob
    measurement: str
    after: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique among the jobs of a run."""
        return f"{self.measurement}-{fingerprint(self.judge.id)[:KEY_CHARACTERS]}"

    @property
    def label(self) -> str:
        """The judge and what it judges."""
        return f"{self.judge.id}: {self.measured.label}"

    def run(self, report: Callable[[Event], None]) -> Verdicts:
        """Return the verdicts, out of the store where they are whole."""
        store, study = self.session.store, self.session.study
        folder = store.whole("rows", self.measurement)
        if folder is None:
            raise IntegrityError(f"the measurement {self.measurement} vanished or was damaged: run again")
        items = asked_items(study, self.session.workshop.book, self.measured.root)
        key = self._store_key(folder, fingerprint([item.model_dump(mode="json") for item in items]))
        known = store.whole("rows", key)
        if known is not None:
            return self._read(known, key)
        given = _given(folder, self.measured.checkpoint)
        judge = replace(self.judge, accounting=Counter(), on_reply=self._counter(len(given.answers), report))
        found = judge_given(given, study.battery, items, judge)
        counted = {"requested": judge.accounting.total(), **{name: judge.accounting[name] for name in STATUSES}}
        verdicts = Verdicts(self.measurement, judge.id, None, rows_table(found.rows), dict(found.reasons), counted)
        if counted["failed"] or counted["malformed"]:
            return verdicts
        store.publish("rows", key, lambda target: _write(verdicts, target))
        return self._read(store.path("rows", key), key)

    def _store_key(self, folder: Path, items: str) -> str:
        endpoint = self.judge.description.endpoint
        value = {
            "answers": [file_sha256(folder / ANSWERS), file_sha256(folder / UNASKED)],
            "checkpoint": self.measured.checkpoint,
            "judge": [self.judge.id, endpoint.base_url.rstrip("/"), endpoint.model, endpoint.revision],
            "items": items,
            "battery": [each.model_dump(mode="json") for each in self.session.study.battery if each.judged],
            "version": BATTERY_VERSION,
        }
        return fingerprint(value)[:KEY_CHARACTERS]

    def _read(self, folder: Path, key: str) -> Verdicts:
        return Verdicts(
            self.measurement,
            self.judge.id,
            key,
            pq.read_table(folder / ROWS),
            json.loads((folder / REASONS).read_bytes()),
            json.loads((folder / ACCOUNTING).read_bytes()),
        )

    def _counter(self, total: int, report: Callable[[Event], None]) -> Callable[[], None]:
        done: Counter[str] = Counter()

        def count() -> None:
            done["replies"] += 1
            report(Event(self.key, done["replies"], total))

        return count


def _given(folder: Path, checkpoint: str) -> Given:
    unasked = {(item, condition): reason for item, condition, reason in json.loads((folder / UNASKED).read_bytes())}
    return Given(checkpoint, answers_of(pq.read_table(folder / ANSWERS)), unasked)


def _write(verdicts: Verdicts, target: Path) -> None:
    write_rows(verdicts.rows, target / ROWS)
    for name, value in ((REASONS, verdicts.reasons), (ACCOUNTING, verdicts.accounting)):
        (target / name).write_text(json.dumps(value, sort_keys=True), encoding="utf-8")


@dataclass(frozen=True)
class Judging:
    """What all judges behind endpoints said. ``infos``: their accounting, one entry per judge."""

    verdicts: tuple[Verdicts, ...]
    infos: tuple[JudgeInfo, ...]

    @property
    def keys(self) -> list[str]:
        """Keys of what lies in the store."""
        return sorted(each.key for each in self.verdicts if each.key is not None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a sentence per judge that was not heard on every answer, although it may be in another run."""
        missing = [(info, info.accounting["failed"] + info.accounting["malformed"]) for info in self.infos]
        return tuple(
            f"The judge {info.id} was not heard on {num} of {info.accounting['requested']} answers (its endpoint "
            "failed, or its cap was reached): they are unscored, and the same command asks for these alone."
            for info, num in missing
            if num
        )

    def reasons_of(self, measurement: str) -> dict[str, list[tuple[str, str]]]:
        """Return (judge, reason) pairs per response of one measurement."""
        found: dict[str, list[tuple[str, str]]] = {}
        for each in self.verdicts:
            for response, reason in each.reasons.items() if each.measurement == measurement else ():
                found.setdefault(response, []).append((each.judge, reason))
        return found


RunJobs = Callable[[str, Sequence[JudgeJob]], list[Verdicts]]


def judge_measurements(session: Session, measured: Sequence[tuple[str, MeasureJob]], run_jobs: RunJobs) -> Judging:
    """Return what every judge behind an endpoint says of every measurement (key, job), within each judge's cap.

    What was spent is counted per endpoint and model, over all checkpoints, judges and runs of the study in this store:
    another wording or length of the questions spends from the same cap. ``EndpointError``: the endpoint refuses
    the account or the request; what was answered before is kept.
    """
    asked: list[tuple[EndpointJudge, list[Verdicts]]] = []
    for description in endpoint_judges(session.study):
        with opened_judge(session, description) as judge:
            jobs = [JudgeJob(session, judge, job, key) for key, job in measured]
            asked.append((judge, run_jobs(f"judging: {description.endpoint.model}", jobs)))
    return Judging(
        tuple(each for _, found in asked for each in found),
        tuple(_info(judge, found, _budget(session, judge.description.endpoint)) for judge, found in asked),
    )


@contextmanager
def opened_judge(session: Session, description: LlmJudge) -> Iterator[EndpointJudge]:
    """Yield the judge with its replies and its spending kept in the study's store; one process asks it at a time."""
    endpoint = description.endpoint
    model = EndpointModel(endpoint, session.study.seed, budget=_budget(session, endpoint))
    with session.store.claim(f"judge-{fingerprint(dict(model.identity))[:KEY_CHARACTERS]}"):
        kept = AnswerCache.open(session.store.root / "answers" / REPLIES_FOLDER, model, is_final)
        yield EndpointJudge(description, model, kept)


def _budget(session: Session, endpoint: Endpoint) -> Budget:
    """Return what the study spent at an endpoint's model so far, whatever it asked there."""
    name = fingerprint([endpoint.base_url.rstrip("/"), endpoint.model])[:KEY_CHARACTERS]
    return Budget(endpoint.cap, endpoint.price, book=session.folder / f"spent-{name}.jsonl")


def _info(judge: EndpointJudge, found: Sequence[Verdicts], budget: Budget) -> JudgeInfo:
    total: Counter[str] = Counter()
    for each in found:
        total.update(each.accounting)
    return JudgeInfo(
        id=judge.id,
        kind=judge.judge_kind,
        accounting={name: total[name] for name in ("requested", *STATUSES)},
        calls=budget.num_calls,
        spent_usd=None if budget.price is None else round(budget.spent_usd, 6),
    )
