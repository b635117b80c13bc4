"""The state of a run at a step: weights, optimiser, random state; whole and hashed, or not there.

Stock trainers resume silently from a flipped bit or from a missing optimiser file. Here a state is loaded only
if its manifest, written last, matches every byte; else the previous whole one is taken.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError, TrainingError, UpbringingWarning
from upbringing.base.faults import fault_point
from upbringing.base.files import TEMPORARY_PREFIX, publish_folder, remove_tree
from upbringing.base.manifest import check_manifest, write_manifest

LAYOUT = 2  # of optimizer.pt
KEPT_STATES = 2  # the newest may turn out damaged; one more costs little
_NAME = re.compile(r"^state-(\d{9})$")


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands after ``step`` updates. ``losses``: of every step so far, in nats per learned token.

    ``random_states``: one per process. ``made_with``: what must be the same again for resuming to be exact.
    ``updates``: what the own answers of an rl stage were like in every step so far, as plain values.
    """

    step: int
    weights: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    random_states: Sequence[Any]
    losses: Sequence[float]
    made_with: Mapping[str, str]
    updates: Sequence[Mapping[str, Any]] = ()

    def require(self, made_with: Mapping[str, str]) -> None:
        """Raise ``TrainingError`` naming the first thing that would be different on resuming."""
        for name in sorted({*self.made_with, *made_with}):
            was, is_now = self.made_with.get(name), made_with.get(name)
            if was != is_now:
                raise TrainingError(
                    f"the state at step {self.step} was made with {name} {was}, now it is {is_now}: resuming would "
                    "not be exact. Restore it, or build the node anew in another store"
                )


def write_state(folder: Path, state: TrainingState) -> None:
    """Write ``state`` into the empty ``folder`` (no manifest: whoever publishes the folder writes it last)."""
    import torch
    from safetensors.torch import save_file

    fault_point("write state weights")
    save_file(
        {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.weights.items()},
        folder / "weights.safetensors",
    )
    fault_point("write state optimizer")
    torch.save(
        {
            "optimizer": state.optimizer,
            "random_states": list(state.random_states),
            "losses": list(state.losses),
            "updates": [dict(each) for each in state.updates],
            "step": state.step,
            "made_with": dict(state.made_with),
            "layout": LAYOUT,
        },
        folder / "optimizer.pt",
    )


def save_state(workspace: Path, state: TrainingState) -> None:
    """Publish ``state`` in ``workspace`` and keep the last two."""
    final = workspace / f"state-{state.step:09d}"
    if final.exists():
        return
    temporary = workspace / f"{TEMPORARY_PREFIX}{final.name}"
    if temporary.exists():
        remove_tree(temporary)
    temporary.mkdir()
    write_state(temporary, state)
    write_manifest(temporary, step=state.step)
    publish_folder(temporary, final)
    for _, old in _states(workspace)[:-KEPT_STATES]:
        fault_point("remove old state")
        remove_tree(old)


def load_state(folder: Path) -> TrainingState:
    """Return the state in ``folder`` after every byte was checked; raises ``IntegrityError`` otherwise."""
    import torch
    from safetensors.torch import load_file

    check_manifest(folder, full=True)
    weights = load_file(folder / "weights.safetensors")
    rest = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
    if rest.get("layout") != LAYOUT:
        raise IntegrityError(f"{folder.name} has layout {rest.get('layout')}, this program reads {LAYOUT}: remove it")
    return TrainingState(
        rest["step"],
        weights,
        rest["optimizer"],
        rest["random_states"],
        rest["losses"],
        rest["made_with"],
        rest.get("updates", ()),  # states made before there were rl stages have none
    )


def newest_state(workspace: Path, *, last_step: int, clean: bool = True) -> TrainingState | None:
    """Return the newest whole state at or before ``last_step``, or ``None``; damaged ones are named.

    With ``clean`` what is damaged or was never finished is removed.
    """
    if clean:
        for leftover in workspace.glob(f"{TEMPORARY_PREFIX}*"):
            remove_tree(leftover)
    for step, folder in reversed(_states(workspace)):
        if step > last_step:
            continue
        try:
            return load_state(folder)
        except IntegrityError as error:
            warnings.warn(f"{error}: falling back to the state before it", UpbringingWarning, stacklevel=2)
            if clean:
                remove_tree(folder)
    return None


def _states(workspace: Path) -> list[tuple[int, Path]]:
    found = []
    for folder in workspace.iterdir():
        match = _NAME.match(folder.name)
        if match and folder.is_dir():
            found.append((int(match.group(1)), folder))
    return sorted(found)
