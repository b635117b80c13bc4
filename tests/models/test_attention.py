"""Grouped attention is the library's explicit attention without its copies; what it does not know it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.attention import CHUNK, GROUPED, answer_cache, can_group, grouped_attention, grouped_heads
from upbringing.models.decoding import Greedy
from upbringing.models.generation import generate
from upbringing.models.prompt_cache import shared_beginning

pytestmark = pytest.mark.model


def network(kind: str = "llama", **settings: Any) -> Any:
    """A tiny random network with three query heads per key head."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind,
        vocab_size=97,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.3,
        attn_implementation="eager",
        **settings,
    )
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def prompts(num: int, beginning: tuple[int, ...] = ()) -> list[TokenPrompt]:
    random = np.random.default_rng(1)
    return [
        TokenPrompt(str(n), (*beginning, *(int(token) for token in random.integers(3, 90, 2 + n % 7))))
        for n in range(num)
    ]


def test_logits_are_those_of_explicit_attention_with_padding() -> None:
    import torch

    model = network()
    ids = torch.from_numpy(np.random.default_rng(2).integers(3, 90, (5, 23)))
    mask = torch.ones_like(ids)
    mask[1, :9] = 0
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
        with grouped_heads(model):
            assert model.config._attn_implementation == GROUPED
            found = model(input_ids=ids, attention_mask=mask).logits
    assert model.config._attn_implementation == "eager"
    assert torch.allclose(found[mask.bool()], expected[mask.bool()], rtol=0, atol=1e-5)


def test_room_in_the_cache_changes_nothing() -> None:
    import torch

    torch.manual_seed(0)
    query, key, value = torch.randn(2, 6, 1, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.zeros(2, 1, 1, 5)
    plain, _ = grouped_attention(None, query, key, value, mask, 0.3)
    room = torch.full((2, 2, 4, 8), 7.0)
    roomy, _ = grouped_attention(None, query, torch.cat([key, room], 2), torch.cat([value, room], 2), mask, 0.3)
    assert torch.allclose(plain, roomy, rtol=0, atol=1e-6)
    by_hand = torch.softmax((query[0, 4, 0] @ key[0, 1].T) * 0.3, 0) @ value[0, 1]  # head 4 reads key head 1
    assert torch.allclose(plain[0, 0, 4], by_hand, atol=1e-6)


def test_answers_are_those_of_the_generate_method_across_chunks() -> None:
    import torch

    model = network()
    asked = prompts(12)
    tokens = 2 * CHUNK + 3
    answers = generate(model, asked, Greedy(max_tokens=tokens), ends=Ends((1,), 0), seed=0)
    for prompt, (answer,) in zip(asked, answers, strict=True):
        ids = torch.tensor([prompt.ids])
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, eos_token_id=1
        )
        expected = output[0, len(prompt.ids) :].tolist()
        assert list(answer.ids) == (expected[: expected.index(1)] if 1 in expected else expected)


def test_a_shared_beginning_is_read_once_and_changes_no_answer() -> None:
    model = network()
    asked = prompts(20, beginning=tuple(range(10, 30)))
    assert shared_beginning([prompt.ids for prompt in asked]) >= 20
    read: list[tuple[int, ...]] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    whole = generate(model, asked, Greedy(max_tokens=9), ends=Ends((1,), 0), seed=0)
    hook.remove()
    assert read[0] == (1, 20)
    assert read[1][1] < 10
    alone = [generate(model, [prompt], Greedy(max_tokens=9), ends=Ends((1,), 0), seed=0)[0] for prompt in asked]
    assert alone == whole


def test_the_shared_beginning_leaves_every_prompt_a_token() -> None:
    assert shared_beginning([(1, 2, 3), (1, 2, 3, 4)]) == 2
    assert shared_beginning([(1, 2, 3), (1, 2, 9)]) == 2
    assert shared_beginning([(5,), (5, 6)]) == 0
    assert shared_beginning([(1, 2), (3, 4)]) == 0
    assert shared_beginning([(1, 2, 3)]) == 0


def test_attention_that_caps_its_scores_is_left_alone() -> None:
    model = network("gemma2")
    assert not can_group(model)
    with grouped_heads(model):
        assert model.config._attn_implementation == "eager"
    assert answer_cache(model) is None  # sliding windows need a cache of their own
    answers = generate(model, prompts(4), Greedy(max_tokens=5), ends=Ends((1,), 0), seed=0)
    assert all(answer.ids for (answer,) in answers)
