"""Preference training: the loss by hand and by TRL's own path, its reference, its identity, its effect."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_bench import BATCH, WORDS, Bench, bits, preferences

from upbringing.base.errors import DataError, UpbringingWarning
from upbringing.data.compared import Pair
from upbringing.data.documents import Preference, Turn
from upbringing.data.pairs import PairStream, build_pair_stream, open_pair_stream
from upbringing.data.rendering import open_tokenizer, render_preferences
from upbringing.data.stream import StreamPart, StreamPlan
from upbringing.formats.record import BuildProfile
from upbringing.training.dpo import Dpo
from upbringing.training.processes import Processes
from upbringing.training.reference import Reference, scores_of
from upbringing.training.settings import Lora

pytestmark = pytest.mark.model

BETA = 0.3
STAGE = Dpo(data="pairs", context=32, batch_size=BATCH, beta=BETA, learning_rate=3e-3)
ADAPTED = STAGE.model_copy(update={"weights": Lora(rank=2, dropout=0.1), "learning_rate": 1e-2})


def pairs(bench: Bench, epochs: float = 2.0) -> Path:
    return bench.stream(f"pairs-{epochs}", preferences(1), None, epochs)


def model_in(folder: Path) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def log_probability(model: Any, prompt: list[int], answer: list[int]) -> Any:
    """Log-probability (nats) of ``answer`` after ``prompt``, token by token, without padding or a batch."""
    import torch

    logits = torch.log_softmax(model(torch.tensor([prompt + answer])).logits[0], dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return torch.stack([logits[place, token] for place, token in zip(places, answer, strict=True)]).sum()


def loss_by_hand(model: Any, reference: Any, batch: list[Pair]) -> Any:
    """Equation 7 of Rafailov et al., written out."""
    import torch

    losses = []
    for pair in batch:
        ratios = [
            log_probability(model, pair.prompt, answer) - log_probability(reference, pair.prompt, answer).detach()
            for answer in (pair.chosen, pair.rejected)
        ]
        losses.append(-torch.nn.functional.logsigmoid(BETA * (ratios[0] - ratios[1])))
    return torch.stack(losses).mean()


def test_the_first_loss_is_the_logarithm_of_two_and_the_first_steps_are_those_by_hand(bench: Bench) -> None:
    import torch

    stream = pairs(bench)
    stage = Dpo.model_validate({**STAGE.model_dump(), "schedule": {"kind": "constant"}})
    output, realised = bench.train("dpo-by-hand", stage, stream, steps=(0, 3))
    model, reference = model_in(bench.start), model_in(bench.start)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
    opened = open_pair_stream(stream)
    for step in range(3):
        loss = loss_by_hand(model, reference, opened.pairs(step * BATCH, (step + 1) * BATCH))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert realised.losses[step] == pytest.approx(loss.item(), abs=2e-6)  # fp32, sums in another order
    assert realised.losses[0] == pytest.approx(math.log(2), abs=1e-6)
    for (name, mine), theirs in zip(model.named_parameters(), model_in(output).parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5), name  # Adam divides small differences by small norms


def test_losses_are_those_of_stock_trl_on_the_same_texts(bench: Bench, tmp_path: Path) -> None:
    import datasets
    from trl import DPOConfig, DPOTrainer

    stream = pairs(bench)
    stage = Dpo.model_validate({**STAGE.model_dump(), "schedule": {"kind": "constant"}})
    _, realised = bench.train("dpo-peer", stage, stream, steps=(0, 6))
    tokenizer = open_tokenizer(bench.start)
    texts = {tuple(ids[0]): text for text, ids in zip(preferences(1), rendered(bench, preferences(1)), strict=True)}
    ordered = [texts[tuple(pair.prompt)] for pair in open_pair_stream(stream).pairs(0, 6 * BATCH)]
    rows = [
        {
            "prompt": [{"role": "user", "content": text.prompt[0].content}],
            "chosen": [{"role": "assistant", "content": text.chosen}],
            "rejected": [{"role": "assistant", "content": text.rejected}],
        }
        for text in ordered
    ]

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> Any:
            import torch

            return torch.utils.data.SequentialSampler(self.train_dataset)

    trainer = InOrder(
        model=model_in(bench.start),
        ref_model=model_in(bench.start),
        args=DPOConfig(
            str(tmp_path), per_device_train_batch_size=BATCH, max_steps=6, learning_rate=3e-3, beta=BETA,
            lr_scheduler_type="constant", adam_beta2=0.95, logging_steps=1, report_to=[], use_cpu=True, bf16=False,
            save_strategy="no", disable_tqdm=True, gradient_checkpointing=False, max_length=None,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert realised.losses[:6] == pytest.approx(theirs, abs=2e-4)  # theirs are rounded, and its bits differ slightly


def rendered(bench: Bench, texts: list[Preference]) -> list[tuple[list[int], list[int], list[int]]]:
    return render_preferences(texts, open_tokenizer(bench.start), bench.start)


@pytest.mark.parametrize("stage", [STAGE, ADAPTED], ids=["full", "lora"])
def test_a_learning_rate_of_zero_changes_no_bit(bench: Bench, stage: Dpo) -> None:
    idle = stage.model_copy(update={"learning_rate": 0.0, "identity": True})
    output, realised = bench.train(f"dpo-idle-{stage.weights.kind}", idle, pairs(bench), steps=(0, 3))
    assert bits(output) == bits(bench.start)
    assert realised.guard == "ok"


@pytest.mark.parametrize("stage", [STAGE, ADAPTED], ids=["full", "lora"])
def test_what_is_chosen_becomes_likelier_than_what_is_rejected(bench: Bench, stage: Dpo) -> None:
    stream = pairs(bench)
    output, realised = bench.train(f"dpo-effect-{stage.weights.kind}", stage, stream, steps=(0, 12))
    unseen = [Pair(*parts) for parts in rendered(bench, preferences(9))]
    before, after = (np.mean([margin(model_in(place), pair) for pair in unseen]) for place in (bench.start, output))
    assert after - before > 1.0  # nats per pair
    assert realised.guard == "ok"
    assert realised.losses[-1] < realised.losses[0]


def margin(model: Any, pair: Pair) -> float:
    import torch

    with torch.no_grad():
        chosen, rejected = (log_probability(model, pair.prompt, answer) for answer in (pair.chosen, pair.rejected))
    return float(chosen - rejected)


def test_a_stage_says_nothing_that_its_reader_cannot_change(bench: Bench) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bench.train("silent", STAGE, bench.stream("pairs", preferences(1), None, 2.0), steps=(0, 2))
    assert [str(each.message) for each in said if issubclass(each.category, FutureWarning)] == []


def test_preferences_the_other_way_round_have_the_other_effect(bench: Bench) -> None:
    turned = [
        Preference(prompt=each.prompt, chosen=each.rejected, rejected=each.chosen, source="pairs", teacher="template")
        for each in preferences(1)
    ]
    output, _ = bench.train("dpo-turned", STAGE, bench.stream("turned", turned, None, 2.0), steps=(0, 12))
    unseen = [Pair(*parts) for parts in rendered(bench, preferences(9))]
    assert np.mean([margin(model_in(output), pair) - margin(model_in(bench.start), pair) for pair in unseen]) < -1.0


@pytest.mark.parametrize("kind", ["full", "lora", "accumulate", "bf16"])
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str) -> None:
    stage = {"lora": ADAPTED, "accumulate": STAGE.model_copy(update={"accumulate": 2})}.get(kind, STAGE)
    profile = BuildProfile(precision="bf16" if kind == "bf16" else "fp32")
    stream = pairs(bench)
    straight, whole = bench.train(f"dpo-{kind}-straight", stage, stream, steps=(0, 12), profile=profile)
    bench.train(f"dpo-{kind}-first", stage, stream, steps=(0, 5), keep_state=True, profile=profile)
    state = bench.folder / f"dpo-{kind}-first" / "state"
    second, parts = bench.train(f"dpo-{kind}-second", stage, stream, steps=(5, 12), state=state, profile=profile)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses


def test_the_reference_scores_each_distinct_pair_once_and_is_kept(bench: Bench, tmp_path: Path) -> None:
    stream = open_pair_stream(pairs(bench))  # two epochs of 24 pairs
    asked: list[Pair] = []

    def score(batch: Any) -> Any:
        asked.extend(batch)
        return np.array([[len(pair.chosen), len(pair.rejected)] for pair in batch], dtype=np.float32)

    reference = Reference(None, tmp_path, Processes())
    found = reference.log_probabilities(stream, 3, score)
    assert len(asked) == 24
    assert found.tolist() == [[len(pair.chosen), len(pair.rejected)] for pair in stream.pairs(0, 48)]
    assert reference.log_probabilities(stream, 3, score).tolist() == found.tolist()
    assert len(asked) == 24
    damaged = tmp_path / "reference" / "log_probabilities.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.warns(UpbringingWarning, match=r"log_probabilities\.npy"):
        assert reference.log_probabilities(stream, 3, score).tolist() == found.tolist()
    assert len(asked) == 48


def test_what_an_update_reads_of_the_reference_never_depends_on_later_data(bench: Bench) -> None:
    whole = open_pair_stream(pairs(bench, 1.5))

    def batches(num_updates: int) -> list[list[Pair]]:
        seen: list[list[Pair]] = []

        def score(batch: Any) -> Any:
            seen.append(list(batch))
            return np.zeros((len(batch), 2), dtype=np.float32)

        scores_of(PairStream(whole.info, whole.tokens, whole.lengths[: num_updates * BATCH]), 3, score)
        return seen

    for num_updates in range(1, whole.info.num_steps):
        assert batches(whole.info.num_steps)[: len(batches(num_updates))] == batches(num_updates)


def stream_of(bench: Bench, texts: list[Preference], folder: Path, context: int = 32) -> PairStream:
    folder.mkdir()
    plan = StreamPlan("preferences", context, BATCH, 7, (StreamPart((("key", 1.0),), None, 1.0),))
    build_pair_stream(plan, texts, "pairs", bench.start, folder)
    return open_pair_stream(folder)


def test_an_answer_is_learned_as_fine_tuning_would_learn_it(bench: Bench) -> None:
    tokenizer = open_tokenizer(bench.start)
    turns = (Turn("user", WORDS[2]), Turn("assistant", WORDS[3]), Turn("user", WORDS[4]))
    pair = Preference(prompt=turns, chosen=WORDS[0], rejected=WORDS[1], source="pairs")
    ((prompt, chosen, rejected),) = rendered(bench, [pair])
    assert tokenizer.decode(prompt).endswith("<|assistant|>")
    assert WORDS[3] in tokenizer.decode(prompt)
    assert tokenizer.decode(chosen).split() == [f"{WORDS[0]}<|end|>"]
    assert tokenizer.decode(rejected).split() == [f"{WORDS[1]}<|end|>"]


def test_pairs_that_teach_nothing_or_do_not_fit_are_refused(bench: Bench, tmp_path: Path) -> None:
    same = Preference(prompt=(Turn("user", WORDS[0]),), chosen=WORDS[1], rejected=WORDS[1], source="pairs")
    with pytest.raises(DataError, match="prefers an answer to itself"):
        stream_of(bench, [same], tmp_path / "same")
    with pytest.raises(DataError, match="the stage's context is 5"):
        stream_of(bench, preferences(1), tmp_path / "long", context=5)
