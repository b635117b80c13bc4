"""Sequence-classification checkpoints: one probability per label, texts batched by length, nothing foreign run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.models.devices import put_on
from upbringing.models.loading import REWARD_ARCHITECTURE, check_folder, open_folder_tokenizer, require_complete
from upbringing.models.passes import UNBOUNDED, PassLimits, pass_limits
from upbringing.models.weights import weights_sha256

TOKENS_PER_BATCH = 8192  # padding included; larger batches gain nothing on CPU
PROCESSOR = PassLimits(TOKENS_PER_BATCH, UNBOUNDED)
NO_LIMIT = 10**9  # what tokenizers say that know no longest text
SHORTEST_LIMIT = 8
CHARACTERS_PER_TOKEN = 64  # far more than any tokenizer averages: what lies beyond is not even split into tokens
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer")  # positions begin after pads


@dataclass(frozen=True)
class ClassifiedText:
    """One text. ``probabilities``: softmax, in the order of the labels. ``num_read`` of ``num_tokens`` were read; of
    texts that are very much longer than the model takes, ``num_tokens`` counts the beginning only.
    """

    probabilities: tuple[float, ...]
    num_tokens: int
    num_read: int


@dataclass(frozen=True)
class SequenceClassifier:
    """An opened checkpoint. ``max_tokens``: the longest text, special tokens included."""

    model: Any
    tokenizer: Any
    id: str
    labels: tuple[str, ...]
    max_tokens: int

    def classify(self, texts: Sequence[str]) -> list[ClassifiedText]:
        """Return one result per text, in order; texts of like length are computed together."""
        limit = self.max_tokens * CHARACTERS_PER_TOKEN
        cut = [len(text) > limit for text in texts]
        texts = [text[:limit] for text in texts]
        whole = self._ids(texts, truncated=False)
        places = [place for place, ids in enumerate(whole) if len(ids) > self.max_tokens]
        read = dict(enumerate(whole))
        read |= dict(zip(places, self._ids([texts[place] for place in places], truncated=True), strict=True))
        found: dict[int, ClassifiedText] = {}
        limits = pass_limits(self.model, tokens=TOKENS_PER_BATCH)
        for batch in batches_by_length([len(read[place]) for place in range(len(texts))], limits):
            for place, row in zip(batch, self._probabilities([read[place] for place in batch]), strict=True):
                found[place] = ClassifiedText(tuple(row), len(whole[place]) + cut[place], len(read[place]))
        return [found[place] for place in range(len(texts))]

    def _ids(self, texts: Sequence[str], *, truncated: bool) -> list[list[int]]:
        if not texts:
            return []
        limit = {"truncation": True, "max_length": self.max_tokens} if truncated else {"truncation": False}
        ids: list[list[int]] = self.tokenizer(list(texts), verbose=False, **limit)["input_ids"]
        return [row or [self.model.config.get_text_config().pad_token_id] for row in ids]

    def _probabilities(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        import torch

        width, padding = max(len(row) for row in rows), self.model.config.get_text_config().pad_token_id
        ids = torch.full((len(rows), width), padding, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(list(row))
            mask[place, : len(row)] = 1
        with torch.inference_mode():
            output = self.model(input_ids=ids.to(self.model.device), attention_mask=mask.to(self.model.device))
        probabilities: list[list[float]] = torch.softmax(output.logits.double(), dim=-1).tolist()
        return probabilities


def batches_by_length(lengths: Sequence[int], limits: PassLimits = PROCESSOR) -> list[list[int]]:
    """Return places in batches of as many tokens as ``limits`` allow, padding included, shortest first."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda each: (lengths[each], each)):
        if batches and limits.hold(len(batches[-1]) + 1, lengths[place]):
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def open_sequence_classifier(folder: Path, max_tokens: int | None = None, *, device: str = "cpu") -> SequenceClassifier:
    """Return the classifier in ``folder`` with fp32 weights.

    Raises ``UntrustedError`` for pickles and foreign code, and ``IntegrityError`` where it is no single-label
    classifier, weights are missing, or ``max_tokens`` is more than it takes.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    config = check_folder(folder)
    if not any(str(name).endswith(REWARD_ARCHITECTURE) for name in config.get("architectures") or ()):
        raise IntegrityError(
            f"{folder.name} is no sequence classifier: its architecture is {config.get('architectures')}"
        )
    if config.get("problem_type") not in (None, "single_label_classification"):
        raise IntegrityError(f"{folder.name} solves {config['problem_type']!r}: its outputs are no shares of one label")
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    require_complete(loading, folder)
    labels = tuple(str(model.config.id2label[place]) for place in range(model.config.num_labels))
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise IntegrityError(f"{folder.name} has the labels {list(labels)}: two or more different ones are needed")
    tokenizer = open_folder_tokenizer(folder)
    _set_padding(model, tokenizer, folder)
    longest = _longest(model.config, tokenizer, max_tokens, folder)
    name = f"{folder.name}@{weights_sha256(folder)[:12]}"
    return SequenceClassifier(put_on(model.eval(), device), tokenizer, name, labels, longest)


def _set_padding(model: Any, tokenizer: Any, folder: Path) -> None:
    """Name a padding token, without which a decoder's head reads padding instead of the last token."""
    text = model.config.get_text_config()
    if text.pad_token_id is None:
        text.pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    if text.pad_token_id is None:
        raise IntegrityError(f"{folder.name} names neither a padding token nor an end of text: texts cannot be batched")


def _longest(config: Any, tokenizer: Any, asked: int | None, folder: Path) -> int:
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and config.model_type in OFFSET_POSITIONS:
        positions -= config.pad_token_id + 1
    known = [int(each) for each in (positions, tokenizer.model_max_length) if each is not None and each < NO_LIMIT]
    if asked is None and not known:
        raise IntegrityError(f"{folder.name} does not say how long a text may be: give max_tokens")
    if asked is not None and known and asked > min(known):
        raise IntegrityError(f"max_tokens is {asked}, {folder.name} takes {min(known)}: lower it, and use chunked")
    longest = min([*known, *([] if asked is None else [asked])])
    if longest < SHORTEST_LIMIT:
        raise IntegrityError(f"{folder.name} would read {longest} tokens of a text, {SHORTEST_LIMIT} are needed")
    return longest
