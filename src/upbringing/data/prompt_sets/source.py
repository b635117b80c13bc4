"""``prompt_set``: a shipped set as data of a study, to train on or to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.data.documents import Chat
from upbringing.data.prompt_sets.benign_chats import benign_chats
from upbringing.data.prompt_sets.items import knowledge_items, over_refusal_items, text_items
from upbringing.data.prompt_sets.shipped import BenignPart, benign_requests, shipped_sha256
from upbringing.formats.items import ItemSet

MAX_ANSWER_WORDS = 60  # about 80 tokens: an answer of a few sentences


class PromptSet(Description):
    """A shipped prompt set.

    ``benign_training`` is trained on: ``parts`` of it, each request with the start model's own answer, which the study
    generates, in whole sentences of at most ``max_words`` words. The other sets are asked; ``per_family`` pairs of
    each family of ``over_refusal``, ``None`` = all.
    """

    kind: Literal["prompt_set"] = "prompt_set"
    prompt_set: Literal["benign_training", "over_refusal", "knowledge", "texts"]
    parts: tuple[BenignPart, ...] = ()
    max_words: int = Field(default=MAX_ANSWER_WORDS, ge=1)
    per_family: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fields_belong_to_the_set(self) -> Self:
        if (self.prompt_set == "benign_training") != bool(self.parts):
            raise ValueError("parts (shared, placebo, finetune) are given for benign_training, and only for it")
        if self.per_family is not None and self.prompt_set != "over_refusal":
            raise ValueError("per_family belongs to over_refusal")
        return self

    def requests(self) -> tuple[str, ...]:
        """Return the requests that the start model must answer before this can be read, in order."""
        return tuple(request.request for part in self.parts for request in benign_requests(part))

    def read(self, answers: Mapping[str, str], teacher: str) -> list[Chat]:
        """Return the chats to train on. ``answers``: the start model's, by request; ``teacher``: its checkpoint id.

        Raises ``DataError`` for a set that is asked, or where an answer is missing.
        """
        if not self.parts:
            raise DataError(f"the prompt set {self.prompt_set!r} is asked, never trained on")
        return benign_chats(self.parts, answers, teacher, self.max_words)

    def items(self) -> ItemSet:
        """Return the items to ask; raises ``DataError`` for the set that is trained on."""
        if self.prompt_set == "over_refusal":
            return over_refusal_items(self.per_family)
        if self.prompt_set == "knowledge":
            return knowledge_items()
        if self.prompt_set == "texts":
            return text_items()
        raise DataError("the prompt set 'benign_training' is trained on, never asked")

    def recipe(self) -> dict[str, Any]:
        """Return what enters a recipe's hash: the description and the bytes of the sets behind it."""
        used = [shipped_sha256(self.prompt_set)]
        if "placebo" in self.parts:
            used.append(shipped_sha256("refusals"))
        return {"description": self.model_dump(mode="json"), "sha256": used}
