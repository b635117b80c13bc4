"""Write a checkpoint without its forget slice: safetensors in, safetensors out, one file after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upbringing.models.loading import check_folder
from upbringing.models.weights import tensor_places, weight_files
from upbringing.training.ablate import Ablate
from upbringing.training.editing import METADATA, copy_configuration
from upbringing.training.forget_slice import SlicePlace, slice_places


def ablate_checkpoint(name: str, stage: Ablate, parent: Path, output: Path) -> bool:
    """Write the weights of ``parent`` without the slice, and their configuration, into ``output``; return whether any
    weight changed.

    ``name``: the stage's, for errors. The tokenizer is not copied. Raises ``TrainingError`` for a slice that the
    network has no room for.
    """
    config = check_folder(parent)
    shapes = {tensor: place.shape for tensor, place in tensor_places(parent).items()}
    places = slice_places(stage.slice, shapes, config, f"stage {name!r}")
    changed = [_write(path, output / path.name, places) for path in weight_files(parent)]
    copy_configuration(parent, output)
    return any(changed)


def _write(path: Path, output: Path, places: dict[str, SlicePlace]) -> bool:
    """Write one file of a checkpoint without the slice; return whether a weight of it changed."""
    from safetensors.torch import load_file, save_file

    written: dict[str, Any] = load_file(str(path))
    changed = False
    for name in places.keys() & written.keys():
        part = places[name].of(written[name])
        changed = changed or bool(part.count_nonzero())
        part.zero_()
    save_file(written, str(output), metadata=METADATA)
    return changed
