"""One run of a study at a time in a store: the second is told who holds it, and a dead holder holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep

import pytest
from typer.testing import CliRunner

from upbringing.base.errors import HeldError
from upbringing.lab import run as run_module
from upbringing.lab.run import Watch, attribute, build, measure, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.contents import references, write_references
from upbringing.lab.storage.store import Store
from upbringing.lab.turns import notes_turn, results_turn

STUDY = """\
name: held
seeds: 1
start: {kind: existing, checkpoint: FOLDER/base}
data: {prompts: {kind: items, path: FOLDER/prompts.jsonl}}
stages: {tuned: {kind: existing, checkpoint: FOLDER/tuned}}
battery: [{kind: non_refusal, decoding: {kind: greedy, max_tokens: 4}}]
judges: [refusal_rules]
primary: [non_refusal]
"""
HOLD = """
import sys, time
from pathlib import Path
from upbringing.lab.session import open_session
from upbringing.lab.turns import only_run
with only_run(open_session(Path(sys.argv[1]), store=Path(sys.argv[2]))):
    print("held", flush=True)
    time.sleep(120)
"""
SECONDS = 0.5  # in which a process that did not wait would be through


@pytest.fixture
def study(tmp_path: Path, tiny_folder: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("FOLDER", str(tiny_folder)), encoding="utf-8")
    return path


@pytest.fixture
def session(study: Path, tmp_path: Path, one_process: None) -> Session:
    return open_session(study, store=tmp_path / "store")


@pytest.mark.model
def test_a_second_run_is_told_who_holds_the_study_and_a_dead_holder_holds_nothing(
    session: Session, study: Path, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(study), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said = rf"the study 'held' is being run by process {holder.pid} on \S+ since 20\d\d-.* UTC: wait for it, or stop it"
    for verb in (run, measure):
        with pytest.raises(HeldError, match=said):
            verb(session, Watch())
    build(session, Watch())  # nodes have locks of their own
    holder.kill()
    holder.wait()
    run(session, Watch())
    assert (session.results / "findings.json").exists()


def test_the_command_line_ends_with_a_code_that_schedulers_repeat(
    session: Session, study: Path, tmp_path: Path
) -> None:
    from upbringing.cli import app

    with session.store.claim("study-held"):
        result = CliRunner().invoke(app, ["run", str(study), "--store", str(tmp_path / "store"), "--quiet"])
    assert isinstance(result.exception, HeldError)
    assert result.exception.exit_code == 75
    assert f"process {os.getpid()}" in str(result.exception)


def test_studies_of_other_names_do_not_wait(session: Session) -> None:
    with Store(session.store.root).claim("study-other"), run_module.only_run(session):
        pass


@pytest.mark.model
def test_attributing_waits_while_a_run_replaces_the_results(session: Session) -> None:
    results = measure(session, Watch())
    with ThreadPoolExecutor() as pool:
        with results_turn(results):
            (results / "tree.json").rename(results / "away.json")  # between two of its files
            waiting = pool.submit(attribute, results)
            sleep(SECONDS)
            assert not waiting.done()
            (results / "away.json").rename(results / "tree.json")
        assert waiting.result(60).study == "held"


def test_a_folder_of_results_outside_a_store_is_nobodys(tmp_path: Path) -> None:
    with results_turn(tmp_path / "results"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_builds_of_one_study_lose_no_reference(session: Session) -> None:
    """Each reads what is known and writes more: without turns the later one overwrites what it had not read."""
    entered = Event()

    def note(key: str, first: bool) -> None:
        with notes_turn(session):
            known = references(session.store).get("held", {}).get("checkpoints", [])
            if first:
                entered.set()
                sleep(SECONDS)
            write_references(session.folder, {"checkpoints": [*known, key]})

    with ThreadPoolExecutor() as pool:
        one = pool.submit(note, "one", True)
        assert entered.wait(60)
        other = pool.submit(note, "two", False)
        one.result(60)
        other.result(60)
    assert references(session.store)["held"]["checkpoints"] == ["one", "two"]
