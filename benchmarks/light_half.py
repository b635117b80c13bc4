"""How long the light half takes: ``--help`` (at most 0.5 s), and ``plan`` on a thousand nodes (at most 5 s).

Run: ``python benchmarks/light_half.py``. Beside the seconds of processes stand ratios to one that only imports what
every command line of this kind imports: they say whose fault a miss is on a busy machine. The processes take turns.
Modules come compiled, as in an installed package: their bytecode is kept beside the study.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alternating import Ratio, alternate, at_most, light_machine, spread

REPEATS = 5
TARGETS = {"--help": 0.5, "plan": 5.0}  # seconds
BARE = "import typer, pydantic"
MAIN = "from upbringing.cli import main; main()"
NUM_ARMS, NUM_SEEDS = 25, 10
STUDY = """\
name: thousand
seeds: {seeds}
start: {{kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {{train_on: world, vocabulary: 1100}}}}
data: {{world: {{kind: causes_world}}}}
stages:
  pretrain: {{kind: pretrain, tokens: 800k, context: 128, batch_size: 8, measure_at: [25%, 50%],
             phases: [{{data: world.pretraining_concept}}]}}
  sft: {{kind: sft, data: world.safety}}
  finetune: {{kind: sft, data: world.benign_task}}
battery: [willingness]
primary: [willingness]
arms:
"""
PHASES = "[{{until: {place}%, data: world.pretraining_concept}}, {{data: world.facts}}]"
ARM = "  a{name}: {{stages: {{pretrain: {{phases: " + PHASES + "}}}}}}\n"


def thousand_nodes() -> str:
    """Return a study in which every arm leaves the same pretraining at another place."""
    arms = "".join(ARM.format(name=index, place=2 * index + 2) for index in range(NUM_ARMS))
    return STUDY.format(seeds=NUM_SEEDS) + arms


def with_bytecode(folder: Path) -> dict[str, str]:
    """Return the surroundings of a process that keeps its bytecode in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def process(processor: list[float], surroundings: dict[str, str], *arguments: str) -> Callable[[], float]:
    """Return what runs a Python process: its seconds; those of the processor are added to ``processor``."""

    def run() -> float:
        used = _used()
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=surroundings)
        seconds = time.perf_counter() - began
        processor.append(_used() - used)
        return seconds

    return run


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the seconds of both commands, and their ratios to a bare process."""
    print(light_machine())
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(thousand_nodes(), encoding="utf-8")
        planning = ["-c", MAIN, "plan", str(study), "--store", f"{folder}/store", "--no-read-data", "--no-calibrate"]
        surroundings = with_bytecode(Path(folder) / "bytecode")
        output = subprocess.run(
            [sys.executable, *planning, "--json"], check=True, capture_output=True, text=True, env=surroundings
        ).stdout  # compiles the modules
        commands = {"bare": ["-c", BARE], "--help": ["-c", MAIN, "--help"], "plan": planning}
        used: dict[str, list[float]] = {name: [] for name in commands}
        sides = {name: process(used[name], surroundings, *each) for name, each in commands.items()}
        alternate(sides, 1)  # compiles what only they import
        for each in used.values():
            each.clear()
        found = alternate(sides, REPEATS)
    nodes = len(json.loads(output)["nodes"])
    for name, target in TARGETS.items():
        named = f"plan of {nodes:,} nodes" if name == "plan" else name
        print(
            f"{named}: {spread(found[name], '.2f')} s; {at_most(statistics.median(found[name]), target)} "
            f"(processor {spread(used[name], '.2f')} s); {Ratio.of(found[name], found['bare'])} times a bare process"
        )


if __name__ == "__main__":
    main()
