"""Divergence of two networks' predictions: by hand, against plain passes, of a network from itself, and planted."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.models.divergence import divergence_of_logits, divergences, incomparable
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.row_layout import Scoring

pytestmark = pytest.mark.model
REQUESTS = [
    Scoring((5, 6, 7), ((8, 9, 10, 11), (12, 13))),
    Scoring((5, 6, 8, 20, 21), ((30, 31, 32),)),
    Scoring((5, 6, 7), ((12, 13),)),
]
QUIET: Any = lambda done, total: None  # noqa: E731


def local(loaded: LoadedModel, network: Any = None, **fields: Any) -> LocalModel:
    return LocalModel(loaded.model if network is None else network, loaded.tokenizer, **fields)


def moved(loaded: LoadedModel) -> Any:
    """Return the network with its last layer moved."""
    import torch

    network = deepcopy(loaded.model)
    torch.manual_seed(0)
    with torch.no_grad():
        weight = network.get_output_embeddings().weight
        weight += 0.2 * torch.randn_like(weight)
    return network


def test_the_divergence_of_three_words_by_hand() -> None:
    import torch

    own, other = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]]), torch.tensor([[0.25, 0.25, 0.5], [0.2, 0.3, 0.5]])
    shifted = own.log() + torch.tensor([[3.0], [-7.0]])  # logits are known up to a constant
    expected = [0.5 * math.log(2) - 0.25 * math.log(2), 0.0]
    assert divergence_of_logits(shifted, other.log()).tolist() == pytest.approx(expected, abs=1e-6)
    assert (divergence_of_logits(own.log(), own.log()) == 0).all()


def test_many_rows_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from upbringing.models import divergence

    torch.manual_seed(1)
    own, other = torch.randn(7, 50), torch.randn(7, 50)
    whole = divergence_of_logits(own, other)
    monkeypatch.setattr(divergence, "NUMBERS_AT_ONCE", 100)
    assert np.array_equal(divergence_of_logits(own, other), whole)
    p, q = own.double().softmax(-1), other.double().softmax(-1)
    assert whole.tolist() == pytest.approx((p * (p / q).log()).sum(-1).tolist(), rel=1e-9)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_against_itself_diverges_nowhere(tiny: LoadedModel, precision: str) -> None:
    model = local(tiny, precision=precision)
    for reference in (model, local(tiny, deepcopy(tiny.model), precision=precision)):
        for values in divergences(model, reference, REQUESTS, QUIET):
            assert all((each == 0).all() for each in values)  # the same passes: not even rounding differs


def test_every_token_is_that_of_two_plain_passes(tiny: LoadedModel) -> None:
    import torch

    other = moved(tiny)
    found = divergences(local(tiny), local(tiny, other), REQUESTS, QUIET)
    assert [[len(each) for each in values] for values in found] == [[4, 2], [3], [2]]
    assert found[0][1].tolist() == found[2][0].tolist()
    for request, values in zip(REQUESTS, found, strict=True):
        for continuation, each in zip(request.continuations, values, strict=True):
            ids = torch.tensor([[*request.prompt, *continuation]])
            with torch.inference_mode():
                p, q = (net(input_ids=ids).logits[0].double().log_softmax(-1) for net in (tiny.model, other))
            kl = (p.exp() * (p - q)).sum(-1)[len(request.prompt) - 1 : -1]
            assert each.tolist() == pytest.approx(kl.tolist(), rel=1e-3, abs=1e-5)  # fp32 passes in other layouts
            assert (each > 1e-3).all()
    back = divergences(local(tiny, other), local(tiny), REQUESTS, QUIET)
    assert not np.allclose(back[0][0], found[0][0])  # it is no distance: which one is the checkpoint matters


@dataclass
class Toy:
    """Predicts by the token it reads; where ``bump`` is set, otherwise at one position."""

    bump: float = 0.0
    position: int = 2

    def __post_init__(self) -> None:
        import torch

        text = SimpleNamespace(vocab_size=40)
        self.config = SimpleNamespace(get_text_config=lambda: text, _attn_implementation="eager")
        self.dtype, self.device = torch.float32, torch.device("cpu")
        torch.manual_seed(2)
        self.table = torch.randn(40, 40)

    def __call__(self, input_ids: Any, position_ids: Any, **_: Any) -> Any:
        import torch

        there = (position_ids == self.position)[..., None].float()
        return SimpleNamespace(logits=self.table[input_ids] + self.bump * there * torch.arange(40.0) / 40)


def test_what_was_changed_at_one_position_diverges_there_alone(tiny: LoadedModel) -> None:
    """A prompt of three tokens: its last one, at position 2, predicts the first token of what continues it."""
    from upbringing.battery.measures.divergence_depth import depth

    request = Scoring((5, 6, 7), ((8, 9, 10, 11),))
    model = local(tiny, Toy(bump=2.0))
    ((values,),) = divergences(model, local(tiny, Toy()), [request], QUIET)
    assert values[0] > 0.01
    assert (values[1:] == 0).all()
    assert depth(values, 0.5) == 1.0
    ((later,),) = divergences(local(tiny, Toy(bump=2.0, position=4)), local(tiny, Toy()), [request], QUIET)
    assert (np.flatnonzero(later) == [2]).all()
    assert depth(later, 0.5) == 3.0


def test_other_tokens_cannot_be_compared(tiny: LoadedModel) -> None:
    tokenizer = deepcopy(tiny.tokenizer)
    tokenizer.add_tokens(["unheard"])
    assert incomparable(local(tiny), local(tiny)) is None
    assert incomparable(local(tiny), replace(local(tiny), tokenizer=tokenizer)) == "other-tokenizer"
    assert incomparable(local(tiny), local(tiny, Toy())) == "other-vocabulary"
    with pytest.raises(MeasurementError, match="two sizes"):
        divergences(local(tiny), local(tiny, Toy()), REQUESTS, QUIET)
    with pytest.raises(MeasurementError, match="at least one token"):
        divergences(local(tiny), local(tiny), [Scoring((1,), ((),))], QUIET)
