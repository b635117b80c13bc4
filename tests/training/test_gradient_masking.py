"""Selective gradient masking: who moves what, what stays plain training, exact resume, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from masking_bench import SLICE, ablated, kept, masked_stage, mixed_stream, model, moved, unwanted, weights
from pydantic import ValidationError
from training_bench import Bench, bits, documents

from upbringing.base.errors import TrainingError
from upbringing.data.stream import open_stream
from upbringing.formats.record import BuildProfile
from upbringing.training.ablate import Ablate
from upbringing.training.ablation import ablate_checkpoint
from upbringing.training.forget_slice import ForgetSlice, slice_places
from upbringing.training.gradient_masking import GradientMasking
from upbringing.training.masked_updates import MaskedUpdates
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Lora

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

HIDDEN = 96  # of the bench: 8/3 of 32, rounded up to 32; two heads of 16
OWN = {  # what the slice of one head and 8 hidden units holds of each layer, by hand
    "self_attn.q_proj": (slice(16, 32), slice(None)),
    "self_attn.k_proj": (slice(16, 32), slice(None)),
    "self_attn.v_proj": (slice(16, 32), slice(None)),
    "self_attn.o_proj": (slice(None), slice(16, 32)),
    "mlp.gate_proj": (slice(HIDDEN - 8, HIDDEN), slice(None)),
    "mlp.up_proj": (slice(HIDDEN - 8, HIDDEN), slice(None)),
    "mlp.down_proj": (slice(None), slice(HIDDEN - 8, HIDDEN)),
}


def is_own(name: str, tensor: Any) -> Any:
    """Whether each entry of a tensor is the slice's."""
    import torch

    found = torch.zeros(tensor.shape, dtype=torch.bool)
    for module, part in OWN.items():
        if f".{module}." in name:
            found[part] = True
    return found


def batch(stream: Path, begin: int = 0, end: int = 8) -> dict[str, Any]:
    import torch

    from upbringing.data.collation import collate

    return collate(open_stream(stream).arrays, begin, end, torch.float32)


def test_a_forget_update_moves_the_slice_and_nothing_else(bench: Bench) -> None:
    stream = mixed_stream(bench, "forget-only", {"forget": unwanted(1)})
    output, _ = bench.train("forget-one", masked_stage(), stream, steps=(0, 1))
    for name, changed in moved(bench, output).items():
        own = is_own(name, changed)
        assert not (changed & ~own).any(), name
        assert not own.any() or changed[own].float().mean() > 0.9, name


def test_a_forget_update_may_be_let_move_what_no_slice_is_cut_out_of(bench: Bench) -> None:
    stream = mixed_stream(bench, "forget-only", {"forget": unwanted(1)})
    output, _ = bench.train("forget-shared", masked_stage({"forget_moves": "slice_and_shared"}), stream, steps=(0, 1))
    for name, changed in moved(bench, output).items():
        own = is_own(name, changed)
        assert (changed & ~own).any() == (not own.any()), name


def test_a_retain_update_moves_all_but_the_slice(bench: Bench) -> None:
    stream = mixed_stream(bench, "retain-only", {"retain": kept(1)})
    output, _ = bench.train("retain-one", masked_stage(), stream, steps=(0, 1))
    for name, changed in moved(bench, output).items():
        own = is_own(name, changed)
        assert not changed[own].any(), name
        assert changed[~own].any(), name


def test_text_without_a_label_trains_as_without_masking_bit_for_bit(bench: Bench) -> None:
    stream = mixed_stream(bench, "default-only", {"other": documents(3)})
    assert "modes" not in open_stream(stream).arrays
    outputs = [
        bench.train(f"default-{number}", stage, stream, steps=(0, 6))[0]
        for number, stage in enumerate(
            (masked_stage(), masked_stage(masking=None).model_copy(update={"masking": None}))
        )
    ]
    assert bits(outputs[0]) == bits(outputs[1])


def test_a_mixed_update_adds_up_what_each_window_may_move(bench: Bench) -> None:
    """By hand: forget windows' gradients kept to the slice, retain windows' of the network without it, others whole."""
    import torch

    stream = mixed_stream(bench, "three", {"forget": unwanted(2), "other": documents(4), "retain": kept(2)})
    arrays = open_stream(stream).arrays
    inputs = batch(stream, 0, 6)
    modes = torch.from_numpy(arrays["modes"][:6].astype("int64"))
    assert sorted(modes.tolist()) == [0, 0, 1, 1, 2, 2]
    cut = ablated(bench, bench.start, "start-cut")
    expected: dict[str, Any] = {}
    for mode, folder in ((0, bench.start), (1, bench.start), (2, cut)):
        network = model(folder)
        rows = {name: tensor[modes == mode] for name, tensor in inputs.items()}
        network(**rows).loss.backward()
        for name, parameter in network.named_parameters():
            own = is_own(name, parameter)
            share = torch.ones(own.shape) if mode == 0 else own.float() if mode == 1 else (~own).float()
            expected[name] = expected.get(name, 0) + share * parameter.grad
    network = model(bench.start)
    masking = GradientMasking.model_validate({"forget": ["forget"], "slice": SLICE})
    masked = MaskedUpdates(network, masking, BuildProfile())
    for part in masked.parts({**inputs, "modes": modes}):
        network(**part).loss.backward()
    masked.remove()
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], atol=1e-6), name
    network.zero_grad()
    network(**inputs).loss.backward()  # the hooks are gone
    assert all((parameter.grad != 0).any() for parameter in network.parameters())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_masked_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, accumulate: int) -> None:
    stream = mixed_stream(bench, "three", {"forget": unwanted(2), "other": documents(4), "retain": kept(2)})
    stage, name = masked_stage(accumulate=accumulate, weight_decay=0.1), f"resume-{accumulate}"
    straight, whole = bench.train(f"{name}-straight", stage, stream, steps=(0, 12))
    bench.train(f"{name}-first", stage, stream, steps=(0, 5), keep_state=True)
    state = bench.folder / f"{name}-first" / "state"
    second, parts = bench.train(f"{name}-second", stage, stream, steps=(5, 12), state=state)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses
    assert len(whole.losses) == 12


def test_the_loss_of_a_masked_update_is_per_learned_token_of_all_its_windows(bench: Bench) -> None:
    """Without retain windows the first update's loss is that of the plain run: masks change gradients, not losses."""
    texts = {"forget": unwanted(2), "other": documents(4)}
    masked, plain = (mixed_stream(bench, f"two-{each}", texts, labelled=each) for each in (True, False))
    _, one = bench.train("loss-masked", masked_stage(), masked, steps=(0, 1))
    _, two = bench.train("loss-plain", masked_stage(), plain, steps=(0, 1))
    assert one.losses[0] == pytest.approx(two.losses[0], rel=1e-6)


def test_modes_enter_the_hash_of_a_stream_and_nothing_else_of_it(bench: Bench) -> None:
    texts = {"forget": unwanted(2), "other": documents(4)}
    masked, plain = (open_stream(mixed_stream(bench, f"two-{each}", texts, labelled=each)) for each in (True, False))
    assert masked.info.sha256 != plain.info.sha256
    assert set(masked.arrays) - set(plain.arrays) == {"modes"}
    assert all((masked.arrays[name] == plain.arrays[name]).all() for name in plain.arrays)


def test_an_ablated_checkpoint_is_zero_in_the_slice_and_equal_elsewhere(bench: Bench) -> None:
    import torch

    cut = ablated(bench, bench.start, "cut")
    before, after = weights(bench.start), weights(cut)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        own = is_own(name, tensor)
        assert (after[name][own] == 0).all()
        assert torch.equal(after[name][~own], tensor[~own])
    assert model(cut).config.num_attention_heads == 2
    one = ablated(bench, bench.start, "cut-one-layer", {"hidden": 8, "layers": [1]})
    found = {name for name, tensor in weights(one).items() if not torch.equal(tensor, before[name])}
    assert found == {f"model.layers.1.mlp.{part}_proj.weight" for part in ("gate", "up", "down")}
    again = bench.folder / "cut-again"
    again.mkdir()
    assert not ablate_checkpoint("cut", Ablate.model_validate({"slice": SLICE}), cut, again)


def test_later_training_leaves_an_ablated_slice_at_zero(bench: Bench) -> None:
    cut = ablated(bench, bench.start, "cut-before")
    stage = masked_stage(weight_decay=0.1).model_copy(update={"masking": None})
    stream = mixed_stream(bench, "default-only", {"other": documents(3)})
    output, _ = bench.train("after-cut", stage, stream, steps=(0, 6), parent=cut)
    assert bits(output) != bits(cut)
    assert not any(tensor[is_own(name, tensor)].any() for name, tensor in weights(output).items())


def llama_shapes(**changed: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
    sizes: dict[str, tuple[int, ...] | None] = {
        "self_attn.q_proj.weight": (32, 32),
        "self_attn.k_proj.weight": (16, 32),
        "self_attn.v_proj.weight": (16, 32),
        "self_attn.o_proj.weight": (32, 32),
        "self_attn.o_proj.bias": (32,),
        "self_attn.q_proj.bias": (32,),
        "mlp.up_proj.weight": (64, 32),
        "mlp.down_proj.weight": (32, 64),
        **{name.replace("__", "."): shape for name, shape in changed.items()},
    }
    return {f"model.layers.0.{name}": shape for name, shape in sizes.items() if shape is not None}


CONFIG = {"model_type": "made", "num_attention_heads": 4, "num_key_value_heads": 2}


def test_shared_keys_and_biases_are_placed_by_hand() -> None:
    places = slice_places(ForgetSlice(heads=2, hidden=3), llama_shapes(), CONFIG, "x")
    found = {name.removeprefix("model.layers.0."): (place.axis, place.begin) for name, place in places.items()}
    assert found == {
        "self_attn.q_proj.weight": (0, 16),
        "self_attn.q_proj.bias": (0, 16),
        "self_attn.k_proj.weight": (0, 8),
        "self_attn.v_proj.weight": (0, 8),
        "self_attn.o_proj.weight": (1, 16),
        "self_attn.o_proj.bias": (0, 32),  # nothing of it: added behind the heads
        "mlp.up_proj.weight": (0, 61),
        "mlp.down_proj.weight": (1, 61),
    }


@pytest.mark.parametrize(
    ("wanted", "shapes", "config", "said"),
    [
        ({"heads": 4}, llama_shapes(), CONFIG, "takes 4 heads of a layer, which has 4: take fewer"),
        ({"hidden": 65}, llama_shapes(), CONFIG, "takes 65 hidden units of a layer, which has 64"),
        ({"heads": 1}, llama_shapes(), CONFIG, "2 attention heads share .* takes 1: take a multiple of 2"),
        ({"hidden": 1, "layers": [3]}, llama_shapes(), CONFIG, "names layer 3, and the network has the layers 0 to 0"),
        ({"hidden": 1}, {"h.0.c_attn.weight": (1, 1)}, CONFIG, r"this made has none of them \(h.0.c_attn.weight"),
        ({"heads": 2}, llama_shapes(self_attn__k_proj__weight=None), CONFIG, "has no self_attn.k_proj"),
        ({"heads": 2}, llama_shapes(self_attn__q_proj__weight=(64, 32)), CONFIG, "not 4 heads of one width"),
        ({"heads": 2}, llama_shapes(), {}, "says num_attention_heads None"),
    ],
)
def test_a_slice_that_does_not_fit_is_named(
    wanted: dict[str, Any], shapes: dict[str, tuple[int, ...]], config: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainingError, match=f"stage 'x': .*{said}"):
        slice_places(ForgetSlice.model_validate(wanted), shapes, config, "stage 'x'")


def test_what_cannot_be_masked_is_refused(bench: Bench) -> None:
    stream = mixed_stream(bench, "forget-only", {"forget": unwanted(1)})
    for name, stage, profile, said in (
        ("lora", masked_stage(weights=Lora(rank=2)), BuildProfile(), "adapters are trained: use weights: full"),
        ("compile", masked_stage(), BuildProfile(compile=True), "set compile: off"),
        ("large", masked_stage({"slice": {"heads": 2}}), BuildProfile(), "takes 2 heads of a layer, which has 2"),
    ):
        with pytest.raises(TrainingError, match=said):
            bench.train(f"refused-{name}", stage, stream, steps=(0, 1), profile=profile)
    network = model(bench.start)
    masking = GradientMasking.model_validate({"forget": ["forget"], "slice": SLICE})
    with pytest.raises(TrainingError, match=r"one process.*2 were asked for"):
        MaskedUpdates(network, masking, BuildProfile(world_size=2))


def test_the_description_says_what_it_cannot_mean() -> None:
    for fields, said in (
        ({"slice": {}}, "is nothing: give it heads"),
        ({"slice": {"heads": 1, "layers": []}}, "numbers from 0 on"),
        ({"retain": ["forget"]}, "forget cannot be both"),
        ({"forget": []}, "at least 1 item"),
    ):
        with pytest.raises(ValidationError, match=said):
            masked_stage(fields)
    plain = Pretrain.model_validate({**json.loads(masked_stage().model_dump_json()), "masking": None})
    assert "masking" not in plain.model_dump(mode="json")
