"""What SafeBeam's look ahead costs: time per token against plain beam search with the same k, ours and transformers'.

    python benchmarks/safebeam_speed.py [--model FOLDER] [--precision bf16] [--threads 1] [--rounds 3]

The model is the one that ``upbringing data fetch ... smollm2 --model-folder studies/smollm2/models`` converts. Eight of
our own requests, k = 4, N = 8, exactly 64 tokens each: no token ends an answer, so all sides do the same number of
steps. The tag is a special token of the tokenizer that the model never saw behind a text: what is measured is time.
The sides take turns. SafeBeam evaluates k x N tokens per step where plain beam search evaluates k: printed beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from alternating import Ratio, alternate, at_most, machine, spread

from upbringing.data.prompt_sets.source import PromptSet
from upbringing.formats.record import BuildProfile
from upbringing.models.answer_tokens import Ends, TokenPrompt
from upbringing.models.asking import Prompt
from upbringing.models.beam_search import search
from upbringing.models.decoding import Beam, SafeBeam
from upbringing.models.loading import load_model
from upbringing.models.local import LocalModel
from upbringing.models.prompt_cache import left_padded

MODEL = Path("studies/smollm2/models/smollm2-135m-instruct-dequantised-q4-1")
TARGET = 3.0
NO_TOKEN = -2
Measured = dict[str, float]


def main() -> None:
    """Print milliseconds per token of every side and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    if not arguments.model.is_dir():
        print(f"not run: {arguments.model} is missing: see studies/smollm2/README.md")
        return
    torch.set_num_threads(arguments.threads)
    print(machine(precision=arguments.precision, threads=arguments.threads))
    loaded = load_model(arguments.model, profile=BuildProfile())
    local = LocalModel(loaded.model, loaded.tokenizer, precision=arguments.precision)
    items = PromptSet(prompt_set="over_refusal").items().items[: arguments.prompts]
    prompts = local.token_prompts([Prompt(name=item.id, messages=item.messages) for item in items])
    tag = int(loaded.tokenizer.all_special_ids[-1])
    ends = Ends((NO_TOKEN,), int(loaded.tokenizer.pad_token_id or 0), tag=tag)
    report(local.computing, prompts, ends, arguments.tokens, arguments.rounds)


def report(model: Any, prompts: list[TokenPrompt], ends: Ends, tokens: int, rounds: int) -> None:
    """Measure the sides in turn and print what they took."""
    plain = Beam(beams=4, max_tokens=tokens)
    safe = SafeBeam(beams=4, candidates=8, max_tokens=tokens, tag_candidate="forbid")
    seconds: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}

    def side(name: str, decode: Callable[[], int]) -> Callable[[], float]:
        def measured() -> float:
            begin, used = time.perf_counter(), time.process_time()
            num = decode()
            assert num == len(prompts) * tokens, f"{name}: {num} tokens"
            processor.setdefault(name, []).append((time.process_time() - used) / num * 1e3)
            return (time.perf_counter() - begin) / num * 1e3

        return measured

    sides = {
        "beam": side("beam", lambda: sum(len(each.ids) for each in search(model, prompts, plain, ends))),
        "safebeam": side("safebeam", lambda: sum(len(each.ids) for each in search(model, prompts, safe, ends))),
        "transformers": side("transformers", lambda: with_transformers(model, prompts, ends.padding, tokens)),
    }
    seconds = alternate(sides, rounds)
    print(f"{len(prompts)} prompts, {tokens} tokens, k 4, N 8, {rounds} rounds")
    for clock, found in (("elapsed", seconds), ("processor", processor)):
        for name, each in found.items():
            print(f"{name:12} {spread(each, '.2f')} ms per token, {clock}")
        against = Ratio.of(found["safebeam"], found["beam"])
        print(f"safebeam / beam         {against}, {clock}; {at_most(against.median, TARGET)}")
        print(f"safebeam / transformers {Ratio.of(found['safebeam'], found['transformers'])}, {clock}")
        print(f"beam / transformers     {Ratio.of(found['beam'], found['transformers'])}, {clock}")
    print(f"tokens evaluated per step: {safe.rows} against {plain.rows} per prompt, {safe.rows / plain.rows:g} times")


def with_transformers(model: Any, prompts: list[TokenPrompt], padding: int, tokens: int) -> int:
    """Decode with the library's beam search, in its fused attention; return the number of tokens."""
    ids, mask = left_padded([prompt.ids for prompt in prompts], padding, model.device)
    before = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    ending, model.generation_config.eos_token_id = model.generation_config.eos_token_id, None
    try:
        with torch.inference_mode():
            found = model.generate(
                ids, attention_mask=mask, max_new_tokens=tokens, num_beams=4, do_sample=False, pad_token_id=padding,
                length_penalty=0.0,
            )  # fmt: skip
    finally:
        model.set_attn_implementation(before)
        model.generation_config.eos_token_id = ending
    return int(found.shape[0] * (found.shape[1] - ids.shape[1]))


if __name__ == "__main__":
    main()
