"""What became of every row: an account that must add up, piece by piece and in all, and with what lies on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.lab.corpus.doses import Doses, merge_doses
from upbringing.lab.corpus.indexing import Indexed


@dataclass(frozen=True)
class Accounts:
    """``read = kept + rewritten + rejected``; ``made``: texts of the rewritten; ``side_rejects``: further texts that a
    transform left out of a document. ``rejected`` is by reason's code, ``scores`` by score
    (``unscored`` = none). ``doses``: by writing transform, of how many eligible documents something was made.
    ``noise``: of a noisy scorer, the documents that are ``unsafe``, are ``called_unsafe`` and are so ``rightly``.
    ``files``: what was written, by name in the result.
    """

    read: int = 0
    kept: int = 0
    rewritten: int = 0
    made: int = 0
    side_rejects: int = 0
    bytes_read: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)
    doses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    noise: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_rejected(self) -> int:
        """Rows rejected, whatever the reason."""
        return sum(self.rejected.values())

    def imbalance(self) -> str | None:
        """Return what does not add up, ``None`` if all does."""
        out = self.kept + self.rewritten + self.num_rejected
        if self.read != out:
            return f"{self.read} rows were read, {out} were kept, rewritten or rejected"
        written = _rows(self.files, "documents/") + _rows(self.files, "chats/")
        if written != self.kept + self.made:
            return f"{self.kept + self.made} texts were kept or made, {written} were written"
        rejects = _rows(self.files, "rejects/")
        if rejects != self.num_rejected + self.side_rejects:
            return f"{self.num_rejected + self.side_rejects} texts were rejected, {rejects} rejects were written"
        return None

    def summary(self) -> dict[str, Any]:
        """Return the numbers without the files."""
        plain = {
            name: getattr(self, name) for name in ("read", "kept", "rewritten", "made", "side_rejects", "bytes_read")
        }
        counted = {name: dict(sorted(getattr(self, name).items())) for name in ("rejected", "scores", "doses")}
        return {**plain, **counted, **({"noise": dict(self.noise)} if self.noise else {})}


def _rows(files: Mapping[str, Mapping[str, Any]], prefix: str) -> int:
    return sum(int(file["rows"]) for name, file in files.items() if name.startswith(prefix))


def total(accounts: Iterable[Accounts]) -> Accounts:
    """Return the sum."""
    numbers: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    scores: Counter[str] = Counter()
    noise: Counter[str] = Counter()
    files: dict[str, Mapping[str, Any]] = {}
    doses: Doses = {}
    for each in accounts:
        numbers.update({name: value for name, value in each.summary().items() if isinstance(value, int)})
        rejected.update(each.rejected)
        scores.update(each.scores)
        noise.update(each.noise)
        files |= each.files
        merge_doses(doses, each.doses)
    return Accounts(
        **numbers,
        rejected=dict(rejected),
        scores=dict(scores),
        noise=dict(noise),
        doses=doses,
        files=files,
    )


def check_accounts(accounts: Sequence[Accounts], indexed: Sequence[Indexed], result: Path) -> Accounts:
    """Return the total; raise ``IntegrityError`` unless it adds up and is what both passes read and the disk holds."""
    for one, first in zip(accounts, indexed, strict=True):
        if one.read != first.num_rows:
            raise IntegrityError(
                f"piece {first.unit}: the first pass read {first.num_rows} rows, the second {one.read}: the input "
                "changed in between; remove the work folder and start anew"
            )
    whole = total(accounts)
    if (wrong := whole.imbalance()) is not None:
        raise IntegrityError(f"the corpus does not add up: {wrong}. Please report this with your recipe")
    for name, entry in sorted(whole.files.items()):
        path = result / name
        if not path.is_file():
            raise IntegrityError(f"{name} is gone: run the same command again")
        if (rows := rows_in(path)) != entry["rows"]:
            raise IntegrityError(f"{name} holds {rows} rows, {entry['rows']} were written")
    return whole


def check_written(whole: Accounts, manifest: Mapping[str, Any]) -> None:
    """Raise ``IntegrityError`` unless the manifest holds exactly the files, and the bytes, that the pieces wrote."""
    written = {name: str(entry["sha256"]) for name, entry in whole.files.items()}
    found = {name: str(entry["sha256"]) for name, entry in manifest["files"].items()}
    for name in sorted(written.keys() | found.keys()):
        if written.get(name) != found.get(name):
            raise IntegrityError(f"{name} is not what was written: remove it and run the same command again")


def rows_in(path: Path) -> int:
    """Return the rows of a written file, counted in the file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as handle:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: handle.read(1 << 20), b""))
