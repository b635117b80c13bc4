"""Where a run keeps what, beside its output until the output is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upbringing.lab.corpus.shards import KINDS


@dataclass(frozen=True)
class Folders:
    """``output`` appears whole, by renaming; all else lies in the work folder beside it and goes at the end."""

    output: Path

    @property
    def work(self) -> Path:
        """The work folder."""
        return self.output.with_name(f"{self.output.name}.work")

    @property
    def lock(self) -> Path:
        """The file that a running process holds."""
        return self.output.with_name(f".{self.output.name}.lock")

    @property
    def plan(self) -> Path:
        """What is being made of what."""
        return self.work / "plan.json"

    @property
    def spool(self) -> Path:
        """Unpacked inputs."""
        return self.work / "spool"

    @property
    def index(self) -> Path:
        """What the first pass wrote."""
        return self.work / "index"

    @property
    def decisions(self) -> Path:
        """Which documents are duplicates."""
        return self.work / "decisions"

    @property
    def labels(self) -> Path:
        """True labels of each piece, where transforms compare those of all texts."""
        return self.work / "labels"

    def settled(self, stage: int) -> Path:
        """What the labels that the pass ``stage`` found depend on in all."""
        return self.labels / f"settled-{stage}.json"

    @property
    def accounts(self) -> Path:
        """One account per finished piece."""
        return self.work / "accounts"

    @property
    def journal(self) -> Path:
        """Paid results."""
        return self.work / "journal"

    @property
    def result(self) -> Path:
        """What becomes the output."""
        return self.work / "result"

    def make(self) -> None:
        """Create the folders."""
        for folder in (self.index, self.accounts, self.journal, *(self.result / kind for kind in KINDS)):
            folder.mkdir(parents=True, exist_ok=True)
