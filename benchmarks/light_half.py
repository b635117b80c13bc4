"""How long the light half takes: ``--help``, and ``plan`` on a thousand nodes, as ratios to a bare interpreter.

Run: ``python benchmarks/light_half.py``. Prints seconds (the median of several processes) and the ratio to a process
that only imports what every command line of this kind imports. Nothing is asserted: machines differ.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5
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


def seconds(*arguments: str) -> float:
    """Return the median wall-clock seconds of a Python process with ``arguments``."""
    times = []
    for _ in range(REPEATS):
        began = time.monotonic()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def main() -> None:
    """Print the table as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(thousand_nodes(), encoding="utf-8")
        planning = ["-c", MAIN, "plan", str(study), "--store", f"{folder}/store", "--no-read-data", "--no-calibrate"]
        output = subprocess.run(
            [sys.executable, *planning, "--json"], check=True, capture_output=True, text=True
        ).stdout
        found = {"bare": seconds("-c", BARE), "--help": seconds("-c", MAIN, "--help"), "plan": seconds(*planning)}
    nodes = len(json.loads(output)["nodes"])
    rows = {name: {"seconds": round(each, 3), "ratio": round(each / found["bare"], 1)} for name, each in found.items()}
    print(json.dumps({"plan_nodes": nodes, **rows}, indent=1))


if __name__ == "__main__":
    main()
