"""The version of each kind's training code, which enters the keys of what that code made, from 2 on.

Raise a kind's number when the same recipe comes to other bits: its checkpoints, and what was trained from them, are
then built anew instead of being taken for what the new code makes. At 1 nothing enters, so keys from before stay.
"""

from __future__ import annotations

from collections.abc import Mapping

KIND_VERSIONS: Mapping[str, int] = {
    "fresh": 1,
    "pretrain": 1,
    "midtrain": 1,
    "sft": 1,
    "dpo": 1,
    "reward_model": 1,
    "rl": 1,
    "edit_weights": 1,
    "emulate_tuning": 1,
    "ablate": 1,
    "average_checkpoints": 1,
}


def version_input(kind: str) -> dict[str, int]:
    """Return what the version of ``kind`` adds to the inputs of a key: nothing at 1."""
    number = KIND_VERSIONS[kind]
    return {} if number == 1 else {"code_version": number}
