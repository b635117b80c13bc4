"""Tokens per second of a segment against a bare PyTorch loop: same model, batches, precision and build profile.

Target: at least 0.9 at about 2M and 8M parameters in the fastest profile. The bare loop runs a block of updates inside
the segment's progress callback, after each block of the segment's own: so both see the same minutes of the machine,
and everything a segment does around an update (Trainer, hooks, determinism) counts against it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from alternating import Ratio, at_least, machine, spread
from tiny import SIZES, WORDS, make_start, make_tokenizer
from transformers import LlamaForCausalLM
from transformers.utils import logging
from turns import SETTLING_BLOCKS, TakingTurns, start_as_workers_do

from upbringing.base.devices import has_fast_bf16
from upbringing.base.streams import stream as random_stream
from upbringing.data.collation import collate
from upbringing.data.documents import Document
from upbringing.data.stream import StreamPart, StreamPlan, build_stream, open_stream
from upbringing.formats.record import BuildProfile
from upbringing.training.pretrain import Pretrain
from upbringing.training.segment import Places, Segment, run_segment

PRECISION: Literal["bf16", "fp32"] = "bf16" if has_fast_bf16() else "fp32"  # emulated bf16 is slower
CONTEXT, BATCH = 128, 16
TARGET = 0.9


class BareLoop:
    """The obvious training loop on the same model and batches."""

    def __init__(self, start: Path, folder: Path, stage: Pretrain, profile: BuildProfile) -> None:
        self.model = LlamaForCausalLM.from_pretrained(
            start, attn_implementation=profile.attention, dtype=torch.float32, local_files_only=True
        ).train()
        self.forward: Any = torch.compile(self.model) if profile.compile else self.model
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=stage.learning_rate, betas=(stage.beta1, stage.beta2), fused=True
        )
        self.arrays = open_stream(folder).arrays
        self.precision = profile.precision
        self.step = 0

    def run(self, steps: int) -> float:
        """Return the seconds of the next ``steps`` updates."""
        began = time.perf_counter()
        for step in range(self.step, self.step + steps):
            batch = collate(self.arrays, step * BATCH, (step + 1) * BATCH, torch.float32)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
                loss = self.forward(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.step += steps
        return time.perf_counter() - began


def compare(start: Path, stream: Path, steps: int, blocks: int, profile: BuildProfile) -> TakingTurns:
    """Return the seconds of each side's blocks, settling ones left out."""
    total = steps * (blocks + SETTLING_BLOCKS)
    stage = Pretrain.model_validate(
        {"tokens": total * BATCH * CONTEXT, "phases": [{"data": "made"}], "context": CONTEXT, "batch_size": BATCH}
    )
    bare = BareLoop(start, stream, stage, profile)
    turns = TakingTurns(lambda block: bare.run(steps), steps)
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(start, None, stream, Path(scratch) / "workspace", Path(scratch) / "output", None)
        for place in (places.workspace, places.output):
            place.mkdir()
        run_segment(Segment("benchmark", stage, 1, total, 0, total), places, profile, turns)
    return turns


def make_stream(root: Path, tokenizer: Path, steps: int) -> Path:
    """Write a stream of ``steps`` updates of random words."""
    random = random_stream(1, "benchmark")
    texts = [Document(text=" ".join(random.choice(WORDS, 30)), source="made") for _ in range(800)]
    folder = root / "stream"
    folder.mkdir()
    plan = StreamPlan("documents", CONTEXT, BATCH, 1, (StreamPart((("made", 1.0),), steps * BATCH),))
    build_stream(plan, lambda _: texts, {"made": "made"}, tokenizer, folder)
    return folder


def print_size(
    name: str, weights: int, profiles: dict[str, BuildProfile], compared: Callable[..., TakingTurns]
) -> None:
    """Print one line per profile and the verdict on the fastest."""
    fastest, best = "", (0.0, 0.0)
    for label, profile in profiles.items():
        turns = compared(profile=profile)
        tokens = turns.steps * BATCH * CONTEXT
        speeds = [[tokens / seconds for seconds in side] for side in (turns.ours, turns.theirs)]
        ratio = Ratio.of(*speeds)
        print(f"{name} ({weights:,} weights), {label}: ratio {ratio}; segment {spread(speeds[0])} tokens/s, "
              f"bare loop {spread(speeds[1])} tokens/s", flush=True)  # fmt: skip
        if sum(turns.theirs) < best[1] or not fastest:
            fastest, best = label, (ratio.median, sum(turns.theirs))
    print(f"{name}: {best[0]:.2f} of the bare loop in its fastest profile ({fastest}); {at_least(best[0], TARGET)}")


def main() -> None:
    """Print the ratios at each size."""
    start_as_workers_do()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="updates in a block")
    parser.add_argument("--blocks", type=int, default=5, help="counted blocks of each side")
    parser.add_argument("--threads", type=int, default=BuildProfile().threads, help="studies train in one-thread jobs")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    print(machine(precision=PRECISION, threads=options.threads))
    eager = BuildProfile(precision=PRECISION, attention="eager", threads=options.threads)
    profiles = {"explicit attention": eager, "explicit attention, compiled": eager.model_copy(update={"compile": True})}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tokenizer = make_tokenizer(root / "tokenizer")
        stream = make_stream(root, tokenizer, options.steps * (options.blocks + SETTLING_BLOCKS))
        for name in SIZES:
            weights = make_start(name, tokenizer, root / name)

            def compared(profile: BuildProfile, start: Path = root / name) -> TakingTurns:
                return compare(start, stream, options.steps, options.blocks, profile)

            print_size(name, weights, profiles, compared)


if __name__ == "__main__":
    main()
