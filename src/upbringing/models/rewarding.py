"""Reward models: a language model's body with a head that gives a whole text one number."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.devices import require_accelerator
from upbringing.base.errors import IntegrityError
from upbringing.base.streams import derived_seed
from upbringing.formats.record import RECORD_NAME, BuildProfile, LoadCheck, read_record
from upbringing.models.devices import put_on
from upbringing.models.loading import (
    CHECK_TEXT,
    CHECK_TOLERANCE_NATS,
    LoadedModel,
    check_folder,
    is_reward_model,
    open_folder_tokenizer,
    require_complete,
    why_loaded_otherwise,
)
from upbringing.models.passes import UNBOUNDED, pass_limits

HEAD = "score.weight"
HEAD_DEVIATION = 0.02  # GPT-2's standard deviation; the first rewards are then near 0 and the first loss near ln 2
ROWS_PER_BATCH = 64  # of whole texts; larger batches gained nothing on CPU. Accelerators bound their tokens as well


def open_reward_model(folder: Path, *, profile: BuildProfile, check: bool = True) -> LoadedModel:
    """Return the reward model in ``folder`` with fp32 weights, in evaluation mode, on the profile's device.

    Raises ``IntegrityError`` where it is none, and with ``check`` where the fixed text of its record gets another
    reward than when it was saved; ``TrainingError`` where the profile's device is not here.
    """
    require_accelerator(profile.device, profile.world_size)
    if not is_reward_model(check_folder(folder)):
        raise IntegrityError(
            f"{folder.name} is a language model, not a reward model: train one with kind: reward_model"
        )
    tokenizer = open_folder_tokenizer(folder)
    model = _opened(folder, tokenizer, profile)
    record = read_record(folder) if (folder / RECORD_NAME).exists() else None
    if check and record is not None and record.load_check is not None:
        found = _reward_of_text(model, record.load_check.token_ids)
        if not abs(found - record.load_check.log_likelihood) <= record.load_check.tolerance:
            raise IntegrityError(
                f"{folder.name}: the fixed text gets the reward {found:.4f}, it got "
                f"{record.load_check.log_likelihood:.4f} when the model was saved. "
                f"{why_loaded_otherwise(record.load_check, profile)}"
            )
    return LoadedModel(model, tokenizer, record, folder)


def open_with_new_head(parent: Path, seed: int, *, profile: BuildProfile) -> LoadedModel:
    """Return the language model in ``parent`` with a reward head in place of its own.

    The head's weights are drawn from N(0, 0.02) under the stream ``reward head`` of ``seed``.
    """
    import torch

    check_folder(parent)
    tokenizer = open_folder_tokenizer(parent)
    with torch.random.fork_rng(devices=[]), _quiet():  # it is drawn on the CPU, whatever the device
        model = _opened(parent, tokenizer, profile, drawn=(HEAD,))
    generator = torch.Generator().manual_seed(derived_seed(seed, "reward head"))
    with torch.no_grad():
        drawn = torch.empty(model.score.weight.shape).normal_(0.0, HEAD_DEVIATION, generator=generator)
        model.score.weight.copy_(drawn)
    return LoadedModel(model, tokenizer, None, parent)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from reporting that the parent has no reward head: it is drawn here."""
    logger = logging.getLogger("transformers.modeling_utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _opened(folder: Path, tokenizer: Any, profile: BuildProfile, drawn: tuple[str, ...] = ()) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification

    model, found = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        num_labels=1,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation=profile.masked_attention,
        output_loading_info=True,
    )
    require_complete(found, folder, drawn)
    text = model.config.get_text_config()
    if text.pad_token_id is None:  # the head reads the last token that is not this one
        padding = tokenizer.pad_token_id
        text.pad_token_id = tokenizer.eos_token_id if padding is None else padding
    return put_on(model.eval(), profile.device)


def rewards_of(model: Any, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the reward of each text (token ids), in fp32, batches in the given order, shape ``(texts,)``."""
    import torch

    padding = model.config.get_text_config().pad_token_id
    found: list[NDArray[np.float32]] = []
    for rows in _batches(model, texts):
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), padding, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(list(row))
            mask[place, : len(row)] = 1
        with torch.no_grad():
            output = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
        found.append(output.logits[:, 0].float().cpu().numpy())
    return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)


def _batches(model: Any, texts: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Yield ``texts`` in batches of neighbours."""
    limits = pass_limits(model, tokens=UNBOUNDED)
    begin = width = 0
    for end, text in enumerate(texts):
        width = max(width, len(text))
        num = end - begin
        if num and (num == ROWS_PER_BATCH or not limits.hold(num + 1, width)):
            yield texts[begin:end]
            begin, width = end, len(text)
    if texts:
        yield texts[begin:]


def make_reward_check(loaded: LoadedModel, versions: dict[str, str]) -> LoadCheck:
    """Return the load check of a reward model that is about to be saved."""
    ids = tuple(int(token) for token in loaded.tokenizer(CHECK_TEXT, add_special_tokens=False)["input_ids"])
    return LoadCheck(
        token_ids=ids,
        log_likelihood=_reward_of_text(loaded.model, ids),
        quantity="reward",
        tolerance=CHECK_TOLERANCE_NATS,
        versions=versions,
    )


def _reward_of_text(model: Any, ids: tuple[int, ...]) -> float:
    return float(rewards_of(model, [ids])[0])
