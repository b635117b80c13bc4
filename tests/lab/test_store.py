"""The store: whole or absent, whatever happens while something is written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from upbringing.base.errors import HeldError, IntegrityError, StudyError, UpbringingWarning
from upbringing.base.files import append_line, whole_lines
from upbringing.base.manifest import check_manifest, write_manifest
from upbringing.lab.storage import store as store_module
from upbringing.lab.storage.store import Store

PUBLISH = """
import sys
from pathlib import Path
from upbringing.lab.storage.store import Store
def fill(folder):
    (folder / "weights.bin").write_bytes(b"w" * 1000)
    (folder / "sub").mkdir()
    (folder / "sub" / "config.json").write_text("{}")
store = Store(Path(sys.argv[1]))
store.publish("checkpoints", "key", fill)
store.alias("recipe", "key")
"""


def published(store: Store, key: str = "key", content: bytes = b"w" * 1000) -> Path:
    return store.publish("checkpoints", key, lambda folder: (folder / "weights.bin").write_bytes(content) and None)


def child(store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PUBLISH, str(store)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_kill_at_every_fault_point_leaves_nothing_torn(tmp_path: Path) -> None:
    log = tmp_path / "points"
    assert child(tmp_path / "straight", UPBRINGING_FAULT_LOG=str(log)).returncode == 0
    straight = (tmp_path / "straight" / "checkpoints" / "key" / "manifest.json").read_bytes()
    points = log.read_text(encoding="utf-8").splitlines()
    assert len(points) > 8
    for number in range(1, len(points) + 1):
        root = tmp_path / f"killed-{number}"
        assert child(root, UPBRINGING_FAULT_AT=str(number)).returncode == -signal.SIGKILL
        store = Store(root)
        found = store.find("checkpoints", "key", full=True)
        assert found is None or (found / "manifest.json").read_bytes() == straight
        assert child(root).returncode == 0
        again = store.find("checkpoints", "key", full=True)
        assert again is not None
        assert (again / "manifest.json").read_bytes() == straight
        assert store.resolve("recipe") == "key"
        assert store.keys("checkpoints") == ["key"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete", "add", "manifest", "no-manifest"])
def test_damage_is_found_named_and_never_loaded(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    folder = published(store)
    target = folder / ("manifest.json" if "manifest" in damage else "weights.bin")
    target.chmod(0o644)
    data = bytearray(target.read_bytes())
    if damage == "flip":
        data[500] ^= 1
        target.write_bytes(data)
    elif damage == "truncate":
        target.write_bytes(data[:500])
    elif damage == "empty":
        target.write_bytes(b"")
    elif damage == "add":
        (folder / "extra").write_text("x", encoding="utf-8")
    elif damage == "manifest":
        target.write_bytes(data.replace(b"1000", b"1001"))
    else:
        target.unlink()
    with pytest.warns(UpbringingWarning, match="quarantine"):
        assert store.find("checkpoints", "key", full=True) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.find("checkpoints", "key", full=True) is None
        assert published(store).is_dir()


def test_a_published_folder_is_never_rebuilt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    published(store, content=b"first")
    folder = published(store, content=b"second")
    assert (folder / "weights.bin").read_bytes() == b"first"
    assert not os.access(folder / "weights.bin", os.W_OK) or os.geteuid() == 0


def test_a_failed_fill_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fill(folder: Path) -> None:
        (folder / "half").write_text("x", encoding="utf-8")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.publish("checkpoints", "key", fill)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_claim_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom upbringing.lab.storage.store import Store\n"
        "with Store(Path(sys.argv[1])).claim('key'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(HeldError, match=rf"process {holder.pid} on \S+ since 20"),
        Store(tmp_path).claim("key", wait=False),
    ):
        pass
    holder.kill()
    holder.wait()
    with Store(tmp_path).claim("key", wait=False):
        pass


def test_two_processes_build_one_key_once(tmp_path: Path) -> None:
    code = PUBLISH.replace(
        "def fill(folder):", "def fill(folder):\n    import time; print('filled', flush=True); time.sleep(0.5)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    output = "".join(each.communicate()[0] for each in children)
    assert output.count("filled") == 1
    assert all(each.returncode == 0 for each in children)


@pytest.mark.parametrize("key", ["../out", "a/b", "", ".hidden", "UPPER", "x" * 200])
def test_a_key_never_leaves_the_store(tmp_path: Path, key: str) -> None:
    with pytest.raises(StudyError, match="a key matches"):
        Store(tmp_path).path("checkpoints", key)


def test_links_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    folder = published(store)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(IntegrityError, match="link"):
        check_manifest(folder, full=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "checkpoints").symlink_to(outside)
    with pytest.raises(IntegrityError, match="symbolic link"):
        Store(tmp_path / "linked")


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom upbringing.base.files import write_bytes_atomic\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes_atomic(Path(sys.argv[1]) / 'file', b'x' * 5000)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "5000 bytes are needed" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for word in ("eins", "zwei", "drüben"):
        append_line(path, json.dumps({"word": word}, ensure_ascii=False))
    data = path.read_bytes()
    whole = whole_lines(path)
    last = len(data) - len(data.rstrip(b"\n").rpartition(b"\n")[2]) - 1
    for cut in range(last, len(data)):
        path.write_bytes(data[:cut])
        assert whole_lines(path) == whole[:2]


def test_a_manifest_is_deterministic(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x", encoding="utf-8")
        digests.append(write_manifest(tmp_path / name, step=3))
    assert digests[0] == digests[1]
    assert check_manifest(tmp_path / "one", full=True) == {"step": 3}


def test_quarantine_takes_a_second_damage_of_a_key_whatever_was_tidied_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        (published(store) / "weights.bin").unlink()
        with pytest.warns(UpbringingWarning, match="quarantine"):
            assert store.find("checkpoints", "key") is None
    shutil.rmtree(tmp_path / "quarantine" / "0-checkpoints-key")  # a person looked at it and took it away
    (published(store) / "weights.bin").unlink()
    with pytest.warns(UpbringingWarning, match="quarantine"):
        assert store.find("checkpoints", "key") is None
    assert sorted(each.name for each in (tmp_path / "quarantine").iterdir()) == [
        "0-checkpoints-key",
        "1-checkpoints-key",
    ]


def test_what_another_process_has_made_anew_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    folder = published(store)
    whole = check_manifest
    seen: list[Path] = []

    def damaged_at_first(checked: Path, *, full: bool) -> dict[str, object]:
        seen.append(checked)
        if len(seen) == 1:
            raise IntegrityError("damaged when it was looked at, whole when the lock was had")
        return whole(checked, full=full)

    monkeypatch.setattr(store_module, "check_manifest", damaged_at_first)
    assert store.find("checkpoints", "key") == folder
    assert folder.is_dir()
    assert not list((tmp_path / "quarantine").iterdir())
    seen.clear()
    shutil.rmtree(folder)
    folder.mkdir()
    monkeypatch.setattr(store_module, "check_manifest", lambda checked, full: _gone(checked))
    assert store.find("checkpoints", "key") is None  # moved away by another process while this one looked


def _gone(folder: Path) -> None:
    folder.rmdir()
    raise IntegrityError("its files were missing already")
