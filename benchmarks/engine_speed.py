"""How much faster the engine openvino answers than transformers, and how far the two agree.

    python benchmarks/engine_speed.py [--model FOLDER] [--packages FOLDER] [--num 100] [--precision bf16] [--threads 2]

The model is the one that ``upbringing data fetch ... smollm2 --model-folder studies/smollm2/models`` converts, the
prompts are HarmBench's out of the same packages; greedy, 64 tokens, stopping at the model's end token. The engines take
turns. Verdicts are the refusal rules'. Transformers against itself in another batch size is printed beside, because
in bf16 that too changes answers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

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


def main() -> None:
    """Print speeds, their ratio and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--packages", type=Path, default=PACKAGES)
    parser.add_argument("--num", type=int, default=100)
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
    print(f"{len(prompts)} prompts, {arguments.precision}, {arguments.threads} threads, {versions}")
    with TemporaryDirectory() as folder:
        engine = prepared(local, Path(folder))
        shared = replace(local, network=local.computing)  # converted once, and not while the clock runs
        models: dict[str, Model] = {
            f"transformers, batch {rows}": replace(shared, rows_per_batch=rows) for rows in ROWS
        }
        answers = timed({**models, "openvino": engine}, prompts, arguments.repeats)
    first, second = (answers[name] for name in models)
    print(f"openvino against transformers: {agreed((second, answers['openvino']), items, local).sentence}")
    if len(prompts) > min(ROWS):  # fewer make the same batch twice
        print(f"transformers against itself, other batches: {agreed((second, first), items, local).sentence}")


def prepared(local: LocalModel, folder: Path) -> OpenVinoModel:
    """Return the engine with its graph converted and loaded, and print what that took."""
    engine = engine_model(local, "openvino", folder)
    assert isinstance(engine, OpenVinoModel)
    begin = time.perf_counter()
    _ = engine.pipeline
    print(f"converted and loaded in {time.perf_counter() - begin:.1f} s")
    return engine


def timed(models: dict[str, Model], prompts: Sequence[Prompt], repeats: int) -> dict[str, list[str]]:
    """Return each model's answers; print prompts per second (medians) and ratios to the best of transformers.

    Processor seconds stand beside elapsed ones because they suffer less from what else a machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    processor: dict[str, list[float]] = {name: [] for name in models}
    answers: dict[str, list[str]] = {}
    for _ in range(repeats):
        for name, model in models.items():
            begin, used = time.perf_counter(), time.process_time()
            answers[name] = greedy_answers(model, prompts, Greedy())
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - used)
    for measured, each in (("elapsed", seconds), ("processor", processor)):
        speeds = {name: len(prompts) / statistics.median(found) for name, found in each.items()}
        best = max(speed for name, speed in speeds.items() if name != "openvino")
        for name, speed in speeds.items():
            spread = ", ".join(f"{len(prompts) / found:.2f}" for found in each[name])
            print(f"{name:24} {speed:6.2f} prompts per second {measured} ({spread}), {speed / best:.2f} of the best")
    return answers


def agreed(pair: tuple[list[str], list[str]], items: Sequence[Item], local: LocalModel) -> Agreement:
    """Return how far two lists of answers agree."""
    judge = RefusalRuleJudge()
    return compare(*pair, tokens=local.renderer.text, judges={judge.id: outcomes_of(judge, items)})


if __name__ == "__main__":
    main()
