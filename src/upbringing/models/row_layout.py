"""Where the tokens of prompts and continuations stand in the rows of a forward pass, and who sees whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.models.prompt_cache import Tokens


@dataclass(frozen=True)
class Scoring:
    """A prompt and what may continue it, as token ids; none is empty. ``states``: whether the prompt's hidden states
    are wanted, for which nothing need continue it.
    """

    prompt: Tokens
    continuations: tuple[Tokens, ...]
    states: bool = False

    @property
    def num_fed(self) -> int:
        """Tokens behind the prompt that something is predicted from: all but the last of each continuation."""
        return sum(len(each) - 1 for each in self.continuations)


class RowLayout:
    """Where every token of a batch stands: prompts end in column ``prompt - 1``, continuations follow.

    ``beginning``: tokens of every prompt that have been read already. Nothing is predicted from the last token of a
    continuation, so it is not fed. ``places``: (row, column), flattened, of all that predicts something; ``predicts``:
    which of these predicts each wanted token, and ``targets``: that token.
    """

    def __init__(self, rows: Sequence[Scoring], beginning: int = 0) -> None:
        self.beginning = beginning
        self.prompt = max(len(row.prompt) for row in rows) - beginning
        self.width = self.prompt + max(row.num_fed for row in rows)
        self.branches = any(len(row.continuations) > 1 and row.num_fed for row in rows)
        self.ids = np.zeros((len(rows), self.width), dtype=np.int64)
        self.positions = np.zeros_like(self.ids)
        self.groups = np.full_like(self.ids, -1)  # 0 = prompt, k = k-th continuation, -1 = padding
        self._sources: list[tuple[int, int]] = []  # place that predicts, token predicted
        for number, row in enumerate(rows):
            self._place(number, row)
        sources = np.array(self._sources, dtype=np.int64).reshape(-1, 2)
        self.places, self.predicts = np.unique(sources[:, 0], return_inverse=True)
        self.targets = sources[:, 1].copy()

    @property
    def mean_weights(self) -> NDArray[np.float32]:
        """What each column up to the prompts' end counts in the mean over a whole prompt (rows, prompt)."""
        inside = self.groups[:, : self.prompt] == 0
        lengths = self.beginning + inside.sum(axis=1, keepdims=True)
        weights: NDArray[np.float32] = (inside / lengths).astype(np.float32)
        return weights

    def _place(self, number: int, row: Scoring) -> None:
        own = row.prompt[self.beginning :]
        first = self.prompt - len(own)
        self.ids[number, first : self.prompt] = own
        self.positions[number, first : self.prompt] = self.beginning + np.arange(len(own))
        self.groups[number, first : self.prompt] = 0
        begin, row_place = self.prompt, number * self.width
        for group, continuation in enumerate(row.continuations, start=1):
            end = begin + len(continuation) - 1
            self.ids[number, begin:end] = continuation[:-1]
            self.positions[number, begin:end] = len(row.prompt) + np.arange(len(continuation) - 1)
            self.groups[number, begin:end] = group
            columns = [self.prompt - 1, *range(begin, end)]
            self._sources += [(row_place + column, token) for column, token in zip(columns, continuation, strict=True)]
            begin = end


def tree_mask(groups: Any, beginning: int, dtype: Any) -> Any:
    """Return the additive mask (batch, 1, time, beginning + time): causal, within a group or from it to the prompt."""
    import torch

    time = groups.shape[1]
    same = groups[:, :, None] == groups[:, None, :]  # (batch, time, time)
    prompt = (groups[:, None, :] == 0) & (groups[:, :, None] >= 0)
    causal = torch.ones(time, time, dtype=torch.bool, device=groups.device).tril()
    mask = torch.zeros(same.shape, dtype=dtype, device=groups.device)
    mask.masked_fill_(~((same | prompt) & causal), torch.finfo(dtype).min)
    return torch.nn.functional.pad(mask, (beginning, 0))[:, None]
