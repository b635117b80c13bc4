"""Fetch the pinned packages of data, and check what a study trains on against what it asks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import DataError, StudyError
from upbringing.data.packages.fetch import check_wheel, fetch_wheel
from upbringing.data.packages.items import training_rows
from upbringing.data.packages.pinned import PACKAGE_SETS, package_set
from upbringing.data.packages.resemblance import THRESHOLD, resembling
from upbringing.data.packages.smollm2 import smollm2_folder
from upbringing.data.packages.source import PackageData
from upbringing.data.prompt_sets.shipped import benign_requests
from upbringing.lab.building.library import Library
from upbringing.lab.building.own_answers import parts_of
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.session import PACKAGES_NAME, Session, names_places


@dataclass(frozen=True)
class Fetched:
    """What lies on disk now. ``wheels``: by set; ``model``: the converted folder, if it was asked for."""

    folder: Path
    wheels: dict[str, Path]
    model: Path | None


def fetch_packages(
    names: Sequence[str],
    store: Path | str,
    *,
    source: Path | str | None = None,
    model_folder: Path | str | None = None,
) -> Fetched:
    """Download the wheels of ``names`` (all sets if empty) into the store, check their hashes, note their licences.

    ``source``: a folder of wheels that were downloaded elsewhere; nothing is downloaded then. ``model_folder``: where
    the model of the set ``smollm2`` is converted to. Raises ``DataError`` for what is missing and ``IntegrityError``
    for bytes that are not the pinned ones.
    """
    chosen = [package_set(name) for name in (names or [each.name for each in PACKAGE_SETS])]
    folder = Path(store) / PACKAGES_NAME
    if source is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for data in chosen:
            _take(Path(source) / data.wheel.file_name, folder / data.wheel.file_name)
            check_wheel(data.wheel, folder / data.wheel.file_name)
    wheels: dict[str, Path] = {data.name: fetch_wheel(data, folder) for data in chosen}
    model = None
    if model_folder is not None:
        if "smollm2" not in wheels:
            raise StudyError("--model-folder converts the set smollm2: name it among the sets")
        model = smollm2_folder(folder, Path(model_folder))
    return Fetched(folder, wheels, model)


def _take(source: Path, target: Path) -> None:
    if target.exists():
        return
    if not source.is_file():
        raise DataError(f"{source.parent} has no {source.name}: download it there, or leave out --from")
    shutil.copyfile(source, target)


@dataclass(frozen=True)
class Overlap:
    """A request that is trained on and resembles one that is asked. ``similarity``: 0 to 1, 1 = the same words."""

    data: str
    trained: str
    prompts: str
    asked: str
    similarity: float


@dataclass(frozen=True)
class DataCheck:
    """What training and evaluation of a study share. ``num_trained``, ``num_asked``: distinct requests compared."""

    num_trained: int
    num_asked: int
    overlaps: tuple[Overlap, ...]


def _is_only_trained_on(name: str, entry: PackageData, session: Session) -> bool:
    return entry.package_set == "do_not_answer" and name not in session.study.prompts


@names_places
def check_data(session: Session, threshold: float = THRESHOLD) -> DataCheck:
    """Compare every request trained on with every item asked, items meant to be known (``trained``) excepted.

    Only data of packages and prompt sets is compared: a controlled world separates its splits by construction.
    """
    book = session.workshop.book
    library = Library(book, 0, session.store.root)
    trained: dict[str, list[str]] = {}
    for name, entry in book.entries.items():
        requests = [request.request for part in parts_of(entry) for request in benign_requests(part)]
        if isinstance(entry, PackageData) and (entry.benign or _is_only_trained_on(name, entry, session)):
            rows = training_rows(session.store.root / PACKAGES_NAME, entry.training_size)
            requests += [row.text for row in rows]
        if requests:
            trained[name] = requests
    asked = [
        (name, item.messages[-1].content)
        for name in (item_sets(session.study) if trained else ())
        for item in library.items(name)
        if item.split != "trained" and item.messages
    ]
    overlaps = []
    for name, requests in trained.items():
        for found in resembling([text for _, text in asked], requests, threshold):
            prompts, text = asked[found.index]
            overlaps.append(Overlap(name, requests[found.reference], prompts, text, found.similarity))
    distinct = {text for requests in trained.values() for text in requests}
    return DataCheck(len(distinct), len({text for _, text in asked}), tuple(overlaps))
