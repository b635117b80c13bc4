"""Samples files exactly as lm-evaluation-harness 0.4.13 writes them, and the hand-computed example."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

DATE = "2026-01-02T03-04-05.678901"
# 12 samples: 5 right in both, 3 only after SFT, 1 only before, 3 wrong in both
BASE = (1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0)
SFT = (1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)

TREE = """
name: example
checkpoints:
  base: {model: org/base}
  sft: {model: org/sft, parent: base, seed: 1}
"""


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sample_line(number: int, value: Any, *, filtered: str = "none", question: str = "What is") -> dict[str, Any]:
    """One line of a generation task, field by field as ``EvaluationTracker.save_results_samples`` writes it."""
    doc = {"question": f"{question} {number}?", "answer": str(number), "family": f"family-{number // 2}"}
    return {
        "doc_id": number,
        "doc": doc,
        "target": str(number),
        "arguments": {"gen_args_0": {"arg_0": doc["question"], "arg_1": {"until": ["\n"], "max_gen_toks": 8}}},
        "resps": [["an answer"]],
        "filtered_resps": ["an answer"],
        "filter": filtered,
        "metrics": ["exact_match"],
        "doc_hash": hashed(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": hashed(str(doc["question"])),
        "target_hash": hashed(str(number)),
        "exact_match": value,
    }


def results_file(model: str, task: str, num: int, date: str) -> dict[str, Any]:
    return {
        "results": {task: {"name": task, "alias": task, "sample_len": num, "exact_match,none": 0.5}},
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"exact_match": True}},
        "n-samples": {task: {"original": num, "effective": num}},
        "config": {"model": "hf", "model_args": {"pretrained": model}},
        "lm_eval_version": "0.4.13",
        "model_name": model,
        "model_name_sanitized": model.replace("/", "__"),
        "fewshot_as_multiturn": None,
        "date": 1767323045.0,
        "task_hashes": {task: hashed(date)},
    }


Write = Callable[..., Path]


@pytest.fixture
def write_samples(tmp_path: Path) -> Write:
    """Write one run of a model: its samples and the results beside them; returns the samples file."""

    def write(
        model: str,
        lines: Sequence[dict[str, Any]],
        *,
        expected: int | None = None,
        date: str = DATE,
        task: str = "sums",
    ) -> Path:
        folder = tmp_path / "logs" / model.replace("/", "__")
        folder.mkdir(parents=True, exist_ok=True)
        results = results_file(model, task, len(lines) if expected is None else expected, date)
        (folder / f"results_{date}.json").write_text(json.dumps(results, indent=2, ensure_ascii=False))
        file = folder / f"samples_{task}_{date}.jsonl"
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        return file

    return write


@pytest.fixture
def two_models(write_samples: Write) -> Path:
    """The example: the folder of the logs of both models."""
    for model, values in (("org/base", BASE), ("org/sft", SFT)):
        file = write_samples(model, [sample_line(number, float(value)) for number, value in enumerate(values)])
    return file.parent.parent


@pytest.fixture
def line() -> Callable[..., dict[str, Any]]:
    return sample_line


@pytest.fixture
def example() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What was right before and after SFT."""
    return BASE, SFT


@pytest.fixture
def tree_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a tree.yaml: the two checkpoints and whatever is added."""

    def write(more: str = "") -> Path:
        path = tmp_path / "tree.yaml"
        path.write_text(TREE + more)
        return path

    return write
