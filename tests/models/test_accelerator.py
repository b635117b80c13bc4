"""Networks on an accelerator (a pretended one): the CPU's results, no tensor on the wrong side, and few waits."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import (
    DEVICE,
    PretendTensor,
    WrongDeviceError,
    inner,
    models_move,
    on_pretend_device,
    pretend_device,
)

from upbringing.formats.items import Message
from upbringing.models import lockstep, passes, prompt_cache
from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.asking import Prompt
from upbringing.models.attention import GROUPED, grouped_heads
from upbringing.models.decoding import Beam, Decoding, Greedy, SafeBeam, Sampled
from upbringing.models.divergence import divergences
from upbringing.models.emulated import EmulatedModel
from upbringing.models.generation import generate, plan_batches
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score, sharing_is_exact
from upbringing.models.steering import Steering, steered
from upbringing.models.suffix_search import Attack, Framed

pytestmark = pytest.mark.model
ENDS = Ends(tokens=(1,), padding=0, tag=2)
FOREVER = Ends(tokens=(-2,), padding=0, tag=2)
SAFE = SafeBeam(tag="<think>", tag_training="declared", max_tokens=6, beams=2, candidates=4)
DECODINGS = (
    Greedy(max_tokens=10),
    Sampled(max_tokens=10, samples=2),
    Sampled(max_tokens=10, samples=2, top_k=40, top_p=0.8, temperature=0.7),
    Beam(max_tokens=6, beams=3),
    SAFE,
)
QUIET: Callable[[int, int], None] = lambda done, total: None  # noqa: E731


def numbers(length: int, seed: int) -> tuple[int, ...]:
    return tuple(int(token) for token in np.random.default_rng(seed).integers(5, 250, length))


def prompts(num: int = 24) -> list[TokenPrompt]:
    return [TokenPrompt(f"p{n}", (7, 9, *numbers(1 + n % 11, n))) for n in range(num)]


def requests(num: int = 20) -> list[Scoring]:
    return [
        Scoring((7, 9, *numbers(1 + n % 7, n)), tuple(numbers(1 + (n + k) % 5, 90 + n + k) for k in range(1 + n % 4)),
                states=n % 3 == 0)
        for n in range(num)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def there(tiny: LoadedModel) -> Any:
    """The tiny network on the pretended device."""
    return on_pretend_device(tiny.model)


def answers(network: Any, decoding: Decoding, ends: Ends = ENDS, num: int = 24) -> list[Any]:
    asked = prompts(num)
    found: list[Any] = [None] * len(asked)
    for batch in plan_batches(asked, decoding, 16):
        said = generate(network, [asked[index] for index in batch], decoding, ends=ends, seed=3)
        for index, each in zip(batch, said, strict=True):
            found[index] = each
    return found


def test_the_pretended_device_refuses_what_an_accelerator_does(there: Any) -> None:
    with pretend_device() as waits:
        on_device = torch.arange(4, device="cuda:0")
        assert isinstance(on_device, PretendTensor)
        assert on_device.device == DEVICE == there.device == torch.zeros(2).to("cuda").device
        assert (on_device + torch.tensor(2)).tolist() == [2, 3, 4, 5]  # scalars of the CPU are welcome
        assert waits.total == 2  # one to it, one from it
        for wrong in (
            lambda: on_device + torch.arange(4),
            lambda: there(torch.arange(4)[None]),
            lambda: torch.cat([on_device, torch.arange(4)]),
            lambda: torch.arange(9)[on_device],
            lambda: torch.arange(4, device="cuda").copy_(on_device).scatter(0, torch.arange(4), on_device),
        ):
            with pytest.raises(WrongDeviceError, match="on the CPU met one on cuda:0"):
                wrong()
        with pytest.raises(WrongDeviceError, match="copy it to the CPU first"):
            on_device.numpy()
        assert on_device[torch.tensor([1, 2])].cpu().numpy().tolist() == [1, 2]
        torch.use_deterministic_algorithms(mode=True)
        try:
            assert on_device.cumsum(0).tolist() == [0, 1, 3, 6]
            with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
                on_device.float().cumsum(0)
        finally:
            torch.use_deterministic_algorithms(mode=False)


@pytest.mark.parametrize("share", [True, False])
def test_likelihoods_and_states_are_those_of_the_cpu(tiny: LoadedModel, there: Any, share: bool) -> None:
    expected = score(tiny.model, requests(), share=share)
    with pretend_device():
        found = score(there, requests(), share=share)
        assert sharing_is_exact(there)  # it takes an error for a model that cannot
    for here, other in zip(expected, found, strict=True):
        assert len(here.log_probabilities) == len(other.log_probabilities)
        for mine, theirs in zip(here.log_probabilities, other.log_probabilities, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        assert (here.states is None) == (other.states is None)
        if here.states is not None and other.states is not None:
            np.testing.assert_allclose(here.states.last, other.states.last, atol=1e-4)
            np.testing.assert_allclose(here.states.mean, other.states.mean, atol=1e-4)


def test_states_are_waited_for_once_however_many_layers_there_are(there: Any) -> None:
    asked = [Scoring(numbers(9, n), (), states=True) for n in range(4)]
    with pretend_device() as waits:
        score(there, asked)
    assert waits.by_operation.get("aten._to_copy", 0) == 1, waits


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("banned", [(), (40, 41, 50)])
def test_answers_are_those_of_the_cpu(
    tiny: LoadedModel, there: Any, decoding: Decoding, banned: tuple[int, ...]
) -> None:
    limited = decoding.model_copy(update={"banned": tuple(f"b{token}" for token in banned)})
    ends = replace(ENDS, tokens=(1, *range(60, 120)), banned=banned)  # many end early, so rows leave the batch
    expected = answers(tiny.model, limited, ends)
    with pretend_device():
        found = answers(there, limited, ends)
    assert found == expected
    assert len({answer.ids for each in found for answer in each}) > 5


def test_answers_of_a_deterministic_run_are_drawn_without_what_refuses_it(tiny: LoadedModel, there: Any) -> None:
    """The own answers of an rl stage are drawn where determinism is asked for."""
    expected = answers(tiny.model, DECODINGS[2])
    torch.use_deterministic_algorithms(mode=True)
    try:
        with pretend_device():
            assert answers(there, DECODINGS[2]) == expected
    finally:
        torch.use_deterministic_algorithms(mode=False)


@pytest.mark.parametrize("decoding", [DECODINGS[0], DECODINGS[1], DECODINGS[2]])
def test_a_step_of_decoding_waits_once(there: Any, decoding: Decoding) -> None:
    counts = []
    for num in (2, 4, 12):  # the first one fills caches
        with pretend_device() as waits:
            banning = decoding.model_copy(update={"max_tokens": num, "banned": ("one",)})
            answers(there, banning, replace(FOREVER, banned=(40,)), num=6)
            counts.append(waits.total)
    assert counts[2] - counts[1] == 12 - 4


def test_prompts_read_in_groups_are_joined(tiny: LoadedModel, there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers(tiny.model, DECODINGS[0])
    monkeypatch.setattr(passes, "TOKENS", 12)
    made = []
    plain = prompt_cache._joined
    monkeypatch.setattr(prompt_cache, "_joined", lambda *given: made.append(given) or plain(*given))
    with pretend_device():
        assert answers(there, DECODINGS[0]) == expected
    assert made


def test_heads_are_grouped_there_too(tiny: LoadedModel, there: Any) -> None:
    ids = torch.tensor([numbers(12, 1)])
    with grouped_heads(tiny.model), torch.no_grad():
        expected = tiny.model(input_ids=ids).logits
    with pretend_device(), grouped_heads(there), torch.no_grad():
        assert there.config._attn_implementation == GROUPED
        assert torch.equal(inner(there(input_ids=ids.to("cuda")).logits), expected)


@pytest.mark.parametrize("edit", ["ablate", "add"])
def test_steering_is_that_of_the_cpu(tiny: LoadedModel, there: Any, edit: Any) -> None:
    direction = np.random.default_rng(1).normal(size=32).astype(np.float32)
    steering = Steering.of(edit, direction, 1, 1.0)
    with steered(tiny.model, steering) as network:
        expected = answers(network, DECODINGS[0])
    with pretend_device(), steered(there, steering) as network:
        assert answers(network, DECODINGS[0]) == expected
    assert expected != answers(tiny.model, DECODINGS[0])


def test_divergences_are_those_of_the_cpu(tiny: LoadedModel, there: Any) -> None:
    torch.manual_seed(4)
    other = deepcopy(tiny.model)
    with torch.no_grad():
        other.get_output_embeddings().weight.add_(0.1 * torch.randn_like(other.get_output_embeddings().weight))
    asked = [replace(each, states=False) for each in requests()]
    pair = [LocalModel(network, tiny.tokenizer) for network in (tiny.model, other)]
    expected = divergences(pair[0], pair[1], asked, QUIET)
    with pretend_device():
        pair = [LocalModel(network, tiny.tokenizer) for network in (there, on_pretend_device(other))]
        found = divergences(pair[0], pair[1], asked, QUIET)
    for mine, theirs in zip(expected, found, strict=True):
        for one, two in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-5)
            assert (one > 0).any()


@pytest.mark.parametrize("shuffled", [None, 5])
def test_emulated_tuning_answers_as_on_the_cpu(tiny: LoadedModel, shuffled: int | None) -> None:
    torch.manual_seed(8)
    plus = deepcopy(tiny.model)
    with torch.no_grad():
        for parameter in plus.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    words = [Prompt(name=f"p{n}", messages=(Message(role="user", content=f"bab bac {n}"),)) for n in range(5)]

    def said(place: Callable[[Any], Any]) -> Any:
        parts = [LocalModel(place(network), tiny.tokenizer) for network in (tiny.model, plus, tiny.model)]
        model = EmulatedModel(*parts, strength=0.7, shuffled=shuffled)
        likely = model.score([(prompt, (" deb dec", " fif")) for prompt in words], QUIET)
        return [model.answer(words, decoding, 1) for decoding in (DECODINGS[0], DECODINGS[1])], likely

    expected, likely = said(lambda network: network)
    lockstep._places.cache_clear()
    with pretend_device():
        found, likely_there = said(on_pretend_device)
    assert found == expected
    np.testing.assert_allclose(likely, likely_there, atol=1e-4)


def test_gradients_of_a_suffix_are_those_of_the_cpu(tiny: LoadedModel, there: Any) -> None:
    frames = (Framed((3, 30, 41), (1, 4), (50, 51)), Framed((3, 35), (1, 4), (52, 53, 54)))
    suffixes = [(60, 61, 62), (63, 64, 65)]
    expected = Attack(tiny.model, frames)
    with pretend_device():
        found = Attack(there, frames)
        np.testing.assert_allclose(found.gradient(suffixes[0]), expected.gradient(suffixes[0]), atol=1e-5)
        np.testing.assert_allclose(found.losses(suffixes), expected.losses(suffixes), atol=1e-5)


def test_a_model_at_hand_is_asked_there_as_on_the_cpu(tiny: LoadedModel, there: Any) -> None:
    asked = [Prompt(name=f"p{n}", messages=(Message(role="user", content=f"bab bac {n}"),)) for n in range(6)]
    likely = [(prompt, (" deb dec", " fif")) for prompt in asked]

    def told(network: Any) -> tuple[Any, ...]:
        model = LocalModel(network, tiny.tokenizer)
        batches = model.batches(asked, DECODINGS[0])
        replies = [model.answer([asked[place] for place in batch], DECODINGS[0], 1) for batch in batches]
        drawn = model.fresh(4)
        return batches, replies, model.read(likely, asked, QUIET), drawn.read([], asked, QUIET), drawn.network.device

    expected = told(tiny.model)
    with models_move(), pretend_device():
        found = told(there)
    assert found[:2] == expected[:2]
    np.testing.assert_allclose(found[2][0], expected[2][0], atol=1e-4)
    for place in (2, 3):  # of the checkpoint, and of fresh weights
        for mine, theirs in zip(found[place][1], expected[place][1], strict=True):
            np.testing.assert_allclose(mine.mean, theirs.mean, atol=1e-4)
    assert (found[4], expected[4].type) == (DEVICE, "cpu")


def test_planted_faults_are_seen(
    tiny: LoadedModel, there: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = prompt_cache.left_padded
    monkeypatch.setattr(prompt_cache, "left_padded", lambda ids, padding, device: plain(ids, padding, "cpu"))
    with pretend_device(), pytest.raises(WrongDeviceError):
        answers(there, DECODINGS[0])
