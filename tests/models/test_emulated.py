"""Emulated tuning: by hand, as three plain passes, as nothing where nothing is moved, and with a planted effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.formats.items import Message
from upbringing.models import lockstep
from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.asking import Model, Prompt, ReadableModel, Reply
from upbringing.models.decoding import Beam, Decoding, Greedy, SafeBeam, Sampled
from upbringing.models.emulated import EmulatedModel
from upbringing.models.generation import generate, plan_batches
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.lockstep import Move, moved
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score

pytestmark = pytest.mark.model
WORDS = ("bab", "bac", "bad", "baf", "bag", "bah", "bak", "bal")
PROMPTS = [
    Prompt(name=f"p{number}", messages=(Message(role="user", content=" ".join(WORDS[: 1 + number % 5]) + f" {word}"),))
    for number, word in enumerate(WORDS)
]
REQUESTS = [(prompt, (" deb dec", " fif", " goh gok gol luc")) for prompt in PROMPTS]
SAFE = SafeBeam(tag="<think>", tag_training="declared", max_tokens=5, beams=2, candidates=4)
DECODINGS = [Greedy(max_tokens=8), Sampled(max_tokens=8, samples=2, top_k=40), Beam(max_tokens=6, beams=3), SAFE]
QUIET: Callable[[int, int], None] = lambda done, total: None  # noqa: E731


@dataclass(frozen=True)
class Networks:
    """Three networks of one tokenizer with random weights; ``small`` has another size and a shorter context."""

    one: Any
    other: Any
    small: Any


@pytest.fixture(scope="module")
def networks(tiny: LoadedModel) -> Networks:
    import torch
    from transformers import AutoModelForCausalLM

    def drawn(seed: int, **changes: int) -> Any:
        config = deepcopy(tiny.model.config)
        for name, value in changes.items():
            setattr(config, name, value)
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.3)
        network.generation_config = tiny.model.generation_config
        return network

    small = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 24, "head_dim": 8}
    return Networks(drawn(1), drawn(2), drawn(3, **small, max_position_embeddings=48))


@pytest.fixture(scope="module")
def local(tiny: LoadedModel) -> Callable[..., LocalModel]:
    def made(network: Any, precision: str = "fp32", **fields: Any) -> LocalModel:
        return LocalModel(network, tiny.tokenizer, precision=precision, **fields)

    return made


def answers(model: Model, decoding: Decoding) -> list[list[Reply]]:
    found: dict[int, list[Reply]] = {}
    for batch in model.batches(PROMPTS, decoding):
        found.update(zip(batch, model.answer([PROMPTS[place] for place in batch], decoding, 7), strict=True))
    return [found[place] for place in range(len(PROMPTS))]


def likelihoods(model: Model) -> list[list[float]]:
    return model.score(REQUESTS, QUIET)


def are_one(first: Model, second: Model, decoding: Decoding) -> bool:
    return answers(first, decoding) == answers(second, decoding) and likelihoods(first) == likelihoods(second)


def test_three_words_by_hand() -> None:
    import torch

    at, plus, minus = (torch.tensor([row]).log() for row in ((0.5, 0.3, 0.2), (0.2, 0.2, 0.6), (0.4, 0.4, 0.2)))
    shifted = (at + 3.0, plus - 7.0, minus + 0.5)  # logits are known up to a constant
    for strength, expected in ((1.0, (0.25, 0.15, 0.6)), (2.0, (0.0625, 0.0375, 0.9)), (0.0, (0.5, 0.3, 0.2))):
        found = moved(*shifted, Move(strength)).softmax(-1)[0]
        assert found.tolist() == pytest.approx(expected, abs=1e-6)
    back = moved(*shifted, Move(-1.0)).softmax(-1)[0]  # 0.5 x 2, 0.3 x 2, 0.2 / 3
    assert back.tolist() == pytest.approx([1 / (5 / 3), 0.6 / (5 / 3), (0.2 / 3) / (5 / 3)], abs=1e-6)


def test_what_cancels_cancels_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.manual_seed(0)
    at, plus, minus = (torch.randn(2, 9, 50) * scale for scale in (1e-3, 30.0, 7.0))
    assert torch.equal(moved(at, plus, plus, Move(3.7)), at)
    assert torch.equal(moved(minus, plus, minus, Move()), plus)
    assert torch.equal(moved(minus.bfloat16(), plus.bfloat16(), minus.bfloat16(), Move()), plus.bfloat16().float())
    whole = moved(at, plus, minus, Move(0.3))
    monkeypatch.setattr(lockstep, "NUMBERS_AT_ONCE", 100)
    assert torch.equal(moved(at, plus, minus, Move(0.3)), whole)


def test_the_control_moves_as_far_and_elsewhere() -> None:
    import torch

    torch.manual_seed(1)
    at, plus, minus = (torch.randn(5, 30) for _ in range(3))
    change = moved(at, plus, minus, Move()) - at
    other = moved(at, plus, minus, Move(1.0, shuffled=4, num_tokens=25)) - at
    assert torch.allclose(other.norm(dim=-1), change.norm(dim=-1), atol=1e-5)
    assert torch.allclose(other.sort(-1).values, change.sort(-1).values, atol=1e-5)
    assert torch.allclose(other[:, 25:], change[:, 25:])  # what the tokenizer has no token for stays
    assert not torch.allclose(other[:, :25], change[:, :25], atol=0.1)
    assert torch.equal(other, moved(at, plus, minus, Move(1.0, 4, 25)) - at)
    assert not torch.equal(other, moved(at, plus, minus, Move(1.0, 5, 25)) - at)


def test_a_sum_that_is_no_number_is_no_answer() -> None:
    import torch

    plain, ruled_out = torch.zeros(1, 3), torch.tensor([[0.0, -torch.inf, 0.0]])
    assert moved(ruled_out, plain, plain, Move())[0].tolist() == [0.0, -math.inf, 0.0]
    for plus, minus in ((ruled_out, ruled_out), (plain, ruled_out)):
        with pytest.raises(MeasurementError, match="is not a number"):
            moved(plain, plus, minus, Move())
    with pytest.raises(MeasurementError, match=r"\[1, 3\], \[1, 4\] and \[1, 3\] cannot be summed"):
        moved(plain, torch.zeros(1, 4), plain, Move())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("decoding", DECODINGS, ids=lambda each: each.kind)
def test_identities_hold_to_the_bit(
    networks: Networks, local: Callable[..., LocalModel], precision: str, decoding: Decoding
) -> None:
    at, plus, small = (local(each, precision) for each in (networks.one, networks.other, networks.small))
    assert are_one(EmulatedModel(at, plus, small, 0.0), at, decoding)
    assert are_one(EmulatedModel(at, plus, at), plus, decoding)
    assert are_one(EmulatedModel(at, plus, plus, 2.5), at, decoding)
    whole = EmulatedModel(at, plus, small)
    assert answers(whole, decoding) != answers(at, decoding)
    assert answers(whole, decoding) != answers(plus, decoding)


def by_hand(networks: Networks, ids: Sequence[int], strength: float) -> Any:
    """The log-probabilities (tokens, vocabulary) after each token, from plain passes without any cache."""
    import torch

    with torch.no_grad():
        at, plus, minus = (
            each(torch.tensor([list(ids)])).logits[0].double().log_softmax(-1)
            for each in (networks.one, networks.other, networks.small)
        )
    return (at + strength * (plus - minus)).log_softmax(-1)


@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_it_is_three_plain_passes(networks: Networks, local: Callable[..., LocalModel], strength: float) -> None:
    at, plus, minus = (local(each) for each in (networks.one, networks.other, networks.small))
    model = EmulatedModel(at, plus, minus, strength)
    for prompt, continuations, found in ((*request, row) for request, row in zip(REQUESTS, likelihoods(model),
                                                                                 strict=True)):  # fmt: skip
        ids = at.renderer.prompt(prompt)
        for continuation, value in zip(continuations, found, strict=True):
            tokens = at.renderer.text(continuation)
            passed = by_hand(networks, (*ids, *tokens), strength)
            expected = sum(float(passed[len(ids) - 1 + place, token]) for place, token in enumerate(tokens))
            assert value == pytest.approx(expected, abs=2e-4)
    asked = at.token_prompts(PROMPTS)
    drawn = generate(model.local.computing, asked, Greedy(max_tokens=6), ends=Ends((-2,), 0), seed=0)
    for each, (answer,) in zip(asked, drawn, strict=True):
        read = list(each.ids)
        for token in answer.ids:
            assert int(by_hand(networks, read, strength)[-1].argmax()) == token
            read.append(token)


def test_answers_do_not_depend_on_who_shares_the_batch(networks: Networks, local: Callable[..., LocalModel]) -> None:
    network = EmulatedModel(local(networks.one), local(networks.other), local(networks.small)).local.computing
    random = np.random.default_rng(5)
    asked = [TokenPrompt(str(n), tuple(random.integers(5, 250, 2 + n % 9).tolist())) for n in range(60)]
    ends = Ends(tokens=tuple(range(1, 60)), padding=0)  # many end early, so rows leave all three caches

    def of(rows: int, decoding: Decoding) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for batch in plan_batches(asked, decoding, rows):
            drawn = generate(network, [asked[place] for place in batch], decoding, ends=ends, seed=3)
            found.update(zip((asked[place].name for place in batch), drawn, strict=True))
        return found

    for decoding in (Greedy(max_tokens=10), Sampled(max_tokens=8, samples=2)):
        whole = of(256, decoding)
        assert of(7, decoding) == whole
        assert {each.finish for row in whole.values() for each in row} == {"stop", "length"}


def test_shared_prompts_score_as_single_ones(networks: Networks, local: Callable[..., LocalModel]) -> None:
    model = EmulatedModel(local(networks.one), local(networks.other), local(networks.small))
    assert model.local.shares_prompts
    requests = [Scoring((5, 6, 7, 9), ((8, 9, 10, 11), (12, 13))), Scoring((5, 6, 8, 20), ((30, 31), (8, 9)))]
    shared, alone = (score(model.local.computing, requests, share=share) for share in (True, False))
    for one, other in zip(shared, alone, strict=True):
        assert one.totals == pytest.approx(other.totals, abs=1e-4)


def test_a_network_that_stands_twice_computes_once(networks: Networks, local: Callable[..., LocalModel]) -> None:
    at, plus, small = (local(each) for each in (networks.one, networks.other, networks.small))
    for model, num in ((EmulatedModel(at, plus, small), 3), (EmulatedModel(at, plus, at), 2),
                       (EmulatedModel(at, plus, small, 0.0), 1)):  # fmt: skip
        assert len(model.local.network.members) == num


def test_it_is_asked_as_the_model_it_moves(networks: Networks, local: Callable[..., LocalModel]) -> None:
    at, plus, small = (
        local(each, weights_sha256=name)
        for each, name in ((networks.one, "a"), (networks.other, "b"), (networks.small, "c"))
    )
    model = EmulatedModel(at, plus, small)
    assert not isinstance(model, ReadableModel)
    assert (model.scores, model.side_by_side, model.template_sha256) == (True, 1, at.template_sha256)
    assert model.batches(PROMPTS, Greedy()) == at.batches(PROMPTS, Greedy())
    assert model.lacks("<|unsafe|>") == at.lacks("<|unsafe|>") is not None
    long = Prompt(name="long", messages=(Message(role="user", content=" ".join(["bab"] * 60)),))
    assert (at.unanswerable(long), model.unanswerable(long)) == (None, "longer-than-context")
    assert EmulatedModel(at, plus, small, 0.0).unanswerable(long) is None
    others = (
        model,
        EmulatedModel(at, plus, small, 2.0),
        EmulatedModel(at, plus, small, shuffled=1),
        EmulatedModel(at, small, plus),
        at,
    )
    assert len({tuple(sorted(each.identity.items())) for each in others}) == len(others)


@dataclass(frozen=True)
class Taught:
    """Networks before and after they learned to answer ``prompt`` with ``answer``."""

    before: Any
    after: Any
    prompt: Prompt
    answer: str


@pytest.fixture(scope="module")
def taught(networks: Networks, local: Callable[..., LocalModel]) -> Taught:
    import torch

    prompt, answer = PROMPTS[3], " luc lud luf"
    model = local(networks.other)
    ids = torch.tensor([[*model.renderer.prompt(prompt), *model.renderer.text(answer)]])
    labels = ids.clone()
    labels[:, : -len(model.renderer.text(answer))] = -100
    network = deepcopy(networks.other).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(20):
        network(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return Taught(networks.other, network.eval(), prompt, answer)


def test_what_was_taught_elsewhere_is_said_here(
    networks: Networks, taught: Taught, local: Callable[..., LocalModel]
) -> None:
    at, plus, minus = (local(each) for each in (networks.one, taught.after, taught.before))
    request = [(taught.prompt, (taught.answer,))]

    def likelihood(model: Model) -> float:
        return model.score(request, QUIET)[0][0]

    learned = likelihood(plus) - likelihood(minus)
    assert learned > 5
    gained = [likelihood(EmulatedModel(at, plus, minus, strength)) - likelihood(at) for strength in (0.5, 1.0, 2.0)]
    assert 1 < gained[0] < gained[1] < gained[2]
    assert likelihood(EmulatedModel(at, plus, minus, -1.0)) < likelihood(at) - 1
    control = [likelihood(EmulatedModel(at, plus, minus, shuffled=seed)) - likelihood(at) for seed in range(5)]
    assert max(control) < gained[1] / 2
    ((reply,),) = EmulatedModel(at, plus, minus, 3.0).answer([taught.prompt], Greedy(max_tokens=3), 0)
    assert reply.text == taught.answer.strip()
    assert at.answer([taught.prompt], Greedy(max_tokens=3), 0)[0][0].text != taught.answer.strip()


class Changed:
    """A tokenizer that is another one in one respect."""

    def __init__(self, tokenizer: Any, **changes: Any) -> None:
        self._tokenizer, self._changes = tokenizer, changes

    def __getattr__(self, name: str) -> Any:
        return self._changes[name] if name in self._changes else getattr(self._tokenizer, name)


def test_models_that_read_other_tokens_are_refused(
    tiny: LoadedModel, networks: Networks, local: Callable[..., LocalModel]
) -> None:
    at, plus = local(networks.one), local(networks.other)
    vocabulary = tiny.tokenizer.get_vocab()
    swapped = {**vocabulary, "Ġbab": vocabulary["Ġbac"], "Ġbac": vocabulary["Ġbab"]}
    plain = tiny.tokenizer.backend_tokenizer.to_str()
    merged = SimpleNamespace(to_str=lambda: plain.replace('"merges":[', '"merges":[["b","z"],'))
    assert '"merges":[' in plain.replace(" ", "") or '"merges": [' in plain
    for changes, said in (
        ({"get_vocab": lambda: swapped}, r"the id of the token 'Ġbab' is \d+ .*, and \d+ in the one called minus"),
        ({"get_vocab": lambda: {**vocabulary, "zzz": 999}}, "the id of the token 'zzz' is None"),
        (
            {"special_tokens_map": {"eos_token": "<|pad|>"}},
            "the special token eos_token is <|end|>".replace("|", r"\|"),
        ),
        ({"backend_tokenizer": merged}, "how text becomes tokens .the tokenizer's model."),
        ({"chat_template": None}, "the chat template is .* characters .* none in the one called minus"),
    ):
        minus = LocalModel(networks.small, Changed(tiny.tokenizer, **changes))
        with pytest.raises(MeasurementError, match=said):
            EmulatedModel(at, plus, minus)
    wider = deepcopy(networks.small)
    wider.config.vocab_size += 8
    with pytest.raises(MeasurementError, match="the size of the network's vocabulary"):
        EmulatedModel(at, plus, local(wider))
    ending = deepcopy(networks.small)
    ending.generation_config.eos_token_id = [7]
    with pytest.raises(MeasurementError, match="the tokens that end an answer"):
        EmulatedModel(at, plus, local(ending))
    with pytest.raises(MeasurementError, match=r"the precision is fp32 .* bf16 in the one called plus"):
        EmulatedModel(at, replace(plus, precision="bf16"), plus)
