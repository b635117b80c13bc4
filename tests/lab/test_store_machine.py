"""A state machine over the store: what is published, torn, flipped, half written, verified and collected in any order.

A damaged entry is never handed out. A whole one is never lost, unless nothing needs it and somebody collects.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from upbringing.base.files import TEMPORARY_PREFIX
from upbringing.lab.storage import store as store_module
from upbringing.lab.storage.contents import gc, write_references
from upbringing.lab.storage.store import Store
from upbringing.lab.storage.verify import verify

ROOMS, KEYS = ("checkpoints", "rows"), ("one", "two")
PLACES = [(room, key) for room in ROOMS for key in KEYS]
DAMAGES = ("flip", "flip", "flip", "tear", "lose", "add", "empty")  # a flip is what only a full look finds
FILES = ("weights.bin", "sub/config.json", "manifest.json")
AT_ONCE = -1.0  # hours: also what was made a moment ago is old enough to be collected
QUICK = settings(
    max_examples=20, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip

Place = tuple[Any, str]
some_place = st.sampled_from(PLACES)
some_bytes = st.binary(min_size=8, max_size=40)


def quietly(function: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is quarantined is said; here it is counted
        return function()


class StoppedError(Exception):
    """A fill that fails in the middle."""


class StoreMachine(RuleBasedStateMachine):
    """The store beside a model: what lies whole where, what lies damaged, what is needed, what was set aside."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = Store(self.root)
        self.whole: dict[Place, bytes] = {}
        self.damaged: set[Place] = set()
        self.needed: set[Place] = set()
        self.num_quarantined = 0

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def set_aside(self, place: Place) -> None:
        """Whoever looks at all bytes of a damaged entry has it moved away."""
        if place in self.damaged:
            self.damaged.remove(place)
            self.num_quarantined += 1

    @rule(place=some_place, content=some_bytes)
    def publish(self, place: Place, content: bytes) -> None:
        def fill(folder: Path) -> None:
            assert list(folder.iterdir()) == []  # nothing of a killed process is taken over
            (folder / "weights.bin").write_bytes(content)
            (folder / "sub").mkdir()
            (folder / "sub" / "config.json").write_bytes(content[:4])

        quietly(lambda: self.store.publish(*place, fill))
        self.set_aside(place)
        self.whole.setdefault(place, content)  # the first one stays

    @rule(place=some_place)
    def fail_to_publish(self, place: Place) -> None:
        def fill(folder: Path) -> None:
            (folder / "weights.bin").write_bytes(b"half")
            raise StoppedError

        try:
            quietly(lambda: self.store.publish(*place, fill))
        except StoppedError:
            assert place not in self.whole
        else:
            assert place in self.whole
        self.set_aside(place)

    @rule(place=some_place, has_manifest=st.booleans())
    def be_killed_while_writing(self, place: Place, has_manifest: bool) -> None:
        """What SIGKILL leaves: a partial folder, and the lock and owner of a process that is gone."""
        room, key = place
        partial = self.root / room / f"{TEMPORARY_PREFIX}{key}"
        partial.mkdir(exist_ok=True)
        (partial / "weights.bin").write_bytes(b"half of it")
        if has_manifest:
            (partial / "manifest.json").write_text("{", encoding="utf-8")
        (self.root / "locks" / f"{room}-{key}.lock").touch()
        (self.root / "locks" / f"{room}-{key}.owner.json").write_text('{"process": 1}', encoding="utf-8")

    @precondition(lambda self: self.whole)
    @rule(data=st.data(), name=st.sampled_from(FILES), how=st.sampled_from(DAMAGES))
    def damage(self, data: st.DataObject, name: str, how: str) -> None:
        place = data.draw(st.sampled_from(sorted(self.whole)))
        path = self.store.path(*place) / name
        path.chmod(0o644)
        content = bytearray(path.read_bytes())
        if how == "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
        elif how == "tear":
            path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        elif how == "lose":
            path.unlink()
        elif how == "add":
            (path.parent / "more").write_bytes(b"")
        else:
            path.write_bytes(b"")
        del self.whole[place]
        self.damaged.add(place)

    @rule(place=some_place)
    def look(self, place: Place) -> None:
        found = quietly(lambda: self.store.whole(*place))
        self.set_aside(place)
        assert (found is not None) == (place in self.whole)
        if found is not None:
            assert (found / "weights.bin").read_bytes() == self.whole[place]

    @rule(place=some_place)
    def look_at_names_and_sizes(self, place: Place) -> None:
        found = quietly(lambda: self.store.find(*place))
        if place in self.whole:
            assert found == self.store.path(*place)
        elif found is None:
            self.set_aside(place)
        else:
            assert place in self.damaged  # a flipped bit, which only a full look can see

    @rule()
    def verify_all(self) -> None:
        report = verify(self.root)
        assert report.num_whole == len(self.whole)
        assert set(report.damaged) == {f"{room}/{key}" for room, key in self.damaged}
        for place in sorted(self.damaged):
            self.set_aside(place)

    @rule(needed=st.sets(some_place), in_part=st.booleans())
    def need(self, needed: set[Place], in_part: bool) -> None:
        listed: Any = {room: sorted(key for where, key in needed if where == room) for room in ROOMS}
        write_references(self.store.study_folder("study"), listed, in_part=in_part)
        self.needed = self.needed | needed if in_part else set(needed)

    @rule(remove=st.booleans())
    def collect(self, remove: bool) -> None:
        garbage = gc(self.root, remove=remove, older_than_hours=AT_ONCE)
        free = {place for place in {*self.whole, *self.damaged} if place not in self.needed}
        assert set(garbage.entries) == {f"{room}/{key}" for room, key in free}
        for place in free if remove else ():
            self.whole.pop(place, None)
            self.damaged.discard(place)

    @rule()
    def begin_anew(self) -> None:
        """Another process: it remembers no hashes."""
        store_module._hashed.clear()
        self.store = Store(self.root)

    @invariant()
    def nothing_whole_is_lost_and_nothing_damaged_is_thrown_away(self) -> None:
        for place, content in self.whole.items():
            assert (self.store.path(*place) / "weights.bin").read_bytes() == content
        assert len(list((self.root / "quarantine").iterdir())) == self.num_quarantined
        for room in ROOMS:
            there = {*self.whole, *self.damaged}
            assert self.store.keys(room) == sorted(key for where, key in there if where == room)


def test_a_damaged_entry_is_never_handed_out_and_a_whole_one_never_lost() -> None:
    run_state_machine_as_test(StoreMachine, settings=QUICK)


def _believing(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda folder, *, full: real(folder, full=False)  # never reads a byte


def _forgetting(real: Callable[..., Any]) -> Callable[..., Any]:
    def without_quarantine(store: Store, folder: Path, error: Exception) -> None:
        shutil.rmtree(folder)

    return without_quarantine


def _needing_nothing(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda store: {}


@pytest.mark.parametrize(
    ("where", "name", "defect"),
    [
        ("upbringing.lab.storage.store", "check_manifest", _believing),
        ("upbringing.lab.storage.store", "Store._quarantined", _forgetting),
        ("upbringing.lab.storage.contents", "references", _needing_nothing),
    ],
)
def test_the_machine_finds_a_planted_defect(
    where: str, name: str, defect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    holder: Any = importlib.import_module(where)
    *parts, last = name.split(".")
    for part in parts:
        holder = getattr(holder, part)
    monkeypatch.setattr(holder, last, defect(getattr(holder, last)))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(StoreMachine, settings=QUICK)
