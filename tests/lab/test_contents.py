"""What no study needs is found and nothing else; what is needed is never removed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from upbringing.base.errors import HeldError, IntegrityError, StudyError
from upbringing.cli import app
from upbringing.formats.record import RECORD_NAME, Record
from upbringing.lab.doctor import doctor
from upbringing.lab.storage.contents import REFERENCES_NAME, gc, references, status, write_references
from upbringing.lab.storage.store import Room, Store
from upbringing.lab.storage.verify import verify

COMMAND = [sys.executable, "-c", "from upbringing.cli import main; main()"]


def put(store: Store, room: Room, key: str) -> None:
    def fill(folder: Path) -> None:
        (folder / "content").write_text(key, encoding="utf-8")

    store.publish(room, key, fill)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store(tmp_path / "store")
    for key in ("needed", "orphan"):
        put(opened, "checkpoints", key)
        put(opened, "rows", key)
    folder = opened.study_folder("mine")
    write_references(folder, {"checkpoints": ["needed", "unbuilt"], "states": [], "data": []})
    write_references(folder, {"rows": ["needed"]})
    return opened


def test_only_what_no_study_needs_is_removed(store: Store) -> None:
    listed = gc(store.root, older_than_hours=0)
    assert (listed.entries, listed.removed) == (("checkpoints/orphan", "rows/orphan"), False)
    assert store.find("checkpoints", "orphan") is not None
    assert gc(store.root, remove=True, older_than_hours=0).entries == listed.entries
    assert store.keys("checkpoints") == store.keys("rows") == ["needed"]


def test_young_things_may_belong_to_a_run_that_goes_on(store: Store) -> None:
    assert gc(store.root, remove=True).entries == ()
    assert store.keys("rows") == ["needed", "orphan"]


def test_what_another_process_holds_is_not_removed(store: Store) -> None:
    other = Store(store.root)
    with other.claim("checkpoints-orphan"), pytest.raises(HeldError, match="is being built"):
        gc(store.root, remove=True, older_than_hours=0)
    assert store.find("checkpoints", "orphan") is not None


@pytest.mark.parametrize("text", ["", "{}", '{"checkpoints": 3}'])
def test_nothing_is_garbage_while_a_study_cannot_say_what_it_needs(store: Store, text: str) -> None:
    (store.root / "studies" / "mine" / REFERENCES_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match="mine"):
        gc(store.root, remove=True, older_than_hours=0)
    assert store.keys("checkpoints") == ["needed", "orphan"]


def test_status_counts_what_a_study_still_lacks(store: Store) -> None:
    assert status(store.root).studies == {"mine": (1, 2)}
    assert references(store)["mine"]["rows"] == ["needed"]


def test_status_counts_no_checkpoint_that_lacks_a_file_and_moves_none(store: Store) -> None:
    (store.path("checkpoints", "needed") / "content").unlink()
    assert status(store.root).studies == {"mine": (0, 2)}
    assert status(store.root).num_quarantined == 0


def test_a_folder_that_is_no_store_is_not_made_into_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is no store"):
        status(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_deleting_needs_a_yes(store: Store) -> None:
    arguments = ["gc", "--store", str(store.root), "--older-than", "0"]
    assert "not needed" in CliRunner().invoke(app, arguments).output
    assert CliRunner().invoke(app, [*arguments, "--yes", "--dry-run"]).exit_code == 2
    assert "deleted" in CliRunner().invoke(app, [*arguments, "--yes"]).output
    assert store.keys("checkpoints") == ["needed"]


def test_nothing_is_verified_where_no_store_is(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is no store"):
        verify(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()


def test_verify_names_what_is_damaged(store: Store) -> None:
    assert verify(store.root).damaged == ()
    damaged = store.path("rows", "needed") / "content"
    damaged.chmod(0o644)
    damaged.write_text("needEd", encoding="utf-8")
    found = verify(store.root)
    assert (found.num_whole, found.damaged) == (3, ("rows/needed",))


def test_the_doctor_says_what_the_machine_has_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-shown")
    found = {check.name: check for check in doctor()}
    assert {"python", "torch", "processor", "memory", "disk", "browser for tests"} <= found.keys()
    assert found["key OPENAI_API_KEY"].found == "present"
    assert not any("sk-not" in check.found for check in found.values())
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    assert not next(check for check in doctor() if check.name == "memory").is_good


def test_two_checkpoints_of_a_trace_need_two_names(tmp_path: Path) -> None:
    words = ["trace", f"base={tmp_path}/one", f"base={tmp_path}/other", "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, StudyError)
    assert "same name (base, base)" in str(result.exception)


def test_export_prints_the_folder_as_json_and_nothing_else(store: Store, tmp_path: Path) -> None:
    record = Record(id="exported", parent=None, kind="sft", stage="sft", recipe={})
    text = record.model_dump_json()
    store.publish("checkpoints", "exported", lambda folder: (folder / RECORD_NAME).write_text(text, encoding="utf-8"))
    words = ["export", "exported", str(tmp_path / "copy"), "--store", str(store.root), "--json"]
    found = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout) == {"folder": str(tmp_path / "copy")}
    assert (tmp_path / "copy" / RECORD_NAME).read_text(encoding="utf-8") == text
    again = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists already" in again.stderr
