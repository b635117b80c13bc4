"""Supervised tokens per second of SFT on chats of unequal length: a segment against TRL's SFTTrainer.

Target: at least 3 times TRL's fastest setting in which no chat sees another, found in the same run. Lengths are
lognormal: short chats, and chats as uneven as collections of them are. The segment trains on packed windows with
document boundaries; TRL first runs each of its leak-free settings once, then the fastest one takes turns with the
segment. Both sides read exactly the same chats in the same number of updates, and the number of supervised tokens is
asserted to be equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, log
from pathlib import Path
from typing import Any, Literal

import torch
from alternating import Ratio, at_least, machine, spread
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from tiny import SIZES, WORDS, make_start, make_tokenizer
from transformers import LlamaForCausalLM, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer
from turns import SETTLING_BLOCKS, TakingTurns, start_as_workers_do

from upbringing.base.devices import has_fast_bf16
from upbringing.base.streams import stream as random_stream
from upbringing.data.documents import Chat, Turn
from upbringing.data.packing import IGNORED
from upbringing.data.stream import Stream, StreamPart, StreamPlan, build_stream, open_stream
from upbringing.formats.record import Attention, BuildProfile
from upbringing.models.loading import open_folder_tokenizer
from upbringing.training.segment import Places, Segment, run_segment
from upbringing.training.sft import Sft

PRECISION: Literal["bf16", "fp32"] = "bf16" if has_fast_bf16() else "fp32"  # of both sides: emulated bf16 is slower
TARGET = 3.0
ATTENTIONS: tuple[Attention, ...] = ("eager", "varlen")
LEAK_TOLERANCE = 1e-4  # of logits in fp32; another document moves them by far more
Example = dict[str, list[int]]


@dataclass(frozen=True)
class Lengths:
    """How long chats are, lognormal in tokens, and the windows they are packed into: ``batch`` to an update.

    ``batch`` is also the number of rows of an update of TRL's packed settings.
    """

    mean: int
    sigma: float
    context: int
    batch: int


LENGTHS = {
    "short": Lengths(48, 0.6, 256, 8),
    "spread": Lengths(160, 1.0, 1024, 4),  # as uneven as collections of chats are
}


@dataclass(frozen=True)
class Setting:
    """A way to run TRL. ``more``: its arguments. ``epochs``: compiled shapes settle in a pass that does not count.

    ``rows``: of a micro-batch of packed rows, ``None`` = of the whole update; TRL flattens them into one, whose
    attention grows with its square. ``is_padded``: to whole micro-batches, so that all have one shape.
    """

    name: str
    attention: str
    more: dict[str, Any] = field(default_factory=dict)
    epochs: int = 1
    rows: int | None = None
    is_padded: bool = False


GROUPED: dict[str, Any] = {"train_sampling_strategy": "group_by_length"}
PACKED: dict[str, Any] = {"packing": True, "packing_strategy": "bfd"}
COMPILED: dict[str, Any] = {"torch_compile": True}
SETTINGS = (
    Setting("padded, explicit attention", "eager"),
    Setting("padded, SDPA", "sdpa"),
    Setting("padded, grouped by length, explicit attention", "eager", GROUPED),
    Setting("padded, grouped by length, SDPA", "sdpa", GROUPED),
    Setting("packed (bfd), explicit attention", "eager", PACKED),
    Setting("packed (bfd), SDPA", "sdpa", PACKED),
    *(
        Setting(
            f"packed (bfd), {rows} row(s) at a time, {name}", attention, {**PACKED, **more}, epochs, rows, bool(more)
        )
        for rows in (2, 1)
        for name, attention, more, epochs in (
            ("explicit attention", "eager", {}, 1),
            ("SDPA", "sdpa", {}, 1),
            ("explicit attention, compiled", "eager", COMPILED, 2),
        )
    ),
    Setting(
        "padded, grouped by length, explicit attention, compiled",
        "eager",
        {**GROUPED, **COMPILED, "pad_to_multiple_of": 32},
        epochs=2,
    ),
)


def chats(number: int, lengths: Lengths) -> list[Chat]:
    """Return chats of such lengths, none longer than a window: a third is asked, the rest answered."""
    random = random_stream(1, "benchmark")
    made = []
    while len(made) < number:
        size = int(random.lognormal(log(lengths.mean) - lengths.sigma**2 / 2, lengths.sigma))
        if 8 <= size <= lengths.context:
            words = random.choice(WORDS, size - 5)  # the template's markers and ends are the other five
            asked = max(1, len(words) // 3)
            made.append(
                Chat(turns=(Turn("user", " ".join(words[:asked])), Turn("assistant", " ".join(words[asked:]))),
                     source="made")
            )  # fmt: skip
    return made


def examples_of(stream: Stream, first: int, last: int) -> list[Example]:
    """Return the chats in windows ``first..last`` as token ids and labels."""
    found = []
    for number in range(first, last):
        tokens, labels, documents = (stream.arrays[name][number] for name in ("tokens", "labels", "documents"))
        for document in range(int(documents.max()) + 1):
            chosen = documents == document
            found.append({"input_ids": tokens[chosen].tolist(), "labels": labels[chosen].tolist()})
    return found


def supervised(labels: Any) -> int:
    """Return how many targets there are; the model shifts labels by one."""
    return int((labels[:, 1:] != IGNORED).sum())


def trl_trainer(
    start: Path, setting: Setting, examples: Sequence[Example], steps: int, lengths: Lengths, scratch: Path
) -> SFTTrainer:
    """Return TRL's trainer over ``examples`` in ``steps`` updates an epoch; what it can do without is switched off."""
    model = LlamaForCausalLM.from_pretrained(
        start, attn_implementation=setting.attention, dtype=torch.float32, local_files_only=True
    )
    rows = setting.rows or lengths.batch
    at_once = rows if setting.more.get("packing") else ceil(len(examples) / steps)
    padding = {"pad_to_multiple_of": lengths.context * rows} if setting.is_padded else {}
    config = SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=micro_batches(setting, lengths),
        num_train_epochs=setting.epochs,
        max_length=lengths.context,
        bf16=PRECISION == "bf16",
        use_cpu=True,
        activation_checkpointing=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **setting.more,
        **padding,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(list(examples)),
        processing_class=open_folder_tokenizer(start),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def micro_batches(setting: Setting, lengths: Lengths) -> int:
    """Return how many micro-batches an update of TRL has."""
    return 1 if setting.rows is None else lengths.batch // setting.rows


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each update ended."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.timer = timer
        self.marks: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the end of an update."""
        self.marks.append(self.timer())


def trl_speed(
    start: Path,
    setting: Setting,
    examples: Sequence[Example],
    steps: int,
    lengths: Lengths,
    timer: Callable[[], float] = time.perf_counter,
) -> float:
    """Return supervised tokens per second of a fresh run, its first update (or epoch) left out."""
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trl_trainer(start, setting, examples, steps, lengths, Path(scratch))
        seen: list[int] = []
        collate: Callable[..., Any] = trainer.data_collator

        def counted(rows: Any) -> Any:
            batch = collate(rows)
            seen.append(supervised(batch["labels"]))
            return batch

        trainer.data_collator = counted
        clock = Clock(timer)
        trainer.add_callback(clock)
        trainer.train()
    expected = sum(sum(label != IGNORED for label in each["labels"][1:]) for each in examples)
    assert sum(seen) == expected * setting.epochs, (setting.name, sum(seen), expected)
    settling = 1 if setting.epochs == 1 else len(clock.marks) // 2
    counted_tokens = sum(seen[settling * micro_batches(setting, lengths) :])
    return counted_tokens / (clock.marks[-1] - clock.marks[settling - 1])


def is_leak_free(start: Path, setting: Setting, examples: Sequence[Example], lengths: Lengths) -> bool:
    """Whether another first chat moves no logit of what follows it in TRL's own batch."""
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trl_trainer(start, setting, examples[:4], 1, lengths, Path(scratch))
        batch = next(iter(trainer.get_train_dataloader()))
    batch.pop("labels")
    ids = batch["input_ids"]
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist() if "position_ids" in batch else [0, 0]
    if ids.shape[0] > 1:
        return True  # a chat has its row to itself
    changed = ids.clone()
    changed[0, : starts[1]] = ids[0, : starts[1]].flip(0)
    model = trainer.model.eval()
    with torch.inference_mode():
        before, after = (model(**{**batch, "input_ids": each}, use_cache=False).logits for each in (ids, changed))
    moved = (before[0, : starts[1]] - after[0, : starts[1]]).abs().max()
    leaked = (before[0, starts[1] :] - after[0, starts[1] :]).abs().max()
    assert moved > LEAK_TOLERANCE, "the change changed nothing: this check could not fail"
    return bool(leaked < LEAK_TOLERANCE)


def fastest_setting(start: Path, examples: Sequence[Example], steps: int, lengths: Lengths) -> Setting:
    """Run every leak-free setting of TRL once, print the speeds and return the fastest.

    These do not take turns, so processor seconds decide, which other programs disturb less than the clock.
    """
    speeds: dict[str, float] = {}
    for setting in SETTINGS:
        if not is_leak_free(start, setting, examples, lengths):
            print(f"  TRL {setting.name}: leaks between chats, left out", flush=True)
            continue
        speeds[setting.name] = trl_speed(start, setting, examples, steps, lengths, time.process_time)
        print(f"  TRL {setting.name}: {speeds[setting.name]:,.0f} supervised tokens per processor second", flush=True)
    return max((each for each in SETTINGS if each.name in speeds), key=lambda each: speeds[each.name])


def compare(
    start: Path, stream: Stream, folder: Path, steps: int, setting: Setting, lengths: Lengths, profile: BuildProfile
) -> float:
    """Let the segment and TRL's fastest setting take turns; print the ratio and return its median."""
    total = stream.info.num_steps
    size = lengths.batch
    blocks = [examples_of(stream, begin * size, (begin + steps) * size) for begin in range(0, total, steps)]
    turns = TakingTurns(lambda block: trl_speed(start, setting, blocks[block], steps, lengths), steps)
    stage = Sft(data="made", context=lengths.context, batch_size=size)
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(start, None, folder, Path(scratch) / "workspace", Path(scratch) / "output", None)
        for place in (places.workspace, places.output):
            place.mkdir()
        realised = run_segment(Segment("benchmark", stage, 1, total, 0, total), places, profile, turns)
    read = [sum(sum(label != IGNORED for label in each["labels"][1:]) for each in block) for block in blocks]
    assert realised.supervised_tokens == sum(read), (realised.supervised_tokens, sum(read))
    ours = [tokens / seconds for tokens, seconds in zip(read[SETTLING_BLOCKS:], turns.ours, strict=True)]
    ratio = Ratio.of(ours, turns.theirs)
    compiled = ", compiled" if profile.compile else ""
    print(f"SFT, segment ({profile.attention}{compiled}) / TRL ({setting.name}): {ratio}")
    print(f"  segment {spread(ours)}, TRL {spread(turns.theirs)} supervised tokens/s; the same "
          f"{sum(read):,} supervised tokens in {sum(map(len, blocks)):,} chats on both sides", flush=True)  # fmt: skip
    return ratio.median


def main() -> None:
    """Print TRL's settings, then the ratios."""
    start_as_workers_do()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="updates in a block")
    parser.add_argument("--blocks", type=int, default=3, help="counted blocks of each side")
    parser.add_argument("--size", choices=sorted(SIZES), default="2M")
    parser.add_argument("--lengths", choices=sorted(LENGTHS), nargs="+", default=list(LENGTHS))
    parser.add_argument("--threads", type=int, default=BuildProfile().threads, help="studies train in one-thread jobs")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bar()
    torch.set_num_threads(options.threads)
    print(machine(precision=PRECISION, threads=options.threads, also=("trl",)))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tokenizer = make_tokenizer(root / "tokenizer")
        weights = make_start(
            options.size, tokenizer, root / "start", context=max(each.context for each in LENGTHS.values())
        )
        print(f"{weights:,} weights")
        for name in options.lengths:
            measure(name, root, tokenizer, options)


def measure(name: str, root: Path, tokenizer: Path, options: argparse.Namespace) -> None:
    """Print TRL's settings, then the ratios, for chats of one kind of length."""
    lengths, folder = LENGTHS[name], root / name
    print(
        f"chats of about {lengths.mean} tokens (sigma {lengths.sigma:g}), {lengths.batch} windows of {lengths.context}:"
    )
    num_windows = options.steps * lengths.batch * (options.blocks + SETTLING_BLOCKS)
    texts = chats(6 * num_windows * lengths.context // 256 * 48 // lengths.mean, lengths)
    plan = StreamPlan("chats", lengths.context, lengths.batch, 1, (StreamPart((("made", 1.0),), num_windows),))
    folder.mkdir()
    build_stream(plan, lambda _: texts, {"made": "made"}, tokenizer, folder)
    stream = open_stream(folder)
    first = examples_of(stream, 0, options.steps * lengths.batch)
    setting = fastest_setting(root / "start", first, options.steps, lengths)
    found = [
        compare(root / "start", stream, folder, options.steps, setting, lengths, profile)
        for attention in ATTENTIONS
        for compiled in (False, True)
        for profile in [
            BuildProfile(precision=PRECISION, attention=attention, compile=compiled, threads=options.threads)
        ]
    ]
    print(f"SFT, {name}: {max(found):.2f} times TRL's fastest leak-free setting; {at_least(max(found), TARGET)}")


if __name__ == "__main__":
    main()
