"""Detachable modules: who moves what, what is switched off, exact resume, and a planted effect with its null."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from masking_bench import ablated, language, masked_stage, mixed_stream, model, moved, weights
from pydantic import ValidationError
from training_bench import WORDS, Bench, bits, make_bench

from upbringing.base.errors import TrainingError
from upbringing.data.collation import collate
from upbringing.data.documents import Document
from upbringing.data.modes import APART, FIRST_MODULE, window_mode
from upbringing.data.stream import open_stream
from upbringing.formats.record import BuildProfile
from upbringing.training.detachable_modules import DetachableModules
from upbringing.training.forget_slice import ForgetSlice, slice_places
from upbringing.training.fresh import create_fresh
from upbringing.training.masked_updates import MaskedUpdates
from upbringing.training.pretrain import Pretrain
from upbringing.training.recalibration import loss_with_bias
from upbringing.training.settings import Lora
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

HIDDEN = 96  # of the bench
NAMES = {"a": FIRST_MODULE, "b": FIRST_MODULE + 2}
UNITS = {"a": (HIDDEN - 8, HIDDEN), "b": (HIDDEN - 24, HIDDEN - 8)}  # by hand: 8 units, and 16 in front of them
SLICES: dict[str, dict[str, Any]] = {"a": {"hidden": 8}, "b": {"hidden": 16, "offset": 8}}
BOTH = {"hidden": 24}
FIRST, SECOND = WORDS[20:30], WORDS[30:40]


def routing(**changed: Any) -> dict[str, Any]:
    modules = {name: {"data": [name], "slice": each} for name, each in SLICES.items()}
    return {"modules": modules, "together": 0.5, **changed}


def routed_stage(changed: dict[str, Any] | None = None, **fields: Any) -> Pretrain:
    plain = masked_stage(**fields).model_dump(mode="json", exclude={"masking"})
    return Pretrain.model_validate({**plain, "routing": routing(**(changed or {}))})


def first(seed: int) -> list[Document]:
    return language(FIRST, seed)


def second(seed: int) -> list[Document]:
    return language(SECOND, seed)


def general(seed: int) -> list[Document]:
    """A language of its own, and rows of an alphabet, from which every word's embedding is learned."""
    draw = random.Random(seed)
    letters = WORDS[20:40]
    rows = [[letters[(begin + step) % 20] for step in range(12)] for begin in draw.choices(range(20), k=200)]
    texts = [*language(WORDS[:20], seed), *(Document(text=" ".join(row), source="made") for row in rows)]
    draw.shuffle(texts)
    return texts


def routed_stream(bench: Bench, name: str, texts: dict[str, Sequence[Document]], together: float = 0.5) -> Path:
    return mixed_stream(bench, name, texts, modes=NAMES, together=together)


def is_of(module: str, name: str, tensor: Any) -> Any:
    """Whether each entry of a tensor is the module's."""
    import torch

    found = torch.zeros(tensor.shape, dtype=torch.bool)
    units = slice(*UNITS[module])
    if ".mlp.down_proj." in name:
        found[:, units] = True
    elif ".mlp." in name:
        found[units] = True
    return found


@pytest.mark.parametrize("module", ["a", "b"])
def test_a_modules_own_data_move_it_and_nothing_else(bench: Bench, module: str) -> None:
    stream = routed_stream(bench, f"own-{module}", {module: first(1)})
    output, _ = bench.train(f"own-{module}", routed_stage(), stream, steps=(0, 1))
    for name, changed in moved(bench, output).items():
        own = is_of(module, name, changed)
        assert not (changed & ~own).any(), name
        assert not own.any() or changed[own].float().mean() > 0.9, name


def test_other_data_move_everything_but_the_modules(bench: Bench) -> None:
    stream = routed_stream(bench, "general", {"other": general(1)})
    assert set(open_stream(stream).arrays["modes"].tolist()) == {APART, APART + 1}
    output, _ = bench.train("general", routed_stage(), stream, steps=(0, 1))
    for name, changed in moved(bench, output).items():
        own = is_of("a", name, changed) | is_of("b", name, changed)
        assert not changed[own].any(), name
        assert changed[~own].any(), name


def test_without_together_other_data_train_as_data_to_retain_bit_for_bit(bench: Bench) -> None:
    """The same by the other form: one slice of all units, switched off for data to retain."""
    routed = mixed_stream(bench, "apart", {"retain": general(2)}, labelled=False)
    retained = mixed_stream(bench, "retained", {"retain": general(2)})
    one, _ = bench.train("apart", routed_stage({"together": 0}), routed, steps=(0, 6))
    two, _ = bench.train("retained", masked_stage({"slice": BOTH}), retained, steps=(0, 6))
    assert bits(one) == bits(two) != bits(bench.start)


def test_a_mixed_update_adds_up_what_each_window_may_move(bench: Bench) -> None:
    """By hand, each mode on a network whose absent modules were ablated."""
    import torch

    stream = routed_stream(bench, "all", {"a": first(2), "b": second(2), "other": general(3)})
    arrays = open_stream(stream).arrays
    inputs = collate(arrays, 0, 12, torch.float32)
    modes = torch.from_numpy(arrays["modes"][:12].astype("int64"))
    assert modes.unique().tolist() == list(range(6))
    cut = {name: ablated(bench, bench.start, f"cut-{name}", each) for name, each in (*SLICES.items(), ("all", BOTH))}
    networks = dict(enumerate((cut["all"], bench.start, cut["b"], bench.start, cut["a"], bench.start)))
    expected: dict[str, Any] = {}
    for mode, folder in networks.items():
        network = model(folder)
        network(**{name: tensor[modes == mode] for name, tensor in inputs.items()}).loss.backward()
        for name, parameter in network.named_parameters():
            a, b = is_of("a", name, parameter), is_of("b", name, parameter)
            kept = (~(a | b), a, b)[mode // 2]
            expected[name] = expected.get(name, 0) + kept.float() * parameter.grad
    network = model(bench.start)
    masked = MaskedUpdates(network, DetachableModules.model_validate(routing()), BuildProfile())
    for part in masked.parts({**inputs, "modes": modes}):
        network(**part).loss.backward()
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], atol=1e-6), name
    network.zero_grad()
    network(**inputs).loss.backward()  # outside the parts the masks do nothing
    masked.remove()
    plain = model(bench.start)
    plain(**inputs).loss.backward()
    for (name, parameter), (_, other) in zip(network.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad), name


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_routed_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, accumulate: int) -> None:
    stream = routed_stream(bench, "all", {"a": first(2), "b": second(2), "other": general(3)})
    stage, name = routed_stage(accumulate=accumulate, weight_decay=0.1), f"routed-{accumulate}"
    straight, _ = bench.train(f"{name}-straight", stage, stream, steps=(0, 12))
    bench.train(f"{name}-first", stage, stream, steps=(0, 5), keep_state=True)
    state = bench.folder / f"{name}-first" / "state"
    second_half, _ = bench.train(f"{name}-second", stage, stream, steps=(5, 12), state=state)
    assert bits(second_half) == bits(straight)


def test_an_ablation_takes_out_one_module_and_leaves_the_other(bench: Bench) -> None:
    import torch

    before = weights(bench.start)
    for module, wanted in SLICES.items():
        for name, tensor in weights(ablated(bench, bench.start, f"one-{module}", wanted)).items():
            own = is_of(module, name, tensor)
            assert not tensor[own].any()
            assert torch.equal(tensor[~own], before[name][~own])


@pytest.mark.parametrize(("together", "expected"), [(0.0, 0), (0.25, 25), (0.3, 30), (1.0, 100)])
def test_windows_beside_the_modules_are_spread_evenly(together: float, expected: int) -> None:
    for key, mode in (("other", APART), ("a", FIRST_MODULE)):
        found = [window_mode({"a": FIRST_MODULE}, together, key, number) for number in range(100)]
        assert found.count(mode + 1) == expected
        assert set(found) <= {mode, mode + 1}
        for cut in range(1, 100):
            assert abs(found[:cut].count(mode + 1) - cut * together) < 1


def test_offsets_are_placed_by_hand() -> None:
    shapes = {
        "model.layers.0.mlp.up_proj.weight": (64, 32),
        "model.layers.0.mlp.up_proj.bias": (64,),
        "model.layers.0.mlp.down_proj.weight": (32, 64),
        "model.layers.0.mlp.down_proj.bias": (32,),
    }
    places = slice_places(ForgetSlice(hidden=5, offset=10), shapes, {"num_attention_heads": 4}, "x")
    assert {name.rpartition("mlp.")[2]: (place.axis, place.begin, place.end) for name, place in places.items()} == {
        "up_proj.weight": (0, 49, 54),
        "up_proj.bias": (0, 49, 54),
        "down_proj.weight": (1, 49, 54),
        "down_proj.bias": (0, 32, 32),
    }
    with pytest.raises(TrainingError, match="takes 5 hidden units in front of 59 of a layer, which has 64"):
        slice_places(ForgetSlice(hidden=5, offset=59), shapes, {"num_attention_heads": 4}, "x")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({"hidden": 8}, {"hidden": 8, "offset": 8}, False),
        ({"hidden": 8}, {"hidden": 8, "offset": 7}, True),
        ({"hidden": 8, "offset": 4}, {"hidden": 2, "offset": 6}, True),
        ({"hidden": 8, "layers": [0]}, {"hidden": 8, "layers": [1]}, False),
        ({"hidden": 8, "layers": [0]}, {"hidden": 8}, True),
        ({"heads": 1}, {"hidden": 8}, False),
        ({"heads": 1}, {"heads": 1, "hidden": 8}, True),
    ],
)
def test_overlap_is_told_by_hand(one: dict[str, Any], other: dict[str, Any], overlap: bool) -> None:
    mine, theirs = ForgetSlice.model_validate(one), ForgetSlice.model_validate(other)
    assert mine.overlaps(theirs) is theirs.overlaps(mine) is overlap


def test_the_description_says_what_it_cannot_mean() -> None:
    for changed, said in (
        ({"modules": {}}, "at least 1 item"),
        ({"modules": {**routing()["modules"], "b": {"data": ["a"], "slice": SLICES["b"]}}}, "a would move a and b"),
        ({"modules": {**routing()["modules"], "b": {"data": ["b"], "slice": {"hidden": 9}}}}, "a and b share units"),
        ({"together": 1.5}, "less than or equal to 1|between 0 and 1|share"),
    ):
        with pytest.raises(ValidationError, match=said):
            routed_stage(changed)
    with pytest.raises(ValidationError, match="an offset of 3 hidden units goes with hidden units alone"):
        ForgetSlice.model_validate({"heads": 1, "offset": 3})
    with pytest.raises(ValidationError, match="masking and routing both say"):
        Pretrain.model_validate({**masked_stage().model_dump(mode="json"), "routing": routing()})
    assert "offset" not in ForgetSlice(hidden=3).model_dump(mode="json")
    assert "routing" not in masked_stage().model_dump(mode="json")


def test_what_cannot_be_masked_is_refused(bench: Bench) -> None:
    stream = routed_stream(bench, "own-a", {"a": first(1)})
    stage = routed_stage(weights=Lora(rank=2).model_dump(mode="json"))
    with pytest.raises(TrainingError, match="adapters are trained: use weights: full"):
        bench.train("routed-lora", stage, stream, steps=(0, 1))


STEPS = 600
LARGE: dict[str, dict[str, Any]] = {
    "a": {"hidden": 48},
    "b": {"hidden": 48, "offset": 48},
    "ab": {"hidden": 96},
}


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Losses on text that was not trained on, by checkpoint (ARM, or ARM without a module) and language."""
    import torch

    folder = tmp_path_factory.mktemp("detached")
    make_bench(folder)
    start = folder / "large"
    start.mkdir()
    recipe = TokenizerRecipe(train_on="world", vocabulary=420)
    create_fresh(FreshStart(layers=2, width=64, heads=4, context=64, tokenizer=recipe), folder / "tokenizer", 3, start)
    bench = Bench(folder, start)
    texts = {"a": first(1), "b": second(1), "other": general(1)}
    unseen = {"a": first(9), "b": second(9), "other": language(WORDS[:20], 9)}
    batches = {
        name: [
            collate(open_stream(mixed_stream(bench, f"unseen-{name}", {name: each}, 32)).arrays, 0, 32, torch.float32)
        ]
        for name, each in unseen.items()
    }
    modules = {name: {"data": [name], "slice": LARGE[name]} for name in NAMES}
    routed = routed_stage({"modules": modules}, schedule={"kind": "cosine"})
    found: dict[str, dict[str, float]] = {}
    for arm, stage in (("routed", routed), ("plain", routed.model_copy(update={"routing": None}))):
        is_routed = arm == "routed"
        stream = mixed_stream(bench, arm, texts, STEPS * 4, modes=NAMES, together=0.1 * is_routed, labelled=is_routed)
        whole, _ = bench.train(arm, stage, stream, steps=(0, STEPS), total=STEPS)
        folders = {
            arm: whole,
            **{f"{arm}-{name}": ablated(bench, whole, f"{arm}-{name}", each) for name, each in LARGE.items()},
        }
        for name, each in folders.items():
            network = model(each)
            found[name] = {text: loss_with_bias(network, batches[text]) for text in batches}
    return found


@pytest.mark.slow
def test_a_language_is_known_where_its_module_is_and_nowhere_else(losses: dict[str, dict[str, float]]) -> None:
    """One run serves every subset: ``routed-b`` is the checkpoint without the module of b, and so on."""
    for name, known, unknown in (
        ("routed", {"a", "b"}, set()),
        ("routed-b", {"a"}, {"b"}),
        ("routed-a", {"b"}, {"a"}),
        ("routed-ab", set(), {"a", "b"}),
    ):
        assert losses[name]["other"] < 1.1, name
        assert all(losses[name][language] < 2.0 for language in known), name
        assert all(losses[name][language] > 6.0 for language in unknown), name
    assert max(losses["routed-b"]["a"], losses["routed-a"]["b"]) < 1.2
    assert losses["routed-ab"]["other"] < losses["plain"]["other"] + 0.1


@pytest.mark.slow
def test_without_routing_the_same_ablations_take_neither_language_out(losses: dict[str, dict[str, float]]) -> None:
    assert max(losses["plain"].values()) < 1.0
    assert max(loss for name in ("plain-a", "plain-b", "plain-ab") for loss in losses[name].values()) < 1.6
