"""One forward pass for what is read rather than answered: likelihoods, and hidden states of the same prompts."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from upbringing.base.errors import UpbringingWarning
from upbringing.base.files import write_bytes_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.battery.cache import plain_prompt
from upbringing.battery.needs import LikelihoodNeed, Need, StatesNeed
from upbringing.battery.unasked import why_unasked
from upbringing.formats.items import Item
from upbringing.models.asking import Model, Prompt, ReadableModel
from upbringing.models.states import States

FRESH_FOLDER = "fresh-networks"  # beside the answers' caches, because checkpoints of one architecture share it
FRESH_VERSION = 1  # raise it when the same key may mean other hidden states

OnDone = Callable[[int], None]
Reads = LikelihoodNeed | StatesNeed


@dataclass(frozen=True)
class Seeded:
    """``seed``: of the weights of fresh networks; ``cache``: a folder where their hidden states are kept, if any."""

    seed: int
    cache: Path | None = None


@dataclass(frozen=True)
class Read:
    """What the pass found, and for each need that could not be read the reason."""

    likelihoods: dict[LikelihoodNeed, Sequence[float]] = field(default_factory=dict)
    states: dict[StatesNeed, States] = field(default_factory=dict)
    unable: dict[Need, str] = field(default_factory=dict)


def read_all(model: Model, needs: Sequence[Need], items: Mapping[str, Item], fresh: Seeded, on_done: OnDone) -> Read:
    """Return the likelihoods and hidden states that ``needs`` ask for; answers are left out.

    Hidden states of a network with random weights are computed once per architecture and set of prompts.
    """
    asked = [need for need in needs if isinstance(need, LikelihoodNeed | StatesNeed)]
    prompts = {need: need.asked(items[need.item]) for need in asked}
    unable: dict[Need, str] = {}
    for need in asked:
        reason = _unreadable(model, need) or why_unasked(model, prompts[need])
        if reason is None and isinstance(need, LikelihoodNeed):
            reason = model.unscorable(prompts[need], need.continuations)
        if reason is not None:
            unable[need] = reason
    able = [need for need in asked if need not in unable]
    likely = [need for need in able if isinstance(need, LikelihoodNeed)]
    own = [need for need in able if isinstance(need, StatesNeed) and not need.is_fresh]
    untrained = [need for need in able if isinstance(need, StatesNeed) and need.is_fresh]
    read = Read(unable=unable)

    def progress(done: int, total: int) -> None:
        on_done(len(unable) + round(done / total * (len(likely) + len(own))))

    requests = [(prompts[need], need.continuations) for need in likely]
    if own and isinstance(model, ReadableModel):
        scores, states = model.read(requests, [prompts[need] for need in own], progress)
        _keep(read, own, states)
    else:
        scores = model.score(requests, progress) if likely else []
    for need, found in zip(likely, scores, strict=True):
        if all(map(math.isfinite, found)):
            read.likelihoods[need] = found
        else:  # of comparisons and means with it something would come out that looks like a number
            unable[need] = "likelihood-not-finite"
    if untrained and isinstance(model, ReadableModel):
        _keep(read, untrained, fresh_states(model, [prompts[need] for need in untrained], fresh))
    if asked:
        on_done(len(asked))
    return read


def _unreadable(model: Model, need: Reads) -> str | None:
    if isinstance(need, LikelihoodNeed):
        if not model.scores:
            return "no-likelihood"
        return None if need.token is None else model.lacks(need.token)
    return None if isinstance(model, ReadableModel) else "no-hidden-states"


def _keep(read: Read, needs: Sequence[StatesNeed], states: Sequence[States]) -> None:
    for need, found in zip(needs, states, strict=True):
        if found.is_finite:
            read.states[need] = found
        else:
            read.unable[need] = "hidden-states-not-finite"


def fresh_states(model: ReadableModel, prompts: Sequence[Prompt], fresh: Seeded) -> list[States]:
    """Return the hidden states of ``prompts`` in the same architecture with random weights, from the cache if there."""
    plan = [plain_prompt(prompt) for prompt in prompts]
    key = fingerprint(
        {"version": FRESH_VERSION, "model": dict(model.architecture), "seed": fresh.seed, "prompts": plan}
    )
    path = None if fresh.cache is None else fresh.cache / f"{key}.npz"
    known = _known(path)
    if known is not None and len(known) == len(prompts):
        return known
    _, states = model.fresh(fresh.seed).read([], prompts, lambda done, total: None)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez(packed, last=np.stack([each.last for each in states]), mean=np.stack([each.mean for each in states]))
        write_bytes_atomic(path, packed.getvalue())
    return states


def _known(path: Path | None) -> list[States] | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            return [States(last, mean) for last, mean in zip(kept["last"], kept["mean"], strict=True)]
    except (zipfile.BadZipFile, ValueError, KeyError, OSError):
        warnings.warn(
            f"{path.name}, the hidden states of a network with random weights, is torn: it is computed again",
            UpbringingWarning,
            stacklevel=2,
        )
        return None
