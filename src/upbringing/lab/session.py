"""A study opened for work: its tree, its store, and the numerics it will keep."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import ValidationError

from upbringing.base.devices import accelerator_groups, device_here, has_fast_bf16, usable_accelerators
from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import write_json_atomic
from upbringing.base.places import about, naming_places
from upbringing.base.strict_yaml import Located
from upbringing.formats.record import Attention, BuildProfile, Device
from upbringing.lab.building.workshop import Workshop
from upbringing.lab.storage.checkpoints import COMMIT_PATTERN, Checkpoints
from upbringing.lab.storage.store import Store, notes_key
from upbringing.models.loading import COMPILED
from upbringing.study.loading import load_located, study_from
from upbringing.study.recipes import DataBook, Teacher
from upbringing.study.selection import chosen_arms
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, part_of_tree, study_tree
from upbringing.training.existing import Existing
from upbringing.training.fresh import num_parameters
from upbringing.training.masking import masking_of
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.publish import library_versions
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

LOCK_NAME = "study.lock"
PACKAGES_NAME = "packages"  # below the store: wheels that `data fetch` downloads
EXPLICIT_TOKENS = 512  # of a window: beyond it explicit attention is slower on a CPU, measured in fp32 at 1,024
FLOPS_PER_TOKEN_AND_WEIGHT = 6  # forward 2, backward 4: Kaplan et al. 2020, section 2.1; attention is left out
FLOPS_WORTH_COMPILING = 2e12  # some half a minute of a core; compiling a layer takes 10 s, later processes 2 s
COMPILED_LAYERS_VERSION = "1"  # raise it when compiled training computes other bits
DEFAULT_STORE = Path("store")
Words = ParamSpec("Words")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Session:
    """A study with everything needed to plan, build, measure and report it.

    ``tree``: of the arms that were chosen; ``whole``: of all arms. Both are one where nothing was left out.
    ``located``: the file it came from, by whose lines errors are named; ``None`` = it was built in Python.
    """

    study: Study
    workshop: Workshop
    tree: StudyTree
    whole: StudyTree
    folder: Path
    located: Located | None = None

    @property
    def store(self) -> Store:
        """The store of the session."""
        return self.workshop.store

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the arms that were not chosen."""
        chosen = {lineage.arm.name for lineage in self.tree.lineages}
        return tuple(name for name in self.study.declared_arms() if name not in chosen)

    @property
    def results(self) -> Path:
        """Folder of rows, tree, findings and report."""
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        return folder


def open_session(
    study: Study | Path | str,
    *,
    store: Path | str = DEFAULT_STORE,
    overrides: tuple[str, ...] = (),
    seeds: int | None = None,
    only: tuple[str, ...] = (),
    reads_only: bool = False,
) -> Session:
    """Open a study given as a file or as a value. ``seeds`` replaces the study's number of whole pipelines.

    ``only``: names or patterns of the arms to work on; none = all. The build profile is read from the study's lock, or
    chosen for this machine and written there. With ``reads_only`` nothing is written, and nothing can be built.
    """
    if isinstance(study, Study):
        base, located, value = Path.cwd(), None, study
    else:
        path = Path(study)
        base, located = path.parent, load_located(path, overrides)
        value = study_from(located)
    if seeds is not None:
        if seeds < 1:
            raise StudyError(f"a study has at least one seed, found seeds={seeds}")
        value = value.model_copy(update={"seeds": seeds})
    opened = Store(store, reads_only=reads_only)
    folder = opened.study_folder(value.name)
    with naming_places(located):
        with nullcontext() if reads_only else opened.claim(notes_key(value.name)):
            profile = locked_profile(value, folder, writes=not reads_only)
        checkpoints = Checkpoints(opened, base, locked_checkpoints(folder))
        teacher = _teacher(value, checkpoints)
        book = DataBook(value.data, base, value.seed, opened.root / PACKAGES_NAME, teacher, allows_absent=reads_only)
        workshop = Workshop(opened, book, profile, slots(profile), checkpoints)
        whole = study_tree(value, book)
    tree = part_of_tree(whole, chosen_arms(value, only)) if only else whole
    return Session(value, workshop, tree, whole, folder, located)


def names_places(verb: Callable[Concatenate[Session, Words], Result]) -> Callable[Concatenate[Session, Words], Result]:
    """Let a verb on a session name file and line in its errors about the study."""

    @wraps(verb)
    def naming(session: Session, /, *args: Words.args, **words: Words.kwargs) -> Result:
        with naming_places(session.located):
            return verb(session, *args, **words)

    return naming


def _teacher(study: Study, checkpoints: Checkpoints) -> Teacher | None:
    """Return the existing start of a study if it is here; random weights teach nothing."""
    if not isinstance(study.start, Existing):
        return None
    with about(("start", "checkpoint")):
        folder = checkpoints.find(study.start.checkpoint)
    return None if folder is None else Teacher(folder, study.measure_precision)


def locked_checkpoints(folder: Path) -> dict[str, str]:
    """Return the commits that a study pinned its hub ids to."""
    found = _read_lock(folder / LOCK_NAME).get("checkpoints", {})
    if not isinstance(found, dict) or not all(COMMIT_PATTERN.match(str(commit)) for commit in found.values()):
        raise IntegrityError(f"{folder / LOCK_NAME} pins checkpoints to what are no commits: restore it or remove it")
    return {str(checkpoint): str(commit) for checkpoint, commit in found.items()}


def pin_checkpoints(session: Session) -> None:
    """Write the commit of every hub id that the study reads into its lock; later runs read those and no others."""
    stages = [stage for each in session.tree.lineages for stage in (each.arm.start, *each.arm.stages.values())]
    checkpoints = session.workshop.checkpoints
    pins = {
        stage.checkpoint: commit
        for stage in stages
        if isinstance(stage, Existing) and (commit := checkpoints.commit(stage.checkpoint)) is not None
    }
    path = session.folder / LOCK_NAME
    lock = _read_lock(path)
    if pins and lock.get("checkpoints") != {**lock.get("checkpoints", {}), **pins}:
        write_json_atomic(path, {**lock, "checkpoints": {**lock.get("checkpoints", {}), **pins}})


def _read_lock(path: Path) -> dict[str, Any]:
    """Return the content of a lock, empty if there is none; raises ``IntegrityError`` if it is torn."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} is torn: remove it to choose the numerics anew")
    return content


def slots(profile: BuildProfile) -> int:
    """Return how many jobs run side by side: one-thread processes on a CPU, as many as accelerators are enough for."""
    if profile.device == "cpu":
        return max(1, (os.cpu_count() or 1) // (profile.threads * profile.world_size))
    return max(1, len(accelerator_groups(usable_accelerators(), profile.world_size)))


def locked_profile(study: Study, folder: Path, *, writes: bool = True) -> BuildProfile:
    """Return the profile in the study's lock, or choose one (and, with ``writes``, lock it).

    Raises ``StudyError`` where the lock and the study disagree.
    """
    path = folder / LOCK_NAME
    lock = _read_lock(path)
    if not path.exists():
        chosen = chosen_profile(study)
        if writes:
            write_json_atomic(path, {"profile": chosen.model_dump(mode="json")})
        return chosen
    try:
        locked = BuildProfile.model_validate(lock["profile"])
    except (KeyError, ValidationError) as error:
        raise IntegrityError(f"{path} is torn: remove it to choose the numerics anew") from error
    chosen = chosen_profile(study, device=locked.device)
    for name in ("precision", "attention", "compile", "device", "activation_checkpointing", "world_size", "versions"):
        wanted, found = getattr(chosen, name), getattr(locked, name)
        declared = name in ("world_size", "versions") or getattr(study, name) != "auto"
        if declared and wanted != found:
            raise StudyError(
                f"{path} fixed {name} = {found}, now it would be {wanted}: nodes of both cannot be compared. "
                f"Restore it, or remove the lock to build everything anew",
                *([] if name == "versions" else [("processes" if name == "world_size" else name,)]),
            )
    return locked


def chosen_profile(study: Study, *, device: Device | None = None) -> BuildProfile:
    """Return the profile for this machine: an accelerator where torch can use one, bf16 where it is fast, one thread.

    ``attention: auto`` is explicit on a CPU where no window is longer than 512 tokens, up to which it is faster there;
    else torch's own. Documents are computed one by one only where the study asks for it, as not every model can be.
    ``compile: auto`` compiles where a stage is long enough to pay for it on a CPU, a rule that knows no machine; on
    accelerators never. ``device``: what ``device: auto`` was on the machine that chose; ``None`` = to be chosen here.
    """
    if study.device != "auto":
        device = study.device
    elif device is None:
        device = device_here()
    is_fast = device == "cuda" or has_fast_bf16()
    precision = ("bf16" if is_fast else "fp32") if study.precision == "auto" else study.precision
    compiled = study.compile == "on" or (study.compile == "auto" and device == "cpu" and pays_to_compile(study))
    if study.attention == "varlen" and device == "cuda" and precision == "fp32":
        raise StudyError(
            "attention: varlen has no kernel for fp32 on accelerators: set precision: bf16, or attention: sdpa",
            ("attention",),
        )
    attention: Attention = "eager" if device == "cpu" and _longest_window(study) <= EXPLICIT_TOKENS else "sdpa"
    return BuildProfile(
        precision=precision,
        attention=attention if study.attention == "auto" else study.attention,
        compile=compiled,
        device=device,
        activation_checkpointing=study.activation_checkpointing,
        world_size=study.processes,
        versions=library_versions() | ({COMPILED: COMPILED_LAYERS_VERSION} if compiled else {}),
    )


def _longest_window(study: Study) -> int:
    """Return the tokens of the longest window that a stage of any arm trains on; 0 where nothing is trained."""
    stages = (stage for arm in study.resolved_arms().values() for stage in arm.stages.values())
    return max((stage.context for stage in stages if isinstance(stage, TrainedStage)), default=0)


def pays_to_compile(study: Study) -> bool:
    """Whether a stage of declared length of any arm, trained from random weights, needs enough operations.

    Existing starts are never compiled unasked: their size is not known before their files are read, and large graphs
    take minutes to compile. Where a stage masks its updates nothing is, because each mode would be another graph.
    """
    arms = study.resolved_arms().values()
    return not any(masking_of(stage) for arm in arms for stage in arm.stages.values()) and any(
        stage.tokens * FLOPS_PER_TOKEN_AND_WEIGHT * num_parameters(arm.start, arm.start.tokenizer.vocabulary)
        >= FLOPS_WORTH_COMPILING
        for arm in arms
        if isinstance(arm.start, FreshStart)
        for stage in arm.stages.values()
        if isinstance(stage, Pretrain | Midtrain)
    )
