"""How soon a trace of two SmolLM2-size checkpoints shows its first results.

Target: at most 2 minutes, in a store that knows nothing: workers start, both checkpoints are hashed, loaded and asked
the first prompts, findings and report are written. The second checkpoint is the first one with noise on its weights.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alternating import at_most, light_machine, spread

TARGET = 120.0  # seconds
NOISE = 1e-3  # of a weight's own size
CODE = """
import sys
from upbringing.lab.verbs import first_look
first_look({"base": sys.argv[1], "tuned": sys.argv[2]}, store=sys.argv[3])
"""


def noisy_copy(model: Path, folder: Path) -> Path:
    """Write ``model`` with other weights into ``folder`` and return it."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    random = torch.Generator().manual_seed(0)
    for path in folder.glob("*.safetensors"):
        tensors = {
            name: tensor * (1 + NOISE * torch.randn(tensor.shape, generator=random)).to(tensor.dtype)
            for name, tensor in load_file(path).items()
        }
        save_file(tensors, path, metadata={"format": "pt"})
    return folder


def main() -> None:
    """Print the seconds until the first findings stand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of SmolLM2-135M-Instruct")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print(light_machine())
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        other = noisy_copy(options.model, Path(scratch) / "other")
        for number in range(options.rounds):
            began = time.perf_counter()
            arguments = [str(options.model.absolute()), str(other), f"{scratch}/store-{number}"]
            subprocess.run([sys.executable, "-c", CODE, *arguments], check=True)
            seconds.append(time.perf_counter() - began)
    middle = sorted(seconds)[len(seconds) // 2]
    print(f"first results of a trace: {spread(seconds, '.0f')} s; {at_most(middle, TARGET)}")


if __name__ == "__main__":
    main()
