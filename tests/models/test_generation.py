"""Decoding: neither the batch nor its order nor who leaves it changes an answer; noise has streams of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from upbringing.base.errors import MeasurementError
from upbringing.models.answer_tokens import Ends, Generated, TokenPrompt
from upbringing.models.decoding import Greedy, Sampled
from upbringing.models.generation import generate, plan_batches, sampling_probabilities
from upbringing.models.loading import LoadedModel

pytestmark = pytest.mark.model
ENDS = Ends(tokens=(1,), padding=0)


def prompts(num: int) -> list[TokenPrompt]:
    random = np.random.default_rng(5)
    return [TokenPrompt(str(n), tuple(int(token) for token in random.integers(5, 250, 2 + n % 9))) for n in range(num)]


def in_batches(
    model: Any, asked: Sequence[TokenPrompt], decoding: Any, rows: int, ends: Ends = ENDS
) -> list[list[Generated]]:
    found: dict[int, list[Generated]] = {}
    for batch in plan_batches(asked, decoding, rows):
        answers = generate(model, [asked[index] for index in batch], decoding, ends=ends, seed=3)
        found.update(zip(batch, answers, strict=True))
    return [found[index] for index in range(len(asked))]


def test_greedy_answers_of_200_prompts_are_equal_across_batch_sizes(tiny: LoadedModel) -> None:
    asked = prompts(200)
    ends = Ends(tokens=tuple(range(1, 60)), padding=0)  # many end early, so rows leave the batch
    decoding = Greedy(max_tokens=12)
    whole = in_batches(tiny.model, asked, decoding, 256, ends)
    assert in_batches(tiny.model, asked, decoding, 64, ends) == whole
    assert in_batches(tiny.model, asked, decoding, 13, ends) == whole
    assert in_batches(tiny.model, asked[:25], decoding, 1, ends) == whole[:25]
    assert {answer.finish for (answer,) in whole} == {"stop", "length"}
    assert in_batches(tiny.model, asked[::-1], decoding, 64, ends)[::-1] == whole


def test_greedy_equals_the_generate_method_of_transformers(tiny: LoadedModel) -> None:
    import torch

    for asked, (answer,) in zip(
        prompts(20), in_batches(tiny.model, prompts(20), Greedy(max_tokens=10), 8), strict=True
    ):
        ids = torch.tensor([asked.ids])
        output = tiny.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False, eos_token_id=1, pad_token_id=0
        )
        expected = output[0, len(asked.ids) :].tolist()
        assert list(answer.ids) == (expected[: expected.index(1)] if 1 in expected else expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("decoding", [Greedy(max_tokens=4), Sampled(max_tokens=4, samples=2)])
def test_logits_that_are_no_numbers_are_an_error_never_an_answer(
    tiny: LoadedModel, decoding: Greedy | Sampled, value: float
) -> None:
    import torch

    broken = copy.deepcopy(tiny.model)
    with torch.no_grad():
        broken.get_output_embeddings().weight[7] = value
    with pytest.raises(MeasurementError, match="logits at token 1 of an answer are not finite"):
        in_batches(broken, prompts(3), decoding, 8)


def test_batches_are_canonical() -> None:
    asked = prompts(50)
    plan = [[asked[index].name for index in batch] for batch in plan_batches(asked, Greedy(), 16)]
    shuffled = asked[::-1]
    assert [[shuffled[index].name for index in batch] for batch in plan_batches(shuffled, Greedy(), 16)] == plan
    lengths = [len(asked[index].ids) for batch in plan_batches(asked, Greedy(), 16) for index in batch]
    assert lengths == sorted(lengths)
    assert sorted(name for batch in plan for name in batch) == sorted(each.name for each in asked)


def test_sampled_answers_have_streams_of_their_own(tiny: LoadedModel) -> None:
    asked = prompts(6)
    decoding = Sampled(max_tokens=6, samples=3)
    whole = generate(tiny.model, asked, decoding, ends=ENDS, seed=1)
    assert generate(tiny.model, asked[2:4], decoding, ends=ENDS, seed=1) == whole[2:4]
    assert generate(tiny.model, asked, decoding, ends=ENDS, seed=2) != whole
    assert len({answer.ids for answer in whole[0]}) > 1
    first = generate(tiny.model, asked, Sampled(max_tokens=6, samples=1), ends=ENDS, seed=1)
    assert [samples[0] for samples in whole] == [samples[0] for samples in first]


def test_sampling_follows_the_probabilities(tiny: LoadedModel) -> None:
    import torch

    asked = [TokenPrompt("one", (7, 9, 11))]
    drawn = generate(tiny.model, asked, Sampled(max_tokens=1, samples=4000), ends=Ends((-2,), 0), seed=0)[0]
    with torch.no_grad():
        expected = tiny.model(torch.tensor([asked[0].ids])).logits[0, -1].softmax(-1).numpy()
    counts = np.bincount([answer.ids[0] for answer in drawn], minlength=len(expected))
    common = expected * 4000 >= 10  # chi-square needs cells with enough expected counts
    statistic = float(((counts - expected * 4000)[common] ** 2 / (expected * 4000)[common]).sum())
    assert chi2.sf(statistic, int(common.sum())) > 0.001
    wrong = np.roll(expected, 1) * 4000
    assert chi2.sf(float(((counts - wrong)[common] ** 2 / wrong[common]).sum()), int(common.sum())) < 1e-6


def test_top_k_and_top_p_keep_what_they_say() -> None:
    import torch

    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.double))
    kept = sampling_probabilities(logits, Sampled(top_k=2))[0]
    assert (kept > 0).tolist() == [True, True, False, False]
    nucleus = sampling_probabilities(logits, Sampled(top_p=0.75))[0]
    assert (nucleus > 0).tolist() == [True, True, False, False]
    assert sampling_probabilities(logits, Sampled(top_p=0.85))[0, 2] > 0
    cold = sampling_probabilities(logits, Sampled(temperature=0.5))[0]
    assert cold.tolist() == pytest.approx([0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365])


def test_an_answer_can_be_stopped_by_its_text(tiny: LoadedModel) -> None:
    asked = prompts(4)
    free = generate(tiny.model, asked, Greedy(max_tokens=24), ends=Ends((1,), 0), seed=0)
    ends = Ends((1,), 0, stopped=lambda ids: len(ids) >= 5)
    stopped = generate(tiny.model, asked, Greedy(max_tokens=24), ends=ends, seed=0)
    for (whole,), (part,) in zip(free, stopped, strict=True):
        assert len(part.ids) == min(8, len(whole.ids))  # looked at every eight tokens
        assert part.ids == whole.ids[: len(part.ids)]
        assert part.finish == "stop"
