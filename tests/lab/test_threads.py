"""Measurements share processors that would idle, where a probe finds that faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upbringing.lab.building.executor import Job, Outcome
from upbringing.lab.measurement import threads
from upbringing.lab.measurement.measure_jobs import measure_jobs
from upbringing.lab.measurement.measuring import MeasureJob
from upbringing.lab.measurement.threads import ThreadProbe, fastest, with_threads
from upbringing.lab.run import Watch, build, measure
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.remembered import FOLDER

STUDY = """\
name: threads
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
prompts: [prompts]
battery: [{{kind: over_refusal, decoding: {{kind: greedy, max_tokens: 6}}}}]
judges: [refusal_rules]
device: cpu
"""


@pytest.fixture
def session(tmp_path: Path, tiny_folder: Path) -> Session:
    (tmp_path / "study.yaml").write_text(STUDY.format(folder=tiny_folder), encoding="utf-8")
    return open_session(tmp_path / "study.yaml", store=tmp_path / "store")


@pytest.fixture
def jobs(session: Session) -> list[MeasureJob]:
    return measure_jobs(session, build(session, Watch()).prepared)


@pytest.fixture
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight of them, and tiny models that are worth sharing."""
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 8)  # type: ignore[attr-defined]
    monkeypatch.setattr(threads, "WEIGHTS_WORTH_SHARING", 1)


class Probes:
    """Answers probes with fixed seconds, and remembers them."""

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self.seconds = seconds
        self.asked: list[Any] = []

    def __call__(self, found: Sequence[Job]) -> dict[str, Outcome]:
        self.asked += found
        return {job.key: Outcome(job.key, value=dict(self.seconds)) for job in found}


@pytest.mark.parametrize(
    ("seconds", "number"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4}, 4),
        ({1: 1.0, 2: 0.6, 4: 0.7}, 2),
        ({1: 1.0, 2: 9.0, 4: 9.0}, 1),
        ({1: 1.0, 2: 0.95, 4: 0.93}, 1),  # noise
    ],
)
def test_more_threads_must_be_faster_by_more_than_noise(seconds: dict[int, float], number: int) -> None:
    assert fastest(seconds) == number


@pytest.mark.usefixtures("one_process", "eight_processors")
def test_each_job_tries_what_it_could_have_at_once_and_the_store_remembers(
    session: Session, jobs: list[MeasureJob]
) -> None:
    probes = Probes({1: 1.0, 2: 0.6, 4: 0.4})
    assert [job.threads for job in with_threads(session, jobs, probes)] == [4, 4]
    assert len(probes.asked) == len(jobs) == 2  # side by side, as they will measure
    assert {probe.counts for probe in probes.asked} == {(1, 2, 4)}
    assert len(list((session.store.root / FOLDER).glob("threads-*.json"))) == 1
    again = Probes({1: 1.0, 2: 5.0, 4: 5.0, 8: 5.0})
    assert [job.threads for job in with_threads(session, jobs, again)] == [4, 4]
    assert not again.asked
    assert [job.threads for job in with_threads(session, jobs[:1], again)] == [1]  # one job: another question
    assert {probe.counts for probe in again.asked} == {(1, 4, 8)}


@pytest.mark.usefixtures("one_process", "eight_processors")
def test_nothing_is_tried_where_it_cannot_help(
    session: Session, jobs: list[MeasureJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = Probes({1: 1.0, 2: 0.1, 4: 0.1, 8: 0.1})
    as_many = [replace(jobs[0], key=f"copy-{number}") for number in range(5)]
    assert with_threads(session, as_many, probes) == as_many  # eight processors, five jobs
    shop = session.workshop
    there = replace(session, workshop=replace(shop, profile=shop.profile.model_copy(update={"device": "cuda"})))
    assert with_threads(there, jobs, probes) == jobs
    unbuilt = [replace(job, folder=None, checkpoint="nowhere") for job in jobs]
    assert with_threads(session, unbuilt, probes) == unbuilt
    monkeypatch.setattr(threads, "WEIGHTS_WORTH_SHARING", 20_000_000)
    assert with_threads(session, jobs, probes) == jobs
    assert with_threads(session, [], probes) == []
    assert not probes.asked


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.usefixtures("eight_processors")
def test_a_study_that_shares_processors_has_the_rows_of_one_that_does_not(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "fastest", lambda seconds: max(seconds))
    shared = pq.read_table(measure(session, Watch()) / "rows.parquet").to_pylist()
    monkeypatch.setattr(threads, "WEIGHTS_WORTH_SHARING", 20_000_000)
    other = measure(open_session(tmp_path / "study.yaml", store=tmp_path / "other"), Watch())
    alone = pq.read_table(other / "rows.parquet").to_pylist()
    assert (session.store.root / FOLDER).exists()
    assert shared == alone


@pytest.mark.model
def test_a_probe_times_every_number_of_threads(tiny_folder: Path) -> None:
    probe = ThreadProbe("x", tiny_folder / "base", "fp32", (1, 2))
    found = probe.run(lambda event: None)
    assert set(found) == {1, 2}
    assert all(0 < seconds < 60 for seconds in found.values())


@pytest.mark.usefixtures("one_process")
def test_only_bf16_tells_answers_of_several_threads_apart(session: Session, jobs: list[MeasureJob]) -> None:
    """In fp32 as many threads as one likes give the same answers, so what was measured stays known."""

    def key(job: MeasureJob, precision: str) -> str:
        study = session.study.model_copy(update={"measure_precision": precision})
        return replace(job, study=study).measurement_key(job.checkpoint_folder(), [], [])

    many = replace(jobs[0], threads=4)
    assert key(many, "fp32") == key(jobs[0], "fp32")
    assert key(many, "bf16") != key(jobs[0], "bf16")
