"""A segment leaves its process as it found it, and finds in it nothing that could move a bit."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from upbringing.formats.record import BuildProfile
from upbringing.models.devices import WORKSPACE, give_back_memory

# What a launcher may have set against the profile; the profile alone says how a study computes.
IGNORED_ENVIRONMENT = (
    "ACCELERATE_DYNAMO_BACKEND",
    "ACCELERATE_DYNAMO_MODE",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
    "ACCELERATE_MIXED_PRECISION",
)
FORCED_ENVIRONMENT = {
    WORKSPACE[0]: WORKSPACE[1],
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@contextmanager
def isolated(profile: BuildProfile) -> Iterator[None]:
    """Compute as ``profile`` says, deterministically; afterwards restore everything that was global before.

    That is: environment, thread count, the random states of torch, numpy and Python, and torch's determinism.
    Compiled graphs are forgotten before and after, because a graph may depend on what was compiled earlier.
    """
    import torch

    determinism: Any = torch.utils.deterministic  # a module whose settings are properties, unknown to type checkers
    environment = dict(os.environ)
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = determinism.fill_uninitialized_memory
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    of_device = None if profile.device == "cpu" else torch.cuda.get_rng_state()
    try:
        for name in IGNORED_ENVIRONMENT:
            os.environ.pop(name, None)
        os.environ.update(FORCED_ENVIRONMENT)
        torch.set_num_threads(profile.threads)
        torch.use_deterministic_algorithms(mode=True, warn_only=False)
        determinism.fill_uninitialized_memory = False  # a debugging aid that costs time
        _forget_graphs(profile)
        yield
    finally:
        _forget_graphs(profile)
        if profile.device != "cpu":
            give_back_memory()
        determinism.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(mode=deterministic, warn_only=warns)
        torch.set_num_threads(threads)
        torch.set_rng_state(states[0])
        if of_device is not None:
            torch.cuda.set_rng_state(of_device)
        np.random.set_state(states[1])
        random.setstate(states[2])
        os.environ.clear()
        os.environ.update(environment)


def _forget_graphs(profile: BuildProfile) -> None:
    if profile.compile:
        import torch

        torch.compiler.reset()
