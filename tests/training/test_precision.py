"""Frozen weights cast once: the bits of training that casts them at every product."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from training_bench import Bench, bits, chats

from upbringing.formats.record import BuildProfile
from upbringing.training import precision, trainer
from upbringing.training.precision import frozen_matrices_cast
from upbringing.training.settings import Lora
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model
HALF = BuildProfile(precision="bf16", attention="eager")


class Tied(nn.Module):
    """A frozen layer, a trained one, one with a bias, and a last one that is tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.frozen, self.trained, self.biased = nn.Linear(3, 3, False), nn.Linear(3, 3, False), nn.Linear(3, 3)
        self.last = nn.Linear(3, 5, bias=False)
        self.last.weight = self.embedding.weight
        for module in (self.embedding, self.frozen, self.biased):
            module.requires_grad_(requires_grad=False)


def test_only_frozen_matrices_of_their_own_are_cast_and_come_back() -> None:
    model = Tied()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with frozen_matrices_cast(model, HALF):
        cast = {name for name, weight in model.named_parameters() if weight.dtype == torch.bfloat16}
        assert cast == {"frozen.weight"}
        assert torch.equal(model.frozen.weight, before["frozen.weight"].bfloat16())
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name], rtol=0, atol=0)  # which compares types too
    with frozen_matrices_cast(model, BuildProfile(precision="fp32")):
        assert model.frozen.weight.dtype == torch.float32


def test_they_come_back_after_an_error() -> None:
    model = Tied()
    with pytest.raises(ZeroDivisionError), frozen_matrices_cast(model, HALF):
        _ = 1 / 0
    assert model.frozen.weight.dtype == torch.float32


def test_training_an_adapter_on_cast_weights_ends_in_the_same_bits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Sft(data="chats", context=32, batch_size=4, weights=Lora(rank=2), learning_rate=1e-2)
    stream = bench.stream("chats", chats(1))
    cast: list[int] = []

    def counted(model: Any, profile: BuildProfile) -> Any:
        found = frozen_matrices_cast(model, profile)
        cast.append(sum(1 for _ in precision._frozen_layers(model)))
        return found

    monkeypatch.setattr(trainer, "frozen_matrices_cast", counted)
    once, realised = bench.train("cast-once", stage, stream, steps=(0, 6), profile=HALF)
    monkeypatch.setattr(trainer, "frozen_matrices_cast", lambda model, profile: nullcontext())
    anew, again = bench.train("cast-anew", stage, stream, steps=(0, 6), profile=HALF)
    assert cast == [14]  # seven of each of two layers
    assert realised.losses == again.losses
    assert bits(once) == bits(anew) != bits(bench.start)
