"""Which layers are compiled, and that nothing of it is left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from upbringing.base.errors import TrainingError
from upbringing.training.compilation import compiled_layers, equal_layers

pytestmark = [pytest.mark.model]


class Block(nn.Module):
    """A layer with experts of its own: a list of equal modules that is longer than the list of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(5))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for expert in self.experts:
            hidden = torch.tanh(expert(hidden))
        return hidden


class Stack(nn.Module):
    """Two layers, and a list of unlike modules before them."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = nn.ModuleList([nn.Linear(2, 2), nn.LayerNorm(2), nn.Tanh()])
        self.layers = nn.ModuleList(Block() for _ in range(2))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for layer in (*self.ends, *self.layers):
            hidden = layer(hidden)
        return hidden


def read_many_shapes(model: Stack) -> None:
    with compiled_layers(model):
        for rows in range(1, 40):
            model(torch.ones(rows, 2))


def test_layers_are_the_outermost_list_of_equal_modules() -> None:
    model = Stack()
    assert list(equal_layers(model)) == list(model.layers)


def test_a_model_without_layers_is_refused_and_told_what_to_do() -> None:
    with pytest.raises(TrainingError, match="set compile: off"), compiled_layers(nn.Sequential(nn.Linear(2, 2))):
        pass


@pytest.mark.slow
def test_layers_are_compiled_inside_and_plain_afterwards() -> None:
    torch.manual_seed(0)
    model, hidden = Stack(), torch.ones(1, 2)
    plain = model(hidden)
    torch.compiler.reset()
    with compiled_layers(model):
        assert torch.allclose(model(hidden), plain, atol=1e-6)
        assert all(layer._compiled_call_impl is not None for layer in model.layers)
    assert all(layer._compiled_call_impl is None for layer in model.layers)
    assert torch.equal(model(hidden), plain)


@pytest.mark.slow
def test_more_shapes_than_graphs_are_an_error_not_other_bits() -> None:
    torch.compiler.reset()
    with pytest.raises(TrainingError, match="shapes"):
        read_many_shapes(Stack())
