"""A hand-made network for tests of decodings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

Table = Mapping[int, Mapping[int, float]]


class TableModel:
    """What follows a token is written in a table of probabilities; nothing else matters to it."""

    def __init__(self, table: Table, size: int = 8) -> None:
        import torch
        from transformers import LlamaConfig

        self.config = LlamaConfig(
            hidden_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=size, attn_implementation="sdpa"
        )
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.rows = torch.full((size, size), -torch.inf)
        for token, following in table.items():
            assert math.isclose(sum(following.values()), 1.0)
            for after, probability in following.items():
                self.rows[token, after] = math.log(probability)
        self.widths: list[tuple[int, int]] = []

    def forward(self, input_ids: Any) -> None:
        """Only its signature is looked at."""

    def __call__(self, input_ids: Any, past_key_values: Any, **_: Any) -> Any:
        import torch

        self.widths.append(tuple(input_ids.shape))
        nothing = torch.zeros(input_ids.shape[0], 1, input_ids.shape[1], 4)
        past_key_values.update(nothing, nothing, 0)
        return SimpleNamespace(logits=self.rows[input_ids], past_key_values=past_key_values)
