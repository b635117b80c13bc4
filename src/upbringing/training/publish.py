"""What stands beside the weights of a published checkpoint: its record and its card."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from upbringing.base.files import write_bytes_atomic
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.formats.record import RECORD_NAME, BuildProfile, Record
from upbringing.models.loading import load_model, make_load_check
from upbringing.models.weights import weights_sha256

LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "numpy")
MAX_CURVE_POINTS = 200  # enough to draw; the whole curve is in the training state
CHARACTERS_OF_A_HASH = 16


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that can move a bit; absent ones are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def thinned(losses: tuple[float, ...]) -> tuple[tuple[int, float], ...]:
    """Return at most 200 (step, loss) points of a loss curve; the first and the last step are always among them."""
    if not losses:
        return ()
    stride = max(1, len(losses) // MAX_CURVE_POINTS)
    steps = sorted({*range(1, len(losses) + 1, stride), len(losses)})
    return tuple((step, losses[step - 1]) for step in steps)


def finish_checkpoint(folder: Path, record: Record, profile: BuildProfile) -> Record:
    """Write ``record.json`` and the model card into ``folder`` and return the completed record.

    Hashes and the load check are computed here from the files, never from the model in memory: a trainer leaves
    its precision behind in it.
    """
    loaded = load_model(folder, profile=profile, check=False)
    completed = record.model_copy(
        update={
            "weights_sha256": weights_sha256(folder),
            "tokenizer_sha256": tokenizer_sha256(folder),
            "template_sha256": template_sha256(folder),
            "load_check": make_load_check(loaded.model, loaded.tokenizer, profile.versions),
            "profile": profile,
        }
    )
    write_bytes_atomic(folder / RECORD_NAME, completed.model_dump_json(indent=1).encode("utf-8"))
    write_bytes_atomic(folder / "README.md", model_card(completed).encode("utf-8"))
    return completed


def model_card(record: Record) -> str:
    """Return the card of a checkpoint: what it is, what it was trained on, what blocks it."""
    sources = "\n".join(
        f"| {source.source} | {source.realised_tokens} | {source.supervised_tokens} | {source.examples} "
        f"| {source.repetition:.2f} | {', '.join(source.teachers) or 'unknown'} |"
        for source in record.sources
    )
    return f"""---
library_name: transformers
tags: [upbringing]
---

# {record.stage} ({record.kind})

Made by `upbringing` as one checkpoint of a study; everything else about it is in `record.json`.

- id: `{record.id}`, made from `{record.parent or "random weights"}`
- steps {record.steps} of {record.total_steps}, {record.tokens} tokens, {record.supervised_tokens} of them supervised
- data `{(record.data_sha256 or "none")[:CHARACTERS_OF_A_HASH]}`
- weights `{record.weights_sha256[:CHARACTERS_OF_A_HASH]}`
- guard: {record.guard} (as its stage was declared when it was made)
- exact: {str(record.exact).lower()} ({record.profile.precision}, {record.profile.attention} attention)

| source | tokens | supervised | examples | repetition | teacher |
|---|---|---|---|---|---|
{sources}
"""
