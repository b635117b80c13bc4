"""What linear probes on every layer add to a likelihood pass.

Target: the pass with probes on all layers and both positions (last prompt token, mean) takes at most 1.2 times the same
pass without. Both sides run the same likelihood measures over the same twins through the battery's engine; one reads
hidden states in the same forward passes and fits its probes with held-out families. The network has SmolLM2-135M's
shape and random weights: it is computed like the real one. ``--gain`` adds the controls (n-grams, shuffled labels,
random weights, whose hidden states come from a cache after the first round, because they are computed once per
architecture); it has no target. Cost is processor time, which other programs disturb less than the clock.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from alternating import Ratio, alternate, at_most, machine, spread
from likelihood_speed import texts_of
from transformers.utils import logging

from upbringing.battery.engine import measure
from upbringing.battery.measure import Measure
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.probe import Probe
from upbringing.battery.measures.probe_gain import ProbeGain
from upbringing.data.prompt_sets.items import TWIN_ROLE, over_refusal_items
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.local import LocalModel
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

TARGET = 1.2
SHAPES = {"135M": (30, 576, 9, 49152), "2M": (4, 192, 6, 16384)}  # layers, width, heads, vocabulary
LIKELIHOODS: tuple[Measure, ...] = (Discrimination(roles=("question", TWIN_ROLE)),)


def make_model(shape: str, items: Sequence[Item], folder: Path) -> LoadedModel:
    """Write a network of a shape of ``SHAPES`` with random weights, and return it in bf16."""
    layers, width, heads, vocabulary = SHAPES[shape]
    words = sorted({word for item in items for text in texts_of(item) for word in re.findall(r"[A-Za-z]+", text)})
    tokenizer, start = folder / "tokenizer", folder / "start"
    tokenizer.mkdir(parents=True)
    start.mkdir()
    train_tokenizer(words, vocabulary=vocabulary, special_tokens=(), chat_template=None, folder=tokenizer)
    recipe = TokenizerRecipe(train_on="made", vocabulary=vocabulary)
    create_fresh(
        FreshStart(layers=layers, width=width, heads=heads, context=512, tokenizer=recipe), tokenizer, 1, start
    )
    loaded = load_model(start, profile=BuildProfile())
    loaded.model.to(torch.bfloat16)
    return loaded


def battery(
    loaded: LoadedModel, measures: Sequence[Measure], items: Sequence[Item], cache: Path
) -> Callable[[], float]:
    """Return a side: the processor seconds of ``measures`` by an engine that keeps random weights' states alone."""
    rounds = iter(range(1_000_000))

    def run() -> float:
        model = LocalModel(network=loaded.model, tokenizer=loaded.tokenizer, precision="bf16")
        began = time.process_time()
        measured = measure(
            model,
            checkpoint_id="made",
            battery=measures,
            items=items,
            judges=(),
            on_progress=lambda done, total: None,
            answers_cache=cache / str(next(rounds)),
        )
        seconds = time.process_time() - began
        assert all(row.value is not None for row in measured.rows)
        return seconds

    return run


def main() -> None:
    """Print the ratio and its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=4, help="twins per family of the over-refusal set")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="135M")
    parser.add_argument("--threads", type=int, default=BuildProfile().threads)
    parser.add_argument("--gain", action="store_true", help="also with controls")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    print(machine(precision="bf16 weights", threads=options.threads))
    items = over_refusal_items(options.pairs).items
    with tempfile.TemporaryDirectory() as scratch:
        loaded = make_model(options.shape, items, Path(scratch))
        cache = Path(scratch) / "cache"
        sides = {
            "without": battery(loaded, LIKELIHOODS, items, cache / "without"),
            "with": battery(loaded, (*LIKELIHOODS, Probe()), items, cache / "with"),
        }
        if options.gain:
            sides["with controls"] = battery(loaded, (*LIKELIHOODS, Probe(), ProbeGain()), items, cache / "gain")
        alternate(sides, 1)  # warms up, and reads the random weights
        found = alternate(sides, options.rounds)
    layers = SHAPES[options.shape][0] + 1
    ratio = Ratio.of(found["with"], found["without"])
    print(f"{len(items)} twins, {options.shape}: probes on {layers} layers and two positions / likelihoods alone: "
          f"{ratio}; {at_most(ratio.median, TARGET)}")  # fmt: skip
    if options.gain:
        print(f"  with all controls as well: {Ratio.of(found['with controls'], found['without'])}; no target")
    print("  processor seconds: " + ", ".join(f"{name} {spread(values, '.2f')}" for name, values in found.items()))


if __name__ == "__main__":
    main()
