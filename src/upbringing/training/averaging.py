"""Write the mean of checkpoints: safetensors in, safetensors out, one tensor after the other, nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.models.loading import check_folder
from upbringing.models.weights import TensorPlace, read_tensor, tensor_places, weight_files
from upbringing.training.editing import METADATA, copy_configuration, require_one_architecture, require_one_vocabulary


def average_folders(name: str, last: Path, earlier: Sequence[Path], output: Path) -> bool:
    """Write the mean of the weights of ``last`` and ``earlier``, and the configuration of ``last``, into ``output``;
    return whether any weight differs from ``last``.

    ``name``: the stage's, for errors. The tokenizer is not copied. Raises ``TrainingError`` naming the tensor where
    the checkpoints do not have the same tensors or the mean is not finite, ``DataError`` where their tokenizers differ.
    """
    folders = (last, *earlier)
    for folder in folders:
        check_folder(folder)
    tensors = {folder: tensor_places(folder) for folder in folders}
    require_one_architecture(name, last, earlier, tensors)
    require_one_vocabulary(name, last, earlier)
    changed = [
        _write(name, path, output / path.name, [tensors[folder] for folder in folders]) for path in weight_files(last)
    ]
    copy_configuration(last, output)
    return any(changed)


def _write(name: str, path: Path, output: Path, tensors: Sequence[dict[str, TensorPlace]]) -> bool:
    """Write the means of the tensors that stand in ``path``, the first checkpoint's; return whether any changed."""
    import torch
    from safetensors.torch import save_file

    written: dict[str, Any] = {}
    changed = False
    for tensor, place in tensors[0].items():
        if place.path != path:
            continue
        own = read_tensor(place, tensor)
        written[tensor] = own
        if not own.is_floating_point():
            continue
        total = own.to(torch.float64, copy=True)
        for other in tensors[1:]:
            total += read_tensor(other[tensor], tensor).double()
        found = (total / len(tensors)).to(own.dtype).contiguous()
        if not torch.isfinite(found).all():
            raise TrainingError(
                f"stage {name!r}: the mean of the tensor {tensor} is not finite: look at its checkpoints"
            )
        changed = changed or not torch.equal(found, own)
        written[tensor] = found
    save_file(written, str(output), metadata=METADATA)
    return changed
