"""Whether seeds and checkpoints run faster side by side: two one-thread processes against one two-thread process.

The lab runs as many one-thread jobs at once as there are cores (``slots`` in lab/session.py). This prints whether that
is right on this machine, for training and for measuring: each round gives two pieces of work to two one-thread
processes at once, then two pieces to the two-thread process one after another. Above 1 the former are faster.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from alternating import Ratio, alternate, at_least, machine, spread
from likelihood_speed import battery, make_model
from tiny import make_start, make_tokenizer
from training_speed import BATCH, CONTEXT, make_stream
from transformers.utils import logging

from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.knowledge import CompletionAccuracy
from upbringing.data.prompt_sets.items import TWIN_ROLE, knowledge_items, over_refusal_items
from upbringing.formats.record import BuildProfile
from upbringing.lab.session import slots
from upbringing.models.decoding import Greedy
from upbringing.models.loading import load_model
from upbringing.training.pretrain import Pretrain
from upbringing.training.segment import Places, Segment, run_segment

SIDES = 2  # processes side by side, and threads of the one process
MEASURES = (
    Discrimination(roles=("question", TWIN_ROLE)),
    CompletionAccuracy(decoding=Greedy(max_tokens=16)),
)
PAIRS_PER_FAMILY = 1


@dataclass(frozen=True)
class Work:
    """What a process can be asked to do once. ``answering``: a model whose tokenizer knows the items' words."""

    start: Path
    stream: Path
    answering: Path
    steps: int

    def training(self, threads: int) -> None:
        """Train one seed."""
        stage = Pretrain.model_validate(
            {
                "tokens": self.steps * BATCH * CONTEXT,
                "phases": [{"data": "made"}],
                "context": CONTEXT,
                "batch_size": BATCH,
            }
        )
        profile = BuildProfile(precision="bf16", attention="eager", threads=threads)
        with tempfile.TemporaryDirectory() as scratch:
            places = Places(self.start, None, self.stream, Path(scratch) / "work", Path(scratch) / "output", None)
            for place in (places.workspace, places.output):
                place.mkdir()
            segment = Segment("benchmark", stage, 1, self.steps, 0, self.steps)
            run_segment(segment, places, profile, lambda step, total, loss: None)

    def measuring(self, threads: int) -> None:
        """Measure one checkpoint."""
        import torch

        torch.set_num_threads(threads)
        loaded = load_model(self.answering, profile=BuildProfile(threads=threads))
        loaded.model.to(torch.bfloat16)
        battery(loaded, MEASURES, (*over_refusal_items(PAIRS_PER_FAMILY).items, *knowledge_items().items))


def serve(work: Work, threads: int, orders: Connection) -> None:
    """Do what is ordered, once per order, until ``None`` comes."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    while (order := orders.recv()) is not None:
        getattr(work, order)(threads)
        orders.send(order)


@contextmanager
def workers(work: Work, threads: Sequence[int]) -> Iterator[list[Connection]]:
    """Start a process per entry of ``threads``; they end with the context."""
    context = get_context("spawn")
    ends, children = [], []
    for number in threads:
        mine, theirs = context.Pipe()
        os.environ["OMP_NUM_THREADS"] = str(number)  # read when the child imports torch
        child = context.Process(target=serve, args=(work, number, theirs), daemon=True)
        child.start()
        ends.append(mine)
        children.append(child)
    try:
        yield ends
    finally:
        for end in ends:
            end.send(None)
        for child in children:
            child.join()


def at_once(ends: Sequence[Connection], order: str) -> float:
    """Return the seconds until all processes have done ``order``."""
    began = time.perf_counter()
    for end in ends:
        end.send(order)
    for end in ends:
        end.recv()
    return time.perf_counter() - began


def main() -> None:
    """Print a ratio for training and one for measuring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="updates of a piece of training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("training", "measuring"), help="one of the two kinds of work")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(machine(precision="bf16", threads=1))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tokenizer = make_tokenizer(root / "tokenizer")
        make_start("2M", tokenizer, root / "start")
        stream = make_stream(root, tokenizer, options.steps)
        items = (*over_refusal_items(PAIRS_PER_FAMILY).items, *knowledge_items().items)
        answering = make_model(items, root / "answering").folder
        work = Work(root / "start", stream, answering, options.steps)
        with workers(work, [1] * SIDES + [SIDES]) as (*pair, alone):
            for order in [options.only] if options.only else ["training", "measuring"]:
                sides = {
                    "side by side": lambda order=order: at_once(pair, order),
                    "one process": lambda order=order: sum(at_once([alone], order) for _ in range(SIDES)),
                }
                alternate(sides, 1)  # warms up
                found = alternate(sides, options.rounds)
                ratio = Ratio.of(found["one process"], found["side by side"])
                print(f"{order}: {SIDES} one-thread processes are {ratio} times as fast as one with "
                      f"{SIDES} threads; {at_least(ratio.median, 1.0)} "
                      f"(the lab runs {slots(BuildProfile())} at once)")  # fmt: skip
                print("  seconds: " + ", ".join(f"{name} {spread(values, '.1f')}" for name, values in found.items()),
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
