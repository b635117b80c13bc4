"""Where existing checkpoints lie: local folders, and hub ids that were fetched into the store before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import folder_stamp
from upbringing.base.fingerprint import fingerprint
from upbringing.base.manifest import MANIFEST_NAME, check_copy
from upbringing.data.boxed_template import require_harmless
from upbringing.data.tokenizer import TOKENIZER_FILES, chat_template
from upbringing.formats.record import RECORD_NAME
from upbringing.lab.storage.store import Store
from upbringing.models.loading import check_folder
from upbringing.models.weights import INDEX, SETTINGS_FILES

HUB_PATTERN = re.compile(
    r"^(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@(?P<revision>[\w][\w./-]{0,127})$"
)
COMMIT_PATTERN = re.compile(r"^[0-9a-f]{40}$")
DECIDING_FILES = ("*.safetensors", INDEX, *SETTINGS_FILES, *TOKENIZER_FILES, RECORD_NAME)  # what a checkpoint says
NAMES_SHOWN = 5  # of what a wrong folder holds
KEY_CHARACTERS = 40  # of a sha256; collisions are out of reach


@dataclass(frozen=True)
class HubReference:
    """A checkpoint on a hub: ``org/name`` and a revision (branch, tag or commit)."""

    repository: str
    revision: str

    def __str__(self) -> str:
        """``org/name@revision``, as study files write it."""
        return f"{self.repository}@{self.revision}"


def hub_reference(checkpoint: str) -> HubReference | None:
    """Return ``checkpoint`` as a hub reference, or ``None`` if it does not read ``org/name@revision``."""
    found = HUB_PATTERN.match(checkpoint)
    if found is None or ".." in checkpoint:
        return None
    return HubReference(found["repository"], found["revision"])


def hub_key(repository: str, commit: str) -> str:
    """Return the store key of a fetched checkpoint."""
    return f"hub-{fingerprint([repository, commit])[:KEY_CHARACTERS]}"


def alias_of(reference: HubReference) -> str:
    """Return the name under which the store remembers the commit that a reference was resolved to."""
    return f"hub-{fingerprint(str(reference))[:KEY_CHARACTERS]}"


@dataclass(frozen=True)
class Checkpoints:
    """Finds existing checkpoints. ``folder``: where relative paths start. ``pins``: hub id to commit, of the study."""

    store: Store
    folder: Path
    pins: Mapping[str, str] = field(default_factory=dict)

    def find(self, checkpoint: str) -> Path | None:
        """Return the folder of ``checkpoint``, or ``None`` if it is not here. Nothing is ever looked up on a hub."""
        if (path := self._local(checkpoint)) is not None:
            return path
        key = self._key(checkpoint)
        return None if key is None else self.store.find("existing", key)

    def _local(self, checkpoint: str) -> Path | None:
        path = (self.folder / checkpoint).absolute()
        if not path.is_dir():
            return None
        if not (path / "config.json").is_file():
            inside = ", ".join(sorted(each.name for each in path.iterdir())[:NAMES_SHOWN]) or "nothing"
            raise StudyError(
                f"the checkpoint {checkpoint!r} is a folder without config.json ({path} holds {inside}): name the "
                "folder that AutoModelForCausalLM.from_pretrained opens"
            )
        return path

    def _key(self, checkpoint: str) -> str | None:
        """Return the store key of a hub id whose commit is known."""
        reference, commit = hub_reference(checkpoint), self.commit(checkpoint)
        return None if reference is None or commit is None else hub_key(reference.repository, commit)

    def commit(self, checkpoint: str) -> str | None:
        """Return the commit behind a hub id: what the study pinned, else what the last fetch resolved it to."""
        reference = hub_reference(checkpoint)
        if reference is None:
            return None
        return self.pins.get(checkpoint) or self.store.resolve(alias_of(reference))

    def needed(self, checkpoint: str) -> Path:
        """Return the folder of ``checkpoint``, its settings read and its chat template tried in a box.

        A fetched one is hashed again, and so is a copy of what a study built (once per process, unless it changes).
        Raises ``StudyError`` if it is not here, ``IntegrityError`` for such a copy whose files are others now,
        ``UntrustedError`` for settings that bring code and ``DataError`` for a template that cannot be used: hours
        before the checkpoint's turn comes.
        """
        folder = self._present(checkpoint)
        check_folder(folder)
        require_harmless(chat_template(folder), folder)
        return folder

    def _present(self, checkpoint: str) -> Path:
        if (path := self._local(checkpoint)) is not None:
            _require_as_built(path, folder_stamp(path))
            return path
        path = (self.folder / checkpoint).absolute()
        key = self._key(checkpoint)
        found = None if key is None else self.store.whole("existing", key)
        if found is not None:
            return found
        reference = hub_reference(checkpoint)
        if reference is None:
            pin = " A hub id reads org/name@revision" if re.match(r"^[\w.-]+/[\w.-]+$", checkpoint) else ""
            raise StudyError(f"the checkpoint {checkpoint!r} is no folder here ({path}).{pin}")
        pinned = self.pins.get(checkpoint)
        wanted = f"{reference.repository}@{pinned}" if pinned else checkpoint
        raise StudyError(
            f"the checkpoint {checkpoint!r} is not in the store: run "
            f"`upbringing data fetch --checkpoint {wanted}` first (no other command makes network calls)"
        )


@lru_cache(maxsize=256)  # a run asks several times; the stamp makes a changed folder another question
def _require_as_built(folder: Path, _: tuple[tuple[str, int, int], ...]) -> None:
    """Raise ``IntegrityError`` where a folder says that a study built it, and its files are others than that study's.

    The load check alone does not see it: a changed setting may move its text by less than libraries do.
    """
    if not all((folder / name).is_file() for name in (RECORD_NAME, MANIFEST_NAME)):
        return
    try:
        check_copy(folder, DECIDING_FILES)
    except IntegrityError as error:
        raise IntegrityError(
            f"{folder} is the copy of a checkpoint that a study built, but it was changed or damaged since: {error}. "
            f"Restore it, or remove {MANIFEST_NAME} and {RECORD_NAME} if it was changed on purpose"
        ) from None
