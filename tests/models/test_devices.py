"""What depends on the device by itself: where networks are put, how much a pass holds, and how sums are made."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, inner, models_move, on_pretend_device, pretend_device

from upbringing.base.errors import IntegrityError
from upbringing.formats.record import BuildProfile
from upbringing.models import loading, passes, rewarding
from upbringing.models.answer_tokens import TokenPrompt
from upbringing.models.classifying import SequenceClassifier
from upbringing.models.decoding import Greedy
from upbringing.models.devices import WORKSPACE
from upbringing.models.generation import plan_batches, tokens_held
from upbringing.models.loading import LoadedModel, load_model, log_likelihood, make_load_check
from upbringing.models.local import LocalModel
from upbringing.models.passes import TOKENS, PassLimits, pass_limits
from upbringing.models.rewarding import open_with_new_head, rewards_of
from upbringing.models.row_layout import Scoring
from upbringing.models.running_sums import running_sums
from upbringing.models.scoring import LOGITS_PER_BATCH, TOKENS_PER_BATCH, batches_of, limits_of

pytestmark = pytest.mark.model


def numbers(length: int, seed: int) -> tuple[int, ...]:
    return tuple(int(token) for token in np.random.default_rng(seed).integers(5, 250, length))


def test_rewards_and_classes_are_those_of_the_cpu(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = open_with_new_head(tiny.folder, 3, profile=BuildProfile())
    texts = [numbers(3 + n % 9, n) for n in range(30)]
    expected = rewards_of(loaded.model, texts)
    assert rewards_of(loaded.model, []).shape == (0,)
    with models_move(), pretend_device():
        network = on_pretend_device(loaded.model)
        np.testing.assert_allclose(rewards_of(network, texts), expected, atol=1e-5)
        monkeypatch.setattr(passes, "TOKENS", 40)
        np.testing.assert_allclose(rewards_of(network, texts), expected, atol=1e-5)
        assert max(map(len, rewarding._batches(network, texts))) < 14
        classifier = SequenceClassifier(network, tiny.tokenizer, "x", ("one",), 20)
        assert classifier.classify(["bab bac", "bad"])[0].probabilities == (1.0,)
    assert [len(each) for each in rewarding._batches(loaded.model, texts * 5)] == [64, 64, 22]


def test_a_checkpoint_opens_on_the_device_of_its_profile(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKSPACE[0], raising=False)
    ids = numbers(20, 2)
    with models_move():
        opened = load_model(tiny.folder, profile=BuildProfile(device="cuda"))
        headed = open_with_new_head(tiny.folder, 3, profile=BuildProfile(device="cuda"))
    assert {parameter.device for parameter in (*opened.model.parameters(), *headed.model.parameters())} == {DEVICE}
    assert os.environ[WORKSPACE[0]] == WORKSPACE[1]  # before the first product there
    here = open_with_new_head(tiny.folder, 3, profile=BuildProfile())
    assert torch.equal(inner(headed.model.score.weight.data), here.model.score.weight)
    with pretend_device():
        assert math.isclose(log_likelihood(opened.model, ids), log_likelihood(tiny.model, ids), abs_tol=1e-4)
    identities = [LocalModel(network, tiny.tokenizer).identity for network in (opened.model, tiny.model)]
    assert [each["device"] for each in identities] == ["cuda", "cpu"]  # no cache line is shared


def test_a_checkpoint_that_is_measured_in_bf16_reaches_an_accelerator_in_it(tiny: LoadedModel) -> None:
    with models_move():
        there = load_model(tiny.folder, profile=BuildProfile(device="cuda"), precision="bf16").model
    weights = {parameter.device for parameter in there.parameters()}, {each.dtype for each in there.parameters()}
    assert weights == ({DEVICE}, {torch.bfloat16})
    here = load_model(tiny.folder, profile=BuildProfile(), precision="bf16").model
    assert {each.dtype for each in here.parameters()} == {torch.float32}  # a processor has room for both
    computed = LocalModel(here, tiny.tokenizer, precision="bf16").computing
    for found, expected in zip(there.parameters(), computed.parameters(), strict=True):
        assert torch.equal(inner(found.data), expected)


def test_a_changed_checkpoint_is_found_before_it_is_put_on_an_accelerator_in_bf16(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = make_load_check(tiny.model, tiny.tokenizer, {})
    monkeypatch.setattr(loading, "RECORD_NAME", "config.json")  # a file that is there
    monkeypatch.setattr(loading, "read_record", lambda folder: SimpleNamespace(load_check=check))
    with models_move():
        load_model(tiny.folder, profile=BuildProfile(device="cuda"), precision="bf16")
        check = check.model_copy(update={"log_likelihood": check.log_likelihood - 1})
        with pytest.raises(IntegrityError, match="the fixed text scores"):
            load_model(tiny.folder, profile=BuildProfile(device="cuda"), precision="bf16")


def test_an_accelerator_holds_a_network_in_one_precision_only(tiny: LoadedModel) -> None:
    here = LocalModel(tiny.model, tiny.tokenizer, precision="bf16")
    assert here.computing.dtype == torch.bfloat16
    assert here.network.dtype == tiny.model.dtype == torch.float32
    with models_move(), pretend_device():
        there = LocalModel(on_pretend_device(tiny.model), tiny.tokenizer, precision="bf16")
        before = there.identity
        assert there.computing is there.network
        assert there.network.dtype == torch.bfloat16
        assert there.identity == before
        weights = there.network.get_input_embeddings().weight
        assert weights is there.network.get_output_embeddings().weight
        assert torch.equal(inner(weights.data), here.computing.get_input_embeddings().weight)


def test_running_sums_of_an_accelerator_are_exact_in_any_order() -> None:
    shares = torch.from_numpy(np.random.default_rng(0).dirichlet(np.full(4096, 0.1), size=3))
    order = torch.from_numpy(np.random.default_rng(1).permutation(4096))
    assert torch.equal(running_sums(shares), shares.cumsum(-1))
    with pretend_device():
        there = running_sums(shares.to("cuda")).cpu()
        shuffled = running_sums(shares[:, order].to("cuda")).cpu()
    assert torch.allclose(there, shares.cumsum(-1), rtol=0, atol=4096 * 2.0**-53)
    assert torch.equal(shuffled[:, -1], there[:, -1])
    nothing = shares[0] == 0
    assert not (there[:, 1:] < there[:, :-1]).any()
    assert not (torch.diff(there[0])[nothing[1:]] != 0).any()


def test_passes_are_large_on_an_accelerator_and_as_ever_on_a_processor(tiny: LoadedModel) -> None:
    def network(device: str, dtype: Any, heads: int) -> Any:
        config = SimpleNamespace(num_attention_heads=heads)
        return SimpleNamespace(
            device=torch.device(device), dtype=dtype, config=SimpleNamespace(get_text_config=lambda: config)
        )

    assert limits_of(tiny.model) == PassLimits(TOKENS_PER_BATCH, LOGITS_PER_BATCH) == PassLimits(8192, 1 << 26)
    assert pass_limits(network("cuda", torch.float32, 32), tokens=1) == PassLimits(TOKENS, 1 << 28, 1 << 23)
    assert pass_limits(network("cuda", torch.bfloat16, 8), tokens=1) == PassLimits(TOKENS, 1 << 29, 1 << 25)
    rows = [Scoring(numbers(20, n), (numbers(12, n),)) for n in range(3000)]
    sizes = {
        device: [len(batch) for batch in batches_of(rows, 1000, limits_of(network(device, torch.float32, 4)))]
        for device in ("cpu", "cuda")
    }
    assert sizes["cpu"][0] == 8192 // 31
    assert sizes["cuda"][0] == TOKENS // 31
    few = PassLimits(TOKENS, 1 << 28, 31 * 31 * 5)
    assert {len(batch) for batch in batches_of(rows, 1000, few)} == {5}


def test_batches_of_answers_are_bounded_by_the_bytes_of_their_cache(tiny: LoadedModel) -> None:
    def held(device: str, itemsize: int, **named: int) -> int:
        config = SimpleNamespace(num_attention_heads=32, hidden_size=4096, num_hidden_layers=32, **named)
        network = SimpleNamespace(device=torch.device(device), config=SimpleNamespace(get_text_config=lambda: config))
        return tokens_held(network, itemsize)

    assert held("cpu", 2) == tokens_held(tiny.model, 4) == 32768
    assert held("cuda", 2) == (8 << 30) // (2 * 2 * 32 * 4096)  # half a megabyte a token: 16384
    assert held("cuda", 4, num_key_value_heads=8, head_dim=128) == (8 << 30) // (4 * 2 * 32 * 8 * 128)
    asked = [TokenPrompt(str(n), numbers(50, n)) for n in range(40)]
    assert [len(batch) for batch in plan_batches(asked, Greedy(max_tokens=50), tokens_per_batch=1000)] == [10] * 4
