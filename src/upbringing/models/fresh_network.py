"""The same architecture with random weights: what hidden states tell before anything was learned."""

from __future__ import annotations

import copy
import json
from typing import Any

from upbringing.base.fingerprint import fingerprint
from upbringing.base.streams import derived_seed
from upbringing.models.states import plain_network

NO_PART_OF_AN_ARCHITECTURE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")


def architecture_sha256(network: Any) -> str:
    """Return the hash of a network's class and configuration, without where it came from."""
    config = json.loads(network.config.to_json_string(use_diff=False))
    kept = {name: value for name, value in config.items() if name not in NO_PART_OF_AN_ARCHITECTURE}
    return fingerprint({"class": type(network).__name__, "config": kept})


def fresh_network(network: Any, seed: int) -> Any:
    """Return a network of the same class and configuration, with weights that its library draws for a new one.

    fp32, in evaluation mode, on the same device. Stream: ``fresh-network``; the global stream is left as it was.
    """
    import torch

    plain = plain_network(network)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "fresh-network"))  # drawn on the CPU, others stay
        fresh = type(plain)(copy.deepcopy(plain.config))
    return fresh.to(dtype=torch.float32, device=plain.device).eval()
