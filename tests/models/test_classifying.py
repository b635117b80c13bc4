"""A tiny sequence classifier, trained in seconds: read, batched and checked like a foreign checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError, IntegrityError, UntrustedError
from upbringing.data.documents import Document
from upbringing.data.interventions.scoring.anchors import ANCHORS
from upbringing.data.interventions.scoring.scorers import open_scorer
from upbringing.data.interventions.scoring.sequence_classifier import SequenceClassifierScorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.tokenizer import train_tokenizer
from upbringing.models.classifying import SequenceClassifier, batches_by_length, open_sequence_classifier
from upbringing.models.loading import open_folder_tokenizer

pytestmark = pytest.mark.model
MAX_POSITIONS = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer BERT of two classes that learned the anchors; class 0 is harmless."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    texts = [*ANCHORS.harmless, *ANCHORS.harmful]
    words = sorted({word for text in texts for word in re.findall(r"\w+", text)})
    train_tokenizer(words, vocabulary=900, special_tokens=(), chat_template=None, folder=folder)
    tokenizer = open_folder_tokenizer(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MAX_POSITIONS,
        num_labels=2,
        id2label={0: "level_0", 1: "level_5"},
        label2id={"level_0": 0, "level_5": 1},
        pad_token_id=tokenizer.pad_token_id or 0,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForSequenceClassification(config)
    rows = [tokenizer(text)["input_ids"][:MAX_POSITIONS] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [config.pad_token_id] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    labels = torch.tensor([0] * len(ANCHORS.harmless) + [1] * len(ANCHORS.harmful))
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def tools(folder: Path) -> ScoringTools:
    return ScoringTools(folder, open_classifier=lambda path, limit: open_sequence_classifier(path, limit))


def changed(checkpoint: Path, folder: Path, **values: Any) -> Path:
    """A copy whose configuration says something else."""
    shutil.copytree(checkpoint, folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.fixture(scope="module")
def opened(checkpoint: Path) -> SequenceClassifier:
    return open_sequence_classifier(checkpoint)


def test_it_scores_and_its_labels_pass_the_anchors(checkpoint: Path) -> None:
    scorer = open_scorer(SequenceClassifierScorer(checkpoint=checkpoint.name), tools(checkpoint.parent))
    texts = [ANCHORS.harmful[0], ANCHORS.harmless[0], "", "   "]
    found = scorer.score([Document(text=text, source="x") for text in texts])
    assert [each.score for each in found] == [5, 0, None, None]


def test_the_labels_turned_round_are_an_error(checkpoint: Path, tmp_path: Path) -> None:
    turned = changed(checkpoint, tmp_path / "turned", id2label={"0": "level_5", "1": "level_0"})
    with pytest.raises(DataError, match="The labels are reversed"):
        open_scorer(SequenceClassifierScorer(checkpoint="turned"), tools(turned.parent))
    mended = SequenceClassifierScorer(checkpoint="turned", labels={"level_5": 0, "level_0": 5})
    open_scorer(mended, tools(turned.parent))
    unnamed = changed(checkpoint, tmp_path / "unnamed", id2label={"0": "fine", "1": "bad"})
    with pytest.raises(DataError, match="does not say its score"):
        open_scorer(SequenceClassifierScorer(checkpoint="unnamed"), tools(unnamed.parent))


def test_an_untrained_classifier_is_no_classifier_of_harm(checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(1)
    folder = changed(checkpoint, tmp_path / "random")
    model = BertForSequenceClassification.from_pretrained(folder, local_files_only=True)
    model.classifier.weight.data.zero_()
    model.save_pretrained(folder)
    with pytest.raises(DataError, match="no classifier of harm"):
        open_scorer(SequenceClassifierScorer(checkpoint="random"), tools(tmp_path))


def test_batches_change_no_probability_and_keep_the_order(opened: SequenceClassifier) -> None:
    texts = [" ".join(["library"] * (1 + number * 7 % 23)) for number in range(40)]
    together = opened.classify(texts)
    for text, found in zip(texts, together, strict=True):
        assert opened.classify([text])[0].probabilities == pytest.approx(found.probabilities, abs=1e-5)
        assert sum(found.probabilities) == pytest.approx(1.0)
    assert opened.classify([]) == []


def test_batches_are_bounded_with_their_padding() -> None:
    lengths = [5000, 3, 4000, 9000, 1, 4096]
    batches = batches_by_length(lengths)
    assert sorted(place for batch in batches for place in batch) == list(range(6))
    assert batches == [[4, 1], [2, 5], [0], [3]]


def test_long_texts_are_cut_openly(opened: SequenceClassifier, checkpoint: Path) -> None:
    text = "library " * 130_000
    found = opened.classify([text, "library"])
    assert found[0].num_read == MAX_POSITIONS
    assert found[0].num_tokens > MAX_POSITIONS
    assert found[1].num_read == found[1].num_tokens
    assert open_sequence_classifier(checkpoint, 16).classify([text])[0].num_read == 16
    spaces = opened.classify([" " * 10_000_000 + "library"])[0]
    assert spaces.num_read < spaces.num_tokens  # whatever few tokens its beginning is
    with pytest.raises(IntegrityError, match="takes 64"):
        open_sequence_classifier(checkpoint, 65)


def test_what_cannot_be_trusted_or_is_none_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match="auto_map"):
        open_sequence_classifier(changed(checkpoint, tmp_path / "code", auto_map={"AutoModel": "x.y"}))
    pickled = changed(checkpoint, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UntrustedError, match="pickled"):
        open_sequence_classifier(pickled)
    with pytest.raises(IntegrityError, match="no sequence classifier"):
        open_sequence_classifier(changed(checkpoint, tmp_path / "mlm", architectures=["BertForMaskedLM"]))
    with pytest.raises(IntegrityError, match="multi_label"):
        open_sequence_classifier(changed(checkpoint, tmp_path / "multi", problem_type="multi_label_classification"))
    with pytest.raises(IntegrityError, match="no config"):
        open_sequence_classifier(tmp_path)


def test_missing_weights_are_no_random_numbers(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = changed(checkpoint, tmp_path / "headless")
    tensors = {name: each for name, each in load_file(folder / "model.safetensors").items() if "classifier" not in name}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IntegrityError, match="lacks the weights"):
        open_sequence_classifier(folder)
