"""What stands beside the weights of a published checkpoint: its record and its card."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from upbringing.base.files import write_bytes_atomic
from upbringing.base.markdown import inline
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.formats.record import RECORD_NAME, BuildProfile, LoadCheck, Record
from upbringing.formats.tree import ABLATED, AVERAGED, EDITED
from upbringing.models.loading import check_folder, is_reward_model, load_model, make_load_check
from upbringing.models.rewarding import make_reward_check, open_reward_model
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
    completed = record.model_copy(
        update={
            "weights_sha256": weights_sha256(folder),
            "tokenizer_sha256": tokenizer_sha256(folder),
            "template_sha256": template_sha256(folder),
            "load_check": _load_check(folder, profile),
            "profile": profile,
        }
    )
    write_bytes_atomic(folder / RECORD_NAME, completed.model_dump_json(indent=1).encode("utf-8"))
    write_bytes_atomic(folder / "README.md", model_card(completed).encode("utf-8"))
    return completed


def _load_check(folder: Path, profile: BuildProfile) -> LoadCheck:
    if is_reward_model(check_folder(folder)):
        return make_reward_check(open_reward_model(folder, profile=profile, check=False), profile.versions)
    loaded = load_model(folder, profile=profile, check=False)
    return make_load_check(loaded.model, loaded.tokenizer, profile.versions)


def model_card(record: Record) -> str:
    """Return the card of a checkpoint: what it is, what it was trained on, what blocks it.

    Names of sources, teachers and policies come from data, and cannot be markup here.
    """
    sources = "\n".join(
        f"| {inline(source.source)} | {source.realised_tokens} | {source.supervised_tokens} | {source.examples} "
        f"| {source.repetition:.2f} | {inline(', '.join(source.teachers)) or 'unknown'} |"
        for source in record.sources
    )
    return f"""---
library_name: transformers
tags: [upbringing]
---

# {inline(record.stage)} ({record.kind})

Made by `upbringing` as one checkpoint of a study; everything else about it is in `record.json`.

- id: `{record.id}`, made from `{record.parent or "random weights"}`{_edit(record)}
- steps {record.steps} of {record.total_steps}, {record.tokens} tokens, {record.supervised_tokens} of them supervised
- data `{(record.data_sha256 or "none")[:CHARACTERS_OF_A_HASH]}`
- weights `{record.weights_sha256[:CHARACTERS_OF_A_HASH]}`
- guard: {record.guard} (as its stage was declared when it was made)
- exact: {str(record.exact).lower()} ({record.profile.precision}, {record.profile.attention} attention)

| source | tokens | supervised | examples | repetition | teacher |
|---|---|---|---|---|---|
{sources}
{_ranking(record)}{_course(record)}"""


def _edit(record: Record) -> str:
    """Return how the weights were edited; nothing for other checkpoints."""
    if record.kind == ABLATED:
        slice_ = record.recipe["ablated"]
        where = "every layer" if slice_["layers"] is None else f"the layers {', '.join(map(str, slice_['layers']))}"
        return (
            f"\n- its weights were ablated, not trained: the last {slice_['heads']} attention heads and "
            f"{slice_['hidden']} hidden units of {where} were set to zero"
        )
    if record.kind == AVERAGED:
        number = len(record.recipe["averaged"]) + 1
        return f"\n- its weights were averaged, not trained: the mean of {number} checkpoints along the stage before it"
    if record.kind != EDITED:
        return ""
    recipe = record.recipe
    drawn = "a random delta of the norm of the one" if recipe["delta"]["random"] else "the delta"
    return (
        f"\n- its weights were edited, not trained: {recipe['edit']} {recipe['strength']:g} x {drawn} between the two "
        f"checkpoints whose recipes `record.json` names, in `{', '.join(recipe['modules'])}`"
    )


def _ranking(record: Record) -> str:
    """Return how well a reward model ranks, as a table; nothing for other checkpoints."""
    if not record.reward_model:
        return ""
    rows = "\n".join(
        f"| {inline(group.policy)} | {inline(group.teacher)} | {'held out' if group.held_out else 'trained on'} "
        f"| {group.num_pairs} | {group.accuracy:.3f} | {group.calibration_error:.3f} |"
        for group in record.reward_model
    )
    return f"""
A reward model: `AutoModelForSequenceClassification`, one number per text. It answers nothing.

| policy | teacher | pairs | number | accuracy | expected calibration error |
|---|---|---|---|---|---|
{rows}
"""


def _course(record: Record) -> str:
    """Return what a policy's own answers were worth at the beginning and at the end; nothing for other checkpoints."""
    if record.rl is None or not record.rl.updates:
        return ""
    rows = "\n".join(
        f"| {each.step} | {each.reward:.3f} | {'-' if each.oracle is None else f'{each.oracle:.3f}'} "
        f"| {'-' if each.divergence is None else f'{each.divergence:.3f}'} | {each.length:.1f} | {each.distinct:.2f} |"
        for each in (record.rl.updates[0], record.rl.updates[-1])
    )
    return f"""
| update | reward | exact judge's reward | nats per token from the start | tokens per answer | distinct answers |
|---|---|---|---|---|---|
{rows}
"""
