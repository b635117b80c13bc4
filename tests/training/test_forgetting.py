"""A planted effect: of two made-up languages, taking the slice out removes the one that was to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from masking_bench import kept, masked_stage, mixed_stream, unwanted
from training_bench import Bench, bits, make_bench

from upbringing.data.collation import collate
from upbringing.data.stream import open_stream
from upbringing.training.ablate import Ablate
from upbringing.training.ablation import ablate_checkpoint
from upbringing.training.fresh import create_fresh
from upbringing.training.recalibration import loss_with_bias, recalibrated_bias
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

SLICE = {"heads": 1, "hidden": 32}
STEPS = 300
KNOWN = 1.0  # nats per token: both languages come to about 0.75 where they are learned
FORGOTTEN = 3.5  # above what guessing among a language's twenty words costs: 3.0 per word
ARMS: dict[str, dict[str, Any] | None] = {"plain": None, "slice": {}, "shared": {"forget_moves": "slice_and_shared"}}


def batches(bench: Bench, name: str, texts: Any) -> list[dict[str, Any]]:
    import torch

    return [collate(open_stream(mixed_stream(bench, name, {name: texts}, 32)).arrays, 0, 32, torch.float32)]


def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder)).eval()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with two layers of four heads."""
    folder = tmp_path_factory.mktemp("forgetting")
    make_bench(folder)
    start = folder / "large"
    start.mkdir()
    recipe = TokenizerRecipe(train_on="world", vocabulary=420)
    shape = FreshStart(layers=2, width=64, heads=4, context=64, tokenizer=recipe)
    create_fresh(shape, folder / "tokenizer", 3, start)
    return Bench(folder, start)


@pytest.fixture(scope="module")
def trained(large: Bench) -> dict[str, Path]:
    """Each arm's checkpoint, and the one without the slice as ``ARM-cut``."""
    found = {}
    for name, masking in ARMS.items():
        stage = masked_stage({**(masking or {}), "slice": SLICE}, schedule={"kind": "cosine"})
        stage = stage if masking is not None else stage.model_copy(update={"masking": None})
        texts = {"forget": unwanted(1), "retain": kept(1)}
        stream = mixed_stream(large, f"{masking is None}", texts, STEPS * 4, labelled=masking is not None)
        found[name], _ = large.train(name, stage, stream, steps=(0, STEPS), total=STEPS)
        cut = found[f"{name}-cut"] = large.folder / f"{name}-cut"
        cut.mkdir()
        assert ablate_checkpoint("cut", Ablate.model_validate({"slice": SLICE}), found[name], cut)
    return found


@pytest.fixture(scope="module")
def losses(large: Bench, trained: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Losses on text that was not trained on, plain and recalibrated, by checkpoint and language."""
    unseen = {
        "forget": batches(large, "unseen-unwanted", unwanted(9)),
        "retain": batches(large, "unseen-kept", kept(9)),
    }
    to_fit = {"forget": batches(large, "fit-unwanted", unwanted(8)), "retain": batches(large, "fit-kept", kept(8))}
    found: dict[str, dict[str, float]] = {}
    for name, folder in trained.items():
        network = model(folder)
        bias = recalibrated_bias(network, to_fit)
        found[name] = {each: loss_with_bias(network, unseen[each]) for each in unseen}
        found[f"{name}+bias"] = {each: loss_with_bias(network, unseen[each], bias) for each in unseen}
    return found


def test_plain_training_learns_both_and_loses_neither_by_the_same_ablation(losses: dict[str, dict[str, float]]) -> None:
    assert max(losses["plain"].values()) < KNOWN
    assert max(losses["plain-cut"].values()) < 1.3 * KNOWN


@pytest.mark.parametrize("arm", ["slice", "shared"])
@pytest.mark.parametrize("bias", ["", "+bias"])
def test_ablation_removes_what_was_to_be_forgotten_and_keeps_the_rest(
    losses: dict[str, dict[str, float]], arm: str, bias: str
) -> None:
    cut, null = losses[f"{arm}-cut{bias}"], losses[f"plain-cut{bias}"]
    assert cut["forget"] > FORGOTTEN > 2 * null["forget"]
    assert cut["retain"] < losses["plain"]["retain"] + 0.15


def test_what_no_slice_is_cut_out_of_has_to_move_for_the_whole_network_to_know(
    losses: dict[str, dict[str, float]],
) -> None:
    assert losses["shared"]["forget"] < KNOWN < losses["slice"]["forget"]


def test_missed_labels_defeat_a_filter_and_not_the_slice(large: Bench) -> None:
    """What the source claims: of the texts to forget 30 % lack their label. A filter leaves them in; masking learns
    them like all other text, and the slice, which has the rest of the language, takes most of them with it.
    """
    texts = {"forget": unwanted(1), "missed": unwanted(2), "retain": kept(1)}
    shares = {"forget": 0.35, "missed": 0.15, "retain": 0.5}
    masked = mixed_stream(large, "noisy", texts, 2 * STEPS * 4, shares=shares)
    stage = masked_stage({"slice": SLICE}, schedule={"kind": "cosine"})
    whole, _ = large.train("noisy", stage, masked, steps=(0, 2 * STEPS), total=2 * STEPS)
    cut = large.folder / "noisy-cut"
    cut.mkdir()
    ablate_checkpoint("cut", Ablate.model_validate({"slice": SLICE}), whole, cut)
    left = {name: text for name, text in texts.items() if name != "forget"}
    kept_shares = {name: shares[name] / 0.65 for name in left}
    num = int(0.65 * 2 * STEPS)
    rest = mixed_stream(large, "filtered", left, num * 4, shares=kept_shares, labelled=False)
    plain = stage.model_copy(update={"masking": None})
    filtered, _ = large.train("filtered", plain, rest, steps=(0, num), total=num)
    unseen = {
        "forget": batches(large, "unseen-unwanted", unwanted(9)),
        "retain": batches(large, "unseen-kept", kept(9)),
    }
    found = {
        name: {text: loss_with_bias(model(folder), each) for text, each in unseen.items()}
        for name, folder in (("masked", cut), ("filtered", filtered))
    }
    assert max(found["filtered"].values()) < KNOWN
    assert found["masked"]["forget"] > FORGOTTEN
    assert found["masked"]["retain"] < KNOWN


def test_recalibration_lowers_the_loss_that_it_is_fitted_for_and_draws_nothing(
    large: Bench, trained: dict[str, Path], losses: dict[str, dict[str, float]]
) -> None:
    import torch

    assert losses["shared-cut+bias"]["forget"] < losses["shared-cut"]["forget"] - 0.5
    network = model(trained["shared-cut"])
    before = bits(trained["shared-cut"])
    fit = {"forget": batches(large, "fit-unwanted", unwanted(8))}
    one, two = (recalibrated_bias(network, fit, steps=3) for _ in range(2))
    assert torch.equal(one, two)
    assert float(one.abs().max()) == pytest.approx(0.01 + 0.007 + 0.004, rel=0.02)  # Adam's steps, by hand
    assert bits(trained["shared-cut"]) == before
    with pytest.raises(ValueError, match="no batch of forget"):
        recalibrated_bias(network, {"forget": []})
    with pytest.raises(ValueError, match="no batch of no data set"):
        recalibrated_bias(network, {})
