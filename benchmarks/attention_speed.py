"""Tokens per second of a segment by what computes its attention: explicit or torch's own with a mask, or by documents.

Documents of about 48 tokens in windows of several lengths, as many tokens to an update in each. With a mask the work
grows with the window, document by document it does not. No target: it says which ``attention`` to ask for. Each side
trains a segment of its own in every round, compiled; what compiles and warms up is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from math import log
from pathlib import Path
from typing import Literal, get_args

import torch
from alternating import Ratio, alternate, machine, spread
from tiny import WORDS, make_start, make_tokenizer
from transformers.utils import logging
from turns import start_as_workers_do

from upbringing.base.devices import has_fast_bf16
from upbringing.base.streams import stream as random_stream
from upbringing.data.documents import Document
from upbringing.data.stream import StreamPart, StreamPlan, build_stream
from upbringing.formats.record import Attention, BuildProfile
from upbringing.training.pretrain import Pretrain
from upbringing.training.segment import Places, Segment, run_segment

PRECISION: Literal["bf16", "fp32"] = "bf16" if has_fast_bf16() else "fp32"  # emulated bf16 is slower
CONTEXTS = (128, 256, 1024)
TOKENS = 2048  # of an update
MEAN_TOKENS, SIGMA = 48, 0.6
SETTLING_UPDATES = 3


def make_stream(folder: Path, tokenizer: Path, context: int, updates: int) -> Path:
    """Write a stream of documents of lognormal lengths."""
    random = random_stream(1, "benchmark")
    lengths = random.lognormal(log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, updates * TOKENS // 24).astype(int).clip(4, 120)
    texts = [Document(text=" ".join(random.choice(WORDS, length)), source="made") for length in lengths]
    folder.mkdir()
    batch = TOKENS // context
    plan = StreamPlan("documents", context, batch, 1, (StreamPart((("made", 1.0),), updates * batch),))
    build_stream(plan, lambda _: texts, {"made": "made"}, tokenizer, folder)
    return folder


def speed(start: Path, stream: Path, context: int, updates: int, profile: BuildProfile) -> float:
    """Return tokens per second of a segment, its first updates left out."""
    stage = Pretrain.model_validate(
        {"tokens": updates * TOKENS, "phases": [{"data": "made"}], "context": context, "batch_size": TOKENS // context}
    )
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(start, None, stream, Path(scratch) / "workspace", Path(scratch) / "output", None)
        for place in (places.workspace, places.output):
            place.mkdir()
        segment = Segment("benchmark", stage, 1, updates, 0, updates)
        run_segment(segment, places, profile, lambda *_: marks.append(time.perf_counter()))
    counted = len(marks) - SETTLING_UPDATES
    return counted * TOKENS / (marks[-1] - marks[SETTLING_UPDATES - 1])


def main() -> None:
    """Print, for each length of a window, the speeds and how they compare with explicit attention."""
    start_as_workers_do()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=14, help="updates of a segment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="2M")
    parser.add_argument("--threads", type=int, default=BuildProfile().threads, help="studies train in one-thread jobs")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    print(machine(precision=PRECISION, threads=options.threads))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tokenizer = make_tokenizer(root / "tokenizer")
        make_start(options.size, tokenizer, root / "start", context=max(CONTEXTS))
        for context in CONTEXTS:
            stream = make_stream(root / f"stream-{context}", tokenizer, context, options.updates)

            def side(attention: Attention, context: int = context, stream: Path = stream) -> float:
                profile = BuildProfile(precision=PRECISION, attention=attention, compile=True, threads=options.threads)
                return speed(root / "start", stream, context, options.updates, profile)

            attentions: tuple[Attention, ...] = get_args(Attention)
            found = alternate({name: (lambda name=name: side(name)) for name in attentions}, options.rounds)
            for name in attentions:
                ratio = "" if name == "eager" else f"; {Ratio.of(found[name], found['eager'])} times explicit attention"
                print(f"windows of {context}, {name}: {spread(found[name])} tokens/s{ratio}", flush=True)


if __name__ == "__main__":
    main()
