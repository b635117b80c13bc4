"""What a model that is asked through a local one takes over from it: prompts, batches, and why it cannot be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from upbringing.models.decoding import Decoding

if TYPE_CHECKING:
    from upbringing.models.asking import Prompt
    from upbringing.models.local import LocalModel


class ThroughLocal(ABC):
    """The base of models that are asked as ``asked_through`` is. Answers, likelihoods and identity are their own."""

    @property
    @abstractmethod
    def asked_through(self) -> LocalModel:
        """The local model whose prompts, batches and ends of answers these are."""

    @property
    def template_sha256(self) -> str | None:
        """Hash of the chat template's text."""
        return self.asked_through.template_sha256

    @property
    def side_by_side(self) -> int:
        """One batch at a time."""
        return self.asked_through.side_by_side

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Return why ``prompt`` cannot be asked."""
        return self.asked_through.unanswerable(prompt)

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """Return why ``continuations`` have no likelihood."""
        return self.asked_through.unscorable(prompt, continuations)

    def undecodable(self, decoding: Decoding) -> str | None:
        """Return why ``decoding`` cannot be had."""
        return self.asked_through.undecodable(decoding)

    def lacks(self, token: str) -> str | None:
        """Return why ``token`` means nothing."""
        return self.asked_through.lacks(token)

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return the canonical batches."""
        return self.asked_through.batches(prompts, decoding)
