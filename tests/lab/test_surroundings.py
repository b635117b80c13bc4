"""No child of a study ever sees a key: not while it works, and not in the moment in which its interpreter starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.surroundings import FORCED_ENVIRONMENT, poor_context, poor_surroundings
from upbringing.lab.corpus.pool import each_result

SECRET = "planted-secret-0f3a"
PLANTED = {
    "ANTHROPIC_API_KEY": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "HF_TOKEN": SECRET,
    "MY_DATABASE": f"postgres://me:{SECRET}@host/db",  # no list of suspicious names would know this one
    "OPENAI_API_KEY": SECRET,
    "WANDB_API_KEY": SECRET,
}
STUDY = """\
name: watched
seeds: 1
processes: 2
precision: fp32
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 1k, context: 64, batch_size: 8, phases: [{data: world.facts}]}
battery: [bits_per_byte]
"""
# Runs in every interpreter before anything else does, as the hook of a hostile package would.
HOOK = """\
import json, os, sys
first = open("/proc/self/environ", "rb").read().decode(errors="replace")
with open(os.path.join({folder!r}, str(os.getpid())), "w") as handle:
    json.dump({{"now": dict(os.environ), "first": first, "called": sys.orig_argv}}, handle)
"""
LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system shows no first environment")


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A folder of what every interpreter saw when it started."""
    seen, hooks = tmp_path / "seen", tmp_path / "hooks"
    seen.mkdir()
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK.format(folder=str(seen)), encoding="utf-8")
    return hooks


@LINUX
@pytest.mark.model
@pytest.mark.timeout(900)
def test_no_child_of_a_real_study_starts_with_a_key(tmp_path: Path, hook: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    environment = {**os.environ, **PLANTED, "PYTHONPATH": os.pathsep.join([str(hook), *sys.path])}
    called = "from upbringing.cli import main; main()"
    verb = [sys.executable, "-c", called, "run", str(tmp_path / "study.yaml"), "--store", str(tmp_path / "store")]
    verb.append("--quiet")
    subprocess.run(verb, env=environment, check=True)
    found: list[dict[str, Any]] = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "seen").iterdir()]
    parents = [each for each in found if each["called"][1:] == verb[1:]]
    children = [each for each in found if each not in parents]
    assert [SECRET in json.dumps(each) for each in parents] == [True]  # the hook sees keys where there are any
    assert sum("spawn_main" in " ".join(each["called"]) for each in children) >= 3  # a worker, and two that train
    assert any("resource_tracker" in " ".join(each["called"]) for each in children)
    for each in children:
        assert SECRET not in json.dumps(each), each["called"]
    for each in children:
        if "spawn_main" in " ".join(each["called"]):
            assert each["now"].items() >= FORCED_ENVIRONMENT.items()


def surroundings() -> tuple[dict[str, str], str]:
    first = Path("/proc/self/environ")
    return dict(os.environ), first.read_text("utf-8", errors="replace") if first.exists() else ""


def test_workers_on_a_corpus_see_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    for _, found in each_result(surroundings, [()] * 4, 2):
        assert SECRET not in json.dumps(found)
        assert found[0].items() >= FORCED_ENVIRONMENT.items()
    assert os.environ["OPENAI_API_KEY"] == SECRET


def test_afterwards_everything_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("RAY_ADDRESS", "here")
    before = dict(os.environ)
    with poor_surroundings(prefixes=("RAY_",)):
        assert "OPENAI_API_KEY" not in os.environ
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        assert os.environ["RAY_ADDRESS"] == "here"
        assert os.environ["PATH"] == before["PATH"]
    assert dict(os.environ) == before
    with pytest.raises(RuntimeError, match="while something starts"), poor_surroundings():
        raise RuntimeError("while something starts")
    assert dict(os.environ) == before
    assert poor_context().get_start_method() == "spawn"
    assert dict(os.environ) == before
