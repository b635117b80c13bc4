"""Fetch a checkpoint from a hub into the store: one commit, allowed files only, no code, no pickles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError, IntegrityError, MissingExtraError, StudyError, UntrustedError
from upbringing.base.files import remove_tree, require_free_bytes, write_json_atomic
from upbringing.lab.storage.checkpoints import COMMIT_PATTERN, HubReference, alias_of, hub_key, hub_reference
from upbringing.lab.storage.store import Store
from upbringing.models.loading import check_folder

# What a checkpoint needs and nothing else: weights without pickles, configuration, a fast tokenizer, its licence.
ALLOWED_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "LICENSE*",
)
PICKLED_FILES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
SOURCE_NAME = "hub.json"  # beside the weights: where they came from


@dataclass(frozen=True)
class FetchedCheckpoint:
    """A checkpoint that is in the store now. ``commit``: what its revision was resolved to."""

    repository: str
    revision: str
    commit: str
    folder: Path


def fetch_checkpoint(checkpoint: str, store: Path) -> FetchedCheckpoint:
    """Resolve ``org/name@revision`` to a commit, download its allowed files, and keep them in the store.

    Makes network calls, to ``HF_ENDPOINT`` if that is set, with ``HF_TOKEN`` if there is one (gated repositories).
    Raises ``StudyError`` for what is no hub id, ``DataError`` where the hub cannot be asked, ``UntrustedError`` for
    checkpoints that are pickled or bring code.
    """
    reference = hub_reference(checkpoint)
    if reference is None:
        raise StudyError(f"a checkpoint on a hub reads org/name@revision, found {checkpoint!r}")
    commit, files = _resolved(reference)
    opened = Store(store)

    def fill(folder: Path) -> None:
        _require_free(opened, files)
        _download(reference, commit, sorted(files), folder)
        check_folder(folder)
        source = {"repository": reference.repository, "revision": reference.revision, "commit": commit}
        write_json_atomic(folder / SOURCE_NAME, source)

    folder = opened.publish("existing", hub_key(reference.repository, commit), fill)
    for name in (reference, HubReference(reference.repository, commit)):
        opened.alias(alias_of(name), commit)
    return FetchedCheckpoint(reference.repository, reference.revision, commit, folder)


def _require_free(store: Store, files: dict[str, int]) -> None:
    require_free_bytes(store.root, sum(files.values()))


def allowed_files(names: Sequence[str]) -> list[str]:
    """Return those of a repository's files that are fetched: on the list, in its top folder."""
    return [name for name in names if "/" not in name and any(fnmatchcase(name, each) for each in ALLOWED_FILES)]


def _resolved(reference: HubReference) -> tuple[str, dict[str, int]]:
    """Return the commit behind a reference, and the allowed files with their sizes in bytes."""
    hub = _hub()
    try:
        info = hub.HfApi().model_info(reference.repository, revision=reference.revision, files_metadata=True)
    except Exception as error:  # the client's errors share no base with its transport's
        raise DataError(f"the hub cannot say what {reference} is: {_said(error)}") from None
    commit = str(info.sha or "")
    if not COMMIT_PATTERN.match(commit):
        raise DataError(f"the hub resolved {reference} to {commit!r}, which is no commit")
    sizes = {each.rfilename: int(each.size or 0) for each in info.siblings or ()}
    chosen = allowed_files(list(sizes))
    if not any(name.endswith(".safetensors") for name in chosen):
        pickled = [name for name in sizes if any(fnmatchcase(name, each) for each in PICKLED_FILES)]
        if pickled:
            raise UntrustedError(
                f"{reference} holds pickled weights only ({pickled[0]}), which can run code: nothing was fetched"
            )
        raise DataError(f"{reference} holds no safetensors weights ({len(sizes)} files): nothing was fetched")
    return commit, {name: sizes[name] for name in chosen}


def _download(reference: HubReference, commit: str, files: Sequence[str], folder: Path) -> None:
    hub = _hub()
    try:
        for name in files:
            hub.hf_hub_download(reference.repository, name, revision=commit, local_dir=str(folder))
    except Exception as error:  # the client's errors share no base with its transport's
        raise DataError(f"{reference} could not be downloaded ({_said(error)}): run the same command again") from None
    cache = folder / ".cache"
    if cache.is_dir():
        remove_tree(cache)
    for name in files:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise IntegrityError(f"the hub's client left {name} of {reference} as no regular file")
    extra = {path.name for path in folder.iterdir()} - set(files)
    if extra:
        raise IntegrityError(f"the hub's client wrote {sorted(extra)[0]!r}, which was not asked for")


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError("fetching checkpoints needs huggingface_hub: pip install 'upbringing[train]'") from None
    return huggingface_hub
