"""Prompts are read in groups that are padded little, and are the same prompts as when each is read alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from upbringing.formats.record import BuildProfile
from upbringing.models import prompt_cache
from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.attention import grouped_heads
from upbringing.models.decoding import Decoding, Greedy, Sampled
from upbringing.models.generation import generate
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.prompt_cache import read_prompts

pytestmark = pytest.mark.model
LENGTHS = (2, 2, 3, 3, 4, 5, 9, 17, 30)


def prompts(beginning: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    random = np.random.default_rng(3)
    return [(*beginning, *(int(token) for token in random.integers(5, 250, length))) for length in LENGTHS]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("beginning", [(), tuple(range(20, 31))])
def test_groups_give_the_logits_of_single_prompts(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, attention: Any, beginning: tuple[int, ...]
) -> None:
    import torch

    monkeypatch.setattr(prompt_cache, "TOKENS_READ_AT_ONCE", 12)
    model = load_model(tiny.folder, profile=BuildProfile(attention=attention)).model
    asked = prompts(beginning)
    with torch.inference_mode(), grouped_heads(model):
        read = read_prompts(model, asked, padding=0)
    assert read.mask.sum(1).tolist() == [len(prompt) for prompt in asked]
    assert read.positions[:, 0].tolist() == [len(prompt) - 1 for prompt in asked]
    assert read.cache.get_seq_length() == read.mask.shape[1]
    for prompt, found in zip(asked, read.logits, strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_a_group_holds_few_tokens_and_a_long_prompt_stands_alone(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(prompt_cache, "TOKENS_READ_AT_ONCE", 12)
    shapes: list[tuple[int, ...]] = []
    hook = tiny.model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    with torch.inference_mode():
        read_prompts(tiny.model, prompts(), padding=0)
    hook.remove()
    assert shapes == [(4, 3), (2, 5), (1, 9), (1, 17), (1, 30)]


@pytest.mark.parametrize("decoding", [Greedy(max_tokens=20), Sampled(max_tokens=8, samples=3)])
def test_answers_do_not_depend_on_the_groups(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, decoding: Decoding
) -> None:
    asked = [TokenPrompt(str(number), ids) for number, ids in enumerate(prompts((9, 8, 7)))]
    whole = generate(tiny.model, asked, decoding, ends=Ends((1,), 0), seed=0)
    monkeypatch.setattr(prompt_cache, "TOKENS_READ_AT_ONCE", 12)
    assert generate(tiny.model, asked, decoding, ends=Ends((1,), 0), seed=0) == whole
