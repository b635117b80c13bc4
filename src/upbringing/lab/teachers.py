"""Who answers prompts anew: a checkpoint in a folder, or an endpoint that a small YAML file describes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from upbringing.base.devices import device_here
from upbringing.base.errors import MissingExtraError, StudyError
from upbringing.base.strict_yaml import load_yaml
from upbringing.formats.record import RECORD_NAME, BuildProfile, read_record
from upbringing.models.addresses import is_this_machine
from upbringing.models.asking import Model
from upbringing.models.budget import Budget
from upbringing.models.endpoint import Endpoint, EndpointModel
from upbringing.study.loading import validated

BOOK = "spent.jsonl"
HASH_CHARACTERS = 12  # as short as git's and as unlikely to collide


@dataclass(frozen=True)
class OpenTeacher:
    """A teacher ready to answer. ``name`` stands in what it wrote; ``budget``: what was paid, of an endpoint."""

    name: str
    model: Model
    budget: Budget | None


def open_teacher(teacher: Path, replies: Path) -> OpenTeacher:
    """Return the checkpoint in the folder ``teacher``, or the endpoint that the YAML file ``teacher`` describes.

    ``replies``: the folder that remembers what was said and spent, so that a cap holds over repeated runs. Keys are
    read from the environment variable that the file names. Raises ``StudyError`` for what is neither, and for an
    endpoint on another machine without a spend cap.
    """
    if teacher.is_dir():
        return _checkpoint(teacher)
    if not teacher.is_file():
        raise StudyError(
            f"{teacher} is no folder of a checkpoint and no YAML file of an endpoint "
            "(base_url: ..., model: ..., key_variable: NAME, cap: {usd: ...}, price: {...})"
        )
    endpoint = validated(Endpoint, load_yaml(teacher))
    if find_spec("httpx") is None:
        raise MissingExtraError("a teacher behind an endpoint needs httpx: pip install 'upbringing[api]'")
    if not endpoint.cap.is_declared and not is_this_machine(endpoint.base_url):
        raise StudyError(
            f"{teacher.name}: say how much this teacher may cost: cap: {{usd: ...}} with a price, cap: {{calls: ...}}, "
            "or cap: {unlimited: true}"
        )
    replies.mkdir(parents=True, exist_ok=True)
    budget = Budget(endpoint.cap, endpoint.price, book=replies / BOOK)
    name = f"{endpoint.model}@{endpoint.revision}" if endpoint.revision else endpoint.model
    return OpenTeacher(name, EndpointModel(endpoint, budget=budget), budget)


def _checkpoint(folder: Path) -> OpenTeacher:
    import torch
    from transformers.utils import logging

    from upbringing.battery.engine import local_model
    from upbringing.models.loading import load_model

    logging.disable_progress_bar()  # the library's own bar would tear the one that is shown
    profile = BuildProfile(device=device_here())
    torch.set_num_threads(profile.threads)
    model = local_model(load_model(folder, profile=profile), precision="fp32", hashed=True)
    if (folder / RECORD_NAME).exists():
        return OpenTeacher(read_record(folder).id, model, None)
    return OpenTeacher(f"{folder.resolve().name}-{model.weights_sha256[:HASH_CHARACTERS]}", model, None)
