"""Likelihoods: shared prompts give the numbers of single sequences, by hand and by batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.formats.items import Message
from upbringing.formats.record import BuildProfile
from upbringing.models.asking import Prompt
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.local import LocalModel
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score, sharing_is_exact

pytestmark = pytest.mark.model


def requests(num: int = 30) -> list[Scoring]:
    random = np.random.default_rng(7)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(int(token) for token in random.integers(5, 250, length))

    return [Scoring(ids(1 + n % 11), tuple(ids(1 + (n + k) % 5) for k in range(1 + n % 6))) for n in range(num)]


def by_hand(model: Any, prompt: tuple[int, ...], continuation: tuple[int, ...]) -> list[float]:
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *continuation]])).logits[0].log_softmax(-1)
    return [float(logits[len(prompt) + place - 1, token]) for place, token in enumerate(continuation)]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("share", [True, False])
def test_likelihoods_in_a_batch_equal_single_ones(tiny: LoadedModel, attention: Any, share: bool) -> None:
    model = load_model(tiny.folder, profile=BuildProfile(attention=attention)).model
    for request, scored in zip(requests(), score(model, requests(), share=share), strict=True):
        for continuation, found in zip(request.continuations, scored.log_probabilities, strict=True):
            assert found.tolist() == pytest.approx(by_hand(model, request.prompt, continuation), abs=1e-4)


def test_many_continuations_of_one_prompt_are_scored_once_each(tiny: LoadedModel) -> None:
    prompt = (9, 10, 11)
    continuations = tuple((20 + n % 200, 30 + n // 200, 40) for n in range(300))
    together = score(tiny.model, [Scoring(prompt, continuations), Scoring(prompt, continuations[:3])])
    assert together[1].totals == together[0].totals[:3]
    assert together[0].totals[250] == pytest.approx(sum(by_hand(tiny.model, prompt, continuations[250])), abs=1e-4)


def shapes_read(model: Any, asked: list[Scoring]) -> list[tuple[int, ...]]:
    """Score ``asked`` and return the shape of what each forward pass was fed."""
    read: list[tuple[int, ...]] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    score(model, asked)
    hook.remove()
    return read


def test_what_all_prompts_begin_with_is_read_once(tiny: LoadedModel) -> None:
    beginning = tuple(range(40, 100))
    asked = [replace(each, prompt=(*beginning, *each.prompt)) for each in requests()]
    assert shapes_read(tiny.model, asked)[0] == (1, len(beginning))
    assert shapes_read(tiny.model, asked)[1][1] < len(beginning)
    for request, scored in zip(asked, score(tiny.model, asked), strict=True):
        for continuation, found in zip(request.continuations, scored.log_probabilities, strict=True):
            assert found.tolist() == pytest.approx(by_hand(tiny.model, request.prompt, continuation), abs=1e-4)


def test_only_what_predicts_a_token_is_fed_and_projected(tiny: LoadedModel) -> None:
    asked = [Scoring((5, 6, 7), ((8, 9, 10), (11, 12), (13,)))]
    assert shapes_read(tiny.model, asked) == [(1, 3 + 2 + 1)]  # no continuation's last token
    projected: list[tuple[int, ...]] = []
    hook = tiny.model.get_output_embeddings().register_forward_hook(
        lambda _, given, output: projected.append(tuple(output.shape[:-1]))
    )
    score(tiny.model, asked)
    hook.remove()
    assert projected == [(1, 1 + 2 + 1)]  # the prompt's end, once for all three


def test_rows_of_one_prompt_are_filled_alike(tiny: LoadedModel) -> None:
    continuations = tuple((20 + n, *range(30, 47)) for n in range(10))  # 17 fed tokens each, 170 in all
    shapes = shapes_read(tiny.model, [Scoring((5, 6, 7), continuations)])
    assert shapes == [(1, 2), (2, 1 + 5 * 17)]  # two rows of five, not one of seven and one of three


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@pytest.mark.parametrize("share", [True, False])
def test_hidden_states_of_a_prompt_come_from_the_same_pass(tiny: LoadedModel, share: bool) -> None:
    import torch

    chosen = [replace(request, states=True) for request in requests()[:8]]
    chosen.append(Scoring((6, 7, 8, 9), (), states=True))  # nothing continues it
    for request, scored in zip(chosen, score(tiny.model, chosen, share=share), strict=True):
        with torch.no_grad():
            hidden = tiny.model(torch.tensor([request.prompt]), output_hidden_states=True).hidden_states
        expected = np.stack([state[0].numpy() for state in hidden])  # (layers, time, width)
        assert scored.states is not None
        assert scored.states.last == pytest.approx(expected[:, -1], abs=1e-4)
        assert scored.states.mean == pytest.approx(expected.mean(axis=1), abs=1e-4)


def test_hidden_states_are_those_of_whole_prompts_where_their_beginning_is_shared(tiny: LoadedModel) -> None:
    import torch

    beginning = tuple(range(40, 60))
    asked = [replace(each, prompt=(*beginning, *each.prompt), states=True) for each in requests()[:6]]
    assert shapes_read(tiny.model, asked)[0] == (1, len(beginning))
    for request, scored in zip(asked, score(tiny.model, asked), strict=True):
        with torch.no_grad():
            hidden = tiny.model(torch.tensor([request.prompt]), output_hidden_states=True).hidden_states
        expected = np.stack([state[0].numpy() for state in hidden])  # (layers, time, width)
        assert scored.states is not None
        assert scored.states.last == pytest.approx(expected[:, -1], abs=1e-4)
        assert scored.states.mean == pytest.approx(expected.mean(axis=1), abs=1e-4)


def test_reading_states_leaves_no_hook_and_moves_no_likelihood(tiny: LoadedModel) -> None:
    plain = [each.totals for each in score(tiny.model, requests())]
    before = hooks(tiny.model)
    read = score(tiny.model, [replace(each, states=True) for each in requests()])
    assert [each.totals for each in read] == plain
    assert hooks(tiny.model) == before
    assert all(each.states is None for each in score(tiny.model, requests()))


def test_a_compiled_network_is_read_through_the_one_it_was_made_of(tiny: LoadedModel) -> None:
    import torch

    compiled = torch.compile(tiny.model, backend="eager")
    with torch.no_grad():
        compiled(torch.tensor([[5, 6, 7]]))  # a graph without hooks exists already
    request = [Scoring((5, 6, 7), (), states=True)]
    found, expected = score(compiled, request)[0].states, score(tiny.model, request)[0].states
    assert found is not None
    assert expected is not None
    assert found.last == pytest.approx(expected.last, abs=1e-5)


def test_sharing_is_checked_and_refused_where_the_mask_is_ignored(tiny: LoadedModel) -> None:
    assert sharing_is_exact(tiny.model)

    class Deaf:
        """A model that ignores four-dimensional masks, as some kernels do."""

        config, device, dtype = tiny.model.config, tiny.model.device, tiny.model.dtype

        def forward(self, **inputs: Any) -> Any:
            if inputs["attention_mask"].ndim == 4:
                inputs["attention_mask"] = None
            return tiny.model(**inputs)

        __call__ = forward

    assert not sharing_is_exact(Deaf())


def test_an_empty_continuation_has_no_likelihood(tiny: LoadedModel) -> None:
    for request in (Scoring((), ((5,),)), Scoring((5,), ((),))):
        with pytest.raises(MeasurementError, match="at least one token"):
            score(tiny.model, [request])


def test_a_text_longer_than_the_context_is_scored_in_windows(tiny: LoadedModel) -> None:
    model = LocalModel(tiny.model, tiny.tokenizer)
    text = " bab bac bad baf" * 60  # 240 words in a context of 128
    ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > model.context
    found = model.score([(Prompt(name="", elicitation="E0", completion=""), (text,))], lambda done, total: None)
    first = by_hand(tiny.model, (tiny.tokenizer.eos_token_id,), tuple(ids[:127]))
    second = by_hand(tiny.model, (ids[126],), tuple(ids[127:254]))
    assert found[0][0] == pytest.approx(sum(first) + sum(second), abs=1e-3)


def test_bf16_scores_stay_near_fp32(tiny: LoadedModel) -> None:
    asked = [(Prompt(name="", messages=(Message(role="user", content="bab bac"),)), ("deb dec", "fib"))]
    full = LocalModel(tiny.model, tiny.tokenizer).score(asked, lambda done, total: None)
    half = LocalModel(tiny.model, tiny.tokenizer, precision="bf16").score(asked, lambda done, total: None)
    assert half[0] == pytest.approx(full[0], abs=0.3)
    assert tiny.model.dtype.itemsize == 4  # the caller's weights are left alone
