"""Reward models: the loss by hand, ranking by hand, identity, effect, exact resume, what they are not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_bench import BATCH, RIGHT, WORDS, Bench, bits, preferences

from upbringing.base.errors import DataError, IntegrityError, TrainingError
from upbringing.data.compared import Compared, Pair, held_out_places, read_compared
from upbringing.data.documents import Preference, Turn
from upbringing.data.pairs import open_pair_stream
from upbringing.formats.record import RECORD_NAME, BuildProfile, Record
from upbringing.models.loading import load_model
from upbringing.models.rewarding import open_reward_model, rewards_of
from upbringing.training.publish import finish_checkpoint
from upbringing.training.ranking import accuracy, calibration_error, ranking, ranking_warnings, reliability
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.settings import Lora

pytestmark = pytest.mark.model

STAGE = RewardModel(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3)
ADAPTED = STAGE.model_copy(update={"weights": Lora(rank=2, dropout=0.1), "learning_rate": 1e-2})
PROFILE = BuildProfile()


def pairs(bench: Bench) -> Path:
    return bench.stream("compared", preferences(1), None, 3.0, held_out=0.25)


def reward_by_hand(model: Any, ids: list[int]) -> Any:
    """The head's number at the last token, without padding or a batch."""
    import torch

    return model.score(model.model(torch.tensor([ids])).last_hidden_state)[0, -1, 0]


def test_the_first_updates_are_those_written_out_by_hand(bench: Bench) -> None:
    import torch

    from upbringing.models.rewarding import open_with_new_head

    stage = STAGE.model_copy(update={"learning_rate": 0.1, "epsilon": 1.0})
    stage = RewardModel.model_validate({**stage.model_dump(), "schedule": {"kind": "constant"}})
    output, realised = bench.train("rm-by-hand", stage, pairs(bench), steps=(0, 3))
    model, start = (open_with_new_head(bench.start, 5, profile=PROFILE).model for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.9, 0.95), eps=1.0, weight_decay=0.0)
    opened = open_pair_stream(pairs(bench))
    for step in range(3):
        margins = [
            reward_by_hand(model, pair.prompt + pair.chosen) - reward_by_hand(model, pair.prompt + pair.rejected)
            for pair in opened.pairs(step * BATCH, (step + 1) * BATCH)
        ]
        loss = torch.stack([torch.log1p(torch.exp(-margin)) for margin in margins]).mean()  # Bradley-Terry
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert realised.losses[step] == pytest.approx(loss.item(), abs=2e-6)
    assert realised.losses[0] == pytest.approx(math.log(2), abs=0.02)
    trained = open_reward_model(output, profile=PROFILE).model
    for (name, mine), theirs in zip(model.named_parameters(), trained.parameters(), strict=True):
        moved_by = float((mine - dict(start.named_parameters())[name]).abs().max())
        assert moved_by > 0, name
        assert float((mine - theirs).abs().max()) < 2e-3 * moved_by + 1e-8, name


@pytest.mark.parametrize("stage", [STAGE, ADAPTED], ids=["full", "lora"])
def test_pairs_that_were_never_read_are_ranked_rightly_and_the_card_says_so(bench: Bench, stage: RewardModel) -> None:
    from transformers import AutoModelForSequenceClassification

    stream = pairs(bench)
    output, realised = bench.train(f"rm-effect-{stage.weights.kind}", stage, stream, steps=(0, 12))
    assert realised.guard == "ok"
    found = ranking(output, read_compared(stream), PROFILE)
    held_out = found[0]
    assert (held_out.policy, held_out.held_out, held_out.num_pairs) == ("all", True, 6)
    assert held_out.accuracy == 1.0
    assert held_out.mean_margin > 1.0
    assert {group.num_pairs for group in found if not group.held_out} == {18}
    record = Record(
        id="x", parent=None, kind="reward_model", stage="rm", recipe={}, reward_model=found, weights_changed=True
    )
    completed = finish_checkpoint(output, record, PROFILE)
    assert completed.load_check is not None
    assert completed.load_check.quantity == "reward"
    assert "| pairs | template | held out | 6 | 1.000 |" in (output / "README.md").read_text(encoding="utf-8")
    opened = AutoModelForSequenceClassification.from_pretrained(output, local_files_only=True, trust_remote_code=False)
    assert opened.config.num_labels == 1
    with pytest.raises(IntegrityError, match="is a reward model"):
        load_model(output, profile=PROFILE)
    moved = completed.load_check.model_copy(update={"log_likelihood": 99.0, "versions": PROFILE.versions})
    (output / RECORD_NAME).write_text(completed.model_copy(update={"load_check": moved}).model_dump_json())
    with pytest.raises(IntegrityError, match=r"it got 99\.0000 when .* files were changed or damaged since"):
        open_reward_model(output, profile=PROFILE)
    with pytest.raises(IntegrityError, match="not a reward model"):
        open_reward_model(bench.start, profile=PROFILE)


@pytest.mark.parametrize("kind", ["full", "lora", "accumulate"])
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str) -> None:
    stage = {"lora": ADAPTED, "accumulate": STAGE.model_copy(update={"accumulate": 2})}.get(kind, STAGE)
    stream = pairs(bench)
    straight, whole = bench.train(f"rm-{kind}-straight", stage, stream, steps=(0, 12))
    bench.train(f"rm-{kind}-first", stage, stream, steps=(0, 5), keep_state=True)
    state = bench.folder / f"rm-{kind}-first" / "state"
    second, parts = bench.train(f"rm-{kind}-second", stage, stream, steps=(5, 12), state=state)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses


def test_the_seed_decides_the_head_and_a_learning_rate_of_zero_keeps_it(bench: Bench) -> None:
    idle = STAGE.model_copy(update={"learning_rate": 0.0, "identity": True})
    outputs = [bench.train(f"rm-idle-{seed}", idle, pairs(bench), steps=(0, 2), seed=seed) for seed in (5, 6)]
    assert all(realised.guard == "ok" for _, realised in outputs)
    models = [open_reward_model(output, profile=PROFILE).model for output, _ in outputs]
    start = load_model(bench.start, profile=PROFILE).model
    assert all(model.model.norm.weight.equal(start.model.norm.weight) for model in models)
    assert not models[0].score.weight.equal(models[1].score.weight)


def test_a_policy_paid_by_a_reward_model_says_what_it_prefers(bench: Bench) -> None:
    """The model was taught to prefer ``RIGHT`` to the second word; the exact judge, who sees harm in it, protests."""
    from training_bench import undecided

    from upbringing.training.sft import Sft

    taught = [
        Preference(prompt=(Turn("user", word),), chosen=RIGHT, rejected=other, source="pairs")
        for word in WORDS
        for other in ("i stop", WORDS[1], WORDS[2])
    ]
    stream = bench.stream("paying", taught, None, 1.0, held_out=0.1)
    model, _ = bench.train("rm-paying", STAGE, stream, steps=(0, 24), total=24)
    sft = Sft(data="x", context=32, batch_size=4, learning_rate=1e-2)
    policy, _ = bench.train("rm-policy", sft, bench.stream("undecided", undecided(1), 240), steps=(0, 60), total=60)
    common = {"steps": 16, "batch_size": 64, "context": 32, "max_new_tokens": 10, "learning_rate": 3e-3}
    stage = Rl.model_validate({"data": "x", "reward": {"kind": "reward_model", "stage": "rm"}, **common})
    prompts = bench.prompts("paid", 16, 8, 22)
    with pytest.raises(TrainingError, match="none was given"):
        bench.train("rm-unpaid", stage, prompts, steps=(0, 1), total=16, parent=policy)
    _, realised = bench.train("rm-paid", stage, prompts, steps=(0, 16), total=16, parent=policy, reward_model=model)
    first, last = realised.updates[0], realised.updates[-1]
    assert last.reward > first.reward + 0.5
    assert last.outcomes["harmful/harmful"] > 0.7 > 0.4 > first.outcomes["harmful/harmful"]
    assert last.oracle is not None
    assert any("reward hacking" in warning for warning in realised.warnings)


def test_padding_and_batches_change_no_reward(bench: Bench) -> None:
    output, _ = bench.train("rm-batches", STAGE, pairs(bench), steps=(0, 2))
    model = open_reward_model(output, profile=PROFILE).model
    texts = [[*pair.prompt, *pair.chosen] for pair in open_pair_stream(pairs(bench)).pairs(0, 8)]
    assert len({len(text) for text in texts}) > 1
    together = rewards_of(model, texts)
    assert together.tolist() == pytest.approx([float(reward_by_hand(model, text)) for text in texts], abs=1e-6)


def test_accuracy_and_calibration_are_those_by_hand() -> None:
    # margins ln 9, ln 9, -ln 9, 0: P(chosen) .9, .9, .1, .5, so confidences .9, .9, .9, .5
    margins = np.array([math.log(9), math.log(9), -math.log(9), 0.0])
    assert accuracy(margins) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    bins = reliability(margins)
    assert [(each.num_pairs, round(each.confidence, 6)) for each in bins] == [(1, 0.5), (3, 0.9)]
    assert [each.accuracy for each in bins] == pytest.approx([0.5, 2 / 3])
    assert calibration_error(bins) == pytest.approx(3 / 4 * abs(2 / 3 - 0.9))


def test_a_calibrated_ranking_has_no_calibration_error_and_a_boastful_one_has() -> None:
    random = np.random.default_rng(0)
    strength = random.normal(0, 2, 200_000)
    preferred = random.random(strength.size) < 1 / (1 + np.exp(-strength))
    margins = np.where(preferred, strength, -strength)  # seen from the chosen answer
    assert calibration_error(reliability(margins)) < 0.005
    assert calibration_error(reliability(3 * margins)) > 0.1
    assert accuracy(margins) == accuracy(3 * margins)


def test_groups_tell_policies_teachers_and_lengths_apart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from upbringing.training import ranking as module

    def compared(policy: str, teacher: str, chosen: int, rejected: int, *, held_out: bool) -> Compared:
        return Compared([1], [2] * chosen, [3] * rejected, policy, teacher, held_out)

    made = (
        compared("harm", "human", 4, 1, held_out=True),
        compared("harm", "human", 1, 3, held_out=True),
        compared("benign", "model", 2, 2, held_out=True),
        compared("harm", "human", 1, 2, held_out=False),
    )
    monkeypatch.setattr(module, "open_reward_model", lambda *_, **__: type("Opened", (), {"model": None}))
    monkeypatch.setattr(
        module, "rewards_of", lambda _, texts: np.array([len(text) for text in texts], dtype=np.float32)
    )
    found = {(group.policy, group.teacher, group.held_out): group for group in ranking(Path(), made, PROFILE)}
    assert set(found) == {
        ("all", "all", True), ("harm", "human", True), ("benign", "model", True), ("all", "all", False),
        ("harm", "human", False),
    }  # fmt: skip
    harm = found["harm", "human", True]
    assert (harm.accuracy, harm.longer_wins, harm.longer_chosen, harm.mean_margin) == (0.5, 1.0, 0.5, 0.5)
    assert found["benign", "model", True].longer_wins is None
    (warning, *_) = ranking_warnings(tuple(found.values()))
    assert "no better than chance" in warning


def test_no_prompt_is_both_read_and_held_out() -> None:
    made = [Pair([number % 10], [1], [2]) for number in range(40)]
    places = held_out_places(made, 0.2, 3, "pairs")
    held = {made[place].prompt[0] for place in places}
    assert len(held) == 2
    assert places == {place for place, pair in enumerate(made) if pair.prompt[0] in held}
    assert held_out_places(made, 0.2, 3, "pairs") == places != held_out_places(made, 0.2, 4, "pairs")
    with pytest.raises(DataError, match="has one prompt"):
        held_out_places(made[:1], 0.2, 3, "pairs")
