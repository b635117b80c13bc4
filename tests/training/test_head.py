"""Logits of the learned positions alone: the loss and the gradients of all logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from upbringing.data.packing import IGNORED
from upbringing.training.head import LearnedPositions, learned_positions

pytestmark = pytest.mark.model
VOCABULARY = 48


def small_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def batch(share: float) -> dict[str, torch.Tensor]:
    """Two windows of 24 tokens, ``share`` of which are learned."""
    random = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, VOCABULARY, (2, 24), generator=random)
    learned = torch.rand(2, 24, generator=random) < share
    return {"input_ids": tokens, "labels": torch.where(learned, tokens, IGNORED)}


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_loss_and_gradients_are_those_of_all_logits(share: float) -> None:
    inputs = batch(share)
    num = (inputs["labels"][:, 1:] != IGNORED).sum()
    model = small_model()
    whole = model(**inputs, num_items_in_batch=num).loss
    whole.backward()
    expected = gradients(model)
    model.zero_grad()
    positions = LearnedPositions(model)
    positions.choose(inputs["labels"])
    outputs = model(input_ids=inputs["input_ids"])
    found = positions.loss(outputs, inputs["labels"], num)
    found.backward()
    assert outputs.logits.numel() // VOCABULARY == (48 if share == 1.0 else int(num))
    assert float(found.detach()) == pytest.approx(float(whole.detach()), rel=1e-6)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7)


def test_where_all_is_learned_the_bits_are_the_same() -> None:
    inputs = batch(1.0)
    num = (inputs["labels"][:, 1:] != IGNORED).sum()
    model = small_model()
    positions = LearnedPositions(model)
    positions.choose(inputs["labels"])
    found = positions.loss(model(input_ids=inputs["input_ids"]), inputs["labels"], num)
    positions.remove()
    assert torch.equal(found, model(**inputs, num_items_in_batch=num).loss)


def test_a_removed_hook_selects_nothing() -> None:
    model = small_model()
    positions = LearnedPositions(model)
    positions.choose(batch(0.1)["labels"])
    positions.remove()
    assert model(input_ids=batch(0.1)["input_ids"]).logits.shape == (2, 24, VOCABULARY)


def test_a_model_without_a_last_module_gives_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = batch(0.5)
    num = (inputs["labels"][:, 1:] != IGNORED).sum()
    model = small_model()
    monkeypatch.setattr(type(model), "get_output_embeddings", lambda self: None)
    positions = LearnedPositions(model)
    positions.choose(inputs["labels"])
    found = positions.loss(model(input_ids=inputs["input_ids"]), inputs["labels"], num)
    positions.remove()
    assert float(found.detach()) == pytest.approx(
        float(model(**inputs, num_items_in_batch=num).loss.detach()), rel=1e-6
    )


def test_nothing_learned_is_a_loss_of_zero_with_a_gradient() -> None:
    inputs = batch(0.0)
    model = small_model()
    positions = LearnedPositions(model)
    positions.choose(inputs["labels"])
    loss = positions.loss(model(input_ids=inputs["input_ids"]), inputs["labels"], torch.tensor(5))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(not gradient.any() for gradient in gradients(model).values())


def test_a_model_with_a_router_loss_computes_its_own() -> None:
    model = small_model()
    assert learned_positions(model) is not None
    model.config.output_router_logits = True
    assert learned_positions(model) is None
