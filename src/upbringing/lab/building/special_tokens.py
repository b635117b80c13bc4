"""How often a stage, and a whole lineage, learned to give each special token: what a tag means to a checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import IntegrityError
from upbringing.data.pairs import open_pair_stream
from upbringing.data.stream import open_stream
from upbringing.formats.record import RECORD_NAME, LearnedTokens, read_record
from upbringing.lab.storage.store import Store
from upbringing.training.dpo import Dpo
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.settings import TrainedStage

WINDOWS_AT_ONCE = 4096  # bounds the memory; a stream may be larger than it


def special_tokens(tokenizer: Path) -> dict[str, int]:
    """Return the special tokens of the tokenizer in a folder: text to id."""
    try:
        plain = json.loads((tokenizer / "tokenizer.json").read_bytes())
        return {str(each["content"]): int(each["id"]) for each in plain.get("added_tokens", ()) if each["special"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{tokenizer / 'tokenizer.json'} cannot be read ({type(error).__name__})") from error


def learned_special_tokens(stage: TrainedStage, stream: Path, tokenizer: Path, num_steps: int) -> dict[str, int]:
    """Return how often the first ``num_steps`` updates of a stage learned to give each special token.

    Only targets count: text that is read without a loss teaches to give nothing. Of preference pairs the chosen answers
    count; a reward model gives no token; the own answers of a policy are no data, so nothing of them counts.
    """
    wanted = special_tokens(tokenizer)
    if isinstance(stage, Rl | RewardModel):
        return dict.fromkeys(wanted, 0)
    found = _of_pairs(stream, num_steps) if isinstance(stage, Dpo) else _of_windows(stream, num_steps)
    return {text: found[token] for text, token in wanted.items()}


def _of_windows(stream: Path, num_steps: int) -> Counter[int]:
    opened = open_stream(stream)
    labels = opened.arrays["labels"][: num_steps * opened.info.batch_size]
    return _counted([labels[first : first + WINDOWS_AT_ONCE] for first in range(0, len(labels), WINDOWS_AT_ONCE)])


def _of_pairs(stream: Path, num_steps: int) -> Counter[int]:
    opened = open_pair_stream(stream)
    pairs = opened.pairs(0, num_steps * opened.info.batch_size)
    return _counted([np.array(pair.chosen, dtype=np.int32) for pair in pairs])


def _counted(parts: list[NDArray[np.int32]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for part in parts:
        times = np.bincount(part[part >= 0])
        total.update({int(token): int(times[token]) for token in np.flatnonzero(times)})
    return total


def lineage_tokens(store: Store, checkpoint: Path) -> LearnedTokens:
    """Return what the records from a checkpoint's folder back to its start say; incomplete where one says nothing."""
    counts: Counter[str] = Counter()
    complete = True
    folder: Path | None = checkpoint
    while folder is not None and (folder / RECORD_NAME).exists():
        record = read_record(folder)
        if record.kind == "fresh":
            return LearnedTokens(dict(counts), complete)
        if record.special_tokens is None:
            complete = False
        else:
            counts.update(record.special_tokens)
        folder = None if record.parent is None else store.find("checkpoints", record.parent)
    return LearnedTokens(dict(counts), complete=False)
