"""What ends a run whose worker was killed at the worst moment, and what may be shown of why a job failed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from upbringing.base import devices
from upbringing.base.devices import VISIBLE
from upbringing.base.errors import DataError, TrainingError, UpbringingWarning
from upbringing.formats.record import BuildProfile
from upbringing.lab.building import executor
from upbringing.lab.building.build import stream_jobs, tokenizer_folders
from upbringing.lab.building.executor import Event, Heard, Job, Outcome, listening, run_jobs, schedule
from upbringing.lab.building.progress import ProgressBoard
from upbringing.lab.building.workshop import Workshop
from upbringing.lab.remembering import labels
from upbringing.lab.session import open_session, slots
from upbringing.lab.storage.checkpoints import Checkpoints
from upbringing.lab.storage.store import Store
from upbringing.study.recipes import DataBook


class Locked:
    """A queue whose lock a killed worker took along."""

    def get(self) -> Event | None:
        threading.Event().wait()
        return None

    def put(self, event: Event | None, /) -> None:
        threading.Event().wait()


def test_a_run_ends_where_the_queue_never_comes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "SECONDS_FOR_LAST_EVENTS", 0.2)
    ended = threading.Event()

    def run() -> None:
        with listening(Locked(), lambda event: None):
            pass
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert ended.wait(5.0)


def test_events_are_all_heard_before_a_run_ends() -> None:
    import queue

    heard: list[Event] = []
    events: queue.SimpleQueue[Heard] = queue.SimpleQueue()

    def slowly(event: Event) -> None:
        time.sleep(0.01)
        heard.append(event)

    with listening(events, slowly):
        for number in range(20):
            events.put(Event("job", number, 20))
    assert [event.done for event in heard] == list(range(20))


def test_a_display_that_fails_blocks_no_worker_and_is_raised_in_the_end() -> None:
    import queue

    events: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    heard: list[Event] = []

    def broken(event: Event) -> None:
        heard.append(event)
        raise OSError("the terminal is gone")

    for number in range(5):
        events.put(Event("job", number, 5))
    with pytest.raises(OSError, match="the terminal is gone"), listening(events, broken):
        pass
    assert len(heard) == 1
    assert events.empty()


@dataclass(frozen=True)
class Failing:
    """A job that fails as it is told to."""

    key: str
    label: str
    error: Exception | None
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> str:
        if self.error is not None:
            raise self.error
        return "done"


@dataclass(frozen=True)
class Patient:
    """A job that keeps what it has when it is asked politely, and otherwise never ends."""

    key: str
    label: str
    kept: Path
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> str:
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        report(Event(self.key, 0, 1))
        self.kept.write_text("kept" if asked.wait(20) else "never asked", encoding="utf-8")
        return "done"


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """A shell that starts a suite in the background lets it ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_whoever_stops_the_run_stops_its_workers_politely(tmp_path: Path) -> None:
    jobs = [Patient(each, each, tmp_path / each) for each in ("a", "b")]
    heard: set[str] = set()

    def stop(event: Event) -> None:
        heard.add(event.job)
        if heard == {"a", "b"}:
            os.kill(os.getpid(), signal.SIGINT)  # to the process: its main thread waits for jobs

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, slots=2, threads=1, on_event=stop)
    assert [(tmp_path / each).read_text(encoding="utf-8") for each in ("a", "b")] == ["kept", "kept"]


@dataclass(frozen=True)
class Seeing:
    """A job that says which accelerators its process sees, once all ``others`` have begun."""

    key: str
    folder: Path
    others: tuple[str, ...]
    label: str = "seeing"
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> str:
        (self.folder / self.key).touch()
        deadline = time.monotonic() + 60
        while not all((self.folder / other).exists() for other in self.others) and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.environ[VISIBLE]


@dataclass(frozen=True)
class Broken:
    """A job that fails."""

    key: str
    label: str = "broken"
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        raise DataError("the data is wrong")


def seen(folder: Path, devices: tuple[str, ...]) -> list[str]:
    jobs = [Seeing(each, folder, ("a", "b")) for each in ("a", "b")]
    outcomes = run_jobs(jobs, slots=2, threads=1, on_event=lambda event: None, devices=devices)
    return sorted(outcome.value for outcome in outcomes.values())


def test_each_worker_sees_accelerators_of_its_own(tmp_path: Path) -> None:
    assert seen(tmp_path, ("0,1", "GPU-8a2f,3")) == ["0,1", "GPU-8a2f,3"]


def test_a_study_on_the_processor_shows_its_workers_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    assert seen(tmp_path, ()) == ["", ""]


def test_a_job_gives_back_what_it_held_on_accelerators_and_wakes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    given: list[str] = []
    monkeypatch.setattr(executor, "_events", Locked())
    monkeypatch.setattr(executor, "give_back_memory", lambda: given.append("back"))
    for is_initialized, times in ((False, 0), (True, 1)):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda is_initialized=is_initialized: is_initialized)
        with pytest.raises(DataError):
            executor._run_job(Broken("broken"))
        assert len(given) == times


def workshop(tmp_path: Path, profile: BuildProfile) -> Workshop:
    store = Store(tmp_path / "store")
    return Workshop(
        store, DataBook({}, tmp_path, 0, tmp_path), profile, slots(profile), Checkpoints(store, tmp_path, {})
    )


def test_a_workshop_lends_each_job_as_many_as_train_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "version", lambda name: "2.13.0")
    monkeypatch.setenv(VISIBLE, "7,5,2,1,0")
    shop = workshop(tmp_path, BuildProfile(device="cuda", world_size=2))
    outcomes = shop.run([Seeing(each, tmp_path, ("a", "b")) for each in ("a", "b")], lambda _: None, lambda _: None)
    assert sorted(outcome.value for outcome in outcomes.values()) == ["2,1", "7,5"]


def test_data_is_made_where_there_are_no_accelerators(tmp_path: Path) -> None:
    shop = workshop(tmp_path, BuildProfile(device="cuda"))
    outcomes = shop.run([Seeing("a", tmp_path, ())], lambda _: None, lambda _: None)
    assert outcomes["a"].value == ""


class OutOfMemoryError(RuntimeError):
    """What torch calls it."""


def submitted(job: Job) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(job.run(lambda event: None))
    except Exception as error:
        future.set_exception(error)
    return future


@pytest.mark.parametrize(
    "error", [MemoryError(), OutOfMemoryError("tried to allocate 2 GiB"), OSError(errno.ENOSPC, "no space left")]
)
def test_a_job_without_room_fails_alone(error: Exception) -> None:
    jobs = [Failing("a", "main: sft", error), Failing("b", "other: sft", None), Failing("c", "main: rl", None, ("a",))]
    found = schedule(jobs, 1, submitted)
    assert found["b"].value == "done"
    assert isinstance(found["a"].error, TrainingError)
    assert "main: sft ran out of memory or disk" in str(found["a"].error)
    assert "because what it starts from failed" in str(found["c"].error)


def test_a_defect_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        schedule([Failing("a", "main: sft", ZeroDivisionError())], 1, submitted)


def test_what_a_job_failed_of_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "TemplateError: \x1b[2J\x1b]0;title\x07 \u202egnp"
    with ProgressBoard("training", {"job": "main: sft"}) as board:
        board._last_line = -1e9
        board.event(Event("job", 1, 2, hostile))
        board.done(Outcome("job", error=DataError(f"the chat template does not render: {hostile}")))
    shown = capsys.readouterr().err
    assert "does not render" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


ONE_BAD_FILE = """\
name: told
seeds: 1
start: {kind: existing, checkpoint: start}
data: {good: {kind: file, path: good.jsonl}, broken: {kind: file, path: broken.jsonl}}
stages: {sft: {kind: sft, data: good, context: 64, batch_size: 2}}
arms: {main: {}, other: {stages: {sft: {data: broken}}}}
battery: [bits_per_byte]
"""


@pytest.mark.model
def test_data_that_fails_is_called_what_the_plan_calls_its_stage(
    tmp_path: Path, existing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(existing, tmp_path / "start")
    for name, answer in (("good", '"bab bad"'), ("broken", "5")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"prompt": "bab", "completion": {answer}}}\n', encoding="utf-8")
    (tmp_path / "study.yaml").write_text(ONE_BAD_FILE, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    shop, tree = session.workshop, session.tree
    jobs = list(stream_jobs(shop, tree, tokenizer_folders(shop, tree)).values())
    with ProgressBoard("data", {}) as board:  # data is not known when its board opens
        outcomes = schedule(jobs, 1, submitted, board.done)
    (failed,) = executor.failures(outcomes)
    shown = " ".join(capsys.readouterr().err.split())
    assert f"data of other: sft, seed 0 (broken), {failed.key} failed: broken.jsonl row 1: completion" in shown
    assert {"main: sft, seed 0", "other: sft, seed 0"} <= set(labels(session).values())


@dataclass(frozen=True)
class Alarmed:
    """A job that warns."""

    key: str = "warns"
    label: str = "warns"
    after: tuple[str, ...] = ()

    def run(self, report: object) -> None:
        """Warn."""
        warnings.warn("a state is torn", UpbringingWarning, stacklevel=1)


def test_what_a_worker_warns_of_is_given_here() -> None:
    with pytest.warns(UpbringingWarning, match="^a state is torn$"):
        run_jobs([Alarmed()], slots=1, threads=1, on_event=lambda event: None)
