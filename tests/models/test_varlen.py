"""Attention by documents against attention over everything with a mask: the same numbers, and no leak."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.model

ENDS = (0, 5, 40, 41, 41, 96, 130)  # documents of 5, 35, 1, 0, 55 and 34 places
PLACES, WIDTH = ENDS[-1], 16
HEADS = [pytest.param(4, 4, id="own-keys"), pytest.param(6, 2, id="shared-keys")]


def inputs(heads: int, key_heads: int, dtype: Any, seed: int = 0) -> tuple[Any, ...]:
    import torch

    made = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(PLACES, count, WIDTH, generator=made).to(dtype).requires_grad_()
        for count in (heads, key_heads, key_heads)
    )


def ends(*, repeated: int = 0) -> Any:
    import torch

    return torch.tensor([*ENDS, *[PLACES] * repeated], dtype=torch.int32)


def masked(query: Any, key: Any, value: Any) -> Any:
    """The same by a mask over all pairs, as transformers' explicit attention computes it."""
    import torch

    group = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(group, 1) for each in (key, value))
    document = torch.bucketize(torch.arange(PLACES), torch.tensor(ENDS[1:]), right=True)
    seen = (document[:, None] == document) & torch.ones(PLACES, PLACES, dtype=torch.bool).tril()
    scores = torch.einsum("qhd,khd->hqk", query, key) * WIDTH**-0.5
    scores = scores + torch.zeros(seen.shape, dtype=query.dtype).masked_fill(~seen, torch.finfo(query.dtype).min)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    return torch.einsum("hqk,khd->qhd", weights, value)


def computed(given: tuple[Any, ...], found: Any) -> list[Any]:
    """Values, then gradients of a fixed direction."""
    import torch

    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(9)).to(found.dtype)
    return [found.detach(), *torch.autograd.grad(found, given, direction)]


@pytest.mark.parametrize(("heads", "key_heads"), HEADS)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("bfloat16", 0.07)])  # a unit of bf16 at 8
def test_values_and_gradients_are_those_of_a_mask(heads: int, key_heads: int, precision: str, tolerance: float) -> None:
    import torch

    from upbringing.models.varlen import attend_documents

    given = inputs(heads, key_heads, getattr(torch, precision))
    ours = computed(given, attend_documents(*given, ends(), WIDTH**-0.5))
    theirs = computed(given, masked(*given))
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.dtype == wanted.dtype
        assert (mine - wanted).abs().max() < tolerance
        assert wanted.abs().max() > 0.5


def test_three_places_by_hand() -> None:
    """One head of width 1: the second place averages two values by e to e^2, the third stands alone."""
    import math

    import torch

    from upbringing.models.varlen import attend_documents

    query, key, value = (torch.tensor(each).view(3, 1, 1) for each in ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [4.0, 6.0, 8]))
    found = attend_documents(query, key, value, torch.tensor([0, 2, 3], dtype=torch.int32), 1.0).flatten()
    second = (4 * math.e + 6 * math.e**2) / (math.e + math.e**2)
    assert found.tolist() == pytest.approx([4.0, second, 8.0])


def test_another_document_moves_no_bit_of_values_or_gradients() -> None:
    import torch

    from upbringing.models.varlen import attend_documents

    plain, other = inputs(4, 4, torch.float32), inputs(4, 4, torch.float32, seed=1)
    changed = tuple(_with(old, new) for old, new in zip(plain, other, strict=True))
    before, after = (computed(each, attend_documents(*each, ends(), 0.25)) for each in (plain, changed))
    rest = [*range(5), *range(40, PLACES)]
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[rest], new[rest])
        assert not torch.equal(old[5:40], new[5:40])


def _with(old: Any, new: Any) -> Any:
    """Return ``old`` with the second document of ``new``."""
    import torch

    return torch.cat([old[:5], new[5:40], old[40:]]).detach().requires_grad_()


def test_documents_of_no_length_at_the_end_change_nothing() -> None:
    import torch

    from upbringing.models.varlen import attend_documents

    given = inputs(4, 2, torch.float32)
    found = [computed(given, attend_documents(*given, ends(repeated=many), 0.25)) for many in (0, 70)]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_block_for_each_document_gives_what_one_for_many_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from upbringing.models import varlen

    given = inputs(4, 2, torch.float32)
    together = computed(given, varlen.attend_documents(*given, ends(), 0.25))
    monkeypatch.setattr(varlen, "BLOCK_SCORES", 1)
    for cached in (varlen._blocks, varlen._rows):
        cached.cache_clear()
    try:
        assert len(varlen._blocks(ends().numpy().tobytes(), 4)) == 5
        alone = computed(given, varlen.attend_documents(*given, ends(), 0.25))
    finally:
        for cached in (varlen._blocks, varlen._rows):
            cached.cache_clear()
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_torch_finds_nothing_wrong_with_the_operation() -> None:
    import torch

    from upbringing.models.varlen import attend_documents

    found = torch.library.opcheck(attend_documents, (*inputs(6, 2, torch.float32), ends(), 0.25))
    assert len(found) >= 3  # schema, gradients, shapes under the compiler
    assert set(found.values()) == {"SUCCESS"}
