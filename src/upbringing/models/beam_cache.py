"""Keys and values of beams: one row per prompt, in which every beam sees the tokens that it consists of.

The columns of a row are the prompt and behind it the tokens of all its beams. A mask says which of them a beam sees, so
beams share what they have in common, nothing is copied when beams branch or end, and all candidates of all beams of
all prompts are one forward pass of single tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upbringing.base.errors import MeasurementError
from upbringing.models.answer_tokens import TokenPrompt
from upbringing.models.attention import answer_cache, keep_columns
from upbringing.models.prompt_cache import read_prompts

PRUNE_COLUMNS = 64  # columns behind the prompt before those that no beam sees any more are given back


class BeamCache:
    """The beams of a batch of prompts. ``logits``: (prompts, vocabulary) of each prompt's next token.

    Raises ``MeasurementError`` for a network whose keys and values cannot be masked and chosen column by column.
    """

    def __init__(self, model: Any, prompts: Sequence[TokenPrompt], padding: int) -> None:

        if answer_cache(model) is None:
            raise MeasurementError("beam search needs a network that keeps keys and values of every token: use greedy")
        read = read_prompts(model, [prompt.ids for prompt in prompts], padding)
        self.model, self.cache, self.logits = model, read.cache, read.logits
        self.prompt = read.mask.bool()  # (prompts, columns)
        self.positions = self.prompt.sum(dim=1)  # of the next token, (prompts,)
        self.seen = self.prompt.new_zeros(len(prompts), 1, 0)  # (prompts, beams, columns behind the prompt)
        self.parents: Any = None

    def look(self, tokens: Any, parents: Any) -> Any:
        """Return the logits (prompts, candidates, vocabulary) behind each of ``tokens`` (prompts, candidates).

        ``parents``: the beam that each candidate continues. ``keep`` has to follow before the next look.
        """
        import torch

        num, width = tokens.shape
        behind = self.seen[torch.arange(num, device=tokens.device)[:, None], parents]  # (prompts, candidates, columns)
        own = torch.eye(width, dtype=torch.bool, device=tokens.device).expand(num, -1, -1)
        visible = torch.cat([self.prompt[:, None].expand(-1, width, -1), behind, own], dim=2)
        mask = torch.zeros(visible.shape, dtype=self.model.dtype, device=tokens.device)
        mask = mask.masked_fill_(~visible, torch.finfo(self.model.dtype).min)[:, None]
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=self.positions[:, None].expand(-1, width),
            past_key_values=self.cache,
            use_cache=True,
        )
        self.parents = parents
        return output.logits

    def keep(self, chosen: Any) -> None:
        """Let the candidates ``chosen`` (prompts, beams) of the last look be the beams; forget the others."""
        import torch

        first = self.prompt.shape[1] + self.seen.shape[2]
        keep_columns(self.cache, first, first + chosen)
        parents = self.parents.gather(1, chosen)
        before = self.seen[torch.arange(len(chosen), device=chosen.device)[:, None], parents]
        own = torch.eye(chosen.shape[1], dtype=torch.bool, device=chosen.device).expand(len(chosen), -1, -1)
        self.seen = torch.cat([before, own], dim=2)
        self.positions = self.positions + 1
        if self.seen.shape[2] >= PRUNE_COLUMNS and self.seen.shape[2] >= 2 * int(self._alive().sum(dim=1).max()):
            self._prune()

    def leave(self, rows: Any) -> None:
        """Keep the prompts ``rows`` only."""
        self.cache.batch_select_indices(rows)
        self.prompt, self.positions, self.seen = self.prompt[rows], self.positions[rows], self.seen[rows]

    def _alive(self) -> Any:
        """Return the columns behind the prompt that some beam sees, (prompts, columns)."""
        return self.seen.any(dim=1)

    def _prune(self) -> None:
        """Give back the columns that no beam sees; a row with fewer live ones than others keeps some dead ones."""
        alive = self._alive()
        width = int(alive.sum(dim=1).max())
        order = (~alive).long().argsort(dim=1, stable=True)[:, :width]
        first = self.prompt.shape[1]
        keep_columns(self.cache, first, first + order)
        self.seen = self.seen.gather(2, order[:, None].expand(-1, self.seen.shape[1], -1))
