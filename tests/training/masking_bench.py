"""Streams of two made-up languages and of text without a label, and stages that mask them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training_bench import BATCH, WORDS, Bench

from upbringing.data.documents import Document
from upbringing.data.modes import FORGET, RETAIN
from upbringing.data.stream import StreamPart, StreamPlan, build_stream
from upbringing.training.ablate import Ablate
from upbringing.training.ablation import ablate_checkpoint
from upbringing.training.fresh import copy_tokenizer
from upbringing.training.pretrain import Pretrain

MODES = {"forget": FORGET, "retain": RETAIN}  # of the sources of these names; others have the default mode
SLICE = {"heads": 1, "hidden": 8}


def language(words: Sequence[str], seed: int, count: int = 200) -> list[Document]:
    """Texts in which each word is followed by one of two others, which are the language's."""
    grammar = random.Random(len(words) + ord(words[0][0]))
    after = {word: grammar.sample(list(words), 2) for word in words}
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        found = [draw.choice(list(words))]
        while len(found) < 12:
            found.append(draw.choice(after[found[-1]]))
        texts.append(Document(text=" ".join(found), source="made"))
    return texts


def kept(seed: int) -> list[Document]:
    """The language to retain."""
    return language(WORDS[:20], seed)


def unwanted(seed: int) -> list[Document]:
    """The language to forget: other words."""
    return language(WORDS[20:], seed)


def mixed_stream(
    bench: Bench,
    name: str,
    texts: Mapping[str, Sequence[Document]],
    num_windows: int = 48,
    *,
    labelled: bool = True,
    modes: Mapping[str, int] = MODES,
    together: float = 0.0,
    shares: Mapping[str, float] | None = None,
) -> Path:
    """Build a stream of several sources, in equal ``shares`` unless given, with the ``modes`` of their names if
    ``labelled``.
    """
    folder = bench.folder / f"stream-{name}"
    if not folder.exists():
        folder.mkdir()
        part = StreamPart(tuple((key, (shares or {}).get(key, 1 / len(texts))) for key in texts), num_windows)
        known = {key: modes[key] for key in texts if key in modes} if labelled else {}
        plan = StreamPlan("documents", 32, BATCH, 7, (part,), modes=known, together=together)
        build_stream(plan, lambda key: texts[key], {key: key for key in texts}, bench.start, folder)
    return folder


def masked_stage(masking: Mapping[str, Any] | None = None, **fields: Any) -> Pretrain:
    """A stage that masks; ``masking``: what is different from forgetting ``forget`` by the small slice."""
    return Pretrain.model_validate(
        {
            "tokens": 1536,
            "phases": [{"data": "made"}],
            "context": 32,
            "batch_size": BATCH,
            "learning_rate": 3e-3,
            "masking": {"forget": ["forget"], "retain": ["retain"], "slice": SLICE, **(masking or {})},
            **fields,
        }
    )


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def moved(bench: Bench, output: Path) -> dict[str, Any]:
    """Return which entry of each tensor differs from the bench's start."""
    before, after = weights(bench.start), weights(output)
    return {name: before[name] != after[name] for name in before}


def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), attn_implementation="eager").eval()


def ablated(bench: Bench, parent: Path, name: str, wanted: Mapping[str, Any] = SLICE) -> Path:
    """Take the slice ``wanted`` out of ``parent`` and return the checkpoint without it."""
    output = bench.folder / name
    output.mkdir()
    assert ablate_checkpoint("cut", Ablate.model_validate({"slice": wanted}), parent, output)
    copy_tokenizer(bench.start, output)
    return output
