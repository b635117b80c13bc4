"""What five likelihood measures cost beside one, and beside scoring the union of their sequences once.

Targets: five measures over the same sequences at most 1.3 times one; five measures over different sequences at most
1.1 times the union. A tiny Llama answers nothing sensible, but it is computed like a large one; the items are the
prompt sets that this project ships. Measures run through the battery's engine with everything around the forward passes
(rendering, tokenising, rows); the union is scored from token ids that are ready. Cost is processor time, which other
programs disturb less than the clock.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from alternating import Ratio, alternate, at_most, machine, spread
from transformers.utils import logging

from upbringing.battery.engine import measure
from upbringing.battery.measure import Measure
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.knowledge import Knowledge
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.battery.needs import LikelihoodNeed
from upbringing.data.prompt_sets.items import TWIN_ROLE, knowledge_items, over_refusal_items, text_items
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.local import LocalModel
from upbringing.models.prompting import Renderer
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

VOCABULARY = 16384
LAYERS, WIDTH, HEADS = 4, 192, 6
SAME_TARGET, UNION_TARGET = 1.3, 1.1
ROLES = ("question", TWIN_ROLE)

ONE: tuple[Measure, ...] = (Discrimination(roles=ROLES),)
FIVE_ALIKE: tuple[Measure, ...] = (
    *ONE,
    Discrimination(id="discrimination of twins", roles=ROLES),
    Discrimination(id="discrimination again", roles=ROLES),
    RefusalMargin(roles=ROLES),
    RefusalMargin(id="margin of twins", roles=(TWIN_ROLE,)),
)
FIVE_DIFFERENT: tuple[Measure, ...] = (
    RefusalMargin(roles=(TWIN_ROLE,)),
    Discrimination(roles=ROLES, continuations="general"),
    Knowledge(),
    Knowledge(id="knowledge per byte", per_byte=True),
    BitsPerByte(),
)


def texts_of(item: Item) -> list[str]:
    """Return everything about an item that is tokenised."""
    continuations = (*item.safe_continuations, *item.unsafe_continuations, *item.answers, *item.distractors)
    asked = (item.text or "", item.completion_prompt or "", *(message.content for message in item.messages))
    return [*asked, *continuations]


def make_model(items: Sequence[Item], folder: Path) -> LoadedModel:
    """Write a tiny model whose tokenizer knows the words of ``items``, and return it in bf16."""
    words = {word for item in items for text in texts_of(item) for word in re.findall(r"[A-Za-z]+", text)}
    tokenizer, start = folder / "tokenizer", folder / "start"
    tokenizer.mkdir(parents=True)
    train_tokenizer(sorted(words), vocabulary=VOCABULARY, special_tokens=(), chat_template=None, folder=tokenizer)
    recipe = TokenizerRecipe(train_on="made", vocabulary=VOCABULARY)
    start.mkdir()
    create_fresh(
        FreshStart(layers=LAYERS, width=WIDTH, heads=HEADS, context=1024, tokenizer=recipe), tokenizer, 1, start
    )
    loaded = load_model(start, profile=BuildProfile())
    loaded.model.to(torch.bfloat16)
    return loaded


def battery(loaded: LoadedModel, measures: Sequence[Measure], items: Sequence[Item]) -> float:
    """Return the processor seconds of ``measures`` by an engine that has seen nothing before."""
    model = LocalModel(network=loaded.model, tokenizer=loaded.tokenizer, precision="bf16")
    began = time.process_time()
    measured = measure(
        model, checkpoint_id="tiny", battery=measures, items=items, judges=(), on_progress=lambda done, total: None
    )
    seconds = time.process_time() - began
    assert all(row.value is not None for row in measured.rows)
    assert {row.measure for row in measured.rows} == {each.id for each in measures}
    return seconds


def union(loaded: LoadedModel, measures: Sequence[Measure], items: Sequence[Item]) -> list[Scoring]:
    """Return every distinct sequence that any of ``measures`` needs, as token ids."""
    renderer, by_id = Renderer(loaded.tokenizer), {item.id: item for item in items}
    needs = [need for each in measures for need in each.needs(items)]
    asked = {
        (renderer.prompt(need.asked(by_id[need.item])), tuple(map(renderer.text, need.continuations)))
        for need in needs
        if isinstance(need, LikelihoodNeed)
    }
    return [Scoring(prompt, continuations) for prompt, continuations in sorted(asked)]


def scoring(model: Any, requests: Sequence[Scoring], *, share: bool) -> Callable[[], float]:
    """Return a side that scores ``requests`` once."""

    def run() -> float:
        began = time.process_time()
        score(model, requests, share=share)
        return time.process_time() - began

    return run


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=6, help="twins per family of the over-refusal set")
    parser.add_argument("--threads", type=int, default=BuildProfile().threads)
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    print(machine(precision="bf16 weights", threads=options.threads))
    twins = over_refusal_items(options.pairs).items
    everything = (*twins, *knowledge_items().items, *text_items().items)
    with tempfile.TemporaryDirectory() as scratch:
        loaded = make_model(everything, Path(scratch))
        requests = union(loaded, FIVE_DIFFERENT, everything)
        sides = {
            "one": lambda: battery(loaded, ONE, twins),
            "five alike": lambda: battery(loaded, FIVE_ALIKE, twins),
            "union": scoring(loaded.model, requests, share=True),
            "five different": lambda: battery(loaded, FIVE_DIFFERENT, everything),
        }
        alternate(sides, 1)  # warms up
        found = alternate(sides, options.rounds)
        apart = scoring(loaded.model, requests, share=False)()
    alike = Ratio.of(found["five alike"], found["one"])
    different = Ratio.of(found["five different"], found["union"])
    print(f"five measures over the same {len(twins)} items / one: {alike}; {at_most(alike.median, SAME_TARGET)}")
    print(f"five measures over {len(everything)} items / union of their {len(requests)} rows once: {different}; "
          f"{at_most(different.median, UNION_TARGET)}")  # fmt: skip
    print("  processor seconds: " + ", ".join(f"{name} {spread(values, '.2f')}" for name, values in found.items())
          + f"; the union with no prompt shared {apart:.2f} (once)")  # fmt: skip


if __name__ == "__main__":
    main()
