"""A study opened for work: its tree, its store, and the numerics it will keep."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import write_json_atomic
from upbringing.formats.record import BuildProfile
from upbringing.lab.build import Workshop
from upbringing.lab.store import Store
from upbringing.study.loading import load_study
from upbringing.study.recipes import DataBook, Teacher
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree
from upbringing.training.existing import Existing
from upbringing.training.publish import library_versions

LOCK_NAME = "study.lock"
PACKAGES_NAME = "packages"  # below the store: wheels that `data fetch` downloads
FAST_BF16_FLAGS = ("amx_bf16", "avx512_bf16")  # without them bf16 is emulated and slower than fp32
DEFAULT_STORE = Path("store")


@dataclass(frozen=True)
class Session:
    """A study with everything needed to plan, build, measure and report it."""

    study: Study
    workshop: Workshop
    tree: StudyTree
    folder: Path

    @property
    def store(self) -> Store:
        """The store of the session."""
        return self.workshop.store

    @property
    def results(self) -> Path:
        """Folder of rows, tree, findings and report."""
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        return folder


def open_session(
    study: Study | Path, *, store: Path = DEFAULT_STORE, overrides: tuple[str, ...] = (), seeds: int | None = None
) -> Session:
    """Open a study given as a file or as a value. ``seeds`` replaces the study's number of whole pipelines.

    The build profile is read from the study's lock, or chosen for this machine and written there.
    """
    base = study.parent if isinstance(study, Path) else Path.cwd()
    value = load_study(study, overrides) if isinstance(study, Path) else study
    if seeds is not None:
        value = value.model_copy(update={"seeds": seeds})
    opened = Store(store)
    folder = opened.study_folder(value.name)
    profile = locked_profile(value, folder)
    book = DataBook(value.data, base, value.seed, opened.root / PACKAGES_NAME, _teacher(value, base))
    workshop = Workshop(opened, book, profile, slots(profile))
    return Session(value, workshop, study_tree(value, book), folder)


def _teacher(study: Study, base: Path) -> Teacher | None:
    """Return the existing local start of a study; hub ids and random weights teach nothing."""
    if not isinstance(study.start, Existing):
        return None
    folder = (base / study.start.checkpoint).absolute()
    return Teacher(folder, study.measure_precision) if folder.is_dir() else None


def slots(profile: BuildProfile) -> int:
    """Return how many jobs run side by side: one-thread processes on a CPU, one process per accelerator."""
    return max(1, (os.cpu_count() or 1) // (profile.threads * profile.world_size)) if profile.device == "cpu" else 1


def locked_profile(study: Study, folder: Path) -> BuildProfile:
    """Return the profile in the study's lock, or choose and lock one; raises ``StudyError`` where they disagree."""
    path = folder / LOCK_NAME
    chosen = chosen_profile(study)
    if not path.exists():
        write_json_atomic(path, {"profile": chosen.model_dump(mode="json")})
        return chosen
    try:
        locked = BuildProfile.model_validate(json.loads(path.read_bytes())["profile"])
    except (ValueError, KeyError, ValidationError) as error:
        raise IntegrityError(f"{path} is torn: remove it to choose the numerics anew") from error
    for name in ("precision", "attention", "compile", "world_size", "versions"):
        wanted, found = getattr(chosen, name), getattr(locked, name)
        declared = name in ("world_size", "versions") or getattr(study, name) != "auto"
        if declared and wanted != found:
            raise StudyError(
                f"{path} fixed {name} = {found}, now it would be {wanted}: nodes of both cannot be compared. "
                f"Restore it, or remove the lock to build everything anew"
            )
    return locked


def chosen_profile(study: Study) -> BuildProfile:
    """Return the profile for this machine: bf16 where the processor computes it, explicit attention, one thread."""
    precision = ("bf16" if _fast_bf16() else "fp32") if study.precision == "auto" else study.precision
    return BuildProfile(
        precision=precision,
        attention="eager" if study.attention == "auto" else study.attention,
        compile=study.compile == "on",
        world_size=study.processes,
        versions=library_versions(),
    )


def _fast_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(flag in flags for flag in FAST_BF16_FLAGS)
