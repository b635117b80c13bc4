"""Tokens per second of a segment against a bare PyTorch loop: same model, batches, precision and profile, one run.

Prints both speeds and their ratio at about 2M and 8M parameters. The two take turns, so that a machine whose speed
drifts moves both; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from upbringing.base.streams import stream as random_stream
from upbringing.data.collation import collate
from upbringing.data.documents import Document
from upbringing.data.stream import StreamPart, StreamPlan, build_stream, open_stream
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.record import BuildProfile
from upbringing.training.fresh import create_fresh, num_parameters
from upbringing.training.pretrain import Pretrain
from upbringing.training.segment import Places, Segment, run_segment
from upbringing.training.start import FreshStart, TokenizerRecipe

CONTEXT, BATCH, VOCABULARY = 128, 16, 2048
SIZES = {"2M": (4, 192, 6), "8M": (6, 320, 5)}  # layers, width, heads


def words() -> list[str]:
    """Return enough distinct words for the vocabulary."""
    return [f"{a}{b}{c}" for a in "bdfgklmnpr" for b in ("a", "e", "i", "o") for c in ("n", "s", "t", "lu", "mi")]


def bare_loop(start: Path, folder: Path, stage: Pretrain, steps: int, profile: BuildProfile) -> float:
    """Return seconds per step of the obvious loop."""
    model = LlamaForCausalLM.from_pretrained(start, attn_implementation=profile.attention, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.learning_rate, betas=(0.9, 0.95), fused=True)
    arrays = open_stream(folder).arrays
    began = time.perf_counter()
    for step in range(steps):
        batch = collate(arrays, step * BATCH, (step + 1) * BATCH, torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=profile.precision == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - began) / steps


def segment(start: Path, folder: Path, stage: Pretrain, steps: int, profile: BuildProfile) -> float:
    """Return seconds per step of ``run_segment`` between its first and last update."""
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(start, None, folder, Path(scratch) / "workspace", Path(scratch) / "output", None)
        for place in (places.workspace, places.output):
            place.mkdir()
        run_segment(
            Segment("bench", stage, 1, steps, 0, steps),
            places,
            profile,
            lambda step, total, loss: marks.append(time.perf_counter()),
        )
    return (marks[-1] - marks[0]) / (len(marks) - 1)


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    profile = BuildProfile(precision="bf16", threads=torch.get_num_threads())
    random = random_stream(1, "bench")
    texts = [Document(text=" ".join(random.choice(words(), 30)), source="made") for _ in range(800)]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for place in ("tokenizer", "stream"):
            (root / place).mkdir()
        train_tokenizer(
            words(), vocabulary=VOCABULARY, special_tokens=(), chat_template=None, folder=root / "tokenizer"
        )
        plan = StreamPlan("documents", CONTEXT, BATCH, 1, (StreamPart((("made", 1.0),), options.steps * BATCH),))
        build_stream(plan, lambda _: texts, {"made": "made"}, root / "tokenizer", root / "stream")
        stage = Pretrain.model_validate(
            {
                "tokens": options.steps * BATCH * CONTEXT,
                "phases": [{"data": "made"}],
                "context": CONTEXT,
                "batch_size": BATCH,
            }
        )
        for name, (layers, width, heads) in SIZES.items():
            start = FreshStart(layers=layers, width=width, heads=heads, tokenizer=TokenizerRecipe(train_on="x"))
            (root / name).mkdir()
            create_fresh(start, root / "tokenizer", 1, root / name)
            pairs = [
                tuple(run(root / name, root / "stream", stage, options.steps, profile) for run in (bare_loop, segment))
                for _ in range(options.rounds)
            ]
            bare, ours = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
            ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
            tokens = BATCH * CONTEXT
            print(
                f"{name} ({num_parameters(start, VOCABULARY):,} weights): bare {tokens / bare:,.0f} tokens/s, "
                f"segment {tokens / ours:,.0f} tokens/s, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
