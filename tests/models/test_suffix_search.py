"""Searched suffixes: gradients, losses and optima that can be counted by hand, and texts that stay what they are."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from upbringing.base.streams import stream
from upbringing.battery.attack_texts import with_suffix
from upbringing.formats.items import Message
from upbringing.models.asking import Elicitation, Prompt
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.suffix_search import Attack, Framed, Gcg, Rules, Searched, search_suffix
from upbringing.models.suffix_texts import TOO_LONG, UNSTABLE, FoundSuffix, SuffixTexts, Wanted, find_suffix

pytestmark = pytest.mark.model
FRAMES = (Framed((3, 30, 41), (1, 4), (50, 51)), Framed((3, 35), (1, 4), (52, 53, 54)))
INITIAL = "bab bac bad"
NUM = 313  # tokens of the tiny model


def anything(vocabulary: int, allowed: tuple[int, ...] | None = None) -> Rules:
    mask = np.ones(vocabulary, dtype=bool) if allowed is None else np.isin(np.arange(vocabulary), allowed)
    return Rules(mask, lambda ids: True, lambda ids: True)


def loss_by_hand(network: Any, frame: Framed, suffix: tuple[int, ...]) -> float:
    """One plain forward pass over the whole sequence."""
    import torch

    ids = (*frame.before, *suffix, *frame.after, *frame.target)
    with torch.no_grad():
        logs = network(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    first = len(ids) - len(frame.target)
    return -float(np.mean([float(logs[first + place - 1, token]) for place, token in enumerate(frame.target)]))


def mean_loss(network: Any, suffix: tuple[int, ...]) -> float:
    return float(np.mean([loss_by_hand(network, frame, suffix) for frame in FRAMES]))


def wanted(local: LocalModel, text: str = "bab", elicitation: Elicitation = "E1", target: str = "fig") -> Wanted:
    messages = (Message(role="user", content=text),)
    return Wanted(
        lambda suffix: Prompt(name="", messages=with_suffix(messages, suffix), elicitation=elicitation), target
    )


@pytest.mark.parametrize("share", [True, False])
def test_losses_are_those_of_plain_passes(tiny: LoadedModel, share: bool) -> None:
    suffixes = [(60, 61), (62, 63), (60, 99)]
    found = Attack(tiny.model, FRAMES, share).losses(suffixes)
    np.testing.assert_allclose(found, [mean_loss(tiny.model, suffix) for suffix in suffixes], atol=1e-4)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_gradient_is_that_of_finite_differences(tiny: LoadedModel, attention: str) -> None:
    """The loss moves by eps x gradient where eps of another token is mixed into a place; norms round to 1e-7."""
    import torch

    network = copy.deepcopy(tiny.model).double()
    network.set_attn_implementation(attention)
    suffix = (60, 61, 62)
    gradient = Attack(network, FRAMES).gradient(suffix)
    table = network.get_input_embeddings().weight.detach()
    assert gradient.shape == (3, len(table))

    def mixed(place: int, token: int, eps: float) -> float:
        total = 0.0
        for frame in FRAMES:
            ids = torch.tensor((*frame.before, *suffix, *frame.after, *frame.target))
            embedded = table[ids].clone()
            embedded[len(frame.before) + place] += eps * table[token]
            with torch.no_grad():
                logs = network(inputs_embeds=embedded[None]).logits[0].log_softmax(-1)
            first = len(ids) - len(frame.target)
            total -= float(np.mean([float(logs[first + n - 1, t]) for n, t in enumerate(frame.target)]))
        return total / len(FRAMES)

    for place, token in ((0, 70), (1, 71), (2, 60), (2, 300), (0, 5)):
        numeric = (mixed(place, token, 5e-3) - mixed(place, token, -5e-3)) / 1e-2
        assert gradient[place, token] == pytest.approx(numeric, abs=2e-4, rel=5e-3)


def test_the_gradient_says_what_small_swaps_do(tiny: LoadedModel) -> None:
    """To first order a swap changes the loss by the difference of two entries: exact where tokens are nearly alike."""
    import torch

    network = copy.deepcopy(tiny.model).double()
    with torch.no_grad():
        weight = network.get_input_embeddings().weight
        weight[71:81] = weight[70] + 1e-4 * torch.randn(10, weight.shape[1], generator=torch.manual_seed(1))
    gradient = Attack(network, FRAMES).gradient((70, 61)).astype(np.float64)
    for token in range(71, 81):
        exact = mean_loss(network, (token, 61)) - mean_loss(network, (70, 61))
        assert gradient[0, token] - gradient[0, 70] == pytest.approx(exact, rel=0.05, abs=1e-6)


def test_no_steps_return_the_initial_suffix_and_the_network_is_untouched(tiny: LoadedModel) -> None:
    before = [each.clone() for each in tiny.model.parameters()]
    found = search_suffix(Attack(tiny.model, FRAMES), (60, 61), Gcg(steps=0), anything(NUM), stream(1, "s"))
    assert (found.suffix, len(found.losses), found.num_evaluations) == ((60, 61), 1, 2)
    assert found.loss == found.losses[0] == pytest.approx(mean_loss(tiny.model, (60, 61)), abs=1e-4)
    search_suffix(Attack(tiny.model, FRAMES), (60, 61), Gcg(steps=1, candidates=4), anything(NUM), stream(1, "s"))
    assert all((one == other).all() for one, other in zip(before, tiny.model.parameters(), strict=True))
    assert all(each.grad is None for each in tiny.model.parameters())


@pytest.mark.parametrize("by_gradient", [True, False])
def test_one_step_over_a_whole_vocabulary_finds_the_best_of_all_swaps(tiny: LoadedModel, by_gradient: bool) -> None:
    """Brute force: one place, every token but its own."""
    settings = Gcg(steps=1, candidates=NUM, top_k=NUM, by_gradient=by_gradient)
    found = search_suffix(Attack(tiny.model, FRAMES), (60,), settings, anything(NUM), stream(2, "s"))
    every = {token: mean_loss(tiny.model, (token,)) for token in range(NUM)}
    best = min(every, key=lambda token: every[token])
    assert found.suffix == (best,)
    assert found.loss == pytest.approx(every[best], abs=1e-4)
    assert found.num_evaluations == NUM * len(FRAMES)


def test_two_places_over_a_small_vocabulary_reach_the_best_of_all_pairs(tiny: LoadedModel) -> None:
    allowed = (60, 61, 62, 63, 64, 65)
    settings = Gcg(steps=12, candidates=100, top_k=6)
    found = search_suffix(Attack(tiny.model, FRAMES), (60, 60), settings, anything(NUM, allowed), stream(3, "s"))
    every = {pair: mean_loss(tiny.model, pair) for pair in itertools.product(allowed, repeat=2)}
    assert found.loss == pytest.approx(min(every.values()), abs=1e-4)
    assert every[found.suffix[0], found.suffix[1]] == pytest.approx(found.loss, abs=1e-4)
    assert found.loss == min(found.losses)
    assert found.num_evaluations == (1 + 12 * 2 * 5) * len(FRAMES)  # both places, five other tokens each


def test_the_same_stream_finds_the_same_and_rules_are_kept(tiny: LoadedModel) -> None:
    settings = Gcg(steps=6, candidates=8, top_k=30)
    tried: list[tuple[int, ...]] = []

    def survives(ids: tuple[int, ...]) -> bool:
        tried.append(ids)
        return ids[0] % 2 == 0

    def run(rules: Rules) -> Searched:
        return search_suffix(Attack(tiny.model, FRAMES), (60, 61, 62), settings, rules, stream(4, "s"))

    odd = Rules(np.arange(NUM) >= 10, survives, lambda ids: ids[1] != 61 or ids[2] != 62)
    assert run(odd) == run(odd)
    assert run(odd).suffix[0] % 2 == 0
    assert all(min(ids) >= 10 for ids in tried)
    nothing = run(replace(odd, survives=lambda ids: False))
    assert (nothing.suffix, nothing.losses) == ((60, 61, 62), (nothing.loss,) * 7)
    assert run(replace(odd, fits=lambda ids: False)).suffix == (60, 61, 62)


@pytest.mark.parametrize("elicitation", ["E1", "E0", "E2"])
def test_what_is_found_is_read_as_what_was_searched(tiny: LoadedModel, elicitation: Elicitation) -> None:
    """The text of the suffix, put into the whole prompt, has the searched ids and the loss that was recorded."""
    local = LocalModel(tiny.model, tiny.tokenizer)
    if elicitation == "E2":  # long examples do not fit the context of this model
        assert find_suffix(local, [wanted(local, elicitation="E2")], Gcg(initial=INITIAL), stream(5, "s"), print) == (
            TOO_LONG
        )
        return
    asked = [wanted(local, text, elicitation) for text in ("bab", "lul luh")]
    settings = Gcg(initial=INITIAL, steps=5, candidates=16, top_k=20)
    found = find_suffix(local, asked, settings, stream(5, "s"), lambda step: None)
    assert isinstance(found, FoundSuffix)
    assert found.text != INITIAL
    assert found.searched.loss < found.searched.losses[0]
    own = SuffixTexts(local).ids(found.text)
    assert own == found.searched.suffix
    losses = []
    for each in asked:
        whole = local.renderer.prompt(each.behind(found.text))
        place = next(start for start in range(len(whole)) if whole[start : start + len(own)] == own)
        target = local.renderer.text("fig")
        losses.append(loss_by_hand(tiny.model, Framed(whole[:place], whole[place + len(own) :], target), own))
    assert float(np.mean(losses)) == pytest.approx(found.searched.loss, abs=1e-4)


def test_texts_that_are_read_otherwise_are_no_suffixes(tiny: LoadedModel) -> None:
    local = LocalModel(tiny.model, tiny.tokenizer)
    texts = SuffixTexts(local)
    assert texts.survives(texts.ids("bab bac"))
    apart = (*texts.ids("ba"), *texts.ids("b")[1:])
    joined = tuple(tiny.tokenizer.convert_tokens_to_ids(["Ġ", "b", "a", "b"]))
    assert not texts.survives(joined)  # its text is one word of the lexicon
    assert apart is not None
    special = tiny.tokenizer.convert_tokens_to_ids("<|end|>")
    allowed = texts.allowed(NUM + 2)
    assert not allowed[special]
    assert not allowed[NUM + 1]  # the network has rows that the tokenizer does not know
    assert allowed[texts.ids("bab")[0]]
    assert sum(allowed) > 40
    assert find_suffix(local, [wanted(local)], Gcg(initial="bab "), stream(1, "s"), print) == UNSTABLE
    long = Gcg(initial=" ".join(["bab"] * 130))
    assert find_suffix(local, [wanted(local)], long, stream(1, "s"), print) == TOO_LONG


def test_a_template_that_ends_a_suffix_otherwise_is_seen(tiny: LoadedModel) -> None:
    """The whole prompt decides: where a template joins its own letters to the suffix, nothing is searched."""
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + 'c' }}{% endfor %}"
    local = LocalModel(tiny.model, tokenizer)
    assert find_suffix(local, [wanted(local, target="fig")], Gcg(initial="bab ba"), stream(1, "s"), print) == UNSTABLE
