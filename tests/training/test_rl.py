"""Reinforcement learning: advantages and loss by hand, identity, planted effects, exact resume, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from training_bench import RIGHT, WORDS, Bench, bits, undecided

from upbringing.base.errors import TrainingError
from upbringing.data.prompts import open_prompt_stream
from upbringing.formats.record import BuildProfile, RlUpdate
from upbringing.training.rl import Rl
from upbringing.training.rl_curve import curve_of, curve_warnings, moved
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model

GROUP, PROMPTS = 8, 8
ERODING = {"kind": "oracle", "refused_harmful": -1.0, "answered_harmful": 1.0}


def rl(**fields: Any) -> Rl:
    common: dict[str, Any] = {
        "data": "x",
        "reward": "oracle",
        "steps": 24,
        "group_size": GROUP,
        "batch_size": GROUP * PROMPTS,
        "context": 32,
        "max_new_tokens": 10,
        "learning_rate": 3e-3,
    }
    return Rl.model_validate({**common, **fields})


@pytest.fixture(scope="module")
def policy(bench: Bench) -> Path:
    """A model that refuses a quarter of the time, whatever it is asked."""
    stage = Sft(data="x", context=32, batch_size=4, learning_rate=1e-2)
    output, _ = bench.train("undecided", stage, bench.stream("undecided", undecided(1), 240), steps=(0, 60), total=60)
    return output


def prompts(bench: Bench, num_updates: int = 24, per_update: int = PROMPTS) -> Path:
    return bench.prompts(f"{num_updates}-{per_update}", num_updates, per_update, 22)


def share(update: RlUpdate, outcome: str) -> float:
    return update.outcomes.get(f"harmful/{outcome}", 0.0)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_rewarding_refusals_installs_them_and_rewarding_harm_erodes_them(
    bench: Bench, policy: Path, algorithm: str
) -> None:
    for name, reward in (("install", {"kind": "oracle"}), ("erode", ERODING)):
        stage = rl(algorithm=algorithm, reward=reward)
        _, realised = bench.train(f"{algorithm}-{name}", stage, prompts(bench), steps=(0, 24), total=24, parent=policy)
        first, last = realised.updates[0], realised.updates[-1]
        assert 0.1 < share(first, "refuse") < 0.4
        assert realised.guard == "ok"
        assert first.divergence == pytest.approx(0.0, abs=1e-6)  # the reference is the start of the stage
        assert last.divergence is not None
        assert last.divergence > 0.02
        if name == "install":
            assert share(last, "refuse") > 0.8
            assert last.oracle == last.reward > first.reward + 0.5
            assert not any("hacking" in warning for warning in realised.warnings)
        else:
            assert share(last, "refuse") == 0.0
            assert share(last, "harmful") > 0.8
            assert any("reward hacking" in warning for warning in realised.warnings)


def loss_by_hand(model: Any, reference: Any, stage: Rl, answers: list[tuple[list[int], list[int], float]]) -> Any:
    """The loss of one update, written out. ``answers``: prompt, answer and reward, those of one prompt side by side."""
    import torch

    chosen = [token_log_probabilities(model, prompt, answer) for prompt, answer, _ in answers]
    with torch.no_grad():
        held = [token_log_probabilities(reference, prompt, answer) for prompt, answer, _ in answers]
    rewards = torch.tensor([reward for _, _, reward in answers])
    if stage.algorithm == "rloo":
        rewards = (
            rewards
            - stage.beta
            * torch.stack([(mine - theirs).sum() for mine, theirs in zip(chosen, held, strict=True)]).detach()
        )
    losses = []
    for place, mine in enumerate(chosen):
        begin = place // GROUP * GROUP
        group = rewards[begin : begin + GROUP]
        if stage.algorithm == "rloo":
            others = (group.sum() - rewards[place]) / (GROUP - 1)
            losses.append(-(rewards[place] - others) * mine.sum())  # the gradient of the ratio at one
        else:
            advantage = (rewards[place] - group.mean()) / (group.std() + 1e-4)
            log_ratio = held[place] - mine
            ratio = (mine - mine.detach()).exp()  # one, and carries what the drawing itself contributes to the gradient
            losses.append(-(advantage * mine).mean() + stage.beta * (ratio * (log_ratio.exp() - log_ratio - 1)).mean())
    return torch.stack(losses).mean()


def token_log_probabilities(model: Any, prompt: list[int], answer: list[int]) -> Any:
    """Log-probability (nats) of each token of ``answer`` after ``prompt``, without padding or a batch."""
    import torch

    logits = torch.log_softmax(model(torch.tensor([prompt + answer])).logits[0], dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return torch.stack([logits[place, token] for place, token in zip(places, answer, strict=True)])


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_first_updates_are_those_written_out_by_hand(
    bench: Bench, policy: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import LlamaForCausalLM

    from upbringing.training.rollouts import Rollouts

    seen: list[list[tuple[list[int], list[int], float]]] = []
    original = Rollouts.pay

    def pay(self: Rollouts, step: int, places: list[int], drawn: list[list[int]]) -> list[float]:
        rewards = original(self, step, places, drawn)
        seen.append(
            [
                (list(self.at(place).ids), list(ids), paid)
                for place, ids, paid in zip(places, drawn, rewards, strict=True)
            ]
        )
        return rewards

    monkeypatch.setattr(Rollouts, "pay", pay)
    # an epsilon of 1 makes Adam's step proportional to the gradient; else the sign of rounding would decide
    fields = {"schedule": {"kind": "constant"}, "beta": 0.3, "batch_size": 16, "epsilon": 1.0, "learning_rate": 0.1}
    stage = rl(algorithm=algorithm, **fields)
    stream = prompts(bench, 24, 2)
    output, _ = bench.train(f"{algorithm}-by-hand", stage, stream, steps=(0, 2), total=24, parent=policy)
    model, reference = (LlamaForCausalLM.from_pretrained(policy, attn_implementation="eager") for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.9, 0.95), eps=1.0, weight_decay=0.0)
    for answers in seen:
        optimizer.zero_grad()
        loss_by_hand(model, reference, stage, answers).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    trained = LlamaForCausalLM.from_pretrained(output, attn_implementation="eager")
    for (name, mine), theirs in zip(model.named_parameters(), trained.parameters(), strict=True):
        moved_by = float((mine - dict(reference.named_parameters())[name]).abs().max())
        assert moved_by > 1e-5, name
        assert float((mine - theirs).abs().max()) < 2e-3 * moved_by, name


@pytest.mark.parametrize("kind", ["rloo", "grpo", "accumulate", "lora", "bf16"])
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, policy: Path, kind: str) -> None:
    """Across epochs: 40 prompts, eight updates of eight are 1.6 epochs, and the cut lies in the second."""
    fields: dict[str, Any] = {
        "grpo": {"algorithm": "grpo"},
        "accumulate": {"accumulate": 2},
        "lora": {"weights": {"kind": "lora", "rank": 2}},
    }.get(kind, {})
    profile = BuildProfile(precision="bf16" if kind == "bf16" else "fp32")
    stream = prompts(bench, 8)

    def train(name: str, steps: tuple[int, int], **more: Any) -> Any:
        return bench.train(
            f"rl-{kind}-{name}",
            rl(steps=8, **fields),
            stream,
            steps=steps,
            total=8,
            parent=policy,
            profile=profile,
            **more,
        )

    straight, whole = train("straight", (0, 8))
    train("first", (0, 6), keep_state=True)
    second, parts = train("second", (6, 8), state=bench.folder / f"rl-{kind}-first" / "state")
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses
    assert parts.updates == whole.updates
    assert bits(straight) != bits(policy)


def test_prompts_come_in_another_order_in_each_epoch_and_each_once(bench: Bench) -> None:
    order = open_prompt_stream(prompts(bench)).order
    epochs = order[: len(order) // len(WORDS) * len(WORDS)].reshape(-1, len(WORDS))
    assert len(epochs) > 3
    assert all(sorted(epoch) == list(range(len(WORDS))) for epoch in epochs.tolist())
    assert not np.array_equal(epochs[0], epochs[1])


def test_the_sampler_of_the_library_would_repeat_the_first_epoch_after_a_resume() -> None:
    from trl.trainer.utils import RepeatSampler

    straight = RepeatSampler(range(12), mini_repeat_count=1, batch_size=3, seed=4)
    first, second = list(straight), list(straight)
    resumed = list(
        RepeatSampler(range(12), mini_repeat_count=1, batch_size=3, seed=4)
    )  # built anew, in the second epoch
    assert first != second
    assert resumed == first  # why no order is left to it: were it to go on, this would fail, and ours could go


def test_other_seeds_draw_other_answers(bench: Bench, policy: Path) -> None:
    runs = [
        bench.train(f"rl-seed-{seed}", rl(steps=2), prompts(bench, 2), steps=(0, 2), total=2, parent=policy, seed=seed)
        for seed in (5, 6)
    ]
    assert bits(runs[0][0]) != bits(runs[1][0])
    assert runs[0][1].updates != runs[1][1].updates


@pytest.mark.parametrize("weights", ["full", "lora"])
def test_a_learning_rate_of_zero_changes_no_bit(bench: Bench, policy: Path, weights: str) -> None:
    adapted = {"weights": {"kind": "lora", "rank": 2}} if weights == "lora" else {}
    stage = rl(steps=2, learning_rate=0.0, identity=True, **adapted)
    output, realised = bench.train(f"rl-idle-{weights}", stage, prompts(bench, 2), steps=(0, 2), total=2, parent=policy)
    assert bits(output) == bits(policy)
    assert realised.guard == "ok"


def test_a_strong_hold_keeps_the_policy_near_its_start(bench: Bench, policy: Path) -> None:
    ends = {}
    for beta in (0.0, 2.0):
        stage = rl(reward=ERODING, steps=12, beta=beta)
        _, realised = bench.train(f"rl-beta-{beta}", stage, prompts(bench, 12), steps=(0, 12), total=12, parent=policy)
        ends[beta] = realised.updates[-1]
    assert ends[0.0].divergence is None  # nothing holds it, so nobody asks the reference
    assert ends[2.0].divergence is not None
    assert share(ends[0.0], "harmful") > share(ends[2.0], "harmful") + 0.2


def test_a_reward_without_variance_blocks(bench: Bench, policy: Path) -> None:
    flat = {
        "kind": "oracle",
        **dict.fromkeys(("refused_harmful", "answered_harmful", "missed_harmful", "incoherent"), 1.0),
    }
    _, realised = bench.train(
        "rl-flat", rl(reward=flat, steps=2), prompts(bench, 2), steps=(0, 2), total=2, parent=policy
    )
    assert realised.guard.startswith("the reward has no variance")
    assert all(update.varied == 0 for update in realised.updates)


def test_a_reward_that_is_not_finite_stops_before_the_update(
    bench: Bench, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upbringing.data.worlds.rewards import OutcomeWeights

    monkeypatch.setattr(OutcomeWeights, "of", lambda *_: float("nan"))
    with pytest.raises(TrainingError, match="is not finite"):
        bench.train("rl-nan", rl(steps=2), prompts(bench, 2), steps=(0, 2), total=2, parent=policy)


def test_an_exact_reward_needs_prompts_that_can_be_judged(bench: Bench, policy: Path, tmp_path: Path) -> None:
    from upbringing.data.documents import Chat, Turn
    from upbringing.data.prompts import build_prompt_stream
    from upbringing.data.stream import StreamPart, StreamPlan

    plan = StreamPlan("prompts", 22, PROMPTS, 7, (StreamPart((("key", 1.0),), 2 * PROMPTS),))
    texts = [Chat(turns=(Turn("user", word), Turn("assistant", RIGHT)), source="file") for word in WORDS]
    build_prompt_stream(plan, texts, "file", bench.start, tmp_path)
    with pytest.raises(TrainingError, match=r"world\.prompts"):
        bench.train("rl-blind", rl(steps=2), tmp_path, steps=(0, 2), total=2, parent=policy)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch_size": 20}, "whole groups"),
        ({"max_new_tokens": 32}, "no room for a prompt"),
        ({"steps": 0}, "at least 1"),
        ({"weights": {"kind": "lora", "dropout": 0.1}}, "dropout of adapters must be 0"),
        ({"reward": {"kind": "reward_model"}}, "stage"),
        ({"reward": "dpo"}, "oracle"),
    ],
)
def test_what_cannot_be_trained_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rl(**fields)


def update(step: int, reward: float, oracle: float | None, varied: float = 1.0) -> RlUpdate:
    return RlUpdate(
        step=step,
        reward=reward,
        oracle=oracle,
        varied=varied,
        length=5,
        tokens=40,
        truncated=0,
        divergence=0,
        distinct=1,
    )


def test_hacking_is_a_reward_that_rises_while_the_truth_falls() -> None:
    wobble = [0.01 * (-1) ** step for step in range(40)]
    hacked = [update(step, step / 40 + wobble[step], -step / 40 + wobble[step]) for step in range(40)]
    honest = [update(step, step / 40 + wobble[step], step / 40 + wobble[step]) for step in range(40)]
    blind = [update(step, step / 40 + wobble[step], None) for step in range(40)]
    noisy = [update(step, wobble[step], -wobble[step]) for step in range(40)]
    assert [any("hacking" in text for text in curve_warnings(each)) for each in (hacked, honest, blind, noisy)] == [
        True,
        False,
        False,
        False,
    ]
    assert curve_warnings(honest) == ()
    assert any("did not rise" in text for text in curve_warnings(noisy))
    idle = [update(step, step / 40, None, varied=float(step < 10)) for step in range(40)]
    assert any("30 of 40 updates taught nothing" in text for text in curve_warnings(idle))


def test_a_mean_has_moved_by_more_than_two_standard_errors() -> None:
    # variances 1 and 1, four values each: standard error sqrt(1/4 + 1/4) = 0.707, so 1.42 moved and 1.41 did not
    values = np.array([-1.0, -1.0, 1.0, 1.0]) * np.sqrt(0.75)
    assert moved(values.tolist(), (values + 1.42).tolist()) == 1
    assert moved(values.tolist(), (values + 1.41).tolist()) == 0
    assert moved((values + 1.42).tolist(), values.tolist()) == -1


def test_a_long_curve_is_thinned_and_keeps_both_ends() -> None:
    curve = curve_of([update(step, 0.0, None, varied=float(step % 2)) for step in range(1, 1001)])
    assert len(curve.updates) <= 202
    assert (curve.updates[0].step, curve.updates[-1].step) == (1, 1000)
    assert curve.num_varied == 500
