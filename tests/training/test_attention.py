"""Documents packed into one window do not see each other, whatever computes the attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_bench import Bench, documents

from upbringing.data.collation import collate
from upbringing.data.stream import open_stream
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import load_model
from upbringing.training.isolation import isolated

pytestmark = pytest.mark.model

PROFILES = [
    pytest.param(
        BuildProfile(attention=attention, precision=precision, compile=compiled),
        id=f"{attention}-{precision}-{'compiled' if compiled else 'plain'}",
        marks=[pytest.mark.slow] if compiled else [],  # compiling takes 3 to 13 seconds each
    )
    for compiled in (False, True)
    for attention in ("eager", "sdpa")
    for precision in ("fp32", "bf16")
]


def packed(bench: Bench) -> dict[str, np.ndarray[Any, Any]]:
    """One window with at least two documents, as writable arrays of shape (1, time)."""
    arrays = open_stream(bench.stream("made", documents(1))).arrays
    row = next(index for index, ids in enumerate(arrays["documents"]) if len(set(ids[ids >= 0])) > 1)
    return {name: np.array(array[row : row + 1]) for name, array in arrays.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_changing_the_first_document_changes_no_logit_of_the_second(bench: Bench, profile: BuildProfile) -> None:
    import torch

    arrays = packed(bench)
    first = arrays["documents"][0] == arrays["documents"][0, 0]
    changed = {**arrays, "tokens": np.where(first, (arrays["tokens"] + 7) % 300 + 5, arrays["tokens"])}
    with isolated(profile), torch.autocast("cpu", torch.bfloat16, enabled=profile.precision == "bf16"):
        model = load_model(bench.start, profile=profile).model.train()
        called = torch.compile(model) if profile.compile else model
        before, after = (called(**collate(each, 0, 1, torch.float32)).logits[0].detach() for each in (arrays, changed))
    assert torch.equal(before[~first], after[~first])
    assert not torch.equal(before[first], after[first])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_document_answers_as_it_does_alone(bench: Bench, attention: str) -> None:
    import torch

    arrays = packed(bench)
    model = load_model(bench.start, profile=BuildProfile(attention=attention)).model  # type: ignore[arg-type]
    with torch.no_grad():
        together = model(**collate(arrays, 0, 1, torch.float32)).logits[0]
        for document in sorted({int(each) for each in arrays["documents"][0] if each >= 0}):
            places = arrays["documents"][0] == document
            alone = model(input_ids=torch.tensor(arrays["tokens"][:, places], dtype=torch.int64)).logits[0]
            positions = arrays["positions"][0][places]
            assert positions.tolist() == list(range(positions[0], positions[0] + len(positions)))
            assert torch.allclose(together[torch.tensor(places)], alone, atol=1e-5)  # sums in another order


def test_a_mask_of_ones_would_leak(bench: Bench) -> None:
    """The control: without the block mask the same change is seen, so the tests above can fail."""
    import torch

    arrays = packed(bench)
    first = arrays["documents"][0] == arrays["documents"][0, 0]
    changed = {**arrays, "tokens": np.where(first, (arrays["tokens"] + 7) % 300 + 5, arrays["tokens"])}
    model = load_model(bench.start, profile=BuildProfile()).model
    with torch.no_grad():
        before, after = (
            model(input_ids=batch["input_ids"], attention_mask=torch.ones_like(batch["input_ids"])).logits[0]
            for batch in (collate(each, 0, 1, torch.float32) for each in (arrays, changed))
        )
    assert not torch.equal(before[~first], after[~first])
