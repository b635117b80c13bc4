"""Steering: strength zero is no steering, hooks leave, and what is taken out is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.formats.items import Message
from upbringing.models.asking import Prompt
from upbringing.models.decoding import Decoding, Greedy, Sampled
from upbringing.models.fresh_network import architecture_sha256, fresh_network
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.steering import Edit, SteeredModel, Steering, steered

pytestmark = pytest.mark.model
PROMPTS = [Prompt(name=f"p{n}", messages=(Message(role="user", content=f"bab {w}"),)) for n, w in enumerate("bcdf")]


def steering(edit: Edit, strength: float, layer: int = 1, width: int = 32) -> Steering:
    vector = np.random.default_rng(2).standard_normal(width).astype(np.float32)
    return Steering.of(edit, vector, layer, strength)


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@contextmanager
def seen(model: Any) -> Iterator[list[Any]]:
    """Record what the feed-forward part of every block and the final norm are given."""
    found: list[Any] = []
    blocks, norm = model.model.layers, model.model.norm
    handles = [block.input_layernorm.register_forward_pre_hook(lambda _, x: found.append(x[0])) for block in blocks]
    handles.append(norm.register_forward_pre_hook(lambda _, x: found.append(x[0])))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("edit", ["ablate", "add"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("decoding", [Greedy(max_tokens=8), Sampled(max_tokens=8, samples=2)])
def test_strength_zero_is_plain_decoding_to_the_bit(
    tiny: LoadedModel, edit: Edit, precision: str, decoding: Decoding
) -> None:
    import torch

    model = LocalModel(tiny.model, tiny.tokenizer, precision=precision)
    plain = model.answer(PROMPTS, decoding, 1)
    assert SteeredModel(model, steering(edit, 0.0)).answer(PROMPTS, decoding, 1) == plain
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        expected = model.computing(ids).logits
        with steered(model.computing, steering(edit, 0.0)) as network:
            assert torch.equal(network(ids).logits, expected)
        with steered(model.computing, steering(edit, 1.0)) as network:
            assert not torch.equal(network(ids).logits, expected)


@pytest.mark.parametrize("edit", ["ablate", "add"])
def test_hooks_are_gone_afterwards_also_after_an_error(tiny: LoadedModel, edit: Edit) -> None:
    import torch

    ids = torch.tensor([[5, 6, 7]])
    before = hooks(tiny.model)
    with torch.no_grad():
        expected = tiny.model(ids).logits
        with pytest.raises(ZeroDivisionError), steered(tiny.model, steering(edit, 1.0)):
            raise ZeroDivisionError
        assert hooks(tiny.model) == before
        assert torch.equal(tiny.model(ids).logits, expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_ablated_direction_is_in_no_block(tiny: LoadedModel, precision: str) -> None:
    import torch

    network = LocalModel(tiny.model, tiny.tokenizer, precision=precision).computing
    chosen = steering("ablate", 1.0)
    unit = torch.tensor(chosen.vector) / torch.tensor(chosen.vector).norm()
    with torch.no_grad(), steered(network, chosen), seen(network) as found:
        network(torch.tensor([[5, 6, 7, 8]]))
    assert len(found) == 3
    for state in found:
        along, whole = (state.float() @ unit).abs().max(), state.float().norm(dim=-1).max()
        assert along <= (1e-5 if precision == "fp32" else 2e-2) * whole


def test_an_added_direction_enters_its_block_and_no_other(tiny: LoadedModel) -> None:
    import torch

    chosen = steering("add", 2.0)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        with seen(tiny.model) as plain:
            tiny.model(ids)
        with steered(tiny.model, chosen), seen(tiny.model) as found:
            tiny.model(ids)
    assert torch.equal(found[0], plain[0])
    assert torch.allclose(found[1] - plain[1], 2 * torch.tensor(chosen.vector), atol=1e-5)


def test_a_compiled_network_is_steered_too(tiny: LoadedModel) -> None:
    import torch

    compiled = torch.compile(tiny.model, backend="eager")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = compiled(ids).logits
        with steered(compiled, steering("add", 5.0)) as network:
            assert not torch.allclose(network(ids).logits, plain)
        assert torch.equal(compiled(ids).logits, plain)


def test_what_does_not_fit_the_network_is_an_error(tiny: LoadedModel) -> None:
    for wrong in (steering("add", 1.0, layer=2), steering("ablate", 1.0, width=31)):
        with pytest.raises(MeasurementError, match="blocks 0 to 1"), steered(tiny.model, wrong):
            pass
    with pytest.raises(MeasurementError, match="leads nowhere"):
        Steering.of("add", np.zeros(32, dtype=np.float32), 0, 1.0)


def test_the_steering_is_part_of_what_identifies_an_answer(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    chosen = steering("add", 1.0)
    others = [
        SteeredModel(model, each).identity
        for each in (chosen, replace(chosen, strength=2.0), replace(chosen, layer=0), replace(chosen, edit="ablate"))
    ]
    assert len({each["steering"] for each in others}) == 4
    assert "steering" not in model.identity
    with pytest.raises(MeasurementError, match="answers only"):
        SteeredModel(model, chosen).score([], lambda done, total: None)


def test_a_steered_model_is_asked_as_the_model_itself(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    found = SteeredModel(model, steering("add", 1.0))
    assert (found.template_sha256, found.side_by_side, found.scores) == (model.template_sha256, 1, False)
    assert found.batches(PROMPTS, Greedy()) == model.batches(PROMPTS, Greedy())
    long = replace(PROMPTS[0], name="long", messages=(Message(role="user", content=" ".join(["bab"] * 200)),))
    assert found.unanswerable(long) == model.unanswerable(long) is not None
    assert found.lacks("<|unsafe|>") == model.lacks("<|unsafe|>") is not None
    assert found.undecodable(Greedy()) is None


def test_a_fresh_network_has_the_architecture_and_other_weights(tiny: LoadedModel) -> None:
    import torch

    state = torch.random.get_rng_state()
    one, same, other = (fresh_network(tiny.model, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    names = dict(tiny.model.named_parameters())
    assert {name: each.shape for name, each in one.named_parameters()} == {n: each.shape for n, each in names.items()}
    weight = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(one.get_parameter(weight), same.get_parameter(weight))
    assert not torch.equal(one.get_parameter(weight), other.get_parameter(weight))
    assert not torch.equal(one.get_parameter(weight), names[weight])
    assert architecture_sha256(one) == architecture_sha256(tiny.model)
