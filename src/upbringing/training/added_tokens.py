"""Special tokens that an existing checkpoint does not have: a copy of it whose tokenizer and embeddings have them.

A tag or control token must be one token. Random weights get theirs with the study's tokenizer; a checkpoint that exists
gets them here, and the study starts from the copy.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError, StudyError
from upbringing.base.files import publish_folder
from upbringing.data.tokenizer import chat_template, token_ids, write_template_twice
from upbringing.models.loading import (
    check_folder,
    is_reward_model,
    open_folder_tokenizer,
    opening,
    require_complete,
)


def add_tokens(checkpoint: Path, tokens: Sequence[str], output: Path) -> Path:
    """Write a copy of ``checkpoint`` with ``tokens`` as special tokens into the new folder ``output``, and return it.

    Whatever does not hold them is read and continued as before, up to the little probability that new tokens take:
    their embeddings, of input and output, are the mean of all that the tokenizer had. Weights keep their type, and
    every other bit. Raises ``StudyError`` where ``output`` exists, ``DataError`` for tokens that are there or are none,
    ``IntegrityError`` where a weight of the checkpoint stands in no file.
    Source: Hewitt 2021 ("Initializing new word embeddings"), the mean. Departures: its covariance is left out.
    """
    if output.exists():
        raise StudyError(f"{output} exists already: name a new folder")
    if is_reward_model(check_folder(checkpoint)):
        raise StudyError(f"{checkpoint.name} is a reward model: it says no tokens")
    _require_new(token_ids(checkpoint).keys(), tokens)
    template = chat_template(checkpoint)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
    try:
        _write(checkpoint, tokens, temporary)
        if template is not None:
            write_template_twice(temporary, template)
        temporary.chmod(0o755)
        publish_folder(temporary, output.absolute())
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return output


def _require_new(known: Any, tokens: Sequence[str]) -> None:
    """Raise ``DataError`` for no tokens, one that is empty or stands twice, and one that the tokenizer has."""
    if not tokens or len(set(tokens)) < len(tokens) or not all(token.strip() == token and token for token in tokens):
        raise DataError(
            f"the tokens to add are {list(tokens)}: give one or more, each once, without white space around it"
        )
    if there := [token for token in tokens if token in known]:
        raise DataError(
            f"the tokenizer has the token{'s' if len(there) > 1 else ''} {', '.join(map(repr, there))} already"
        )


def _write(checkpoint: Path, tokens: Sequence[str], folder: Path) -> None:
    """Write model and tokenizer with ``tokens`` into ``folder``."""
    import torch
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM

    tokenizer = open_folder_tokenizer(checkpoint)
    num_before = len(tokenizer)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    with opening(checkpoint):
        model, found = AutoModelForCausalLM.from_pretrained(
            str(checkpoint),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="auto",
            output_loading_info=True,
        )
    require_complete(found, checkpoint)
    num_rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > num_rows:  # checkpoints often have rows to spare
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            for values in (layer.weight, getattr(layer, "bias", None)):
                if values is not None:
                    values[new] = values[:num_before].float().mean(dim=0).to(values.dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
