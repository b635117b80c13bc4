"""Isolated text: a document answers and learns as if it were not there; it answers as a document that ends in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from training_bench import BATCH, WORDS, Bench, bits

from upbringing.base.errors import DataError
from upbringing.data.collation import collate
from upbringing.data.documents import Document, Span
from upbringing.data.packing import IGNORED
from upbringing.data.rendering import Rendered, open_tokenizer, render_documents
from upbringing.data.stream import Stream, open_stream, read_info
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import load_model
from upbringing.training.compilation import compiled_layers
from upbringing.training.isolation import isolated
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Phase
from upbringing.training.trainer import train_windows

pytestmark = pytest.mark.model

Arrays = dict[str, np.ndarray[Any, Any]]
TOLERANCE = 1e-5  # fp32 logits: sums in another order
SEEN = 1e-3  # what a mask that is wrong moves at least
PROFILES = [
    pytest.param(
        BuildProfile(attention=attention, compile=compiled),
        id=f"{attention}-{'compiled' if compiled else 'plain'}",
        marks=[pytest.mark.slow] if compiled else [],
    )
    for compiled in (False, True)
    for attention in ("eager", "sdpa")
]


def annotated(seed: int, count: int = 60, notes: int = 40) -> list[Document]:
    """Documents of random words with up to two isolated notes; ``notes`` seeds their words alone."""
    draw, words = random.Random(seed), random.Random(notes)
    made = []
    for _ in range(count):
        own = [" " + word for word in draw.choices(WORDS, k=draw.randint(4, 10))]
        text, spans = "", []
        places = sorted(draw.sample(range(1, len(own)), draw.randint(0, 2)))
        for place, word in enumerate(own):
            if place in places:
                length = draw.randint(2, 4)
                note = "".join(" " + each for each in words.choices(WORDS, k=length))
                spans.append(Span(len(text), len(text) + len(note), isolated=True))
                text += note
            text += word
        made.append(Document(text=text, source="made", spans=tuple(spans)))
    return made


def windows(bench: Bench, name: str = "annotated", notes: int = 40) -> Stream:
    return open_stream(bench.stream(f"{name}-{notes}", annotated(1, notes=notes), num_windows=16))


def in_memory(arrays: Mapping[str, np.ndarray[Any, Any]], count: int = 4) -> Arrays:
    return {name: np.array(array[:count]) for name, array in arrays.items()}


def outputs(call: Any, batch: dict[str, Any]) -> list[Any]:
    """The hidden states of every layer and the logits, each (windows, time, width)."""
    found = call(**{name: value for name, value in batch.items() if name != "labels"}, output_hidden_states=True)
    return [each.detach() for each in (*found.hidden_states, found.logits)]


def alone(model: Any, ids: np.ndarray[Any, Any]) -> list[Any]:
    """What the model says of an ordinary document of ``ids``: no mask, no positions of ours."""
    import torch

    return outputs(model, {"input_ids": torch.tensor(ids[None], dtype=torch.int64)})


def worst(together: list[Any], window: int, places: np.ndarray[Any, Any], single: list[Any]) -> float:
    """The largest difference between the places of a window and the last tokens of a lone document, over all layers."""
    size = len(places)
    return max(
        float((mine[window, places] - own[0, -size:]).abs().max()) for mine, own in zip(together, single, strict=True)
    )


def differences(model: Any, arrays: Arrays, together: list[Any]) -> tuple[float, float]:
    """The largest differences of the documents' own tokens from the clean documents, and of isolated texts from
    documents that end in them.
    """
    own_worst = isolated_worst = 0.0
    for window in range(len(arrays["tokens"])):
        tokens, numbers, begins = (arrays[name][window] for name in ("tokens", "documents", "isolated"))
        for number in range(numbers.max() + 1):
            own = np.flatnonzero((numbers == number) & (begins == -1))
            own_worst = max(own_worst, worst(together, window, own, alone(model, tokens[own])))
            for begin in np.unique(begins[(numbers == number) & (begins >= 0)]):
                part = np.flatnonzero(begins == begin)
                before = own[: arrays["positions"][window, begin]]
                single = alone(model, tokens[np.concatenate([before, part])])
                isolated_worst = max(isolated_worst, worst(together, window, part, single))
    return own_worst, isolated_worst


@pytest.mark.parametrize("profile", PROFILES)
def test_documents_are_the_clean_ones_and_notes_see_what_is_before_them(bench: Bench, profile: BuildProfile) -> None:
    import torch

    arrays = in_memory(windows(bench).arrays)
    assert (arrays["isolated"] >= 0).sum() > 20
    with isolated(profile), torch.no_grad():
        model = load_model(bench.start, profile=profile).model
        called = torch.compile(model) if profile.compile else model
        own, notes = differences(model, arrays, outputs(called, collate(arrays, 0, 4, torch.float32)))
    assert own <= TOLERANCE
    assert notes <= TOLERANCE


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 512}
FAMILIES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 512, "n_positions": 64},  # learned positions
    "gpt_neox": {**SMALL, "intermediate_size": 64},
    "qwen3": {**SMALL, "intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16},
    "gemma2": {**SMALL, "intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 64},
}


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if name == "gpt2" else [pytest.mark.slow]) for name in FAMILIES]
)
def test_it_holds_for_other_families_of_models(bench: Bench, family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    arrays = in_memory(windows(bench).arrays)
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **FAMILIES[family])
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        own, notes = differences(model, arrays, outputs(model, collate(arrays, 0, 4, torch.float32)))
    assert own <= TOLERANCE
    assert notes <= TOLERANCE


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_without_the_mask_the_same_test_fails(bench: Bench, attention: str) -> None:
    """The control: the mask of documents alone lets notes see what follows them."""
    import torch

    arrays = in_memory(windows(bench).arrays)
    broken = {name: array for name, array in arrays.items() if name != "isolated"}
    model = load_model(bench.start, profile=BuildProfile(attention=attention)).model  # type: ignore[arg-type]
    with torch.no_grad():
        _, notes = differences(model, arrays, outputs(model, collate(broken, 0, 4, torch.float32)))
    assert notes > SEEN


def in_order_of_the_text(text: Rendered, isolated_from: Callable[[int], int]) -> tuple[Arrays, np.ndarray[Any, Any]]:
    """One window with a note where the text has it, and the places of the document's own tokens."""
    (note,) = text.isolated
    size = len(note.ids)
    tokens = [*text.ids[: note.place], *note.ids, *text.ids[note.place :]]
    positions = [*range(note.place + size), *range(note.place, len(text.ids))]
    begins = [-1] * note.place + [isolated_from(note.place)] * size + [-1] * (len(text.ids) - note.place)
    arrays = {
        "tokens": tokens,
        "labels": tokens,
        "positions": positions,
        "documents": [0] * len(tokens),
        "isolated": begins,
    }
    own = np.flatnonzero(np.arange(len(tokens)) < note.place)
    later = np.arange(note.place + size, len(tokens))
    return {name: np.array([each], dtype=np.int32) for name, each in arrays.items()}, np.concatenate([own, later])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_aliased_positions_alone_do_not_isolate(bench: Bench, attention: str) -> None:
    """Where the note stands within its document the mask keeps later tokens clean, and without it they are not."""
    import torch

    document = next(each for each in annotated(1) if len(each.spans) == 1)
    (text,) = render_documents([document], open_tokenizer(bench.start))
    model = load_model(bench.start, profile=BuildProfile(attention=attention)).model  # type: ignore[arg-type]
    found = []
    for isolated_from in (lambda place: place, lambda place: -1):
        arrays, own = in_order_of_the_text(text, isolated_from)
        with torch.no_grad():
            together = outputs(model, collate(arrays, 0, 1, torch.float32))
            found.append(worst(together, 0, own, alone(model, np.array(text.ids))))
    assert found[0] <= TOLERANCE
    assert found[1] > SEEN


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("bf16", [False, True])
def test_other_notes_move_no_bit_of_the_documents(bench: Bench, attention: str, bf16: bool) -> None:
    import torch

    one, two = (in_memory(windows(bench, notes=notes).arrays, 16) for notes in (40, 41))
    own = one["isolated"] == -1
    assert np.array_equal(one["tokens"][own], two["tokens"][own])
    assert not np.array_equal(one["tokens"], two["tokens"])
    model = load_model(bench.start, profile=BuildProfile(attention=attention)).model  # type: ignore[arg-type]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        before, after = (outputs(model, collate(each, 0, 16, torch.float32))[-1] for each in (one, two))
    assert torch.equal(before[torch.tensor(own)], after[torch.tensor(own)])
    assert not torch.equal(before, after)


def gradients(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    model.zero_grad()
    model(**batch, num_items_in_batch=1, use_cache=False).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_documents_learn_as_the_clean_ones_and_notes_learn_besides(bench: Bench, attention: str) -> None:
    import torch

    arrays = in_memory(windows(bench).arrays)
    is_note = arrays["isolated"] >= 0
    clean = {
        **arrays,
        "documents": np.where(is_note, -1, arrays["documents"]),
        "tokens": np.where(is_note, 0, arrays["tokens"]),
    }
    clean["labels"] = np.where(is_note, IGNORED, arrays["labels"])
    del clean["isolated"]
    own_loss = {**arrays, "labels": clean["labels"]}
    model = load_model(bench.start, profile=BuildProfile(attention=attention)).model  # type: ignore[arg-type]
    expected, own, whole = (gradients(model, collate(each, 0, 4, torch.float32)) for each in (clean, own_loss, arrays))
    for name, gradient in expected.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-5)
    assert any((whole[name] - gradient).abs().max() > SEEN for name, gradient in expected.items())


def test_training_learns_the_notes_through_selected_logits(bench: Bench) -> None:
    import torch

    stage = Pretrain(tokens=16 * 32, phases=(Phase(data="made"),), context=32, batch_size=BATCH, learning_rate=3e-3)
    stream = windows(bench)
    windows(bench, notes=41)
    folder = bench.folder / "stream-annotated-40"
    output, realised = bench.train("annotated", stage, folder, steps=(0, 4), total=4)
    arrays = in_memory(stream.arrays)
    model = load_model(bench.start, profile=BuildProfile()).model
    with torch.no_grad():
        expected = float(model(**collate(arrays, 0, BATCH, torch.float32)).loss)
    assert realised.losses[0] == pytest.approx(expected, abs=TOLERANCE)
    assert (
        realised.supervised_tokens == int((stream.arrays["labels"] >= 0).sum()) == read_info(folder).supervised_tokens
    )
    other, _ = bench.train("other-notes", stage, bench.folder / "stream-annotated-41", steps=(0, 4), total=4)
    assert bits(output) != bits(other)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_compiled_training_loses_what_plain_training_does_and_leaves_documents_clean(
    bench: Bench, attention: Any
) -> None:
    """Losses of every update, and afterwards the documents' logits through the layers that training compiles."""
    import torch

    stage = Pretrain(tokens=16 * 32, phases=(Phase(data="made"),), context=32, batch_size=BATCH, learning_rate=3e-3)
    arrays = in_memory(windows(bench).arrays)
    assert (arrays["isolated"] >= 0).sum() > 20
    losses, outcomes = {}, {}
    for compiled in (False, True):
        profile = BuildProfile(attention=attention, compile=compiled)
        outcomes[compiled], realised = bench.train(
            f"isolated-{attention}-{compiled}",
            stage,
            bench.folder / "stream-annotated-40",
            steps=(0, 4),
            total=4,
            profile=profile,
        )
        losses[compiled] = realised.losses
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)  # fp32, operations fused in another order
    assert losses[True][-1] < losses[True][0]
    profile = BuildProfile(attention=attention, compile=True)
    with isolated(profile), torch.no_grad():
        model = load_model(outcomes[True], profile=profile).model
        batch = collate(arrays, 0, 4, torch.float32)
        plain = outputs(model, batch)
        with compiled_layers(model):
            fused = outputs(model, batch)
        own, notes = differences(model, arrays, fused)
        without = {name: array for name, array in arrays.items() if name != "isolated"}
        with compiled_layers(model):
            leaking = outputs(model, collate(without, 0, 4, torch.float32))
        broken = differences(model, arrays, leaking)[1]  # each document by itself has a length of its own: not compiled
    assert own <= TOLERANCE
    assert notes <= TOLERANCE
    assert float((plain[-1] - fused[-1]).abs().max()) <= TOLERANCE
    assert broken > SEEN, "the control: without the mask of isolation the same comparison fails"


def test_flash_attention_is_refused_where_text_is_isolated(bench: Bench) -> None:
    model = SimpleNamespace(config=SimpleNamespace(_attn_implementation="flash_attention_2"))
    run: Any = SimpleNamespace(model=model, profile=BuildProfile())
    with pytest.raises(DataError, match="use attention eager or sdpa"):
        train_windows(run, windows(bench))
