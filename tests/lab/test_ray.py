"""Jobs on a Ray cluster of this machine: same order, outcomes and bits as without, and a lost worker is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, InterruptedRunError, MissingExtraError, StudyError, TrainingError
from upbringing.lab.building import ray_workshop
from upbringing.lab.building.executor import Event, Outcome
from upbringing.lab.building.ray_workshop import RayWorkshop, _Place, _Resources, on_ray
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.store import Store
from upbringing.models.weights import weights_sha256
from upbringing.training.publish import library_versions

STUDY = """\
name: small
seeds: 2
precision: fp32
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 6k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4, weights: {kind: lora, rank: 2}}
arms:
  main: {}
battery: [bits_per_byte]
"""
BUILD = [sys.executable, "-c", "from upbringing.cli import main; main()", "build"]
SECRET = "UPBRINGING_TEST_KEY"


def small_study(folder: Path) -> Path:
    study = folder / "study.yaml"
    study.write_text(STUDY, encoding="utf-8")
    return study


@dataclass(frozen=True)
class Work:
    """A job that notes that it ran; ``dies``: how often its worker is killed first."""

    key: str
    folder: Path
    after: tuple[str, ...] = ()
    dies: int = 0
    label: str = "work"

    def run(self, report: Callable[[Event], None]) -> dict[str, str]:
        with (self.folder / self.key).open("a", encoding="utf-8") as log:
            log.write("tried\n")
        if len((self.folder / self.key).read_text(encoding="utf-8").splitlines()) <= self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        missing = [parent for parent in self.after if not (self.folder / f"{parent}.done").exists()]
        assert not missing, missing
        report(Event(self.key, 1, 1))
        time.sleep(0.1)
        (self.folder / f"{self.key}.done").touch()
        return dict(os.environ)


@dataclass(frozen=True)
class Failing(Work):
    """A job whose data is wrong."""

    def run(self, report: Callable[[Event], None]) -> dict[str, str]:
        with (self.folder / self.key).open("a", encoding="utf-8") as log:
            log.write("tried\n")
        raise DataError("the data is wrong")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(MissingExtraError, match=r"upbringing\[ray\]"):
        on_ray(open_session(small_study(tmp_path), store=tmp_path / "store"), "local")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_worker_that_sees_another_store_or_other_libraries_does_nothing(tmp_path: Path) -> None:
    meeting = tmp_path / "store" / "locks" / "ray-x"
    with pytest.raises(StudyError, match="does not see the store"):
        _Place(meeting, library_versions(), 1).require()
    meeting.parent.mkdir(parents=True)
    meeting.touch()
    _Place(meeting, library_versions(), 1).require()
    with pytest.raises(TrainingError, match="other versions of numpy "):
        _Place(meeting, {**library_versions(), "numpy": "0"}, 1).require()


def test_more_processors_than_the_cluster_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workshop, "_connect", lambda address: _Resources(3, 1))
    study = small_study(tmp_path)
    study.write_text(STUDY + "processes: 2\n", encoding="utf-8")
    two = open_session(study, store=tmp_path / "store")
    assert on_ray(two, "local").workshop.slots == 1
    study.write_text(STUDY + "processes: 4\n", encoding="utf-8")
    four = open_session(study, store=tmp_path / "other")
    with pytest.raises(StudyError, match="needs 4 processors, the Ray cluster local has fewer"):
        on_ray(four, "local")


def test_as_many_jobs_run_as_the_cluster_has_accelerators_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(tmp_path)
    study.write_text(STUDY + "device: cuda\n", encoding="utf-8")
    session = open_session(study, store=tmp_path / "store")
    for there, slots in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr(ray_workshop, "_connect", lambda address, there=there: _Resources(8, there))
        assert on_ray(session, "auto").workshop.slots == slots
    monkeypatch.setattr(ray_workshop, "_connect", lambda address: _Resources(8, 0))
    with pytest.raises(StudyError, match="needs 1 accelerators, the Ray cluster auto has 0: set device: cpu"):
        on_ray(session, "auto")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two processors on this machine, stopped at the end; its workers know the jobs of this file.

    It counts two accelerators, which are not there: nothing but their numbers is handed to jobs.
    """
    import ray

    os.environ[SECRET] = "secret"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        yield
    finally:
        ray.shutdown()
        del os.environ[SECRET]


def session_on(folder: Path) -> Session:
    return on_ray(open_session(small_study(folder), store=folder / "store"), "local")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    """Everything that needs one."""

    def test_jobs_wait_for_their_parents_and_know_no_keys(self, tmp_path: Path) -> None:
        shop = session_on(tmp_path).workshop
        assert isinstance(shop, RayWorkshop)
        assert shop.slots == 2
        jobs = [
            Failing("wrong", tmp_path),
            Work("late", tmp_path, ("early",)),
            Work("early", tmp_path),
            Work("never", tmp_path, ("wrong",)),
            Work("killed", tmp_path, dies=1),
        ]
        events: list[Event] = []
        done: list[Outcome] = []
        outcomes = shop.run(jobs, events.append, done.append)
        assert {key for key, each in outcomes.items() if each.error is None} == {"late", "early", "killed"}
        assert isinstance(outcomes["wrong"].error, DataError)
        assert str(outcomes["wrong"].error) == "the data is wrong"
        assert isinstance(outcomes["never"].error, TrainingError)
        assert sorted(each.key for each in done) == sorted(outcomes)
        assert sorted(event.job for event in events) == ["early", "killed", "late"]
        assert (tmp_path / "wrong").read_text(encoding="utf-8") == "tried\n"  # an error is final
        assert (tmp_path / "killed").read_text(encoding="utf-8") == "tried\ntried\n"
        environment = outcomes["late"].value
        assert SECRET not in environment
        assert environment["HF_HUB_OFFLINE"] == "1"
        assert not list((tmp_path / "store" / "locks").glob("ray-*"))

    def test_a_job_sees_accelerators_where_its_study_computes_on_them(self, tmp_path: Path) -> None:
        study = small_study(tmp_path)
        hidden = session_on(tmp_path).workshop.run([Work("hidden", tmp_path)], lambda _: None, lambda _: None)
        assert hidden["hidden"].value["CUDA_VISIBLE_DEVICES"] == ""
        study.write_text(STUDY.replace("name: small", "name: other") + "device: cuda\n", encoding="utf-8")
        shop = on_ray(open_session(study, store=tmp_path / "store"), "local").workshop
        jobs = [Work(each, tmp_path) for each in ("one", "two")]
        outcomes = shop.run(jobs, lambda _: None, lambda _: None)
        assert {each.value["CUDA_VISIBLE_DEVICES"] for each in outcomes.values()} <= {"0", "1"}

    def test_a_job_that_always_loses_its_worker_interrupts_the_run(self, tmp_path: Path) -> None:
        shop = session_on(tmp_path).workshop
        with pytest.raises(InterruptedRunError, match="run the same command again"):
            shop.run([Work("doomed", tmp_path, dies=100)], lambda event: None, lambda outcome: None)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_study_built_on_a_cluster_has_the_bits_of_one_built_here(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    found = []
    for name, more in (("here", ()), ("cluster", ("--ray", "local"))):
        command = [*BUILD, study.name, "--store", name, "--quiet", *more]
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert ended.returncode == 0, ended.stderr
        store = Store(tmp_path / name)
        found.append({key: weights_sha256(store.path("checkpoints", key)) for key in store.keys("checkpoints")})
    assert found[0] == found[1]
    assert len(found[0]) == 2 * 3  # start, pretrain and sft of each seed
