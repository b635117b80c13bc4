"""Checkpoints of a hub: one commit, allowed files only, pinned in the lock, refused where they could run code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, Repository, serving

from upbringing.base.errors import StudyError
from upbringing.formats.items import Item, Message
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, build
from upbringing.lab.session import LOCK_NAME, open_session
from upbringing.lab.storage.checkpoints import HubReference, hub_reference
from upbringing.lab.storage.contents import gc
from upbringing.lab.storage.hub import allowed_files
from upbringing.lab.trace import trace_study
from upbringing.models.weights import weights_sha256

COMMITS = {"main": "a" * 40, "stage1-step10": "b" * 40}
CHECKPOINT = "somebody/tiny-model@stage1-step10"
STUDY = f"""\
name: traced
seeds: 1
start: {{kind: existing, checkpoint: {CHECKPOINT}, parameters: 30k}}
stages:
  final: {{kind: existing, checkpoint: somebody/tiny-model@main}}
battery: [bits_per_byte]
prompts: [texts]
data: {{texts: {{kind: prompt_set, prompt_set: texts}}}}
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(existing: Path) -> Iterator[FakeHub]:
    unwanted = {"modeling_tiny.py": b"raise SystemExit", "pytorch_model.bin": b"\x80\x04", "sub/x.safetensors": b""}
    good = Repository({**files_of(existing), **unwanted, "LICENSE": b"free"}, dict(COMMITS))
    pickled = Repository({"config.json": b"{}", "pytorch_model.bin": b"\x80\x04"}, dict(COMMITS))
    config = json.loads((existing / "config.json").read_bytes()) | {"auto_map": {"AutoModel": "modeling_tiny.Tiny"}}
    trapped = Repository({**files_of(existing), "config.json": json.dumps(config).encode()}, dict(COMMITS))
    repositories = {"somebody/tiny-model": good, "somebody/pickled": pickled, "somebody/trapped": trapped}
    with serving(FakeHub(repositories)) as hub:
        yield hub


def fetch(hub: FakeHub, store: Path, *checkpoints: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: the hub's client reads its settings when it is imported."""
    options = [each for checkpoint in checkpoints for each in ("--checkpoint", checkpoint)]
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "data", "fetch", *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(store.parent / "home")}
    return subprocess.run(
        [*command, "--store", str(store), "--json"], env=environment, capture_output=True, text=True, check=False
    )


def test_a_hub_id_names_a_revision_and_stays_inside() -> None:
    assert hub_reference("org/name@v1.0") == HubReference("org/name", "v1.0")
    assert hub_reference("org/name@refs/pr/1") == HubReference("org/name", "refs/pr/1")
    for wrong in (
        "org/name",
        "name@main",
        "/org/name@main",
        "org/../name@main",
        "org/name@../x",
        "a/b/c@main",
        "./a@b",
    ):
        assert hub_reference(wrong) is None


def test_only_what_a_checkpoint_needs_is_on_the_list() -> None:
    names = ["model-00001-of-00002.safetensors", "config.json", "tokenizer.json", "x.py", "y.bin", "a/b.safetensors"]
    assert allowed_files([*names, "README.md", "training_args.bin", "x.safetensors.py"]) == names[:3]


@pytest.mark.model
def test_a_study_of_fetched_checkpoints_is_pinned_to_their_commits(
    hub: FakeHub, existing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, store = tmp_path / "study.yaml", tmp_path / "store"
    study.write_text(STUDY, encoding="utf-8")
    absent = plan(open_session(study, store=store, reads_only=True))
    assert {node.status for node in absent.nodes} == {"absent"}
    with pytest.raises(StudyError, match=f"data fetch --checkpoint {CHECKPOINT}` first"):
        build(open_session(study, store=store), Watch())
    assert hub.requests == []

    result = fetch(hub, store, CHECKPOINT, "somebody/tiny-model@main")
    assert result.returncode == 0, result.stderr
    assert [each["commit"] for each in json.loads(result.stdout)] == ["b" * 40, "a" * 40]
    asked = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert asked == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "LICENSE",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert not any(f"/resolve/{name}/" in request for request in hub.requests for name in COMMITS)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something other than fetch opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    session = open_session(study, store=store)
    assert {node.status for node in plan(session).nodes} == {"existing"}
    built = build(session, Watch())
    for folder in built.prepared.folders.values():
        assert weights_sha256(folder) == weights_sha256(existing)
        assert not list(folder.glob("*.py")) + list(folder.glob("*.bin")) + list(folder.glob(".cache"))
    lock = json.loads((session.folder / LOCK_NAME).read_bytes())
    assert lock["checkpoints"] == {CHECKPOINT: "b" * 40, "somebody/tiny-model@main": "a" * 40}
    assert lock["profile"]
    assert gc(store, older_than_hours=0).entries == ()


@pytest.mark.model
def test_a_branch_that_moves_does_not_move_a_pinned_study(hub: FakeHub, tmp_path: Path) -> None:
    study, store = tmp_path / "study.yaml", tmp_path / "store"
    study.write_text(STUDY, encoding="utf-8")
    assert fetch(hub, store, CHECKPOINT, "somebody/tiny-model@main").returncode == 0
    before = build(open_session(study, store=store), Watch()).prepared
    hub.repositories["somebody/tiny-model"].revisions["main"] = "c" * 40
    assert fetch(hub, store, "somebody/tiny-model@main").returncode == 0
    assert build(open_session(study, store=store), Watch()).prepared.folders == before.folders


@pytest.mark.model
@pytest.mark.parametrize(
    ("checkpoint", "code", "message"),
    [
        ("somebody/pickled@main", 8, "pickled weights only"),
        ("somebody/trapped@main", 8, "auto_map"),
        ("somebody/nothing@main", 3, "cannot say what somebody/nothing@main is"),
        ("somebody/tiny-model", 2, "reads org/name@revision"),
    ],
)
def test_what_is_no_safe_checkpoint_is_refused(
    hub: FakeHub, tmp_path: Path, checkpoint: str, code: int, message: str
) -> None:
    result = fetch(hub, tmp_path / "store", checkpoint)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    room = tmp_path / "store" / "existing"
    assert not room.exists() or list(room.iterdir()) == []


def test_a_trace_keeps_hub_ids_and_makes_folders_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    asked = (Message(role="user", content="How?"),)
    item = Item(id="one", cluster="one", request="harmful", split="ood", messages=asked)
    (tmp_path / "items.jsonl").write_text(item.model_dump_json(), encoding="utf-8")
    study = trace_study({"base": CHECKPOINT, "sft": "mine"}, tmp_path / "items.jsonl")
    found = [study.start, *study.stages.values()]
    assert [getattr(each, "checkpoint", None) for each in found] == [CHECKPOINT, str(tmp_path / "mine")]


def test_a_local_path_never_becomes_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace(CHECKPOINT, "models/here"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"is no folder here .* A hub id reads org/name@revision"):
        build(open_session(study, store=tmp_path / "store"), Watch())
