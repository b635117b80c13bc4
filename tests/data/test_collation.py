"""Document boundaries: changing document 1 changes no logit of document 2; and the traps, shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from upbringing.data.collation import ENDS, block_mask, collate, document_ends, isolating_mask

pytestmark = pytest.mark.model
LENGTHS = (5, 9, 6)  # the rest of the 24 tokens is padding


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, pad_token_id=0
    )
    model = LlamaForCausalLM(config).eval()
    found = {}
    for attention in ("eager", "sdpa"):
        other = LlamaForCausalLM._from_config(config, attn_implementation=attention).eval()
        other.load_state_dict(model.state_dict())
        found[attention] = other
    return found


def arrays(first_token: int) -> dict[str, np.ndarray[Any, np.dtype[np.int32]]]:
    tokens, positions, numbers = [], [], []
    for number, length in enumerate(LENGTHS):
        tokens += [first_token if number == 0 else 7 + number] + [10 + number] * (length - 1)
        positions += list(range(length))
        numbers += [number] * length
    rest = 24 - len(tokens)
    return {
        "tokens": np.array([tokens + [0] * rest], dtype=np.int32),
        "labels": np.array([tokens + [-100] * rest], dtype=np.int32),
        "positions": np.array([positions + [0] * rest], dtype=np.int32),
        "documents": np.array([numbers + [-1] * rest], dtype=np.int32),
    }


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("bf16", [False, True])
def test_another_first_document_changes_no_logit_of_the_second(
    models: dict[str, Any], attention: str, bf16: bool
) -> None:
    import torch

    logits = []
    for token in (3, 40):
        batch = collate(arrays(token), 0, 1, torch.float32)
        batch.pop("labels")
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits.append(models[attention](**batch).logits[0])
    assert not torch.equal(logits[0][: LENGTHS[0]], logits[1][: LENGTHS[0]])
    assert torch.equal(logits[0][LENGTHS[0] :], logits[1][LENGTHS[0] :])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_document_has_the_logits_of_a_lone_one(models: dict[str, Any], attention: str) -> None:
    import torch

    packed = arrays(3)
    batch = collate(packed, 0, 1, torch.float32)
    batch.pop("labels")
    begin, end = LENGTHS[0], LENGTHS[0] + LENGTHS[1]
    with torch.no_grad():
        whole = models[attention](**batch).logits[0, begin:end]
        alone = models[attention](input_ids=torch.tensor(packed["tokens"][:, begin:end]).long()).logits[0]
    assert torch.allclose(whole, alone, atol=1e-5)


def test_an_all_ones_mask_leaks(models: dict[str, Any]) -> None:
    import torch

    logits = []
    for token in (3, 40):
        ids = torch.tensor(arrays(token)["tokens"]).long()
        with torch.no_grad():
            logits.append(models["eager"](input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, LENGTHS[0] :])
    assert not torch.equal(*logits)


def test_the_mask_by_hand() -> None:
    import torch

    mask = block_mask(torch.tensor([[0, 0, 1, -1]]), torch.float32)
    allowed = (mask[0, 0] == 0).int().tolist()
    assert allowed == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert mask.dtype == torch.float32
    assert torch.isfinite(mask).all()


def test_the_mask_of_isolated_text_by_hand() -> None:
    """A document a b c, a note of two tokens behind a, one of one token behind b, and another document."""
    import torch

    documents = torch.tensor([[0, 0, 0, 0, 0, 0, 1, -1]])
    positions = torch.tensor([[0, 1, 2, 1, 2, 2, 0, 0]])
    isolated = torch.tensor([[-1, -1, -1, 3, 3, 5, -1, -1]])
    mask = isolating_mask(documents, positions, isolated, torch.float32)
    assert (mask[0, 0] == 0).int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],
    ]
    assert torch.equal(
        isolating_mask(documents, positions, torch.full_like(isolated, -1), torch.float32),
        block_mask(documents, torch.float32),
    )


def test_ends_of_documents_by_hand() -> None:
    """Two windows: each ends its last document, padding is one, and the last end is repeated on a CPU."""
    documents = np.array([[0, 0, 1, -1], [1, 1, 1, 1]], dtype=np.int32)
    assert document_ends(documents).tolist() == [0, 2, 3, 4, 8, 8, 8, 8, 8]
    assert document_ends(documents, "meta").shape == (5,)


def test_a_batch_for_attention_by_documents_has_ends_and_no_mask() -> None:
    import torch

    batch = collate(arrays(3), 0, 1, torch.float32, by_documents=True)
    assert set(batch) == {"input_ids", "labels", "position_ids", ENDS}
    assert batch[ENDS].unique().tolist() == [0, 5, 14, 20, 24]
    assert batch[ENDS].dtype == torch.int32
