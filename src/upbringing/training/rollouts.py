"""A policy's own answers: drawn from named streams, paid, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.data.prompts import AskedPrompt, PromptStream
from upbringing.formats.record import RlUpdate
from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.decoding import Sampled
from upbringing.models.generation import decoded_tokens, plan_batches, tokens_held
from upbringing.training.rewards import Answer, Rewarder
from upbringing.training.rl import Rl
from upbringing.training.rl_curve import update_of


@dataclass
class Rollouts:
    """Draws and pays the answers of one stage. Places of prompts count over the whole stage.

    ``seed``: each answer has the stream ``decode/rl/<place>/<number>`` under it, so what is drawn depends on the
    weights, the prompt and its place, and on nothing that a resume could lose. ``updates``: of the stage so far.
    """

    stage: Rl
    prompts: PromptStream
    rewarder: Rewarder
    tokenizer: Any
    ends: Ends
    seed: int
    updates: list[RlUpdate]
    _pending: RlUpdate | None = None

    def at(self, place: int) -> AskedPrompt:
        """Return the prompt at ``place``."""
        return self.prompts.at(place)

    def draw(self, model: Any, places: Sequence[int]) -> list[list[int]]:
        """Return the answers to the prompts at ``places`` as tokens, ``group_size`` side by side for each."""
        decoding = Sampled(
            max_tokens=self.stage.max_new_tokens, temperature=self.stage.temperature, samples=self.stage.group_size
        )
        asked = [TokenPrompt(f"rl/{place}", self.at(place).ids) for place in places]
        answers: list[list[list[int]]] = [[] for _ in asked]
        held = tokens_held(model, 4)  # of fp32, whatever is multiplied in bf16
        for batch in plan_batches(asked, decoding, tokens_per_batch=held):
            rows = decoded_tokens(model, [asked[index] for index in batch], decoding, ends=self.ends, seed=self.seed)
            for number, index in enumerate(batch):
                answers[index] = rows[number * decoding.samples : (number + 1) * decoding.samples]
        return [answer for group in answers for answer in group]

    def pay(self, step: int, places: Sequence[int], drawn: Sequence[Sequence[int]]) -> list[float]:
        """Return the rewards of answers to the prompts at ``places`` (one per answer), and note what they were like."""
        texts = self.tokenizer.batch_decode([list(ids) for ids in drawn], skip_special_tokens=True)
        answers = [
            Answer(self.at(place), tuple(ids), text.strip())
            for place, ids, text in zip(places, drawn, texts, strict=True)
        ]
        worths = self.rewarder.worths(answers)
        unended = [not ids or ids[-1] not in self.ends.tokens for ids in drawn]
        self._pending = update_of(step, answers, worths, self.stage.group_size, unended)
        return [worth.reward for worth in worths]

    def finish(self, step: int, divergence: float | None) -> None:
        """Write the update down, once it was made."""
        if self._pending is None or self._pending.step != step:
            raise TrainingError(
                f"update {step} was made without answers of its own: this is a defect, please report it"
            )
        self.updates.append(self._pending.model_copy(update={"divergence": divergence}))
        self._pending = None
